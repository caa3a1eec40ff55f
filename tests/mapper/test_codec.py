"""Results of the map kinds on the wire, with any content."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_kind.samples import options, tagged, texts
from numaflow_core.flows.batch import ExpectedIds
from numaflow_core.wire.buffers import Outgoing
from numaflow_mapper import BatchResponse, Message, Messages
from numaflow_mapper._batch_codec import BATCH
from numaflow_mapper._codec import encode
from numaflow_mapper._proto.map_pb2 import MapResponse
from numaflow_mapper._stream_codec import STREAM
from numaflow_mapper.testing import _result

messages = st.one_of(
    tagged(Message),
    st.builds(Message.to_nack, options),
    st.builds(Message.to_drop),
    st.builds(Message.to_fail),
)


def decoded(response: Outgoing | None, id: str) -> list[Message]:
    """The results in a response, which is to be nothing else."""
    assert response is not None
    found = MapResponse.FromString(bytes(response))
    assert found.id == id
    assert not found.HasField("handshake")
    assert not found.HasField("status")
    return [_result(result) for result in found.results]


@given(texts, st.lists(messages, max_size=5))
def test_results_are_what_protobuf_reads(id: str, results: list[Message]) -> None:
    assert decoded(encode(id, Messages(*results)), id) == results


@given(texts, st.lists(messages, max_size=5))
def test_results_of_a_batch_are_what_protobuf_reads(id: str, results: list[Message]) -> None:
    expected = ExpectedIds("a handler")
    expected.expect([id])
    codec: Any = BATCH.codec
    encoder = codec.encoder(expected)
    reply = encoder.add(BatchResponse(id, results))
    assert not isinstance(reply, list)
    assert decoded(reply, id) == results
    assert list(encoder.finish()) == []


@given(texts, st.lists(messages, max_size=5))
def test_results_of_a_stream_are_what_protobuf_reads(id: str, results: list[Message]) -> None:
    codec: Any = STREAM.codec
    encoder = codec.encoder(id)
    for result in results:
        assert decoded(encoder.add(result), id) == [result]
    (eot,) = encoder.finish()
    end = MapResponse.FromString(eot)
    assert (end.id, end.status.eot, len(end.results)) == (id, True, 0)


@pytest.mark.parametrize("wrong", [None, b"v", Messages(Message(b"v")), [Message(b"v")]])
def test_stream_takes_messages_one_by_one(wrong: object) -> None:
    codec: Any = STREAM.codec
    with pytest.raises(TypeError, match=f"a map stream handler must yield Message objects, got {type(wrong).__name__}"):
        codec.encoder("1").add(wrong)


@given(st.lists(messages, max_size=3))
def test_size_of_what_is_sent(results: list[Message]) -> None:
    encoded = encode("id", results)
    assert len(encoded) == len(bytes(encoded))
