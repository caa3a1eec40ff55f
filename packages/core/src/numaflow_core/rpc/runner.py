"""What a runner is: it runs calls, on threads, on an event loop or in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..values.about import About
    from ..wire.buffers import Buffer
    from .hub import Rpc
    from .inbox import Inbox

OnFailure = Callable[[BaseException, "Callable[[], About | None]"], None]
"""Told, on the thread where it happened, that a handler has raised, and what tells of the message it had got. The
server ends."""


class Runner(Protocol):
    """Runs calls. All methods are called on the transport's thread, and none may block it."""

    async def open(self) -> None:
        """Get ready, before the first call. Raises: StartError."""

    def submit(self, rpc: Rpc, messages: list[Buffer]) -> None:
        """Take messages, each of which is a call, in order."""

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        """Take a call that takes inputs while it runs."""

    def kick(self) -> None:
        """See to what has been fed and closed since the last time: once for a batch."""

    def leave(self, rpc: Rpc) -> None:
        """The stream is over; what has not been started of its messages need not be."""

    async def close(self, patience: float) -> None:
        """Start nothing more and let go of threads, tasks and processes. Called when no call is unanswered, or when
        what is unanswered does not matter any more. What has not ended after ``patience`` seconds is killed, if it can
        be."""
