"""The codec against bytes that are put together by the upstream schema's field numbers."""

import pytest

from flows.played import Played
from numaflow_core.kind import RpcSpec, StreamCodec
from numaflow_core.wire.buffers import Buffer
from numaflow_reducer import Datum, Message
from numaflow_reducer._codec import REDUCE, REDUCE_STREAM
from numaflow_reducer._flow import WindowFlow

from .wire import (
    APPEND,
    OPEN,
    SECOND,
    bytes_field,
    message,
    number_field,
    operation,
    payload,
    request,
    timestamp,
    varint,
    window,
)

WINDOW = window(1_700_000_000_123_456_789, 1_700_000_060_000_000_001)


def feed(*messages: Buffer) -> Played:
    stream = Played(WindowFlow())
    assert stream.receive(*messages) == []
    return stream


def test_a_request_with_everything() -> None:
    entry = bytes_field(1, b"trace") + bytes_field(2, b"1")
    group = bytes_field(1, bytes_field(1, b"key") + bytes_field(2, b"\xff"))
    metadata = bytes_field(1, b"in") + bytes_field(3, bytes_field(1, b"group") + bytes_field(2, group))
    body = payload(
        ["k1", "k2"],
        b"\x00value\xff",
        1_700_000_000_123_456_789,
        -1_000_000,
        bytes_field(5, entry) + bytes_field(6, metadata),
    )
    wire = request(body, operation(OPEN, WINDOW))
    (call,) = feed(wire).calls
    (datum,) = call.inputs
    assert call.size == len(wire)
    assert call.call.keys == ("k1", "k2")
    assert isinstance(datum, Datum)
    assert datum.keys == ["k1", "k2"]
    assert datum.value == b"\x00value\xff"
    assert datum.event_time_ns == 1_700_000_000_123_456_789
    assert datum.watermark_ns == -1_000_000
    assert datum.has_watermark
    assert datum.headers == {"trace": "1"}
    assert datum.previous_vertex == "in"
    assert datum.user_metadata["group"]["key"] == b"\xff"
    interval = call.call.window.metadata.interval_window
    assert (interval.start_ns, interval.end_ns) == (1_700_000_000_123_456_789, 1_700_000_060_000_000_001)


def test_each_call_is_fed_once_per_batch() -> None:
    sizes = [len(message(APPEND, WINDOW, [key], b"x")) for key in "ab"]
    stream = feed(*(message(APPEND, WINDOW, [key], b"x") for key in "abbaa"))
    assert [(call.call.keys, len(call.inputs), call.size) for call in stream.calls] == [
        (("a",), 3, 3 * sizes[0]),
        (("b",), 2, 2 * sizes[1]),
    ]


def strange_forms(in_window: bytes, value: bytes) -> list[Buffer]:
    """The same message in forms that the platform does not use, but protobuf allows."""
    body = payload(["key"], value, SECOND, SECOND)
    appended = operation(APPEND, in_window)
    plain = request(body, appended)
    size = varint(len(body))
    return [
        bytearray(plain),
        bytes_field(2, appended) + bytes_field(1, body),
        bytes_field(1, payload([], b"overridden", 0)) + plain,
        bytes_field(1, body) + bytes_field(2, operation(APPEND)) + bytes_field(2, bytes_field(2, in_window)),
        plain + number_field(9, 1),
        b"%b%b%c\0" % (b"\x0a", size[:-1], size[-1] | 0x80) + body + bytes_field(2, appended),
    ]


@pytest.mark.parametrize("size", [1, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 127, 128, 16_350, 16_384, 70_000])
def test_forms_of_a_message(size: int) -> None:
    """All go to the same call, with the same content, in order."""
    value = b"\xa5" * size
    plain = message(APPEND, WINDOW, value=value)
    messages = [message(OPEN, WINDOW, value=value), plain, *strange_forms(WINDOW, value), plain]
    stream = feed(*messages)
    (call,) = stream.calls
    assert call.call.keys == ("key",)
    assert [(datum.keys, datum.value, datum.event_time_ns) for datum in call.inputs] == [
        (["key"], value, SECOND)
    ] * len(messages)
    assert call.size == sum(map(len, messages))


def test_an_operation_that_names_something_new_is_no_known_one() -> None:
    """A field of the operation that we do not know makes it no other window."""
    strange = operation(APPEND, WINDOW) + bytes_field(9, b"new")
    body = payload(["key"], b"x", SECOND)
    stream = feed(message(OPEN, WINDOW), request(body, strange), request(body, strange), message(APPEND, WINDOW))
    assert [len(call.inputs) for call in stream.calls] == [4]


@pytest.mark.parametrize("keys", [[], ["a"], ["a", "b"], [""], ["", ""], ["ab"], ["a", ""], ["ü€😀"]], ids=repr)
def test_keys_are_told_apart(keys: list[str]) -> None:
    others = [other for other in ([], ["a"], ["a", "b"], [""], ["", ""], ["ab"], ["a", ""]) if other != keys]
    stream = feed(message(OPEN, WINDOW, keys), *(message(APPEND, WINDOW, other) for other in [*others, keys]))
    assert {call.call.keys: len(call.inputs) for call in stream.calls} == {
        tuple(keys): 2,
        **{tuple(other): 1 for other in others},
    }


def codec_of(spec: RpcSpec) -> StreamCodec:
    assert isinstance(spec.codec, StreamCodec)
    return spec.codec


def results(spec: RpcSpec, *messages: Message) -> list[bytes]:
    codec = codec_of(spec)
    (call,) = feed(message(OPEN, WINDOW)).calls
    encoder = codec.encoder(call.call)
    replies = [encoder.add(each) for each in codec.items(messages)]
    assert encoder.finish() == ()
    return [bytes(reply) for reply in replies if reply is not None and not isinstance(reply, list)]


@pytest.mark.parametrize("spec", [REDUCE, REDUCE_STREAM])
def test_results(spec: RpcSpec) -> None:
    echo = bytes_field(2, WINDOW)
    assert results(spec, Message(b"value"), Message(b"", ["a", "b"], ["t1", "t2"]), Message.to_drop()) == [
        echo + bytes_field(1, bytes_field(2, b"value")),
        echo
        + bytes_field(
            1,
            bytes_field(3, b"t1")
            + bytes_field(3, b"t2")
            + bytes_field(1, b"a")
            + bytes_field(1, b"b")
            + bytes_field(2, b""),
        ),
        echo + bytes_field(1, bytes_field(3, b"U+005C__DROP__") + bytes_field(2, b"")),
    ]


def test_a_large_result() -> None:
    value = bytes(range(256)) * 1024
    (reply,) = results(REDUCE, Message(value, ["key"]))
    assert reply == bytes_field(2, WINDOW) + bytes_field(1, bytes_field(1, b"key") + bytes_field(2, value))


def test_eof_echoes_the_window() -> None:
    stream = feed(message(OPEN, WINDOW), message(APPEND, WINDOW, ["other"]))
    assert stream.half_close() == []
    ((first, second),) = stream.closings
    assert (first.call.keys, second.call.keys) == (("key",), ("other",))
    assert stream.done(second) == []
    assert stream.done(first) == [bytes_field(2, WINDOW) + number_field(3, 1)]


def test_a_window_with_fields_that_we_do_not_know_is_echoed_too() -> None:
    strange = WINDOW + bytes_field(9, b"new")
    (call,) = feed(message(OPEN, strange)).calls
    assert call.call.window.response == bytes_field(2, strange)


def test_the_same_window_with_another_slot_is_another() -> None:
    stream = feed(message(OPEN, window(0, SECOND, "0")), message(OPEN, window(0, SECOND, "1")))
    assert len(stream.calls) == 2


def test_timestamps_of_the_epoch_are_times() -> None:
    (call,) = feed(message(OPEN, bytes_field(1, timestamp(0)) + bytes_field(2, timestamp(0)))).calls
    assert call.call.window.metadata.interval_window.start_ns == 0


@pytest.mark.parametrize("result", [b"x", 7, [b"x"], ["text"]])
def test_results_that_make_no_sense(result: object) -> None:
    with pytest.raises(TypeError, match="a reduce handler must return Messages"):
        codec_of(REDUCE).items(result)


def test_stream_results_that_make_no_sense() -> None:
    with pytest.raises(TypeError, match="a reduce stream handler must be a generator"):
        codec_of(REDUCE_STREAM).items(7)
    (call,) = feed(message(OPEN, WINDOW)).calls
    with pytest.raises(TypeError, match="a reduce stream handler must make Message objects, got bytes"):
        codec_of(REDUCE_STREAM).encoder(call.call).add(b"x")
