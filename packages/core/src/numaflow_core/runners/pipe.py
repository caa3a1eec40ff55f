"""One end of the socket pair between a server and a worker process, on an event loop."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from ..wire.buffers import Outgoing
from ..wire.frames import HEADER, Frame, FrameType, decode_frame, encode_frame, frame_size

_ROOM: Final = 256 * 1024
WRITE_HIGH_WATER: Final = 1 << 20
"""Bytes that wait to be written, with more of which the other end does not keep up."""


class Pipe(asyncio.BufferedProtocol):
    """Sends frames, and hands over those that come. The two ends derive from it."""

    def __init__(self) -> None:
        self._buffer = bytearray(_ROOM)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self.congested = False
        """Whether the other end does not keep up with what is sent to it."""

    # -- for subclasses

    def frame_received(self, frame: Frame) -> None:
        """A whole frame."""
        raise NotImplementedError

    def drained(self) -> None:
        """The other end keeps up again."""

    def pipe_lost(self) -> None:
        """The other end is gone."""
        raise NotImplementedError

    def send(
        self, kind: FrameType, share: int = 0, messages: Sequence[Outgoing] = (), number: int = 0, size: int = 0
    ) -> None:
        """Queue a frame; what may be queued is bounded by who calls this."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(encode_frame(kind, share, messages, number, size))

    def close(self) -> None:
        """Write out what is queued, then close."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.pipe_lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        position, end, needed = 0, self._filled, 0
        while end - position >= HEADER.size:
            needed = frame_size(self._buffer, position)
            if end - position < needed:
                break
            frame = decode_frame(self._buffer, position)
            position += needed
            self.frame_received(frame)
        left = end - position
        if needed > len(self._buffer) or (left < _ROOM < len(self._buffer) and needed <= _ROOM):
            grown = bytearray(max(needed, _ROOM))  # exactly one large frame, or back to the usual
            grown[:left] = self._buffer[position:end]
            self._buffer = grown
        elif position and left:
            self._buffer[:left] = self._buffer[position:end]
        self._filled = left
