"""The codec against bytes that are put together by the upstream schema's field numbers."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest

from accumulator.handlers import Echo
from numaflow_accumulator import Datum, Message
from numaflow_accumulator._codec import SPEC
from numaflow_accumulator._flow import Life
from numaflow_core.wire.buffers import Pieces
from numaflow_core.wire.protobuf import reader

from .loopback import Loopback
from .wire import (
    APPEND,
    CLOSE,
    MAX_UTC,
    NO_WATERMARK,
    OPEN,
    SECOND,
    bytes_field,
    keyed_window,
    number_field,
    payload,
    request,
    timestamp,
)

CODEC: Any = SPEC.codec
TIME = 1_700_000_000_123_456_789
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def given(
    *, time: int = TIME, watermark: int | None = TIME - 5, headers: dict[str, str] | None = None, id: str = "in-1-0"
) -> Datum:
    """A datum, read from the wire."""
    from numaflow_accumulator._proto.accumulator_pb2 import Payload

    body = payload(["k1", "k2"], b"value", time, watermark, id, headers)
    return Datum._view(reader(Payload)(body), id)


def encoded(*messages: Message, first: Datum | None = None, latest: Datum | None = None) -> list[bytes]:
    life = Life(("w1", "w2"), "slot-0", first or given())
    life.latest = latest or life.latest
    encoder = CODEC.encoder(life)
    replies = [encoder.add(message) for message in messages]
    return [
        bytes(reply) for reply in [*replies, *encoder.finish()] if reply is not None and not isinstance(reply, list)
    ]


def response(end: int, body: bytes, tags: Sequence[str] = ()) -> bytes:
    out = bytes_field(2, keyed_window(0, end, ["w1", "w2"]))
    return out + b"".join(bytes_field(3, tag.encode()) for tag in tags) + bytes_field(1, body)


def body(keys: Sequence[str], value: bytes, time: int, watermark: int, id: str, headers: bytes = b"") -> bytes:
    """A payload as we write it: keys and value last."""
    out = bytes_field(3, timestamp(time)) + bytes_field(4, timestamp(watermark)) + bytes_field(5, id.encode()) + headers
    return out + b"".join(bytes_field(1, key.encode()) for key in keys) + bytes_field(2, value)


def eof(end: int) -> bytes:
    return bytes_field(2, keyed_window(0, end, ["w1", "w2"])) + number_field(4, 1)


def test_a_request_with_everything() -> None:
    group = bytes_field(1, bytes_field(1, b"key") + bytes_field(2, b"\xff"))
    metadata = bytes_field(1, b"in") + bytes_field(3, bytes_field(1, b"group") + bytes_field(2, group))
    wire = payload(["a", "b"], b"\x00\xff", TIME, -1_000_000, "in-7-0", {"trace": "1"}, bytes_field(7, metadata))
    sent = request(OPEN, keyed_window(TIME, MAX_UTC, ["w"], "slot-3"), wire)
    stream = Loopback(Random(0))
    stream.receive(sent)
    (call,) = stream.calls
    (datum,) = call.inputs
    assert call.size == len(sent)
    assert (call.call.keys, call.call.slot) == (("w",), "slot-3")
    assert isinstance(datum, Datum)
    assert (datum.keys, datum.value, datum.id) == (["a", "b"], b"\x00\xff", "in-7-0")
    assert (datum.event_time_ns, datum.watermark_ns, datum.has_watermark) == (TIME, -1_000_000, True)
    assert datum.headers == {"trace": "1"}
    assert datum.previous_vertex == "in"
    assert datum.user_metadata["group"]["key"] == b"\xff"


def test_a_datum_as_a_message() -> None:
    datum = given(headers={"trace": "é"})
    entry = bytes_field(6, bytes_field(1, b"trace") + bytes_field(2, "é".encode()))
    assert encoded(Message.from_datum(datum)) == [
        response(TIME - 5, body(["k1", "k2"], b"value", TIME, TIME - 5, "in-1-0", entry)),
        eof(TIME - 5),
    ]


def test_tags_and_a_drop() -> None:
    datum = given()
    tagged, dropped, _ = encoded(Message.from_datum(datum, tags=["t1", "t2"]), Message.to_drop(datum))
    assert tagged == response(TIME - 5, body(["k1", "k2"], b"value", TIME, TIME - 5, "in-1-0"), ["t1", "t2"])
    assert dropped == response(TIME - 5, body(["k1", "k2"], b"", TIME, TIME - 5, "in-1-0.1"), ["U+005C__DROP__"])


def test_a_message_with_only_a_value_is_of_the_latest_datum() -> None:
    first, latest = given(), given(time=TIME + 100, watermark=TIME + 50, id="in-2-0")
    one, two, three, end = encoded(Message(b"x"), Message(b""), Message.from_datum(latest), first=first, latest=latest)
    assert one == response(TIME - 5, body([], b"x", TIME + 100, TIME - 5, "in-2-0"))
    assert two == response(TIME - 5, body([], b"", TIME + 100, TIME - 5, "in-2-0.1"))
    assert three == response(TIME + 50, body(["k1", "k2"], b"value", TIME + 100, TIME + 50, "in-2-0.2"))
    assert end == eof(TIME + 50)


def test_a_message_made_by_hand() -> None:
    datum = given(watermark=5 * SECOND, time=9 * SECOND)
    message = Message(
        b"x", ["k"], ["t"], EPOCH + timedelta(seconds=2), EPOCH + timedelta(seconds=7), {"h": "1"}, "my own id"
    )
    entry = bytes_field(6, bytes_field(1, b"h") + bytes_field(2, b"1"))
    reply, end = encoded(message, first=given(watermark=SECOND, time=SECOND), latest=datum)
    assert reply == response(2 * SECOND, body(["k"], b"x", 7 * SECOND, 2 * SECOND, "my own id", entry), ["t"])
    assert end == eof(2 * SECOND)


def test_a_watermark_ahead_of_the_input_counts_as_the_inputs() -> None:
    latest = given(watermark=5 * SECOND, time=9 * SECOND)
    message = Message(b"x", watermark=datetime.max, id="i")
    reply, end = encoded(message, first=given(watermark=SECOND, time=SECOND), latest=latest)
    assert reply.startswith(bytes_field(2, keyed_window(0, 5 * SECOND, ["w1", "w2"])))
    assert end == eof(5 * SECOND)


def test_progress_never_goes_back() -> None:
    datums = [given(watermark=watermark * SECOND, time=9 * SECOND, id=str(watermark)) for watermark in (1, 5, 3)]
    replies = encoded(*map(Message.from_datum, datums), first=datums[0], latest=datums[1])
    ends = [SECOND, 5 * SECOND, 5 * SECOND, 5 * SECOND]
    for reply, end in zip(replies, ends, strict=True):
        assert reply.startswith(bytes_field(2, keyed_window(0, end, ["w1", "w2"])))


def test_a_key_without_messages_has_no_progress() -> None:
    assert encoded() == [eof(NO_WATERMARK)]
    assert eof(NO_WATERMARK)[:20].count(b"\xff") == 9  # seconds -1


def test_a_datum_without_watermark() -> None:
    datum = given(watermark=None)
    reply, end = encoded(Message.from_datum(datum), first=datum)
    assert reply == response(NO_WATERMARK, body(["k1", "k2"], b"value", TIME, NO_WATERMARK, "in-1-0"))
    assert end == eof(NO_WATERMARK)


def test_one_message_twice_has_two_ids() -> None:
    message = Message.from_datum(given())
    first, second, _ = encoded(message, message)
    assert bytes_field(5, b"in-1-0") in first
    assert bytes_field(5, b"in-1-0.1") in second


def test_a_large_value_is_not_copied() -> None:
    value = bytes(range(256)) * 1024
    life = Life(("w1", "w2"), "slot-0", given())
    reply = CODEC.encoder(life).add(Message.from_datum(life.latest, value=value))
    assert isinstance(reply, Pieces)
    assert any(part is value for part in reply.parts)
    assert bytes(reply) == response(TIME - 5, body(["k1", "k2"], value, TIME, TIME - 5, "in-1-0"))


def test_eof_echoes_what_close_said() -> None:
    window = keyed_window(-5, MAX_UTC, [""], "") + bytes_field(12, b"new") + number_field(13, 7)
    stream = Loopback(Random(0), Echo)
    stream.receive(request(OPEN, keyed_window(1, MAX_UTC, [""]), payload([], b"x", 1, 1, "id")), request(CLOSE, window))
    stream.work_all()
    assert stream.replies[-1] == bytes_field(2, window) + number_field(4, 1)


@pytest.mark.parametrize("wrong", [b"x", 7, [b"x"], "text"])
def test_results_that_make_no_sense(wrong: Any) -> None:
    life = Life((), "", given())
    encoder = CODEC.encoder(life)
    with pytest.raises(TypeError, match="Message"):
        for each in CODEC.items(wrong):
            encoder.add(each)


def test_results_of_a_push() -> None:
    message = Message(b"x")
    assert list(CODEC.items(None)) == []
    assert list(CODEC.items(message)) == [message]
    assert list(CODEC.items(each for each in [message])) == [message]


def test_the_datum_is_noted_before_the_handler_sees_it() -> None:
    stream = Loopback(Random(0), Echo)
    for event, name in ((OPEN, "one"), (APPEND, "two")):
        stream.receive(request(event, keyed_window(1, MAX_UTC), payload(["key"], b"x", 1, 1, name)))
    (call,) = stream.calls
    stream.work(call)
    assert call.call.latest.id == "two"
