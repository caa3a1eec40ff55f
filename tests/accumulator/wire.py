"""Accumulator messages put together and taken apart by the field numbers of the upstream schema, without our code.

``accumulator.v1``: AccumulatorRequest { payload = 1, operation = 2 { event = 1, keyedWindow = 2 } }, Payload {
keys = 1, value = 2, event_time = 3, watermark = 4, id = 5, headers = 6, metadata = 7 }, KeyedWindow { start = 1,
end = 2, slot = 3, keys = 4 }, AccumulatorResponse { payload = 1, window = 2, tags = 3, EOF = 4 }.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from reducer.wire import SECOND, bytes_field, fields, number_field, timestamp

__all__ = ["SECOND", "bytes_field", "number_field", "timestamp"]

OPEN: Final = 0
CLOSE: Final = 1
APPEND: Final = 2

MS: Final = 1_000_000
MAX_UTC: Final = 8210266876799 * SECOND + 999_999_999
"""The end of a window that is open: chrono's ``MAX_UTC``."""

NO_WATERMARK: Final = -MS


def keyed_window(start_ns: int, end_ns: int, keys: Sequence[str] = ("key",), slot: str = "slot-0") -> bytes:
    return (
        bytes_field(1, timestamp(start_ns))
        + bytes_field(2, timestamp(end_ns))
        + (bytes_field(3, slot.encode()) if slot else b"")
        + b"".join(bytes_field(4, key.encode()) for key in keys)
    )


def payload(
    keys: Sequence[str],
    value: bytes,
    event_time_ns: int,
    watermark_ns: int | None,
    id: str,
    headers: Mapping[str, str] | None = None,
    more: bytes = b"",
) -> bytes:
    out = b"".join(bytes_field(1, key.encode()) for key in keys)
    out += (bytes_field(2, value) if value else b"") + bytes_field(3, timestamp(event_time_ns))
    out += b"" if watermark_ns is None else bytes_field(4, timestamp(watermark_ns))
    out += bytes_field(5, id.encode()) if id else b""
    for key, text in (headers or {}).items():
        out += bytes_field(6, bytes_field(1, key.encode()) + bytes_field(2, text.encode()))
    return out + more


def request(event: int, window: bytes | None, payload: bytes | None = None) -> bytes:
    operation = number_field(1, event) + (b"" if window is None else bytes_field(2, window))
    return (b"" if payload is None else bytes_field(1, payload)) + bytes_field(2, operation)


class Reply(NamedTuple):
    """A response."""

    keys: tuple[str, ...]
    value: bytes
    event_time: int | None
    watermark: int | None
    id: str
    headers: dict[str, str]
    tags: tuple[str, ...]
    window: bytes
    has_payload: bool
    eof: bool

    @property
    def window_keys(self) -> tuple[str, ...]:
        return tuple(part.decode() for number, part in fields(self.window) if number == 4 and isinstance(part, bytes))

    @property
    def end(self) -> int:
        """The window's."""
        (end,) = [part for number, part in fields(self.window) if number == 2]
        assert isinstance(end, bytes)
        return time_of(end)


def time_of(data: bytes) -> int:
    found = dict(fields(data))
    seconds, nanos = found.get(1, 0), found.get(2, 0)
    assert isinstance(seconds, int)
    assert isinstance(nanos, int)
    return (seconds - (1 << 64) if seconds >> 63 else seconds) * SECOND + nanos


def parse(data: bytes) -> Reply:
    found: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    eof = False
    for number, content in fields(data):
        if number == 4:
            eof = bool(content)
        else:
            assert isinstance(content, bytes)
            found[number].append(content)
    (window,) = found[2]
    parts: dict[int, list[bytes]] = {number: [] for number in range(1, 7)}
    assert len(found[1]) <= 1
    for number, part in fields(b"".join(found[1])):
        assert isinstance(part, bytes)
        parts[number].append(part)
    assert all(len(parts[number]) <= 1 for number in (2, 3, 4, 5))
    headers = [dict(fields(entry)) for entry in parts[6]]
    return Reply(
        keys=tuple(key.decode() for key in parts[1]),
        value=b"".join(parts[2]),
        event_time=time_of(parts[3][0]) if parts[3] else None,
        watermark=time_of(parts[4][0]) if parts[4] else None,
        id=b"".join(parts[5]).decode(),
        headers={text(entry[1]): text(entry[2]) for entry in headers},
        tags=tuple(tag.decode() for tag in found[3]),
        window=window,
        has_payload=bool(found[1]),
        eof=eof,
    )


def text(part: bytes | int) -> str:
    assert isinstance(part, bytes)
    return part.decode()
