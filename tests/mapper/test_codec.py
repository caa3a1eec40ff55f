"""Requests and results on the wire, with any content."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.buffers import LARGE
from numaflow_core.status import ProtocolError, StatusCode
from numaflow_mapper import Datum, Message, Messages, NackOptions, UserMetadata
from numaflow_mapper._codec import HANDSHAKE, UNARY, call, encode
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_mapper.testing import _result

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
metadata = st.dictionaries(texts, st.dictionaries(texts, st.binary(max_size=8), max_size=3), max_size=3)
options = st.builds(
    NackOptions,
    reason=st.none() | texts,
    max_deliveries=st.none() | st.integers(0, 2**32 - 1),
    delay=st.none() | st.integers(0, 10**12).map(lambda ms: timedelta(milliseconds=ms)),
    nack_map=st.none() | st.dictionaries(texts, texts, min_size=1, max_size=3),
)
values = st.one_of(
    st.binary(max_size=50), st.sampled_from([0, 127, 128, 2047, 2048, 16_383, LARGE - 1, LARGE, LARGE + 1]).map(bytes)
)
messages = st.one_of(
    st.builds(
        Message,
        values,
        keys=st.none() | st.lists(texts, max_size=3),
        tags=st.none() | st.lists(texts, max_size=3),
        user_metadata=st.none() | metadata.map(UserMetadata),
    ),
    st.builds(Message.to_nack, options),
    st.builds(Message.to_drop),
    st.builds(Message.to_fail),
)


def decoded(message: bytes | bytearray | memoryview) -> tuple[str, list[str], Datum]:
    """What a handler would be given."""
    seen: list[tuple[list[str], Datum]] = []
    request_id, result = call(lambda keys, datum: seen.append((keys, datum)), message)
    assert result is None
    ((keys, datum),) = seen
    return request_id, keys, datum


@given(texts, st.lists(messages, max_size=5))
def test_results_are_what_protobuf_reads(id: str, results: list[Message]) -> None:
    response = MapResponse.FromString(bytes(encode(id, Messages(*results))))
    assert response.id == id
    assert not response.HasField("handshake")
    assert not response.HasField("status")
    assert [_result(result) for result in response.results] == results


@given(st.lists(messages, max_size=3))
def test_size_of_what_is_sent(results: list[Message]) -> None:
    encoded = encode("id", results)
    assert len(encoded) == len(bytes(encoded))


@given(
    texts, st.lists(texts, max_size=3), st.binary(max_size=60), metadata, metadata, st.dictionaries(texts, texts), texts
)
def test_requests_are_what_protobuf_wrote(
    id: str,
    keys: list[str],
    value: bytes,
    user: dict[str, dict[str, bytes]],
    system: dict[str, dict[str, bytes]],
    headers: dict[str, str],
    vertex: str,
) -> None:
    request = MapRequest(id=id)
    body = request.request
    body.SetInParent()
    body.keys.extend(keys)
    body.value = value
    body.headers.update(headers)
    body.metadata.previous_vertex = vertex
    for target, given_groups in ((body.metadata.user_metadata, user), (body.metadata.sys_metadata, system)):
        for group, entries in given_groups.items():
            target[group].key_value.update(entries)
    wire = request.SerializeToString()
    for buffer in (wire, bytearray(wire), memoryview(wire)):
        found_id, found_keys, datum = decoded(buffer)
        assert (found_id, datum.id) == (id, id)
        assert found_keys == datum.keys == keys
        assert datum.value == value
        assert datum.headers == headers
        assert datum.previous_vertex == vertex
        assert datum.user_metadata.as_dict() == user
        assert datum.system_metadata.as_dict() == system


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_protocol_errors(data: bytes) -> None:
    with suppress(ProtocolError):
        call(lambda keys, datum: (keys, repr(datum), datum.event_time, datum.user_metadata), data)
    with suppress(ProtocolError):
        HANDSHAKE.is_request(data)
    flow = UNARY.new_flow()
    with suppress(ProtocolError):
        flow.receive([data])


@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_raise_nothing_but_protocol_errors(value: bytes, changes: list[tuple[int, int]]) -> None:
    request = MapRequest(id="in-1")
    request.request.value = value
    request.request.keys.extend(["a", "ü"])
    request.request.headers["h"] = "1"
    request.request.event_time.seconds = 1_700_000_000
    request.request.metadata.user_metadata["g"].key_value["k"] = b"v"
    data = bytearray(request.SerializeToString())
    for position, mask in changes:
        data[position % len(data)] ^= mask
    with suppress(ProtocolError):
        call(lambda keys, datum: (keys, repr(datum), datum.watermark, datum.user_metadata, datum.headers), data)


def test_garbage_is_internal() -> None:
    with pytest.raises(ProtocolError, match="cannot parse a MapRequest") as caught:
        call(lambda keys, datum: None, b"\xff\xff\xff")
    assert caught.value.status.code == StatusCode.INTERNAL


@pytest.mark.parametrize("fill", ["handshake", "status", "nothing"])
def test_message_without_a_request(fill: str) -> None:
    message = MapRequest()
    if fill == "handshake":
        message.handshake.sot = True
    elif fill == "status":
        message.status.eot = True
    with pytest.raises(ProtocolError, match="expected a message with a request") as caught:
        call(lambda keys, datum: None, message.SerializeToString())
    assert caught.value.status.code == StatusCode.INVALID_ARGUMENT


ONE = Message(b"1")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Messages(ONE, ONE), [ONE, ONE]),
        ([ONE], [ONE]),
        ((ONE, ONE), [ONE, ONE]),
        (iter([ONE]), [ONE]),
        ((message for message in [ONE]), [ONE]),
        (ONE, [ONE]),
        (None, []),
        ([], []),
        (Messages(), []),
    ],
)
def test_handlers_may_return(result: Any, expected: list[Message]) -> None:
    response = MapResponse.FromString(bytes(encode("id", result)))
    assert [_result(each) for each in response.results] == expected


@pytest.mark.parametrize("result", [42, "text", b"bytes", [b"bytes"], [ONE, None], {"a": 1}, object(), 1.5, True])
def test_other_results_are_type_errors_that_say_what_came(result: object) -> None:
    with pytest.raises(
        TypeError, match="a map handler must return Messages, an iterable of Message, a Message or None"
    ):
        encode("id", result)


def test_error_of_a_generator_is_the_users() -> None:
    def results() -> Iterable[Message]:
        yield ONE
        raise LookupError("in the middle")

    with pytest.raises(LookupError, match="in the middle"):
        encode("id", results())
