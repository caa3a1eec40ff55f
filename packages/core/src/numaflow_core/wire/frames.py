"""Frames between a server and its worker processes.

A frame is a header, then the sizes of its messages, then the messages, undecoded. Both ends are of one process image,
so the format needs no version.
"""

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct, pack, unpack_from
from typing import Final, NamedTuple

from .buffers import Buffer, Outgoing, coalesce

HEADER: Final = Struct("<QQQIIB")


class FrameType(IntEnum):
    """What a frame says. A *share* is what one worker gets of a stream, or of a call."""

    READY = 1  # worker: started; give me calls
    CALLS = 2  # to worker: messages of a share; number: that of their RPC
    REPLIES = 3  # worker: replies of a share; number and size: of the messages that it is done with now
    LEFT = 4  # to worker: the share's stream is over
    BROKEN = 5  # worker: the stream broke the protocol; code and message
    FAILED = 6  # worker: a handler raised; the report
    START_FAILED = 7  # worker: will never be ready; why
    STOP = 8  # to worker: end
    HALF_CLOSE = 9  # to worker: the share has all its messages
    DONE = 10  # worker: a half-closed share has all its replies
    PAUSE = 11  # to worker: the stream takes no more replies for now
    RESUME = 12  # to worker: the stream takes replies again


class Frame(NamedTuple):
    """A frame that came in."""

    kind: int
    share: int
    number: int
    size: int
    messages: list[Buffer]


def encode_frame(
    kind: FrameType, share: int = 0, messages: Sequence[Outgoing] = (), number: int = 0, size: int = 0
) -> list[Buffer]:
    """A frame as buffers to be written one after the other."""
    count = len(messages)
    sizes = list(map(len, messages))
    body = sum(sizes)
    head = HEADER.pack(4 * count + body, share, size, number, count, kind) + pack(f"<{count}I", *sizes)
    return coalesce([head, *messages], len(head) + body)


def frame_size(buffer: Buffer, position: int) -> int:
    """How many bytes the frame takes whose header begins at ``position``."""
    body: int = HEADER.unpack_from(buffer, position)[0]
    return HEADER.size + body


def decode_frame(buffer: Buffer, position: int) -> Frame:
    """The whole frame at ``position``; its messages are copies."""
    _, share, size, number, count, kind = HEADER.unpack_from(buffer, position)
    position += HEADER.size
    sizes = unpack_from(f"<{count}I", buffer, position)
    view = memoryview(buffer)
    position += 4 * count
    messages: list[Buffer] = []
    for one in sizes:
        messages.append(bytes(view[position : position + one]))
        position += one
    return Frame(kind, share, number, size, messages)
