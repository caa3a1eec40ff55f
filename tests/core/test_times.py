"""Times: nanoseconds are exact, datetimes are aware and clamped."""

from datetime import datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.values.times import datetime_to_ns, ns_to_datetime, timestamp_to_ns

aware = st.datetimes(
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=11))])
)


@given(aware.filter(lambda time: datetime(1, 1, 3) < time.replace(tzinfo=None) < datetime(9999, 12, 29)))
def test_round_trip(time: datetime) -> None:
    back = ns_to_datetime(datetime_to_ns(time))
    assert back == time
    assert back.tzinfo is timezone.utc


@given(st.integers(-(2**80), 2**80))
def test_nothing_overflows(ns: int) -> None:
    time = ns_to_datetime(ns)
    assert time.tzinfo is timezone.utc
    assert datetime_to_ns(time) % 1000 == 0


@given(st.integers(-62_135_596_800 * 10**9 + 1000, 253_402_300_799 * 10**9))
def test_rounds_down_to_the_microsecond(ns: int) -> None:
    assert 0 <= ns - datetime_to_ns(ns_to_datetime(ns)) < 1000


@given(st.integers(-(2**62), 2**62), st.integers(0, 999_999_999))
def test_timestamps_are_exact(seconds: int, nanos: int) -> None:
    assert timestamp_to_ns(Timestamp(seconds=seconds, nanos=nanos)) == seconds * 10**9 + nanos


@pytest.mark.parametrize(
    ("ns", "time"),
    [
        (0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc)),
        (-1_000_000, datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)),
        (1_700_000_000_123_456_789, datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=timezone.utc)),
        (8_210_266_876_799 * 10**9, datetime.max.replace(tzinfo=timezone.utc)),
        (-8_210_266_876_799 * 10**9, datetime.min.replace(tzinfo=timezone.utc)),
    ],
)
def test_known_times(ns: int, time: datetime) -> None:
    assert ns_to_datetime(ns) == time


def test_naive_is_local_time() -> None:
    naive = datetime(2024, 7, 1, 12, 0, 0, 123_456)
    assert datetime_to_ns(naive) // 1000 == round(naive.timestamp() * 1_000_000)
