"""One connection: its socket, and how it ends.

Whatever is done for a connection begins in a callback of the event loop: bytes were read, the socket takes more, a
timer has run out. Each of them goes through ``_guard``, so that an error in any of them ends this connection and
nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, Final, cast

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2ProtocolError

from ...transport import Accept
from ._budgets import Patience
from ._incoming import FramesIn
from ._outgoing import FramesOut
from ._requests import Requests
from ._state import H2State

logger = logging.getLogger(__name__)

_SEND_BUFFER: Final = 1 << 20
"""Bytes of the kernel's. By default it takes some 100 KB, and a large reply would wait for the peer ten times."""

_PARTING_TIMEOUT: Final = 2.0
"""Seconds that a peer gets to read our last word and to close."""


class H2Protocol(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(self, methods: Mapping[str, Accept], max_message_size: int, connections: "set[H2Protocol]") -> None:
        """``connections``: where this one is found while it is open."""
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._state = H2State()
        patience = Patience(self._loop.time)
        self._out = FramesOut(self._state, patience, self._call_soon, self._call_later, self._emptied)
        requests = Requests(self._state, patience, self._out, methods, max_message_size)
        self._in = FramesIn(self._state, patience, self._out, requests)
        self._sock: asyncio.Transport | None = None
        self._leaving = False
        self._parting: asyncio.TimerHandle | None = None  # set when our last word is said
        self.closed = self._loop.create_future()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sock = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._guard(self._begin)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._in.room()

    def buffer_updated(self, nbytes: int) -> None:
        if self._parting is None:  # what a peer sends after our last word is read and forgotten
            self._guard(self._in.read, nbytes)
            if self._in.peer_leaves and not self._out.streams.by_id:
                self._guard(self._goodbye)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._out.drop()
        self._in.give_back()
        if self._parting is not None:
            self._parting.cancel()
        self._lose_streams()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._out.pause(True)

    def resume_writing(self) -> None:
        self._out.pause(False)

    def _begin(self) -> None:
        assert self._sock is not None
        self._sock.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)
        self._out.begin(self._sock)
        self._in.begin()

    # -- errors

    def _guard(self, call: Callable[..., None], *arguments: Any) -> None:
        """Do something for the connection; an error ends it."""
        try:
            call(*arguments)
        except H2ProtocolError as error:
            self._abandon(error.error_code, f"HTTP/2 protocol error: {error}")
        except Exception:
            logger.exception("an error of the server's own; it goes on without the connection")
            self._abandon(ErrorCodes.INTERNAL_ERROR, "the server has failed")

    def _call_soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(self._guard, call)

    def _call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, self._guard, call, *arguments)

    def _abandon(self, code: int, reason: str) -> None:
        """Close the connection because of an error: all streams are lost, then the peer is told."""
        if self._parting is not None:
            return
        logger.warning("connection closed: %s", reason)
        self._lose_streams()
        self._part(code)

    def _lose_streams(self) -> None:
        for stream in list(self._out.streams.by_id.values()):
            try:
                stream.lost()
            except Exception:
                logger.exception("%s: the server has failed to take the loss of a stream", stream.name)

    # -- the end

    def leave(self) -> None:
        """Close once every stream has ended and everything queued has been written."""
        self._leaving = True
        self._emptied()

    def _emptied(self) -> None:
        """Perhaps the last stream has ended."""
        if (self._leaving or self._in.peer_leaves) and not self._out.streams.by_id:
            self._call_soon(self._goodbye)

    def _goodbye(self) -> None:
        if self._parting is None and not self._out.streams.by_id:
            self._out.flush()
            self._part(ErrorCodes.NO_ERROR)

    def _part(self, code: int) -> None:
        """Write what is left, say that it was the last, and let the peer close.

        A socket closed with something unread in it breaks the connection under a peer that is still sending, and it
        may never read how its streams ended.
        """
        sock = self._sock
        if sock is None or sock.is_closing():
            return
        self._parting = self._loop.call_later(_PARTING_TIMEOUT, self.abort)
        self._in.drop()
        try:
            self._state.part(code)
            read = self._out.finish()
        except Exception:
            logger.exception("an error of the server's own, at the end of a connection")
            read = False
        if not read:
            sock.abort()

    def abort(self) -> None:
        """Close without another word."""
        if self._sock is not None:
            self._sock.abort()
