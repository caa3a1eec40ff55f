"""Flows with a call for each key: how messages are cut into pieces makes no difference, nothing is lost, and when the
client half-closes everything comes to its end."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accumulator import wire as accumulator_wire
from numaflow_accumulator._flow import AccumulatorFlow
from numaflow_accumulator._flow import new_parent_flow as new_accumulator_parent_flow
from numaflow_core.flows.keyed import KeyedParentFlow, keys_number
from numaflow_core.kind import Flow
from numaflow_core.wire.buffers import Buffer
from numaflow_reducer._flow import WindowFlow, WindowParentFlow, WindowWorkerFlow
from numaflow_reducer._proto.reduce_pb2 import ReduceResponse
from numaflow_sessionreducer._flow import SessionFlow
from numaflow_sessionreducer._flow import new_parent_flow as new_session_parent_flow
from reducer import wire as reduce_wire
from sessionreducer import wire as session_wire

from .played import Call, Played, cut

SECOND = 1_000_000_000
KEYS = st.sampled_from([["a"], ["b"], ["a", "b"], [""], []])
VALUES = st.integers(0, 99).map(lambda number: b"%d" % number)
CUTS = st.lists(st.integers(1, 6), max_size=40)


# -- messages

REDUCE_WINDOWS = [reduce_wire.window(start * SECOND, (start + 10) * SECOND) for start in (0, 10, 20)]
SESSIONS = [(start, end) for start in (0, 5, 10) for end in (12, 20)]


@st.composite
def reduce_messages(draw: st.DrawFn) -> bytes:
    window = draw(st.sampled_from(REDUCE_WINDOWS))
    if draw(st.integers(0, 5)) == 0:
        return reduce_wire.request(None, reduce_wire.operation(reduce_wire.CLOSE, window))
    event = draw(st.sampled_from([reduce_wire.OPEN, reduce_wire.APPEND]))
    return reduce_wire.message(event, window, draw(KEYS), value=draw(VALUES))


@st.composite
def session_messages(draw: st.DrawFn) -> bytes:
    keys = draw(st.sampled_from([["a"], ["b"]]))

    def session() -> bytes:
        start, end = draw(st.sampled_from(SESSIONS))
        return session_wire.keyed(start * SECOND, end * SECOND, keys)

    names = ["OPEN", "APPEND", "APPEND", "EXPAND", "MERGE", "CLOSE"]
    event = draw(st.sampled_from(names))
    number = vars(session_wire)[event]
    if event == "CLOSE":
        return session_wire.message(number, session())
    if event == "MERGE":
        return session_wire.message(number, *[session() for _ in range(draw(st.integers(1, 3)))])
    windows = [session(), session()] if event == "EXPAND" else [session()]
    return session_wire.message(number, *windows, value=draw(VALUES))


@st.composite
def accumulator_messages(draw: st.DrawFn) -> bytes:
    key = draw(st.sampled_from(["a", "b", ""]))
    time = draw(st.integers(0, 50)) * SECOND
    if draw(st.integers(0, 3)) == 0:
        return accumulator_wire.request(accumulator_wire.CLOSE, accumulator_wire.keyed_window(0, time, [key]))
    event = draw(st.sampled_from([accumulator_wire.OPEN, accumulator_wire.APPEND]))
    window = accumulator_wire.keyed_window(0, accumulator_wire.MAX_UTC, [key])
    payload = accumulator_wire.payload([key], draw(VALUES), time, time, f"in-{key}")
    return accumulator_wire.request(event, window, payload)


def message_keys(message: Buffer) -> list[str]:
    return [bytes(message).decode()]


class Case(NamedTuple):
    new_flow: Callable[[], Flow]
    messages: st.SearchStrategy[bytes]


CASES = {
    "keyed parent": Case(lambda: KeyedParentFlow(message_keys), VALUES),
    "reduce": Case(WindowFlow, reduce_messages()),
    "reduce worker": Case(WindowWorkerFlow, reduce_messages()),
    "reduce parent": Case(WindowParentFlow, reduce_messages()),
    "session": Case(SessionFlow, session_messages()),
    "session parent": Case(new_session_parent_flow, session_messages()),
    "accumulator": Case(AccumulatorFlow, accumulator_messages()),
    "accumulator parent": Case(new_accumulator_parent_flow, accumulator_messages()),
}

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


# -- what came of them


def show(given: Any) -> Any:
    """An input, comparable: bytes, the number of a key and a message, or what a datum holds."""
    if isinstance(given, tuple):
        return tuple(map(show, given))
    return given if isinstance(given, int | bytes) else (given.keys, given.value, given.event_time_ns)


def story(stream: Played) -> list[tuple[list[Any], int, bool, bool, bool]]:
    """What came of each call, in the order in which they were begun."""
    return [(list(map(show, call.inputs)), call.size, call.closed, call.silent, call.done) for call in stream.calls]


def end(stream: Played, call: Call) -> list[bytes]:
    """The end of a call; one that became part of another has something to leave."""
    if call.silent:
        call.call.accumulator = b"left"
    return stream.done(call)


def end_all(stream: Played, random: Random) -> None:
    """All calls that are to end do, in any order, and those that only begin or end then."""
    while stream.ending:
        end(stream, random.choice(stream.ending))


@each_case
@given(data=st.data(), sizes=CUTS, seed=st.integers(0, 1 << 32))
def test_pieces_make_no_difference(case: Case, data: st.DataObject, sizes: list[int], seed: int) -> None:
    messages: list[Buffer] = data.draw(st.lists(case.messages, max_size=25))
    once, again = Played(case.new_flow()), Played(case.new_flow())
    if messages:
        once.receive(*messages)
    for piece in cut(messages, sizes):
        again.receive(*piece)
    for step in (lambda stream: None, lambda stream: end_all(stream, Random(seed)), Played.half_close):
        for stream in (once, again):
            step(stream)
        assert story(once) == story(again)
        assert (once.replies, once.released, once.waiting) == (again.replies, again.released, again.waiting)
        assert [len(each) for each in once.closings] == [len(each) for each in again.closings]


@each_case
@given(data=st.data(), sizes=CUTS, seed=st.integers(0, 1 << 32))
def test_everything_ends_with_the_stream_and_nothing_is_lost(
    case: Case, data: st.DataObject, sizes: list[int], seed: int
) -> None:
    """Whenever calls end, and wherever the client half-closes."""
    messages: list[Buffer] = data.draw(st.lists(case.messages, max_size=25))
    random = Random(seed)
    stream = Played(case.new_flow())
    for piece in cut(messages, sizes):
        stream.receive(*piece)
        while stream.ending and random.random() < 0.4:
            end(stream, random.choice(stream.ending))
    stream.half_close()
    end_all(stream, random)
    assert stream.is_over
    assert all(call.done for call in stream.calls)
    stream.check_all_taken()


# -- the parent of workers


@given(st.lists(VALUES, min_size=1, max_size=20), CUTS)
def test_parents_call_has_all_messages_with_the_numbers_of_their_keys(messages: list[Buffer], sizes: list[int]) -> None:
    stream = Played(KeyedParentFlow(message_keys))
    assert stream.flow.endless
    for piece in cut(messages, sizes):
        stream.receive(*piece)
    (call,) = stream.calls
    assert call.inputs == [(keys_number(message_keys(message)), message) for message in messages]
    assert call.size == sum(map(len, messages))
    assert not call.closed
    stream.half_close()
    assert stream.ending == [call]
    assert stream.done(call) == []


def test_parent_without_messages_has_no_call() -> None:
    stream = Played(KeyedParentFlow(message_keys))
    assert stream.half_close() == []
    assert (stream.calls, stream.is_over) == ([], True)


# -- windows


@given(st.lists(reduce_messages(), max_size=25), CUTS, st.integers(0, 1 << 32).map(Random))
def test_windows_close_their_keys_in_order_and_the_eof_comes_last(
    messages: list[Buffer], sizes: list[int], random: Random
) -> None:
    stream = Played(WindowFlow())
    for piece in cut(messages, sizes):
        stream.receive(*piece)
        while stream.ending and random.random() < 0.4:
            assert stream.done(random.choice(stream.ending)) == []
    eofs = stream.half_close()
    while stream.ending:
        assert eofs == []
        eofs += stream.done(random.choice(stream.ending))
    for calls in stream.closings:
        keys = [call.call.keys for call in calls]
        assert keys == sorted(set(keys))
        assert len({id(call.call.window) for call in calls}) <= 1
    if stream.calls:
        (eof,) = map(ReduceResponse.FromString, eofs)
        assert eof.EOF
        first = stream.calls[0].call.window.metadata.interval_window
        assert (eof.window.start.seconds, eof.window.end.seconds) == (first.start_ns // SECOND, first.end_ns // SECOND)
    else:
        assert eofs == []
