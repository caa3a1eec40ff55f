"""Protobuf's wire format, for the few fields that are written once per message.

Building a protobuf object and serializing it costs three times as much as putting its bytes together, and copies a
payload twice. Requests are parsed by protobuf; responses of the common shape are put together from these parts, and
what is rarely set is still serialized by protobuf and appended: concatenated parts of a message are one message.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from .buffers import Buffer

_M_co = TypeVar("_M_co", covariant=True)


class Parsable(Protocol[_M_co]):
    """A protobuf message class."""

    def FromString(self, data: bytes, /) -> _M_co:  # noqa: N802 - protobuf's name
        """A new message from its bytes."""


def parser(message: Parsable[_M_co]) -> Callable[[Buffer], _M_co]:
    """A class's ``FromString`` for what a transport delivers: bytes, and a bytearray where a message came in pieces,
    which the first releases of protobuf 5 have to be given as bytes."""
    parse: Callable[..., _M_co] = message.FromString
    try:
        parse(bytearray())
    except TypeError:
        return lambda data: parse(bytes(data))
    return parse


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
