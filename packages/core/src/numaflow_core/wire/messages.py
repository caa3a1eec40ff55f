"""gRPC's length-prefixed messages, cut out of the bytes of a stream. No IO."""

import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Final

from .buffers import Buffer, Outgoing
from .status import ProtocolError, StatusCode

_PREFIX: Final = Struct(">BI")
PREFIX_SIZE: Final = 5

# A body is allocated at once when its announced size is at most this; a larger one grows with what arrives, so that a
# five-byte prefix cannot make the server reserve 64 MiB.
_ALLOCATE_AT_ONCE: Final = 1 << 20

DECOMPRESSORS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""grpc-encoding to zlib's ``wbits``."""


def frame_messages(messages: Sequence[Outgoing]) -> list[Outgoing]:
    """Messages with their prefixes, uncompressed."""
    pack = _PREFIX.pack
    pieces: list[Outgoing] = [b""] * (2 * len(messages))
    pieces[0::2] = [pack(0, len(message)) for message in messages]
    pieces[1::2] = messages
    return pieces


class MessageReader:
    """Collects one stream's bytes and yields whole messages.

    Small messages are sliced from one copy of what arrived; a message in many pieces is copied straight into its
    final place.
    """

    __slots__ = ("_body", "_encoding", "_filled", "_head", "_limit", "_size", "_squeezed")

    def __init__(self, limit: int, encoding: str = "identity") -> None:
        self._limit = limit
        self._encoding = encoding
        self._head = b""  # an incomplete prefix
        self._body: bytearray | None = None  # an incomplete message
        self._size = 0
        self._filled = 0
        self._squeezed = False

    @property
    def incomplete(self) -> bool:
        """Whether the bytes so far end inside of a message."""
        return self._body is not None or bool(self._head)

    def feed(self, data: memoryview, messages: list[Buffer]) -> None:
        """Take bytes and append the messages that they complete.

        Raises:
            ProtocolError: a message is too large, or compressed in a way that was not agreed.
        """
        body = self._body
        if body is not None:
            taken = min(self._size - self._filled, len(data))
            if len(body) < self._size:
                body += data[:taken]
            else:
                body[self._filled : self._filled + taken] = data[:taken]
            self._filled += taken
            if self._filled < self._size:
                return
            self._body = None
            messages.append(self._inflate(body) if self._squeezed else body)
            data = data[taken:]
        chunk = self._head + data
        self._head = b""
        position, end = 0, len(chunk)
        unpack, append = _PREFIX.unpack_from, messages.append
        limit = min(end, self._limit)  # a whole message in this chunk is no longer than the chunk
        while end - position >= PREFIX_SIZE:
            flag, size = unpack(chunk, position)
            position += PREFIX_SIZE
            stop = position + size
            if stop <= end and not flag and size <= limit:
                append(chunk[position:stop])
                position = stop
            else:
                position = self._start(flag, size, chunk, position, messages)
        self._head = chunk[position:]

    def _start(self, flag: int, size: int, chunk: bytes, position: int, messages: list[Buffer]) -> int:
        """Begin the message whose prefix ends at ``position``; return where its bytes in ``chunk`` end."""
        if flag > 1:
            raise ProtocolError(f"a gRPC message began with the flag {flag}", StatusCode.INTERNAL)
        if flag and self._encoding == "identity":
            raise ProtocolError("a compressed message on a stream without grpc-encoding", StatusCode.INTERNAL)
        if size > self._limit:
            raise ProtocolError(
                f"received a message of {size} bytes, the limit is {self._limit} (max_message_size)",
                StatusCode.RESOURCE_EXHAUSTED,
            )
        stop = min(position + size, len(chunk))
        self._filled = stop - position
        if self._filled == size:
            body: Buffer = chunk[position:stop]
            messages.append(self._inflate(body) if flag else body)
            return stop
        self._size, self._squeezed = size, bool(flag)
        if size <= _ALLOCATE_AT_ONCE:
            self._body = bytearray(size)
            self._body[: self._filled] = chunk[position:stop]
        else:
            self._body = bytearray(chunk[position:stop])
        return stop

    def _inflate(self, body: Buffer) -> bytes:
        machine = zlib.decompressobj(DECOMPRESSORS[self._encoding])
        try:
            message = machine.decompress(body, self._limit + 1)
        except zlib.error as error:
            raise ProtocolError(f"cannot decompress a message: {error}", StatusCode.INTERNAL) from None
        if len(message) > self._limit:
            raise ProtocolError(
                f"a message is larger than {self._limit} bytes (max_message_size) when decompressed",
                StatusCode.RESOURCE_EXHAUSTED,
            )
        if not machine.eof:
            raise ProtocolError("a compressed message is cut short", StatusCode.INTERNAL)
        return message
