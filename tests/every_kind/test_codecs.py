"""Requests of every kind, with any content, and what handlers of the kinds that return messages may return."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import numaflow_mapper
import numaflow_sinker
import numaflow_sourcetransformer
from every_kind.samples import NOW, fill, groups, texts
from numaflow_core.flows.batch import ExpectedIds
from numaflow_core.flows.bidi import Handshake
from numaflow_core.kind import Codec, RpcSpec, StreamCodec
from numaflow_core.values.datum import BaseDatum
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.status import ProtocolError, StatusCode
from numaflow_mapper import _batch_codec, _stream_codec
from numaflow_mapper import _codec as map_codec
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_sinker import _codec as sink_codec
from numaflow_sinker import _roles
from numaflow_sinker._proto.sink_pb2 import SinkRequest
from numaflow_sourcetransformer import _codec as transform_codec
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse


def handler_arguments(codec: Codec | StreamCodec, message: Buffer) -> Any:
    """What a handler that takes one message is called with."""
    if isinstance(codec, Codec):
        _, arguments = codec.decode(message)
        return arguments
    seen: list[tuple[Any, ...]] = []
    codec.call(lambda *given: seen.append(given), message)
    return seen[0]


def by_call(codec: Any) -> Callable[[Buffer], BaseDatum]:
    """What a handler that takes one message is given."""

    def see(message: Buffer) -> BaseDatum:
        keys, datum = handler_arguments(codec, message)
        assert isinstance(datum, BaseDatum)
        assert keys == datum.keys
        return datum

    return see


def by_batch(batches: Any, view: Callable[[Any], BaseDatum]) -> Callable[[Buffer], BaseDatum]:
    """What a handler that takes a batch is given; for the end of a batch, an error of a test's."""

    def see(message: Buffer) -> BaseDatum:
        request = batches.read(message)
        if request is None:
            raise ProtocolError("an eot")
        datum = view(request)
        assert list(batches.ids([request])) == [datum.id]
        return datum

    return see


class Wire(NamedTuple):
    """The requests of one kind."""

    request: type[Any]
    see: Callable[[Buffer], BaseDatum]
    spec: RpcSpec
    method: str
    handshake: Handshake
    id_is_inside: bool

    def message(self, id: str, keys: list[str], value: bytes, **more: Any) -> bytes:
        request = self.request()
        fill(request.request, keys, value, **more)
        (request.request if self.id_is_inside else request).id = id
        data: bytes = request.SerializeToString()
        return data


KINDS = {
    "map": Wire(
        MapRequest, by_call(map_codec.UNARY.codec), map_codec.UNARY, "MapFn", map_codec.HANDSHAKE, id_is_inside=False
    ),
    "map stream": Wire(
        MapRequest,
        by_call(_stream_codec.STREAM.codec),
        _stream_codec.STREAM,
        "MapFn",
        map_codec.HANDSHAKE,
        id_is_inside=False,
    ),
    "batch map": Wire(
        MapRequest,
        by_batch(_batch_codec._Batches(), map_codec.view),
        _batch_codec.BATCH,
        "MapFn",
        map_codec.HANDSHAKE,
        id_is_inside=False,
    ),
    "transform": Wire(
        SourceTransformRequest,
        by_call(transform_codec.TRANSFORM.codec),
        transform_codec.TRANSFORM,
        "SourceTransformFn",
        transform_codec.HANDSHAKE,
        id_is_inside=True,
    ),
    "sink": Wire(
        SinkRequest,
        by_batch(sink_codec._BATCHES, sink_codec.view),
        sink_codec.spec(_roles.PRIMARY),
        "SinkFn",
        sink_codec._HANDSHAKE,
        id_is_inside=True,
    ),
}

every_kind = pytest.mark.parametrize("wire", KINDS.values(), ids=KINDS)


@every_kind
@given(
    id=texts,
    keys=st.lists(texts, max_size=3),
    value=st.binary(max_size=60),
    user_metadata=groups,
    sys_metadata=groups,
    headers=st.dictionaries(texts, texts),
    vertex=texts,
)
def test_requests_are_what_protobuf_wrote(
    wire: Wire, id: str, keys: list[str], value: bytes, user_metadata: Any, sys_metadata: Any, **more: Any
) -> None:
    data = wire.message(id, keys, value, user_metadata=user_metadata, sys_metadata=sys_metadata, **more)
    for buffer in (data, bytearray(data), memoryview(data)):
        datum = wire.see(buffer)
        assert datum.id == id
        assert datum.keys == keys
        assert datum.value == value
        assert datum.headers == more["headers"]
        assert datum.previous_vertex == more["vertex"]
        assert datum.user_metadata.as_dict() == user_metadata
        assert datum.system_metadata.as_dict() == sys_metadata


def look(datum: BaseDatum) -> None:
    """At everything."""
    repr(datum)
    for name in dir(datum):
        if not name.startswith("_"):
            getattr(datum, name)


@every_kind
@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_protocol_errors(wire: Wire, data: bytes) -> None:
    with suppress(ProtocolError):
        look(wire.see(data))
    with suppress(ProtocolError):
        wire.handshake.is_request(data)


@every_kind
@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_raise_nothing_but_protocol_errors(
    wire: Wire, value: bytes, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(
        wire.message(
            "in-1",
            ["a", "ü"],
            value,
            headers={"h": "1"},
            vertex="in",
            user_metadata={"g": {"k": b"v"}},
            sys_metadata={"sink": {"retry_count": b"1"}},
        )
    )
    for position, mask in changes:
        data[position % len(data)] ^= mask
    with suppress(ProtocolError):
        look(wire.see(data))


@every_kind
def test_garbage_is_internal(wire: Wire) -> None:
    for read in (wire.see, wire.handshake.is_request):
        with pytest.raises(ProtocolError, match=f"cannot parse a {wire.request.__name__}") as caught:
            read(b"\xff\xff\xff")
        assert caught.value.status.code == StatusCode.INTERNAL


@every_kind
@pytest.mark.parametrize("fill_in", ["handshake", "nothing"])
def test_message_without_a_request(wire: Wire, fill_in: str) -> None:
    message = wire.request()
    if fill_in == "handshake":
        message.handshake.sot = True
    with pytest.raises(ProtocolError, match="expected a message with a request") as caught:
        wire.see(message.SerializeToString())
    assert caught.value.status.code == StatusCode.INVALID_ARGUMENT


def test_eot_is_no_request_where_every_message_is_a_call() -> None:
    message = MapRequest()
    message.status.eot = True
    for name in ("map", "map stream"):
        with pytest.raises(ProtocolError, match="expected a message with a request"):
            KINDS[name].see(message.SerializeToString())


@every_kind
def test_only_a_handshake_is_one(wire: Wire) -> None:
    message = wire.request()
    message.handshake.SetInParent()
    assert not wire.handshake.is_request(message.SerializeToString())
    assert not wire.handshake.is_request(b"")
    assert not wire.handshake.is_request(wire.message("1", [], b"", headers={}, vertex=""))
    message.handshake.sot = True
    assert wire.handshake.is_request(message.SerializeToString())


@every_kind
def test_stream_begins_with_a_handshake(wire: Wire) -> None:
    for first in (b"", wire.message("1", [], b"", headers={}, vertex="")):
        flow = wire.spec.new_flow()
        with pytest.raises(ProtocolError, match=rf"^{wire.method}: expected handshake as the first message"):
            flow.receive([first])


# -- results


def encode_map(result: Any) -> list[tuple[bytes, list[str]]]:
    return parts(MapResponse, map_codec.encode("id", result))


def encode_transform(result: Any) -> list[tuple[bytes, list[str]]]:
    request = SourceTransformRequest.Request(id="id")
    return parts(SourceTransformResponse, transform_codec.encode(request, result))


def parts(response: Any, encoded: Any) -> list[tuple[bytes, list[str]]]:
    return [(result.value, list(result.tags)) for result in response.FromString(bytes(encoded)).results]


class Returns(NamedTuple):
    """A kind whose handler returns messages."""

    encode: Callable[[Any], list[tuple[bytes, list[str]]]]
    messages: Any
    one: Any
    nothing: list[tuple[bytes, list[str]]]
    """What is sent where there is nothing."""

    taker: str


RETURNS = {
    "map": Returns(encode_map, numaflow_mapper.Messages, numaflow_mapper.Message(b"1"), [], "a map handler"),
    "transform": Returns(
        encode_transform,
        numaflow_sourcetransformer.Messages,
        numaflow_sourcetransformer.Message(b"1", NOW),
        [(b"", [numaflow_sourcetransformer.DROP])],
        "a source transform handler",
    ),
}

each_that_returns = pytest.mark.parametrize("kind", RETURNS.values(), ids=RETURNS)


@each_that_returns
def test_handlers_may_return(kind: Returns) -> None:
    one, messages = kind.one, kind.messages
    for result in (messages(one, one), [one, one], (one, one), iter([one, one]), (each for each in [one, one])):
        assert kind.encode(result) == [(b"1", []), (b"1", [])]
    assert kind.encode(one) == [(b"1", [])]
    empties: list[Any] = [None, [], (), messages(), iter(())]
    for empty in empties:
        assert kind.encode(empty) == kind.nothing


@each_that_returns
def test_other_results_are_type_errors_that_say_what_came(kind: Returns) -> None:
    other = numaflow_sinker.Message(b"of another kind")
    for wrong in (42, "text", b"bytes", [b"bytes"], [kind.one, None], {"a": 1}, object(), 1.5, True, other, [other]):
        with pytest.raises(
            TypeError, match=f"{kind.taker} must return Messages, an iterable of Message, a Message or None, got "
        ):
            kind.encode(wrong)


@each_that_returns
def test_error_of_a_generator_is_the_users(kind: Returns) -> None:
    def results() -> Iterable[Any]:
        yield kind.one
        raise LookupError("in the middle")

    with pytest.raises(LookupError, match="in the middle"):
        kind.encode(results())


# -- batches

Batch = tuple[Callable[..., Any], Callable[[str], Any], str]


@pytest.fixture(params=["batch map", "sink"])
def batch(request: pytest.FixtureRequest) -> Batch:
    """Makes an encoder for a batch with certain ids; makes an answer; what errors begin with."""
    if request.param == "sink":
        batches: Any = sink_codec._BATCHES
        codec: Any = sink_codec.spec(_roles.PRIMARY).codec
        make: Callable[[str], Any] = numaflow_sinker.Response.as_success
    else:
        batches, codec, make = _batch_codec._Batches(), _batch_codec.BATCH.codec, numaflow_mapper.BatchResponse

    def encoder(*ids: str) -> Any:
        expected = ExpectedIds(batches.taker)
        for each in ids:
            expected.expect([each])
        return codec.encoder(expected)

    return encoder, make, f"a {request.param} handler"


def test_every_id_is_answered_in_any_order(batch: Batch) -> None:
    encoder, make, _ = batch
    it = encoder("a", "b", "c")
    for each in ("c", "a", "b"):
        it.add(make(each))
    it.finish()


def test_unknown_id_is_named(batch: Batch) -> None:
    encoder, make, taker = batch
    with pytest.raises(ValueError, match=f"{taker} returned a response with the id 'x', which is not in the batch"):
        encoder("a").add(make("x"))


def test_repeated_id_is_named(batch: Batch) -> None:
    encoder, make, taker = batch
    it = encoder("a", "b")
    it.add(make("a"))
    with pytest.raises(ValueError, match=f"{taker} returned more than one response with the id 'a'"):
        it.add(make("a"))


@pytest.mark.parametrize(("ids", "others"), [("ab", ""), ("abcd", ", nor with 2 more ids of the batch")])
def test_missing_id_is_named(batch: Batch, ids: str, others: str) -> None:
    encoder, make, taker = batch
    it = encoder(*ids)
    it.add(make("a"))
    with pytest.raises(
        ValueError, match=f"{taker} returned no response with the id 'b'{others}: every datum needs one"
    ):
        it.finish()


def test_id_that_came_twice_wants_two_answers(batch: Batch) -> None:
    encoder, make, _ = batch
    it = encoder("a", "a")
    it.add(make("a"))
    with pytest.raises(ValueError, match="no response with the id 'a'"):
        it.finish()
    it.add(make("a"))
    it.finish()
    with pytest.raises(ValueError, match="more than one response with the id 'a'"):
        it.add(make("a"))


def test_answers_are_checked(batch: Batch) -> None:
    encoder, make, taker = batch
    name = type(make("a")).__name__
    for wrong in (None, "a", b"a", numaflow_mapper.Message(b""), ("a", True)):
        with pytest.raises(TypeError, match=f"{taker} must return {name} objects, got {type(wrong).__name__}"):
            encoder("a").add(wrong)


@pytest.mark.parametrize("wrong", [None, 1, "text", b"bytes", object()])
@pytest.mark.parametrize(
    ("codec", "complaint"),
    [
        (_batch_codec.BATCH.codec, "a batch map handler must return BatchResponses, or an iterable of BatchResponse"),
        (
            _stream_codec.STREAM.codec,
            "a map stream handler must be a generator, or return an iterable of Message",
        ),
        (
            sink_codec.spec(_roles.PRIMARY).codec,
            "a sink handler must return Responses, or an iterable of Response",
        ),
    ],
)
def test_what_cannot_be_gone_through(codec: Any, complaint: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"{complaint}, got {type(wrong).__name__}"):
        codec.items(wrong)
