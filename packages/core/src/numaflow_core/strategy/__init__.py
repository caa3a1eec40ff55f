"""Strategies run calls: on an event loop, on threads, in worker processes.

A strategy gets batches of undecoded calls from the transport's thread and gives replies back through ``Caller``, from
wherever the handler ran. It knows neither gRPC nor protobuf; a kind's codec, bound to the user's handler, is passed
in.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..buffers import Buffer, Outgoing
from ..status import ProtocolError


class Caller(Protocol):
    """The stream that a call came from. Its methods may be called on any thread."""

    ready: bool
    """Whether the stream takes replies now. If not, it is over, or its peer does not read: do not start its calls,
    give them back with ``postpone``."""

    def reply(self, message: Outgoing) -> None:
        """The one reply to a call."""

    def reply_all(self, messages: list[Buffer]) -> None:
        """A reply each to several calls. On the transport's thread only."""

    def postpone(self, message: Buffer) -> None:
        """Give a call back that was not started: it is submitted anew when the stream is ready, or forgotten."""

    def broken(self, error: ProtocolError) -> None:
        """The call could not be understood; the stream ends."""


@dataclass(frozen=True)
class Codec:
    """A kind's translation between one message and one call of the handler."""

    call: Callable[[Callable[..., Any], Buffer], tuple[Any, Any]]
    """Decode a message and call the handler with it; return a token, and what the handler returned: its result, or an
    awaitable of it. Raises ``ProtocolError`` for a message that makes no sense, and what the handler raises."""

    encode: Callable[[Any, Any], Outgoing]
    """(token, the handler's result) to the reply. Raises ``TypeError`` for a result that makes no sense."""


class Strategy(Protocol):
    """Runs calls. All methods are called on the transport's thread, and none may block it."""

    async def open(self) -> None:
        """Get ready, before the first call. Raises: StartError."""

    def submit(self, caller: Caller, calls: list[Buffer]) -> None:
        """Take calls, in order."""

    def left(self, caller: Caller) -> None:
        """The stream is over; what has not been started of its calls need not be."""

    async def close(self, patience: float) -> None:
        """Start nothing more and let go of threads, tasks and processes. Called when no call is unanswered, or when
        what is unanswered does not matter any more. What has not ended after ``patience`` seconds is killed, if it can
        be."""


OnFailure = Callable[[BaseException], None]
"""Told, on the thread where it happened, that a handler has raised. The server ends."""

SyncHandler = Callable[..., object]
AsyncHandler = Callable[..., Awaitable[object]]
