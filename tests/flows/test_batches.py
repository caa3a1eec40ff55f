"""Batches, one after the other, against a model: what each call is fed with, and what is answered when."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.flows.batch import BatchFlow, BatchWorkerFlow, ExpectedIds
from numaflow_core.flows.bidi import Handshake
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.status import ProtocolError

from .played import Played, cut

SHAKE = Handshake(lambda message: message == b"hello", b"welcome")
REQUESTS = st.binary(min_size=1, max_size=3).filter(lambda message: message != b"E")
CUTS = st.lists(st.integers(1, 5), max_size=30)


class Letters:
    """A message is a request, with itself as its id, or ``E``: the eot."""

    taker = "a handler"
    eot = b"answered"

    def read(self, message: Buffer) -> str | None:
        if message == b"":
            raise ProtocolError("empty")
        return None if message == b"E" else bytes(message).decode("latin1")

    def ids(self, requests: Sequence[str]) -> list[str]:
        return list(requests)


def serve(*, decode: bool = True) -> Played:
    return Played(BatchFlow("Fn", SHAKE, Letters(), decode=decode))


def fed(stream: Played, *, decode: bool = True) -> list[list[bytes]]:
    """What each call was fed with."""
    return [[each.encode("latin1") if decode else bytes(each) for each in call.inputs] for call in stream.calls]


@given(st.lists(st.lists(REQUESTS, max_size=4), max_size=6), st.lists(REQUESTS, max_size=4), CUTS, st.data())
def test_any_batches_in_any_pieces(
    whole: list[list[bytes]], rest: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    """``rest`` has no eot: the half-close ends it. Calls end whenever they like, also after the half-close."""
    decode = data.draw(st.booleans())
    messages: list[Buffer] = [b"hello"]
    for batch in whole:
        messages += [*batch, b"E"]
    pieces = cut([*messages, *rest], sizes)
    stream = serve(decode=decode)
    half_closed = False
    while pieces or stream.ending or not half_closed:
        steps = ["done"] * bool(stream.ending)
        steps += ["receive"] if pieces else ["half-close"] * (not half_closed)
        step = data.draw(st.sampled_from(steps))
        if step == "receive":
            stream.receive(*pieces.pop(0))
        elif step == "done":
            stream.done(stream.ending[0])
        else:
            half_closed = True
            stream.half_close()
        assert len([call for call in stream.calls if not call.done]) <= 1, "strictly one after the other"
        assert len(stream.replies) <= 1 + sum(1 for batch in whole if not batch) + len(stream.calls)
    assert stream.is_over
    assert fed(stream, decode=decode) == [batch for batch in [*whole, rest] if batch]
    assert stream.replies == [b"welcome", *[b"answered"] * (len(whole) + bool(rest))]
    assert stream.released == len(b"hello") + len(b"E") * len(whole)
    stream.check_all_taken()


@given(st.lists(st.lists(REQUESTS, min_size=1, max_size=3), min_size=1, max_size=4), CUTS)
def test_answers_come_in_the_order_of_the_batches(batches: list[list[bytes]], sizes: list[int]) -> None:
    stream = serve()
    messages: list[Buffer] = [b"hello"]
    for batch in batches:
        messages += [*batch, b"E", b"E"]  # each is followed by an empty one
    for piece in cut(messages, sizes):
        stream.receive(*piece)
    assert stream.replies == [b"welcome"], "an empty batch is answered after the one before it"
    for number, batch in enumerate(batches):
        (call,) = stream.ending
        assert call is stream.calls[number]
        assert len(call.inputs) == len(batch)
        assert stream.done(call) == [b"answered", b"answered"]
    assert stream.is_over


def test_what_waits_for_a_batch_is_a_batch_when_the_client_has_half_closed_meanwhile() -> None:
    """It used to wait for an eot for ever."""
    stream = serve()
    stream.receive(b"hello", b"1", b"E", b"2", b"3")
    stream.half_close()
    (first,) = stream.calls
    assert stream.done(first) == [b"answered"]
    assert fed(stream) == [[b"1"], [b"2", b"3"]]
    (_, rest) = stream.calls
    assert rest.closed
    assert stream.done(rest) == [b"answered"]
    assert stream.is_over
    stream.check_all_taken()


def test_half_close_ends_the_batch_once() -> None:
    stream = serve()
    stream.receive(b"hello", b"1", b"E")
    stream.half_close()
    assert len(stream.closings) == 1
    assert stream.done(stream.calls[0]) == [b"answered"]
    assert stream.is_over


def test_ids_are_expected_before_their_requests_are_fed() -> None:
    stream = serve()
    stream.receive(b"hello", b"1", b"2", b"1")
    (call,) = stream.calls
    ids: ExpectedIds = call.call
    for each in "121":
        ids.answered(each)
    ids.check()
    with pytest.raises(ValueError, match="more than one response"):
        ids.answered("2")


def test_message_that_makes_no_sense() -> None:
    stream = serve()
    with pytest.raises(ProtocolError, match="empty"):
        stream.receive(b"hello", b"1", b"")


@given(st.lists(REQUESTS, max_size=10), CUTS)
def test_workers_share_is_one_call(requests: list[Buffer], sizes: list[int]) -> None:
    stream = Played(BatchWorkerFlow(Letters()))
    for piece in cut(requests, sizes):
        assert stream.receive(*piece) == []
    assert fed(stream) == ([requests] if requests else [])
    assert stream.half_close() == []
    for call in stream.ending:
        for each in call.inputs:
            call.call.answered(each)
        call.call.check()
        assert stream.done(call) == [], "the parent answers the eot"
    assert stream.is_over
    stream.check_all_taken()
