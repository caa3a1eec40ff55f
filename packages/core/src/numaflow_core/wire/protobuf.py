"""Protobuf's wire format, for the few fields that are written once per message.

Building a protobuf object and serializing it costs three times as much as putting its bytes together, and copies a
payload twice. Requests are parsed by protobuf; responses of the common shape are put together from these parts, and
what is rarely set is still serialized by protobuf and appended: concatenated parts of a message are one message.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as WireMessage

from ..values.messages import BaseMessage
from ..values.metadata import UserMetadata
from .buffers import LARGE, Buffer, Outgoing, Pieces
from .status import ProtocolError, StatusCode

_M = TypeVar("_M", bound=WireMessage)


def parser(message: type[_M]) -> Callable[[Buffer], _M]:
    """A function that parses what a transport delivers: bytes, and a bytearray where a message came in pieces, which
    the first releases of protobuf 5 have to be given as bytes. It raises ``DecodeError``."""
    parse: Callable[..., _M] = message.FromString
    try:
        parse(bytearray())
    except TypeError:
        from_string = parse

        def parse(data: Buffer) -> _M:
            return from_string(bytes(data))

    return parse


def unreadable(message: type[WireMessage], error: DecodeError) -> ProtocolError:
    """What ends a stream on which something came that is no message of that class."""
    return ProtocolError(f"cannot parse a {message.__name__}: {error}", StatusCode.INTERNAL)


def reader(message: type[_M]) -> Callable[[Buffer], _M]:
    """A function that parses as ``parser`` does, and raises ``ProtocolError`` for what is no message of that class."""
    parse = parser(message)

    def read(data: Buffer) -> _M:
        try:
            return parse(data)
        except DecodeError as error:
            raise unreadable(message, error) from None

    return read


def first_field(message: Buffer, tag: int) -> tuple[bytes, bytes]:
    """The content of a message's first field, and all that follows it. Both are empty where that field has not the
    one-byte ``tag``, or is 16 KiB or larger, and for what is no bytes object.

    This is for messages of two fields of which the second is the same in many: it need not be parsed each time.
    """
    if type(message) is bytes and len(message) > 2 and message[0] == tag:
        size, more = message[1], message[2]
        if size < 0x80:
            return message[2 : 2 + size], message[2 + size :]
        if more < 0x80:
            end = 3 + (size & 0x7F | more << 7)
            return message[3:end], message[end:]
    return b"", b""


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


_COMMON: Final = 2048
SIZES: Final = _Sizes({number: varint(number) for number in range(_COMMON)})
"""Number to varint, at the cost of a look-up for the sizes of most messages."""

_SHORT: Final = _COMMON - 16
"""Bytes of parts that make a field whose size ``heads`` has, with their own heads."""


def tag(field: int) -> bytes:
    """What stands before the size of a bytes, string or message field."""
    return varint(field << 3 | 2)


def heads(field: int) -> list[bytes]:
    """What stands before the content of a bytes, string or message field, by the size of the content: for sizes below
    2048."""
    start = tag(field)
    return [start + SIZES[size] for size in range(_COMMON)]


_NANOS: Final = varint(2 << 3)


def timestamp(ns: int) -> bytes:
    """Nanoseconds since the epoch as the content of a ``google.protobuf.Timestamp``."""
    seconds, nanos = divmod(ns, 1_000_000_000)
    if nanos >> 28:  # three quarters of all: five bytes, written at once
        low, high = nanos & 0x3FFF, nanos >> 14
        five = bytes((low & 127 | 128, low >> 7 | 128, high & 127 | 128, high >> 7 & 127 | 128, high >> 14))
        return b"%b%b%b" % (_seconds(seconds), _NANOS, five)
    return _seconds(seconds) + _NANOS + varint(nanos) if nanos else _seconds(seconds)


@lru_cache(maxsize=256)
def _seconds(seconds: int) -> bytes:
    """The field ``seconds``; messages of one batch have few different ones."""
    return varint(1 << 3) + varint(seconds if seconds > 0 else seconds + (1 << 64)) if seconds else b""


def string_field(field: int, text: str) -> bytes:
    """A string field."""
    data = text.encode()
    return b"%b%b%b" % (tag(field), SIZES[len(data)], data)


def write_user_metadata(metadata: UserMetadata | None, wire: Any) -> None:
    """Set the user's part of a ``metadata.Metadata`` message, if there is one."""
    if metadata is not None:
        for group in metadata:
            wire.user_metadata[group].key_value.update(metadata[group])


_Message = TypeVar("_Message", bound=BaseMessage)


def results_encoder(
    results: int, keys: int, value: int, more: Callable[[_Message], bytes]
) -> Callable[[bytes, Sequence[_Message]], Outgoing]:
    """A function that puts a response together: a beginning, then each message as a field ``results``.

    Args:
        results: number of the response's field that holds a result.
        keys: number of the result's field for the keys,
        value: and for the value.
        more: what else the result of a message holds, as bytes of whole fields.
    """
    results_tag, keys_tag, value_tag = tag(results), tag(keys), tag(value)
    results_heads, keys_heads, value_heads = heads(results), heads(keys), heads(value)
    sizes = SIZES
    join = b"".join

    def encode(response: bytes, messages: Sequence[_Message]) -> Outgoing:
        if len(messages) == 1:  # and short, with one key: nearly all are such
            message = messages[0]
            names, payload = message._keys, message._value
            if len(names) == 1 and len(payload) < _SHORT:
                name = names[0].encode()
                rest = more(message)
                if len(rest) + len(name) + len(payload) <= _SHORT:
                    value_head, key_head = value_heads[len(payload)], keys_heads[len(name)]
                    inside = len(rest) + len(key_head) + len(name) + len(value_head) + len(payload)
                    return join((response, results_heads[inside], rest, key_head, name, value_head, payload))
        pieces: list[Buffer] = []
        for message in messages:
            head = more(message)
            for key in message._keys:
                data = key.encode()
                head += b"%b%b%b" % (keys_tag, sizes[len(data)], data)
            payload = message._value
            size = len(payload)
            if size < LARGE:
                body = b"%b%b%b%b" % (head, value_tag, sizes[size], payload)
                response += b"%b%b%b" % (results_tag, sizes[len(body)], body)
            else:
                head += value_tag + sizes[size]
                pieces += (b"%b%b%b%b" % (response, results_tag, sizes[len(head) + size], head), payload)
                response = b""
        return Pieces(*pieces, response) if pieces else response

    return encode
