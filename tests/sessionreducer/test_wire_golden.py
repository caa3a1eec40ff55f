"""The wire against bytes that are put together by the upstream schema's field numbers."""

from typing import Any

from numaflow_sessionreducer import Datum, Message
from numaflow_sessionreducer._codec import SPEC
from numaflow_sessionreducer.testing import decode

from .test_flow import Sessions
from .wire import (
    APPEND,
    CLOSE,
    EXPAND,
    MERGE,
    OPEN,
    SECOND,
    bytes_field,
    eof,
    keyed,
    message,
    operation,
    payload,
    result,
)
from .wire import request as whole

NS = 1_700_000_000_123_456_789
A = keyed(NS, NS + 10 * SECOND, ["k1", "é"])
B = keyed(NS + 5 * SECOND, NS + 15 * SECOND, ["k1", "é"], slot="another")
AB = keyed(NS, NS + 15 * SECOND, ["k1", "é"])


def test_a_request_with_everything() -> None:
    entry = bytes_field(1, b"trace") + bytes_field(2, b"1")
    group = bytes_field(1, bytes_field(1, b"key") + bytes_field(2, b"\xff"))
    metadata = bytes_field(1, b"in") + bytes_field(3, bytes_field(1, b"group") + bytes_field(2, group))
    more = bytes_field(5, entry) + bytes_field(6, metadata)
    wire = whole(payload(["k1", "é"], b"\x00value\xff", NS, -1_000_000, more), operation(OPEN, A))
    stream = Sessions()
    assert stream.receive(wire) == []
    (call,) = stream.calls
    (datum,) = call.inputs
    assert call.size == len(wire)
    assert call.call.identity == (NS, NS + 10 * SECOND, ("k1", "é"))
    assert isinstance(datum, Datum)
    assert datum.keys == ["k1", "é"]
    assert datum.value == b"\x00value\xff"
    assert datum.event_time_ns == NS
    assert datum.watermark_ns == -1_000_000
    assert datum.headers == {"trace": "1"}
    assert datum.user_metadata["group"] == {"key": b"\xff"}
    assert datum.previous_vertex == "in"


def test_responses_to_every_operation() -> None:
    stream = Sessions()
    sent = [
        message(OPEN, A, value=b"1"),
        message(APPEND, A, value=b"2"),
        message(OPEN, B, value=b"3"),
        message(MERGE, B, A),
        message(CLOSE, AB),
        message(CLOSE, A),
    ]
    assert stream.receive(*sent) == [], "the EOF of the unknown one waits for its turn in the key"
    for call in list(stream.calls):
        assert stream.finish(call) == []
    assert stream.done(stream.calls[2]) == [eof(AB), eof(A)]
    assert stream.calls[2].call.response == bytes_field(2, keyed(NS, NS + 15 * SECOND, ["k1", "é"]))


def test_expanded_bounds_are_those_of_the_second_window() -> None:
    stream = Sessions()
    stream.receive(message(OPEN, A, value=b"1"), message(EXPAND, A, AB, value=b"2"))
    (call,) = stream.calls
    response, datum = call.inputs[1]
    assert response == bytes_field(2, AB)
    assert datum.value == b"2"


def test_results() -> None:
    stream = Sessions()
    stream.receive(message(OPEN, A, value=b"1"))
    codec: Any = SPEC.codec
    encoder = codec.encoder(stream.calls[0].call)
    for made, wire in (
        (Message(b"\x00v\xff", ["a", "b"], ["t1", "t2"]), result(A, ["a", "b"], b"\x00v\xff", ["t1", "t2"])),
        (Message(b"v"), result(A, [], b"v")),
        (Message.to_drop(), result(A, [], b"", ["U+005C__DROP__"])),
    ):
        reply = encoder.add(made)
        assert isinstance(reply, bytes)
        assert decode(reply) == decode(wire)
    assert encoder.add(Message(b"v", ["a"])) == result(A, ["a"], b"v")
    assert encoder.finish() == ()
    stream.calls[0].call.response = bytes_field(2, AB)
    assert encoder.add(Message(b"v", ["a"])) == result(AB, ["a"], b"v"), "by the bounds that hold now"
