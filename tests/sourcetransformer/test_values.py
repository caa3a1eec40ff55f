"""What only a source transform's message has: its event time."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from numaflow_sourcetransformer import Datum, Message, Messages

UTC = timezone.utc
NOW = datetime(2024, 7, 1, 12, 30, 15, 123_456, tzinfo=UTC)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def test_event_time_is_aware_and_utc() -> None:
    for given in (NOW, NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))):
        message = Message(b"v", given)
        assert message.event_time == NOW
        assert message.event_time.tzinfo is UTC
        assert message == Message(b"v", NOW)


def test_naive_event_time_is_local_time(in_new_york: None) -> None:
    naive = datetime(2024, 7, 1, 12, 0, 0, 123_456)
    message = Message(b"v", naive)
    assert message.event_time == datetime(2024, 7, 1, 16, 0, 0, 123_456, tzinfo=UTC)
    assert message.event_time.timestamp() == naive.timestamp()
    assert Message(b"v", datetime(2024, 1, 1, 12)).event_time.hour == 17


def test_naive_event_time_in_the_hour_that_comes_twice(in_new_york: None) -> None:
    hours = [
        Message(b"", datetime(2024, 11, 3, 1, 30, fold=fold)).event_time.hour  # the clocks go back at 2
        for fold in (0, 1)
    ]
    assert hours == [5, 6]


@pytest.mark.parametrize("end", [datetime.min, datetime.max])
def test_naive_event_time_at_the_ends_of_the_calendar(in_new_york: None, end: datetime) -> None:
    found = Message(b"", end).event_time
    assert abs(found - end.replace(tzinfo=UTC)) < timedelta(hours=6)


@pytest.mark.parametrize("end", [datetime.min, datetime.max])
def test_aware_event_time_at_the_ends_of_the_calendar(end: datetime) -> None:
    assert Message(b"", end.replace(tzinfo=UTC)).event_time == end.replace(tzinfo=UTC)
    ahead = end.replace(tzinfo=timezone(timedelta(hours=14)))
    assert Message(b"", ahead).event_time in (ahead, end.replace(tzinfo=UTC)), "clamped where UTC has no such year"


def test_event_time_before_1970() -> None:
    moment = datetime(1969, 7, 20, 20, 17, 40, 1, tzinfo=UTC)
    assert Message(b"", moment).event_time == moment


@pytest.mark.parametrize("wrong", [None, 0, 1_700_000_000, "2024-07-01", NOW.date(), b""])
def test_event_time_is_a_datetime(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"Message event_time must be a datetime, got {type(wrong).__name__}"):
        Message(b"", wrong)  # type: ignore[arg-type]
    for make in (Message.to_drop, Message.to_nack, Message.to_fail):
        with pytest.raises(TypeError, match="event_time must be a datetime"):
            make(wrong)  # type: ignore[arg-type]


def test_event_time_in_equality_and_repr() -> None:
    assert Message(b"v", NOW) != Message(b"v", NOW + timedelta(microseconds=1))
    assert repr(Message(b"v", NOW)) == (
        "Message(value=b'v', keys=[], tags=[], event_time=2024-07-01T12:30:15.123456+00:00)"
    )
    with pytest.raises(AttributeError):
        Message(b"v", NOW).event_time = NOW  # type: ignore[misc]


def test_arguments_by_position_as_in_pynumaflow() -> None:
    message = Message(b"v", NOW, ["k"], ["t"])
    assert (message.value, message.event_time, message.keys, message.tags) == (b"v", NOW, ["k"], ["t"])


def test_handler_is_tested_without_a_server() -> None:
    def handler(keys: list[str], datum: Datum) -> Messages:
        if datum.event_time.year < 2020:
            return Messages(Message.to_drop(datum.event_time))
        return Messages(Message(datum.value, datum.event_time, keys, user_metadata=datum.user_metadata))

    old = Datum(["k"], b"v", datetime(2019, 12, 31, tzinfo=UTC), None)
    assert handler(old.keys, old) == Messages(Message.to_drop(old.event_time))
    new = Datum(["k"], b"v", NOW, None)
    assert handler(new.keys, new) == Messages(Message(b"v", NOW, ["k"]))
