"""Times: nanoseconds since the epoch on the wire, aware UTC datetimes for users.

A protobuf Timestamp may lie outside of the years that a datetime can hold (an accumulator's window ends in the year
262143). Conversions therefore clamp to the datetime range, and the exact value stays available as nanoseconds.
"""

from datetime import datetime, timedelta, timezone
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND: Final = timedelta(microseconds=1)
_MIN: Final = datetime.min.replace(tzinfo=timezone.utc)
_MAX: Final = datetime.max.replace(tzinfo=timezone.utc)
_MIN_US: Final = (_MIN - _EPOCH) // _MICROSECOND
_MAX_US: Final = (_MAX - _EPOCH) // _MICROSECOND

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
    us = ns // 1000
    if us <= _MIN_US:
        return _MIN
    if us >= _MAX_US:
        return _MAX
    return _EPOCH + timedelta(microseconds=us)


def datetime_to_ns(value: datetime) -> int:
    """Nanoseconds since the epoch. A naive datetime is local time, as in ``datetime.timestamp()``; at the very ends of
    the calendar, where local time has no UTC, it is UTC."""
    if value.tzinfo is None:
        try:
            value = value.astimezone(timezone.utc)
        except (OverflowError, ValueError):
            value = value.replace(tzinfo=timezone.utc)
    return (value - _EPOCH) // _MICROSECOND * 1000
