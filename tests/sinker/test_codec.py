"""Responses of sinks on the wire: any content, and how they are packed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_kind.samples import groups, options, payloads, texts
from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.flows.batch import ExpectedIds
from numaflow_sinker import Message, Response, Status, UserMetadata
from numaflow_sinker._codec import _BATCHES, spec
from numaflow_sinker._proto.sink_pb2 import SinkResponse
from numaflow_sinker._roles import FALLBACK, ON_SUCCESS, PRIMARY, Role
from numaflow_sinker.testing import _answers

MIB = 1 << 20

messages = st.builds(
    Message,
    payloads,
    keys=st.none() | st.lists(texts, max_size=3),
    user_metadata=st.none() | groups.map(UserMetadata),
)
batches = st.lists(texts, max_size=6, unique=True).flatmap(
    lambda names: st.tuples(
        *(
            st.one_of(
                st.just(Response.as_success(name)),
                st.builds(Response.as_failure, st.just(name), texts),
                st.just(Response.as_fallback(name)),
                st.builds(Response.as_serve, st.just(name), st.none() | payloads),
                st.builds(Response.as_on_success, st.just(name), st.none() | messages),
                st.builds(Response.as_nack, st.just(name), st.none() | options),
            )
            for name in names
        )
    )
)


def encode(*responses: Response, role: Role = PRIMARY) -> list[bytes]:
    """The messages that a batch is answered with."""
    codec: Any = spec(role).codec
    ids = ExpectedIds(_BATCHES.taker)
    for response in responses:
        ids.expect([response.id])
    encoder = codec.encoder(ids)
    sent = [encoder.add(response) for response in responses]
    return [bytes(each) for each in (*sent, *encoder.finish()) if each is not None]


def decode(encoded: list[bytes]) -> list[Response]:
    replies = [SinkResponse.FromString(each) for each in encoded]
    assert not any(reply.HasField("handshake") or reply.HasField("status") for reply in replies)
    return [response for reply in replies for _, response in _answers(reply)]


@given(batches)
def test_responses_are_what_protobuf_reads(responses: tuple[Response, ...]) -> None:
    encoded = encode(*responses)
    assert len(encoded) == bool(responses)
    assert decode(encoded) == list(responses)


def test_metadata_of_the_original_is_not_empty_metadata() -> None:
    kept, emptied = SinkResponse.FromString(
        encode(
            Response.as_on_success("1", Message(b"v")),
            Response.as_on_success("2", Message(b"v", user_metadata=UserMetadata())),
        )[0]
    ).results
    assert not kept.on_success_msg.HasField("metadata")
    assert emptied.on_success_msg.HasField("metadata")
    assert not emptied.on_success_msg.metadata.user_metadata


def test_original_message_is_not_an_empty_message() -> None:
    original, empty = SinkResponse.FromString(
        encode(Response.as_on_success("1"), Response.as_on_success("2", Message(b"")))[0]
    ).results
    assert not original.HasField("on_success_msg")
    assert empty.HasField("on_success_msg")


def test_small_responses_share_a_message() -> None:
    responses = [Response.as_success(f"in-{number}-0") for number in range(500)]
    assert len(encode(*responses)) == 1


def test_many_small_responses_are_split_near_1_mib() -> None:
    responses = [Response.as_failure(f"in-{number}-0", "x" * 100) for number in range(50_000)]
    encoded = encode(*responses)
    sizes = [len(each) for each in encoded]
    assert all(MIB <= size < 1.2 * MIB for size in sizes[:-1])
    assert sizes[-1] < 1.2 * MIB
    assert sum(sizes) > 5 * MIB
    assert [response.id for response in decode(encoded)] == [response.id for response in responses]


def test_large_responses_are_split_far_below_the_limit() -> None:
    message = Message(bytes(20 * MIB))
    encoded = encode(*(Response.as_on_success(str(number), message) for number in range(5)))
    assert len(encoded) == 5
    assert all(len(each) < MAX_MESSAGE_SIZE / 3 for each in encoded)


def test_response_leaves_with_those_before_it_once_there_is_enough() -> None:
    codec: Any = spec(PRIMARY).codec
    ids = ExpectedIds(_BATCHES.taker)
    for name in "123":
        ids.expect([name])
    encoder = codec.encoder(ids)
    assert encoder.add(Response.as_success("1")) is None
    assert [each.id for each in decode([encoder.add(Response.as_serve("2", bytes(MIB)))])] == ["1", "2"]
    assert encoder.add(Response.as_success("3")) is None
    assert [each.id for each in decode(encoder.finish())] == ["3"]


# -- roles

EACH = {
    Status.SUCCESS: Response.as_success("1"),
    Status.FAILURE: Response.as_failure("1", "why"),
    Status.FALLBACK: Response.as_fallback("1"),
    Status.SERVE: Response.as_serve("1"),
    Status.ON_SUCCESS: Response.as_on_success("1"),
    Status.NACK: Response.as_nack("1"),
}


@pytest.mark.parametrize("role", [PRIMARY, FALLBACK, ON_SUCCESS], ids=lambda role: role.name)
@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_statuses_that_a_role_may_use(role: Role, status: Status) -> None:
    if role is PRIMARY or status in (Status.SUCCESS, Status.FAILURE, Status.NACK):
        assert decode(encode(EACH[status], role=role)) == [EACH[status]]
        return
    with pytest.raises(
        ValueError,
        match=rf"a {role.name} cannot answer as_{status.name.lower()} \(id '1'\): no sink comes after it, and the "
        "platform would fail or lose the message. Use one of as_success, as_failure, as_nack$",
    ):
        encode(EACH[status], role=role)
