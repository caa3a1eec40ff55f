"""Reduce messages put together and taken apart by the field numbers of the upstream schema, without our code.

``reduce.v1``: ReduceRequest { payload = 1 { keys = 1, value = 2, event_time = 3, watermark = 4, headers = 5,
metadata = 6 }, operation = 2 { event = 1, windows = 2 } }, Window { start = 1, end = 2, slot = 3 }, ReduceResponse {
result = 1 { keys = 1, value = 2, tags = 3, metadata = 4 }, window = 2, EOF = 3 }.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

OPEN: Final = 0
CLOSE: Final = 1
APPEND: Final = 4

SECOND: Final = 1_000_000_000


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def number_field(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number) if number else b""


def bytes_field(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def timestamp(ns: int) -> bytes:
    seconds, nanos = divmod(ns, SECOND)
    return number_field(1, seconds) + number_field(2, nanos)


def window(start_ns: int, end_ns: int, slot: str = "0") -> bytes:
    return (
        bytes_field(1, timestamp(start_ns))
        + bytes_field(2, timestamp(end_ns))
        + (bytes_field(3, slot.encode()) if slot else b"")
    )


def payload(
    keys: Sequence[str], value: bytes, event_time_ns: int, watermark_ns: int | None = None, more: bytes = b""
) -> bytes:
    out = b"".join(bytes_field(1, key.encode()) for key in keys)
    out += (bytes_field(2, value) if value else b"") + bytes_field(3, timestamp(event_time_ns))
    return out + (b"" if watermark_ns is None else bytes_field(4, timestamp(watermark_ns))) + more


def operation(event: int, *windows: bytes) -> bytes:
    return number_field(1, event) + b"".join(bytes_field(2, each) for each in windows)


def request(payload: bytes | None, operation: bytes | None) -> bytes:
    return (b"" if payload is None else bytes_field(1, payload)) + (
        b"" if operation is None else bytes_field(2, operation)
    )


def message(
    event: int, in_window: bytes, keys: Sequence[str] = ("key",), value: bytes = b"", event_time_ns: int = SECOND
) -> bytes:
    """A request as the platform sends it."""
    return request(payload(keys, value, event_time_ns, event_time_ns), operation(event, in_window))


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Numbers and values of the fields of a message."""
    position = 0

    def read() -> int:
        nonlocal position
        number = shift = 0
        while True:
            byte = data[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while position < len(data):
        tag = read()
        if tag & 7 == 0:
            yield tag >> 3, read()
        else:
            assert tag & 7 == 2
            size = read()
            yield tag >> 3, data[position : position + size]
            position += size


class Reply(NamedTuple):
    """A response."""

    keys: tuple[str, ...]
    value: bytes
    tags: tuple[str, ...]
    window: bytes | None
    has_result: bool
    eof: bool


def parse(data: bytes) -> Reply:
    keys: list[str] = []
    tags: list[str] = []
    value = b""
    found: bytes | None = None
    has_result = eof = False
    for number, content in fields(data):
        if number == 3:
            eof = bool(content)
            continue
        assert isinstance(content, bytes)
        if number == 2:
            found = content
            continue
        assert number == 1
        has_result = True
        for inner, part in fields(content):
            assert isinstance(part, bytes)
            if inner == 2:
                value = part
            else:
                {1: keys, 3: tags}[inner].append(part.decode())
    return Reply(tuple(keys), value, tuple(tags), found, has_result, eof)
