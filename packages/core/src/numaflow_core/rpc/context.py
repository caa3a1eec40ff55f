"""What all streams of a server have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .hub import Rpc
    from .runner import OnFailure


@dataclass(frozen=True)
class RpcContext:
    """The server, as its streams see it."""

    loop: asyncio.AbstractEventLoop
    """The transport's."""

    max_message_size: int
    on_progress: Callable[[Rpc], None]
    """Told that messages came in, that all were answered, or that the stream is over."""

    on_failure: OnFailure

    def soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have the transport's thread call back. From any thread; does nothing when the server has ended."""
        try:
            self.loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
