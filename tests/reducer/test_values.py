"""What handlers are given and what they return."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from numaflow_reducer import DROP, Datum, IntervalWindow, Message, Messages, Metadata, UserMetadata

TIME = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)


def test_message() -> None:
    message = Message(bytearray(b"value"), keys=("a", "b"), tags=["t"])
    assert (message.value, message.keys, message.tags) == (b"value", ["a", "b"], ["t"])
    assert message == Message(b"value", ["a", "b"], ["t"])
    assert message != Message(b"value", ["a", "b"])
    assert repr(message) == "Message(value=b'value', keys=['a', 'b'], tags=['t'])"
    assert Message(b"").keys == Message(b"").tags == []


def test_message_to_drop() -> None:
    dropped = Message.to_drop()
    assert type(dropped) is Message
    assert dropped.tags == [DROP] == ["U+005C__DROP__"]


@pytest.mark.parametrize("arguments", [("text",), (7,), (b"", "key"), (b"", [1]), (b"", None, "tag")])
def test_message_of_the_wrong_types(arguments: Any) -> None:
    with pytest.raises(TypeError, match="Message "):
        Message(*arguments)


def test_messages_only_hold_messages() -> None:
    assert list(Messages(Message(b"1"), Message(b"2"))) == [Message(b"1"), Message(b"2")]
    with pytest.raises(TypeError, match="Messages holds Message objects"):
        Messages(b"1")  # type: ignore[arg-type]


def test_window() -> None:
    window = IntervalWindow(TIME, TIME + timedelta(minutes=1))
    assert window.start == TIME
    assert window.end - window.start == timedelta(minutes=1)
    assert window.end.tzinfo is timezone.utc
    assert window.end_ns - window.start_ns == 60_000_000_000
    assert window == IntervalWindow(TIME, TIME + timedelta(minutes=1))
    assert hash(window) == hash(IntervalWindow(TIME, TIME + timedelta(minutes=1)))
    assert window != IntervalWindow(TIME, TIME)
    assert "2024-01-02T03:04:05.678901+00:00" in repr(window)


def test_window_to_the_nanosecond_and_beyond_the_calendar() -> None:
    window = IntervalWindow.from_ns(1_700_000_000_123_456_789, 8_210_266_876_799 * 10**9)
    assert window.start_ns == 1_700_000_000_123_456_789
    assert window.start.microsecond == 123456
    assert window.end.year == 9999
    assert window.end_ns == 8_210_266_876_799 * 10**9


def test_metadata() -> None:
    window = IntervalWindow(TIME, TIME)
    assert Metadata(window).interval_window is window
    assert Metadata(interval_window=window) == Metadata(window)
    with pytest.raises(TypeError, match="interval_window must be an IntervalWindow, got str"):
        Metadata("window")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="start must be a datetime, got int"):
        IntervalWindow(1, TIME)  # type: ignore[arg-type]


def test_datum_compares_with_its_window() -> None:
    """Both are aware UTC."""
    datum = Datum(["a"], b"1", event_time=TIME, watermark=TIME, headers={"h": "1"})
    window = IntervalWindow(TIME, TIME + timedelta(seconds=1))
    assert window.start <= datum.event_time < window.end
    assert (datum.keys, datum.value, datum.headers) == (["a"], b"1", {"h": "1"})


def test_user_metadata_of_a_datum() -> None:
    metadata = UserMetadata({"group": {"key": b"value"}})
    datum = Datum([], b"", event_time=TIME, watermark=None, user_metadata=metadata)
    assert datum.user_metadata["group"]["key"] == b"value"
    assert not datum.has_watermark
