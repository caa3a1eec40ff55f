"""gRPC's length-prefixed messages, cut out of the bytes of a stream. No IO."""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from .buffers import Buffer, Outgoing
from .status import ProtocolError, StatusCode

_PREFIX: Final = Struct(">BI")
PREFIX_SIZE: Final = 5

_ALLOCATE_AT_ONCE: Final = 4
"""A message is allocated as a whole when this many times of what has come of it is enough; a longer one grows with what
arrives. So a prefix of five bytes cannot make the server reserve 64 MiB."""


_PREFIXES: Final = [_PREFIX.pack(0, size) for size in range(4096)]
"""Those of most messages."""


def frame_messages(messages: Sequence[Outgoing]) -> list[Outgoing]:
    """Messages with their prefixes, uncompressed."""
    sizes = list(map(len, messages))
    pieces: list[Outgoing] = [b""] * (2 * len(messages))
    if max(sizes, default=0) < len(_PREFIXES):
        pieces[0::2] = map(_PREFIXES.__getitem__, sizes)
    else:
        pieces[0::2] = [_PREFIX.pack(0, size) for size in sizes]
    pieces[1::2] = messages
    return pieces


class MessageReader:
    """Collects one stream's bytes and yields whole messages.

    Small messages are sliced from one copy of what arrived; a message in many pieces is copied straight into its
    final place.
    """

    __slots__ = ("_body", "_head", "_limit", "_size", "pending")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = b""  # an incomplete prefix
        self._body: bytearray | None = None  # an incomplete message
        self._size = 0
        self.pending = 0
        """Bytes of the incomplete message that have come."""

    @property
    def incomplete(self) -> bool:
        """Whether the bytes so far end inside of a message."""
        return self._body is not None or bool(self._head)

    @property
    def missing(self) -> int:
        """Bytes that the incomplete message still needs, as far as its prefix has told; 0 when there is none."""
        return self._size - self.pending if self._body is not None else 0

    def feed(self, data: memoryview, messages: list[Buffer]) -> None:
        """Take bytes and append the messages that they complete.

        Raises:
            ProtocolError: a message is too large, or compressed.
        """
        body = self._body
        if body is not None:
            taken = min(self._size - self.pending, len(data))
            if len(body) < self._size:
                body += data[:taken]
            else:
                body[self.pending : self.pending + taken] = data[:taken]
            self.pending += taken
            if self.pending < self._size:
                return
            self._body = None
            self.pending = 0
            messages.append(body)
            data = data[taken:]
        chunk = self._head + data
        self._head = b""
        position, end = 0, len(chunk)
        unpack, append = _PREFIX.unpack_from, messages.append
        limit = min(end, self._limit)  # a whole message in this chunk is no longer than the chunk
        last = end - PREFIX_SIZE
        while position <= last:
            flag, size = unpack(chunk, position)
            start = position + 5
            position = start + size
            if position > end or flag or size > limit:
                self._start(flag, size, chunk, start)
                return
            append(chunk[start:position])
        self._head = chunk[position:]

    def _start(self, flag: int, size: int, chunk: bytes, position: int) -> None:
        """Begin the message whose prefix ends at ``position``, and which is longer than what is left of ``chunk``.
        Raises: ProtocolError."""
        if flag == 1:
            raise ProtocolError("a compressed message; the only encoding here is identity", StatusCode.INTERNAL)
        if flag:
            raise ProtocolError(f"a gRPC message began with the flag {flag}", StatusCode.INTERNAL)
        if size > self._limit:
            raise ProtocolError(
                f"received a message of {size} bytes, the limit is {self._limit} (max_message_size)",
                StatusCode.RESOURCE_EXHAUSTED,
            )
        self._size, self.pending = size, len(chunk) - position
        if size <= _ALLOCATE_AT_ONCE * self.pending:
            self._body = bytearray(size)
            self._body[: self.pending] = chunk[position:]
        else:
            self._body = bytearray(chunk[position:])
