"""What handlers are given, and what they return."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest

from numaflow_mapper import DROP, Datum, Message, Messages, NackOptions, SystemMetadata, UserMetadata
from numaflow_mapper._proto.map_pb2 import MapRequest

NOW = datetime(2024, 7, 1, 12, 30, 15, 123_456, tzinfo=timezone.utc)
UNKNOWN_NS = -1_000_000


def datum(value: bytes = b"v", keys: tuple[str, ...] = ("k",)) -> Datum:
    return Datum(keys, value, NOW, NOW - timedelta(seconds=1))


def view(request: MapRequest.Request) -> Datum:
    return Datum._view(request, "id")


# -- Datum


def test_datum_made_by_hand() -> None:
    made = Datum(
        keys=["a", "b"],
        value=bytearray(b"payload"),
        event_time=NOW,
        watermark=NOW - timedelta(minutes=1),
        headers={"h": "1"},
        user_metadata=UserMetadata({"g": {"k": b"v"}}),
        system_metadata=SystemMetadata({"s": {"k": b"w"}}),
        id="in-1",
        previous_vertex="cat",
    )
    assert made.id == "in-1"
    assert made.keys == ["a", "b"]
    assert made.value == b"payload"
    assert type(made.value) is bytes
    assert made.event_time == NOW
    assert made.event_time.tzinfo is timezone.utc
    assert made.event_time_ns == 1_719_837_015_123_456_000
    assert made.watermark == NOW - timedelta(minutes=1)
    assert made.watermark_ns == 1_719_836_955_123_456_000
    assert made.has_watermark
    assert made.headers == {"h": "1"}
    assert made.user_metadata.value("g", "k") == b"v"
    assert made.system_metadata.value("s", "k") == b"w"
    assert made.previous_vertex == "cat"


def test_datum_with_defaults() -> None:
    made = datum()
    assert (made.id, made.headers, made.previous_vertex) == ("", {}, "")
    assert len(made.user_metadata) == 0
    assert len(made.system_metadata) == 0


def test_datum_arguments_by_position_as_in_pynumaflow() -> None:
    made = Datum(["k"], b"v", NOW, NOW, {"h": "1"}, UserMetadata({"u": {}}), SystemMetadata({"s": {}}))
    assert made.headers == {"h": "1"}
    assert "u" in made.user_metadata
    assert "s" in made.system_metadata


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Datum("k", b"v", NOW, NOW), r"Datum keys must be a sequence of str, got str: 'k' \(did you mean"),
        (lambda: Datum([1], b"v", NOW, NOW), "Datum keys must be a sequence of str, got an item of int"),  # type: ignore[list-item]
        (lambda: Datum([], "v", NOW, NOW), "Datum value must be bytes-like, got str"),  # type: ignore[arg-type]
        (lambda: Datum([], b"v", 1.5, NOW), "Datum event_time must be a datetime, got float"),  # type: ignore[arg-type]
        (lambda: Datum([], b"v", NOW, 2), "Datum watermark must be a datetime, got int"),  # type: ignore[arg-type]
    ],
)
def test_datum_refuses_wrong_types(change: Callable[[], Datum], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        change()


def test_what_a_datum_gives_out_is_a_copy() -> None:
    made = Datum(["k"], b"v", NOW, NOW, {"h": "1"})
    made.keys.append("more")
    made.headers["more"] = "2"
    assert made.keys == ["k"]
    assert made.headers == {"h": "1"}


def test_user_metadata_of_one_datum_is_one_object() -> None:
    made = datum()
    made.user_metadata.add_key("g", "k", b"v")
    assert made.user_metadata.value("g", "k") == b"v"


def test_message_without_watermark() -> None:
    seen = view(MapRequest.Request(value=b"v"))
    assert not seen.has_watermark
    assert seen.watermark_ns == UNKNOWN_NS
    assert seen.watermark == datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [
        (0, 0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
        (1_700_000_000, 123_456_789, datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=timezone.utc)),
        (-1, 999_000_000, datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)),
        (8_210_266_876_799, 999_999_999, datetime.max.replace(tzinfo=timezone.utc)),
        (-8_334_601_228_800, 0, datetime.min.replace(tzinfo=timezone.utc)),
        (2**63 - 1, 2**31 - 1, datetime.max.replace(tzinfo=timezone.utc)),
        (-(2**63), -(2**31), datetime.min.replace(tzinfo=timezone.utc)),
    ],
)
def test_times_beyond_pythons_range_do_not_overflow(seconds: int, nanos: int, expected: datetime) -> None:
    request = MapRequest.Request()
    for target in (request.event_time, request.watermark):
        target.seconds, target.nanos = seconds, nanos
    seen = view(request)
    assert seen.event_time == seen.watermark == expected
    assert seen.event_time_ns == seen.watermark_ns == seconds * 10**9 + nanos
    repr(seen)


def test_datum_equality_and_repr() -> None:
    assert datum() == datum()
    assert datum() != datum(b"other")
    assert datum() != "v"
    with pytest.raises(TypeError, match="unhashable"):
        hash(datum())
    assert "b'\\xff\\xfe'" in repr(datum(b"\xff\xfe"))
    assert len(repr(datum(bytes(10_000_000)))) < 1000


# -- Message


def test_message() -> None:
    metadata = UserMetadata({"g": {"k": b"v"}})
    message = Message(b"v", keys=["k1", "k2"], tags=["t"], user_metadata=metadata)
    assert message.value == b"v"
    assert message.keys == ["k1", "k2"]
    assert message.tags == ["t"]
    assert message.user_metadata == metadata
    assert message.nack_options is None


def test_message_with_defaults() -> None:
    message = Message(b"v")
    assert (message.keys, message.tags, message.nack_options) == ([], [], None)
    assert len(message.user_metadata) == 0


def test_empty_user_metadata_is_kept_and_not_replaced() -> None:
    metadata = UserMetadata()
    message = Message(b"v", user_metadata=metadata)
    metadata.add_key("late", "k", b"v")
    assert message.user_metadata.value("late", "k") == b"v"


@pytest.mark.parametrize("value", [bytearray(b"v"), memoryview(b"v"), b"v"])
def test_message_takes_any_buffer(value: bytes) -> None:
    assert Message(value).value == b"v"


def test_message_takes_any_sequence_of_str() -> None:
    message = Message(b"", keys=("a", "b"), tags=("t",))
    assert message.keys == ["a", "b"]
    assert message.tags == ["t"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Message("v"), "Message value must be bytes-like, got str: 'v' .encode the str first"),  # type: ignore[arg-type]
        (lambda: Message(1), "Message value must be bytes-like, got int: 1"),  # type: ignore[arg-type]
        (lambda: Message([1]), "Message value must be bytes-like, got list"),  # type: ignore[arg-type]
        (lambda: Message(b"", keys="k"), "Message keys must be a sequence of str, got str: 'k' .did you mean"),
        (lambda: Message(b"", keys=[b"k"]), "Message keys .* got an item of bytes: b'k'"),  # type: ignore[list-item]
        (lambda: Message(b"", keys={"k"}), "Message keys must be a sequence of str, got set"),  # type: ignore[arg-type]
        (lambda: Message(b"", tags="t"), "Message tags must be a sequence of str, got str: 't'"),
        (lambda: Message(b"", tags=[None]), "Message tags .* got an item of NoneType"),  # type: ignore[list-item]
        (lambda: Message(b"", user_metadata={}), "Message user_metadata must be a UserMetadata, got dict"),  # type: ignore[arg-type]
        (lambda: Message(b"", user_metadata=SystemMetadata()), "must be a UserMetadata, got SystemMetadata"),  # type: ignore[arg-type]
        (lambda: Message.to_nack("why"), "to_nack takes NackOptions, got str"),  # type: ignore[arg-type]
    ],
)
def test_message_refuses_wrong_types_where_it_is_made(change: Callable[[], Message], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        change()


@pytest.mark.parametrize("keys", [0, False, "", b""])
def test_falsy_values_are_checked_too(keys: object) -> None:
    with pytest.raises(TypeError, match="Message keys must be a sequence of str"):
        Message(b"", keys=keys)  # type: ignore[arg-type]


def test_reserved_messages() -> None:
    assert Message.to_drop().tags == [DROP] == ["U+005C__DROP__"]
    assert Message.to_fail().tags == ["U+005C__FAIL__"]
    nack = Message.to_nack()
    assert nack.tags == ["U+005C__NACK__"]
    assert nack.nack_options is None
    options = NackOptions(reason="busy", max_deliveries=3, delay=timedelta(milliseconds=1500), nack_map={"k": "v"})
    assert Message.to_nack(options).nack_options == options
    assert type(Message.to_drop()) is Message


def test_message_is_read_only() -> None:
    message = Message(b"v", keys=["k"])
    for name in ("value", "keys", "tags", "other"):
        with pytest.raises(AttributeError):
            setattr(message, name, b"")
    message.keys.append("more")
    assert message.keys == ["k"]


def test_message_does_not_keep_the_lists_it_was_given() -> None:
    keys, tags = ["k"], ["t"]
    message = Message(b"", keys=keys, tags=tags)
    keys.append("more")
    tags.clear()
    assert (message.keys, message.tags) == (["k"], ["t"])


def test_message_equality_and_repr() -> None:
    assert Message(b"v", keys=["k"]) == Message(b"v", keys=("k",))
    assert Message(b"v") == Message(b"v", user_metadata=UserMetadata())
    assert Message(b"v") != Message(b"w")
    assert Message(b"v") != Message(b"v", tags=["t"])
    assert Message.to_nack() != Message.to_nack(NackOptions(reason="r"))
    assert Message(b"v") != b"v"
    assert repr(Message(b"\xff", keys=["k"])) == "Message(value=b'\\xff', keys=['k'], tags=[])"
    assert len(repr(Message(bytes(10_000_000)))) < 1000


# -- NackOptions


def test_nack_options() -> None:
    assert NackOptions(delay=timedelta(seconds=1.5)).delay_ms == 1500
    assert NackOptions().delay_ms is None
    assert NackOptions("r", 1, timedelta(0), {"k": "v"}) == NackOptions(
        reason="r", max_deliveries=1, delay=timedelta(0), nack_map={"k": "v"}
    )
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match="max_deliveries must be between"):
            NackOptions(max_deliveries=wrong)
    with pytest.raises(ValueError, match="delay must not be negative"):
        NackOptions(delay=timedelta(seconds=-1))


# -- Messages


def test_messages_are_a_sequence() -> None:
    one, two, three = Message(b"1"), Message(b"2"), Message(b"3")
    messages = Messages(one, two)
    messages.append(three)
    assert len(messages) == 3
    assert list(messages) == [one, two, three]
    assert messages[0] is one
    assert messages[-1] is three
    assert messages[1:] == [two, three]
    assert two in messages
    assert messages.index(three) == 2
    assert messages == Messages(Message(b"1"), Message(b"2"), Message(b"3"))
    assert messages != [one, two, three]
    assert not Messages()
    extended = Messages()
    extended.extend(message for message in messages)
    assert extended == messages
    assert repr(Messages(one)) == "Messages(Message(value=b'1', keys=[], tags=[]))"


@pytest.mark.parametrize("item", [b"v", "v", None, 1, [Message(b"v")]])
def test_messages_hold_only_messages(item: object) -> None:
    with pytest.raises(TypeError, match="Messages holds Message objects, got"):
        Messages(item)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Messages holds Message objects, got"):
        Messages().append(item)  # type: ignore[arg-type]


def test_items_is_deprecated_and_works() -> None:
    messages = Messages(Message(b"1"))
    with pytest.warns(DeprecationWarning, match=r"items\(\) is deprecated"):
        assert messages.items() == [Message(b"1")]


def test_handler_is_tested_without_a_server() -> None:
    def handler(keys: list[str], datum: Datum) -> Messages:
        def parts() -> Iterator[Message]:
            for part in datum.value.split(b","):
                yield Message(part, keys=keys)

        return Messages(*parts())

    made = datum(b"a,b")
    assert handler(made.keys, made) == Messages(Message(b"a", keys=["k"]), Message(b"b", keys=["k"]))
