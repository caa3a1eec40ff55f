"""Frames between a server and its worker processes, on a socketpair.

A frame is a header, then the sizes of its messages, then the messages, undecoded. Both ends are of one process image,
so the format needs no version.
"""

import asyncio
from collections.abc import Sequence
from enum import IntEnum
from struct import Struct, pack, unpack_from
from typing import Final, NamedTuple, cast

from ..wire.buffers import Buffer, Outgoing, coalesce

_HEADER: Final = Struct("<QIIIB")
_ROOM: Final = 256 * 1024
WRITE_HIGH_WATER: Final = 1 << 20
"""Bytes that wait to be written, with more of which the other end does not keep up."""


class FrameType(IntEnum):
    """What a frame says."""

    READY = 1  # worker: started; call me
    CALLS = 2  # to worker: messages of a stream
    REPLIES = 3  # worker: replies to a stream; number: how many calls are over with them
    LEFT = 4  # to worker: the stream is over
    BROKEN = 5  # worker: the stream broke the protocol; code and message
    FAILED = 6  # worker: a handler raised; summary and detail
    START_FAILED = 7  # worker: will never be ready; why
    STOP = 8  # to worker: end
    HALF_CLOSE = 9  # to worker: the stream has all its messages
    DONE = 10  # worker: a half-closed stream has all its replies
    RELEASED = 11  # worker: number: how many messages of the stream are done with; their size
    PAUSE = 12  # to worker: the stream takes no more replies for now
    RESUME = 13  # to worker: the stream takes replies again


class Frame(NamedTuple):
    """A frame that came in."""

    kind: int
    stream: int
    number: int
    messages: list[Buffer]


def encode_frame(kind: FrameType, stream: int = 0, messages: Sequence[Outgoing] = (), number: int = 0) -> list[Buffer]:
    """A frame as buffers to be written one after the other."""
    count = len(messages)
    sizes = list(map(len, messages))
    body = sum(sizes)
    head = _HEADER.pack(4 * count + body, stream, count, number, kind) + pack(f"<{count}I", *sizes)
    return coalesce([head, *messages], len(head) + body)


class PipeProtocol(asyncio.BufferedProtocol):
    """One end of the pipe."""

    def __init__(self) -> None:
        self._buffer = bytearray(_ROOM)
        self._filled = 0
        self._pipe: asyncio.Transport | None = None
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

    def send(self, kind: FrameType, stream: int = 0, messages: Sequence[Outgoing] = (), number: int = 0) -> None:
        """Queue a frame; what may be queued is bounded by who calls this."""
        if self._pipe is not None and not self._pipe.is_closing():
            self._pipe.writelines(encode_frame(kind, stream, messages, number))

    def close(self) -> None:
        """Write out what is queued, then close."""
        if self._pipe is not None:
            self._pipe.close()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pipe = cast(asyncio.Transport, transport)
        self._pipe.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pipe = None
        self.pipe_lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        position, end, needed = 0, self._filled, 0
        while end - position >= _HEADER.size:
            size, stream, count, number, kind = _HEADER.unpack_from(self._buffer, position)
            needed = _HEADER.size + size
            if end - position < needed:
                break
            start = position + _HEADER.size
            position += needed
            self.frame_received(Frame(kind, stream, number, self._messages(start, count)))
        left = end - position
        if needed > len(self._buffer) or (left < _ROOM < len(self._buffer) and needed <= _ROOM):
            grown = bytearray(max(needed, _ROOM))  # exactly one large frame, or back to the usual
            grown[:left] = self._buffer[position:end]
            self._buffer = grown
        elif position and left:
            self._buffer[:left] = self._buffer[position:end]
        self._filled = left

    def _messages(self, start: int, count: int) -> list[Buffer]:
        sizes = unpack_from(f"<{count}I", self._buffer, start)
        view = memoryview(self._buffer)
        position = start + 4 * count
        messages: list[Buffer] = []
        for size in sizes:
            messages.append(bytes(view[position : position + size]))
            position += size
        return messages
