"""Times: nanoseconds since the epoch on the wire, aware UTC datetimes for users.

A protobuf Timestamp may lie outside of the years that a datetime can hold (an accumulator's window ends in the year
262143). Conversions therefore clamp to the datetime range, and the exact value stays available as nanoseconds.
"""

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MIN: Final = datetime.min.replace(tzinfo=timezone.utc)
_MAX: Final = datetime.max.replace(tzinfo=timezone.utc)

NO_TIME_NS: Final = -1_000_000
"""What a time that the dataplane left unset reads as: -1 ms, its own sentinel for "no watermark yet"."""


class TimestampLike(Protocol):
    """The two fields of ``google.protobuf.Timestamp``."""

    @property
    def seconds(self) -> int:
        """Since the epoch; negative before it."""

    @property
    def nanos(self) -> int:
        """On top of ``seconds``, never negative."""


def timestamp_to_ns(timestamp: TimestampLike) -> int:
    """Nanoseconds since the epoch, exactly."""
    return timestamp.seconds * 1_000_000_000 + timestamp.nanos


def ns_to_datetime(ns: int) -> datetime:
    """An aware UTC datetime, rounded down to the microsecond, clamped to the years 1 to 9999."""
    return to_datetime(*divmod(ns, 1_000_000_000))


def to_datetime(seconds: int, nanos: int) -> datetime:
    """As ``ns_to_datetime``, of what a protobuf Timestamp holds."""
    try:
        return _second(seconds) + timedelta(0, 0, nanos // 1000)
    except OverflowError:
        return _MIN if seconds < 0 else _MAX


@lru_cache(maxsize=256)
def _second(seconds: int) -> datetime:
    """Where a second begins: messages that follow each other share it. Raises: OverflowError outside of the range."""
    return _EPOCH + timedelta(0, seconds)


def datetime_to_ns(value: datetime) -> int:
    """Nanoseconds since the epoch. A naive datetime is local time, as in ``datetime.timestamp()``; at the very ends of
    the calendar, where local time has no UTC, it is UTC."""
    if value.tzinfo is None:
        try:
            value = value.astimezone(timezone.utc)
        except (OverflowError, ValueError):
            value = value.replace(tzinfo=timezone.utc)
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
