"""The flow by itself: what each operation does to sessions, and in which order."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

import pytest

from flows.played import Call, Played
from numaflow_core.flows.keyed import keys_number
from numaflow_core.kind import Flow
from numaflow_core.values.windows import IntervalWindow
from numaflow_core.wire.status import ProtocolError
from numaflow_sessionreducer import Datum
from numaflow_sessionreducer._flow import SessionFlow, new_parent_flow
from numaflow_sessionreducer._proto.sessionreduce_pb2 import SessionReduceRequest, SessionReduceResponse
from numaflow_sessionreducer.testing import Operation, SessionResult, decode, encode
from numaflow_sessionreducer.testing import Session as Name

T = datetime(2026, 1, 1, tzinfo=timezone.utc)
KEYS = ("k",)


class Sessions(Played):
    """Plays in operations and results."""

    def __init__(self, new_flow: Callable[[], Flow] = SessionFlow) -> None:
        super().__init__(new_flow())

    def send(self, *operations: Operation) -> list[SessionResult]:
        """Send them in one batch; what is answered at once."""
        return replies(self.receive(*map(encode, operations)))

    def finish(self, call: Call, accumulator: bytes = b"") -> list[SessionResult]:
        """A call comes to its end."""
        call.call.accumulator = accumulator
        return replies(self.done(call))


def values(call: Call) -> list[bytes]:
    return [(each[1] if isinstance(each, tuple) else each).value for each in call.inputs]


def replies(messages: Iterable[bytes]) -> list[SessionResult]:
    return [decode(message) for message in messages]


def name(start: float, end: float, *keys: str) -> Name:
    times = (T + timedelta(seconds=start), T + timedelta(seconds=end))
    return Name(IntervalWindow(*times), keys or KEYS)


def datum(value: bytes) -> Datum:
    return Datum(["payload", "keys"], value, event_time=T, watermark=T)


def op(event: str, *sessions: Name, value: bytes | None = None) -> Operation:
    return Operation(event, sessions, None if value is None else datum(value))


def opened(value: bytes, session: Name) -> Operation:
    return op("OPEN", session, value=value)


def appended(value: bytes, session: Name) -> Operation:
    return op("APPEND", session, value=value)


def expanded(value: bytes, old: Name, new: Name) -> Operation:
    return op("EXPAND", old, new, value=value)


def merged(*sessions: Name) -> Operation:
    return op("MERGE", *sessions)


def closed(session: Name) -> Operation:
    return op("CLOSE", session)


def eof(session: Name) -> SessionResult:
    return SessionResult(session, None)


def known_bounds(call: Call) -> list[Name]:
    """What the inputs say of the session's bounds."""
    return [decode(each[0]).session for each in call.inputs if isinstance(each, tuple)]


def test_open_and_append_feed_one_call() -> None:
    stream = Sessions()
    a = name(0, 10)
    assert stream.send(opened(b"1", a), appended(b"2", a)) == []
    assert stream.send(appended(b"3", a)) == []
    (call,) = stream.calls
    assert values(call) == [b"1", b"2", b"3"]
    assert call.size == sum(len(encode(each)) for each in (opened(b"1", a), appended(b"2", a), appended(b"3", a)))
    assert decode(call.call.response).session == a
    assert not call.closed


def test_keys_and_both_bounds_tell_sessions_apart() -> None:
    stream = Sessions()
    names = [
        name(0, 10),
        name(0, 11),
        name(1, 10),
        name(0, 10, "k", ""),
        name(0, 10, "a:b"),
        name(0, 10, "a", "b"),
        Name(name(0, 10).window, ()),
        name(0, 10, ""),
        Name(IntervalWindow.from_ns(name(0, 10).window.start_ns + 1, name(0, 10).window.end_ns), KEYS),
    ]
    stream.send(*(opened(str(number).encode(), each) for number, each in enumerate(names)))
    assert [values(call) for call in stream.calls] == [[str(number).encode()] for number in range(len(names))]


def test_close_is_answered_when_the_call_has_finished_with_the_window_as_it_came() -> None:
    stream = Sessions()
    a = name(0, 10)
    request = SessionReduceRequest.FromString(encode(closed(a)))
    request.operation.keyedWindows[0].slot = "another slot"
    wire = request.SerializeToString()
    stream.send(opened(b"1", a))
    assert stream.receive(wire) == []
    (call,) = stream.calls
    assert call.closed
    assert not call.silent
    assert stream.released == 0
    (answer,) = stream.done(call)
    response = SessionReduceResponse.FromString(answer)
    assert response == SessionReduceResponse(EOF=True, keyedWindow=request.operation.keyedWindows[0])
    assert stream.released == len(wire)


def test_expand_renames_then_adds() -> None:
    stream = Sessions()
    a, b, c = name(0, 10), name(0, 15), name(-5, 15)
    stream.send(opened(b"1", a), expanded(b"2", a, b), appended(b"3", b), expanded(b"4", b, c))
    (call,) = stream.calls
    assert values(call) == [b"1", b"2", b"3", b"4"]
    assert known_bounds(call) == [b, c]
    assert decode(call.call.response).session == a, "the handler's side moves on when it reads"
    stream.send(closed(c))
    assert stream.finish(call) == [eof(c)]


def test_names_that_were_left_are_free() -> None:
    stream = Sessions()
    a, b = name(0, 10), name(0, 15)
    stream.send(opened(b"1", a), expanded(b"2", a, b), opened(b"3", a), closed(b), opened(b"4", b))
    assert [values(call) for call in stream.calls] == [[b"1", b"2"], [b"3"], [b"4"]]


def test_merge_waits_for_all_accumulators_and_takes_the_earliest_first() -> None:
    stream = Sessions()
    a, b, c = name(0, 10), name(8, 18), name(15, 25)
    stream.send(opened(b"1", a), opened(b"2", b), opened(b"3", c), appended(b"4", a), merged(c, b, a))
    members = list(stream.calls)
    assert [values(call) for call in members] == [[b"1", b"4"], [b"2"], [b"3"]]
    assert all(call.closed and call.silent for call in members)
    assert stream.released == len(encode(merged(c, b, a)))
    assert stream.finish(members[1], b"B") == []
    assert stream.finish(members[2], b"C") == []
    assert stream.calls == members
    assert stream.finish(members[0], b"A") == []
    whole = stream.calls[3]
    assert whole.call.accumulators == [b"A", b"B", b"C"]
    assert decode(whole.call.response).session == name(0, 25)
    stream.send(closed(name(0, 25)))
    assert stream.finish(whole) == [eof(name(0, 25))]


def test_union_reaches_from_the_smallest_start_to_the_largest_end() -> None:
    stream = Sessions()
    inner, outer = name(5, 8), name(0, 20)
    stream.send(opened(b"1", inner), opened(b"2", outer), merged(outer, inner))
    for call in stream.calls[:2]:
        stream.finish(call, values(call)[0])
    assert stream.calls[2].call.accumulators == [b"2", b"1"]
    stream.send(appended(b"3", outer), closed(outer))
    assert values(stream.calls[2]) == [b"3"]
    assert stream.finish(stream.calls[2]) == [eof(outer)]


def test_what_comes_while_members_end_is_added_afterwards_in_order() -> None:
    stream = Sessions()
    a, b, whole, longer = name(0, 10), name(5, 15), name(0, 15), name(0, 20)
    stream.send(opened(b"1", a), opened(b"2", b), merged(b, a), appended(b"3", whole), expanded(b"4", whole, longer))
    stream.send(appended(b"5", longer), closed(longer))
    for call in stream.calls[:2]:
        assert stream.finish(call, b"state") == []
    call = stream.calls[2]
    assert values(call) == [b"3", b"4", b"5"]
    assert known_bounds(call) == [longer]
    assert call.size == sum(
        len(encode(each)) for each in (appended(b"3", whole), expanded(b"4", whole, longer), appended(b"5", longer))
    )
    assert call.closed
    assert stream.finish(call) == [eof(longer)]


def test_merge_of_a_session_that_is_still_being_merged() -> None:
    stream = Sessions()
    a, b, c = name(0, 10), name(5, 15), name(12, 30)
    stream.send(opened(b"1", a), opened(b"2", b), opened(b"3", c))
    stream.send(merged(b, a), appended(b"4", name(0, 15)), merged(name(0, 15), c), closed(name(0, 30)))
    first, second, third = stream.calls
    stream.finish(third, b"C")
    stream.finish(second, b"B")
    stream.finish(first, b"A")
    inner = stream.calls[3]
    assert inner.call.accumulators == [b"A", b"B"]
    assert values(inner) == [b"4"]
    assert inner.closed
    assert inner.silent
    stream.finish(inner, b"AB4")
    outer = stream.calls[4]
    assert outer.call.accumulators == [b"AB4", b"C"]
    assert outer.closed
    assert not outer.silent
    assert stream.finish(outer) == [eof(name(0, 30))]


def test_a_merge_holds_up_no_other_key() -> None:
    stream = Sessions()
    a, b, other = name(0, 10), name(5, 15), name(0, 10, "other")
    stream.send(opened(b"1", a), opened(b"2", b), merged(b, a), opened(b"3", other), closed(other))
    assert stream.finish(stream.calls[2]) == [eof(other)]


def test_sessions_of_a_key_close_one_after_the_other() -> None:
    stream = Sessions()
    a, b, unknown, other = name(0, 10), name(20, 30), name(40, 50), name(0, 10, "other")
    stream.send(opened(b"1", a), opened(b"2", b), opened(b"3", other))
    assert stream.send(closed(a), closed(unknown), closed(b), closed(other)) == []
    first, second, third = stream.calls
    assert (first.closed, second.closed, third.closed) == (True, False, True)
    assert stream.finish(third) == [eof(other)]
    assert stream.finish(first) == [eof(a), eof(unknown)]
    assert second.closed
    assert stream.finish(second) == [eof(b)]
    assert stream.send(closed(a)) == [eof(a)]


def test_everything_is_forgotten_in_the_end() -> None:
    stream = Sessions()
    a, b = name(0, 10), name(5, 15)
    stream.send(opened(b"1", a), opened(b"2", b), merged(b, a), closed(name(0, 15)))
    for call in stream.calls:  # goes on to the merged one
        stream.finish(call)
    flow = stream.flow
    assert isinstance(flow, SessionFlow)
    assert not flow._sessions
    assert not flow._closing
    assert not flow._shares._inputs
    assert all(not call.call.members and not call.call.waiting for call in stream.calls)


# -- what is not known


@pytest.mark.parametrize(
    "operation",
    [opened(b"1", name(0, 10)), appended(b"1", name(0, 10)), expanded(b"1", name(0, 5), name(0, 10))],
    ids=lambda operation: operation.event,
)
def test_a_message_for_an_unknown_session_opens_it(operation: Operation) -> None:
    stream = Sessions()
    stream.send(operation, closed(name(0, 10)))
    assert [values(call) for call in stream.calls] == [[b"1"]]
    assert stream.finish(stream.calls[0]) == [eof(name(0, 10))]


def test_close_of_an_unknown_session_is_answered_at_once() -> None:
    stream = Sessions()
    assert stream.send(closed(name(0, 10))) == [eof(name(0, 10))]
    assert stream.calls == []
    assert stream.released == len(encode(closed(name(0, 10))))


def test_merge_takes_the_bounds_of_unknown_members_too() -> None:
    stream = Sessions()
    a, unknown = name(5, 10), name(0, 8)
    stream.send(opened(b"1", a), merged(a, unknown), appended(b"2", name(0, 10)))
    stream.finish(stream.calls[0], b"A")
    assert stream.calls[1].call.accumulators == [b"A"]
    assert values(stream.calls[1]) == [b"2"]
    stream.send(closed(name(0, 10)))
    assert stream.finish(stream.calls[1]) == [eof(name(0, 10))]


def test_merge_of_unknown_sessions_opens_none() -> None:
    stream = Sessions()
    assert stream.send(merged(name(0, 10), name(5, 15))) == []
    assert stream.calls == []
    assert stream.send(closed(name(0, 15))) == [eof(name(0, 15))]


def test_merge_of_a_session_with_itself_changes_nothing() -> None:
    stream = Sessions()
    a = name(0, 10)
    stream.send(opened(b"1", a), merged(a), merged(a, a), appended(b"2", a))
    assert [values(call) for call in stream.calls] == [[b"1", b"2"]]


def test_open_of_an_open_session_adds_to_it() -> None:
    stream = Sessions()
    stream.send(opened(b"1", name(0, 10)), opened(b"2", name(0, 10)))
    assert [values(call) for call in stream.calls] == [[b"1", b"2"]]


def test_merge_and_expand_onto_an_open_session_take_it_in() -> None:
    for last in (merged(name(0, 5), name(3, 10)), expanded(b"4", name(0, 5), name(0, 10))):
        stream = Sessions()
        stream.send(*(opened(b"1", each) for each in (name(0, 5), name(3, 10), name(0, 10))), last)
        ended = [call.closed for call in stream.calls]
        assert ended == [True, last.event == "MERGE", True]
        for call in [call for call in stream.calls if call.closed]:
            stream.finish(call, b"x")
        whole = stream.calls[3]
        assert len(whole.call.accumulators) == sum(ended)
        assert values(whole) == ([] if last.event == "MERGE" else [b"4"])


# -- the end


def test_half_close_closes_what_is_open_in_the_order_of_keys_and_times() -> None:
    stream = Sessions()
    names = [name(20, 30, "b"), name(0, 10, "b"), name(5, 10, "a")]
    stream.send(*(opened(b"1", each) for each in names))
    stream.half_close()
    b2, b1, a = stream.calls
    assert (b2.closed, b1.closed, a.closed) == (False, True, True)
    assert stream.finish(b1) == [eof(names[1])]
    assert stream.finish(b2) == [eof(names[0])]
    assert stream.finish(a) == [eof(names[2])]
    assert stream.released == 0
    assert stream.is_over


def broken(operation: Operation, change: Callable[[SessionReduceRequest], object]) -> bytes:
    request = SessionReduceRequest.FromString(encode(operation))
    change(request)
    return request.SerializeToString()


A, B = name(0, 10), name(5, 15)
NONSENSE = {
    "bytes": b"\xff\xff",
    "no window": broken(opened(b"1", A), lambda r: r.operation.ClearField("keyedWindows")),
    "no operation": broken(opened(b"1", A), lambda r: r.ClearField("operation")),
    "two windows to open": broken(opened(b"1", A), lambda r: r.operation.keyedWindows.add()),
    "no payload": broken(appended(b"1", A), lambda r: r.ClearField("payload")),
    "one window to expand": broken(expanded(b"1", A, B), lambda r: r.operation.keyedWindows.pop()),
    "no payload to expand": broken(expanded(b"1", A, B), lambda r: r.ClearField("payload")),
    "other keys to expand": broken(expanded(b"1", A, B), lambda r: r.operation.keyedWindows[1].keys.append("x")),
    "nothing to merge": broken(merged(A), lambda r: r.operation.ClearField("keyedWindows")),
    "other keys to merge": broken(merged(A, B), lambda r: r.operation.keyedWindows[1].keys.append("x")),
    "no start": broken(closed(A), lambda r: r.operation.keyedWindows[0].ClearField("start")),
    "no end": broken(opened(b"1", A), lambda r: r.operation.keyedWindows[0].ClearField("end")),
    "unknown event": broken(opened(b"1", A), lambda r: r.operation.MergeFromString(b"\x08\x05")),
}


@pytest.mark.parametrize("flow", [SessionFlow, new_parent_flow])
@pytest.mark.parametrize("message", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(message: bytes, flow: Callable[[], Flow]) -> None:
    with pytest.raises(ProtocolError):
        Sessions(flow).receive(message)


# -- in front of workers


def test_parent_passes_everything_on_by_keys() -> None:
    stream = Sessions(new_parent_flow)
    operations = [opened(b"1", A), merged(A, B), closed(A), opened(b"2", name(0, 10, "a:b"))]
    assert stream.send(*operations) == []
    (call,) = stream.calls
    assert call.inputs == [(keys_number(each.sessions[0].keys), encode(each)) for each in operations]
    assert [call.closed for call in stream.calls] == [False]
    stream.half_close()
    assert [call.closed for call in stream.calls] == [True]
    assert stream.done(call) == []
    assert stream.is_over


def test_parent_without_messages_has_no_call() -> None:
    stream = Sessions(new_parent_flow)
    stream.half_close()
    assert stream.calls == []
