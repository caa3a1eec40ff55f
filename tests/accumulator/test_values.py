"""What handlers are given and what they make."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from numaflow_accumulator import DROP, Datum, IntervalWindow, KeyedWindow, Message

UTC = timezone.utc
TIME = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
MARK = TIME - timedelta(seconds=1)


def datum(**more: Any) -> Datum:
    return Datum(["k"], b"value", TIME, MARK, "in-1-0", **more)


def test_a_datum_made_by_hand() -> None:
    made = Datum(["k"], b"value", TIME, MARK, "in-1-0", {"h": "1"})
    assert (made.keys, made.value, made.id, made.headers) == (["k"], b"value", "in-1-0", {"h": "1"})
    assert (made.event_time, made.watermark) == (TIME, MARK)
    assert made == Datum(["k"], b"value", TIME, MARK, id_="in-1-0", headers={"h": "1"})
    assert made != datum()
    assert "id='in-1-0'" in repr(made)


def test_a_message_of_a_datum() -> None:
    message = Message.from_datum(datum(headers={"h": "1"}))
    assert (message.value, message.keys, message.tags, message.headers) == (b"value", ["k"], [], {"h": "1"})
    assert (message.event_time, message.watermark, message.id) == (TIME, MARK, "in-1-0")
    assert message == Message(b"value", ["k"], None, MARK, TIME, {"h": "1"}, "in-1-0")
    assert message == Message.from_datum(datum(headers={"h": "1"}))


def test_a_message_of_a_datum_with_other_content() -> None:
    message = Message.from_datum(datum(), value=bytearray(b"other"), keys=("a", "b"), tags=["t"])
    assert (message.value, message.keys, message.tags) == (b"other", ["a", "b"], ["t"])
    assert (message.event_time, message.watermark, message.id) == (TIME, MARK, "in-1-0")
    assert Message.from_datum(datum(), value=b"", keys=[]) == Message(b"", [], [], MARK, TIME, {}, "in-1-0")


def test_a_drop() -> None:
    message = Message.to_drop(datum())
    assert (message.value, message.tags, message.id) == (b"", [DROP], "in-1-0")
    assert (message.event_time, message.watermark) == (TIME, MARK)
    assert Message.to_drop() == Message(b"", tags=[DROP])


def test_a_message_that_leaves_things_open() -> None:
    message = Message(b"x")
    assert (message.keys, message.tags, message.headers) == ([], [], {})
    assert (message.event_time, message.watermark, message.id) == (None, None, "")
    assert "event_time=None" in repr(message)


def test_times_are_moments_whatever_their_zone() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert Message(b"", watermark=TIME.astimezone(tokyo)) == Message(b"", watermark=TIME)
    local = TIME.astimezone().replace(tzinfo=None)
    assert Message(b"", event_time=local) == Message(b"", event_time=TIME)


def test_what_is_read_is_a_copy() -> None:
    message = Message(b"", ["k"], ["t"], headers={"h": "1"})
    message.keys.append("x")
    message.tags.append("x")
    message.headers["x"] = ""
    assert message == Message(b"", ["k"], ["t"], headers={"h": "1"})
    with pytest.raises(AttributeError):
        message.value = b"x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"value": "text"}, "Message value must be bytes-like, got str"),
        ({"value": b"", "keys": "k"}, "Message keys must be a sequence of str"),
        ({"value": b"", "tags": [1]}, "Message tags must be a sequence of str"),
        ({"value": b"", "watermark": 1}, "Message watermark must be a datetime, got int"),
        ({"value": b"", "event_time": "now"}, "Message event_time must be a datetime, got str"),
        ({"value": b"", "headers": [("a", "b")]}, "Message headers must be a mapping, got list"),
        ({"value": b"", "headers": {"a": 1}}, "Message headers must be str to str, got int"),
        ({"value": b"", "id": 7}, "Message id must be a str, got int"),
    ],
)
def test_wrong_arguments_of_a_message(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Message(**arguments)


def test_only_a_datum_is_a_datum() -> None:
    with pytest.raises(TypeError, match=r"Message\.from_datum takes a Datum, got bytes"):
        Message.from_datum(b"x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes a Datum, got str"):
        Message.to_drop("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Datum event_time must be a datetime"):
        Datum([], b"", None, None, "id")  # type: ignore[arg-type]


def test_keyed_windows() -> None:
    window = KeyedWindow(TIME, TIME + timedelta(minutes=1), "slot-0", ["a", "b"])
    assert (window.start, window.end) == (TIME, TIME + timedelta(minutes=1))
    assert (window.slot, window.keys) == ("slot-0", ["a", "b"])
    same = KeyedWindow.from_ns(window.start_ns, window.end_ns, "slot-0", ("a", "b"))
    assert window == same
    assert hash(window) == hash(same)
    assert window != KeyedWindow(TIME, window.end, "slot-0", ["a:b"])
    assert window != KeyedWindow(TIME, window.end, "slot-1", ["a", "b"])
    assert window != IntervalWindow(TIME, window.end)
    assert "slot='slot-0', keys=['a', 'b'])" in repr(window)
    window.keys.append("c")
    assert window.keys == ["a", "b"]
    assert KeyedWindow(TIME, TIME).keys == []


def test_the_end_of_an_open_window_is_clamped_for_datetimes_only() -> None:
    far = KeyedWindow.from_ns(0, 8210266876799 * 1_000_000_000)
    assert far.end == datetime.max.replace(tzinfo=UTC)
    assert far.end_ns == 8210266876799 * 1_000_000_000
