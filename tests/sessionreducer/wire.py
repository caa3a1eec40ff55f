"""Session reduce messages put together and taken apart by the field numbers of the upstream schema, without our code.

``sessionreduce.v1``: SessionReduceRequest { payload = 1 (as reduce's), operation = 2 { event = 1, keyedWindows = 2 } },
KeyedWindow { start = 1, end = 2, slot = 3, keys = 4 }, SessionReduceResponse { result = 1 { keys = 1, value = 2,
tags = 3, metadata = 4 }, keyedWindow = 2, EOF = 3 }.
"""

from collections.abc import Sequence
from typing import Final

from reducer.wire import SECOND, bytes_field, number_field, operation, payload, request, window

OPEN: Final = 0
CLOSE: Final = 1
EXPAND: Final = 2
MERGE: Final = 3
APPEND: Final = 4

__all__ = [
    "APPEND",
    "CLOSE",
    "EXPAND",
    "MERGE",
    "OPEN",
    "SECOND",
    "bytes_field",
    "eof",
    "keyed",
    "message",
    "operation",
    "payload",
    "request",
    "result",
]


def keyed(start_ns: int, end_ns: int, keys: Sequence[str] = ("k",), slot: str = "0") -> bytes:
    """A KeyedWindow."""
    return window(start_ns, end_ns, slot) + b"".join(bytes_field(4, key.encode()) for key in keys)


def message(event: int, *windows: bytes, value: bytes | None = None) -> bytes:
    """A request, with a payload where there is a value."""
    return request(None if value is None else payload(["k"], value, SECOND), operation(event, *windows))


def result(in_window: bytes, keys: Sequence[str], value: bytes, tags: Sequence[str] = ()) -> bytes:
    """A response with a result, its fields in the order in which we write them."""
    body = b"".join(bytes_field(1, key.encode()) for key in keys)
    body += (bytes_field(2, value) if value else b"") + b"".join(bytes_field(3, tag.encode()) for tag in tags)
    return bytes_field(2, in_window) + bytes_field(1, body)


def eof(in_window: bytes) -> bytes:
    """The response that ends a session."""
    return bytes_field(2, in_window) + number_field(3, 1)
