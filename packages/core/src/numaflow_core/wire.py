"""Protobuf's wire format, for the few fields that are written once per message.

Building a protobuf object and serializing it costs three times as much as putting its bytes together, and copies a
payload twice. Requests are parsed by protobuf; responses of the common shape are put together from these parts, and
what is rarely set is still serialized by protobuf and appended: concatenated parts of a message are one message.
"""

from typing import Final


def varint(number: int) -> bytes:
    """A non-negative number as protobuf writes it."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


class _Sizes(dict[int, bytes]):
    def __missing__(self, number: int) -> bytes:
        return varint(number)


SIZES: Final = _Sizes({number: varint(number) for number in range(2048)})
"""Number to varint, at the cost of a look-up for the sizes of most messages."""


def tag(field: int) -> bytes:
    """What stands before the size of a bytes, string or message field."""
    return varint(field << 3 | 2)
