"""Blocks of headers that may be large: decoded piece by piece, because ``hpack`` copies the rest of a block for each
header that it finds in it. With a block of 1 MB that would be minutes."""

from collections.abc import Iterable, Iterator
from typing import Final

from hpack import Decoder, HeaderTuple, OversizedHeaderListError

_PIECE: Final = 4096
"""Bytes that are decoded at once."""

_ENTRY: Final = 32


def header_size(name: bytes | str, value: bytes | str) -> int:
    """What HTTP/2 counts for a header (RFC 9113, 10.5.1)."""
    return len(name) + len(value) + _ENTRY


class HeaderDecoder(Decoder):
    """Decodes as ``hpack`` does, in a time that grows with the block's size and not with its square."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        if len(data) <= 2 * _PIECE:
            return super().decode(data, raw)
        headers: list[HeaderTuple] = []
        size = 0
        for piece in pieces(data):
            found = list(super().decode(piece, raw))
            size += sum(header_size(name, value) for name, value in found)
            if size > self.max_header_list_size:
                raise OversizedHeaderListError(f"more than {self.max_header_list_size} bytes of headers")
            headers += found
        return headers


def pieces(block: bytes) -> Iterator[bytes]:
    """A block, cut between its fields into pieces of at most 4 KiB, or one field that is longer. What cannot be
    understood is left together, for the decoder to say why."""
    start = position = 0
    while position < len(block):
        try:
            end = _field_end(block, position)
        except IndexError:
            end = len(block)
        if end - start > _PIECE and start < position:
            yield block[start:position]
            start = position
        position = end
    if start < position:
        yield block[start:]


def _field_end(block: bytes, position: int) -> int:
    """Where the field ends that begins at ``position`` (RFC 7541, 6). Raises: IndexError."""
    first = block[position]
    if first & 0x80:
        return _integer(block, position, 7)[1]
    if first & 0xE0 == 0x20:  # the table's new size
        return _integer(block, position, 5)[1]
    name, position = _integer(block, position, 6 if first & 0x40 else 4)
    for _ in range(1 if name else 2):  # the name, where it is not in the table, and the value
        size, position = _integer(block, position, 7)
        position += size
    return position


def _integer(block: bytes, position: int, bits: int) -> tuple[int, int]:
    """An integer that begins in the last ``bits`` of a byte, and where it ends. Raises: IndexError."""
    most = (1 << bits) - 1
    value = block[position] & most
    position += 1
    if value < most:
        return value, position
    for shift in range(0, 35, 7):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise IndexError("an integer without end")
