"""The flow by itself: what each operation does to sessions, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from numaflow_core.keyed import keys_number
from numaflow_core.strategy import OpenCall

from numaflow_core.values.windows import IntervalWindow
from numaflow_core.wire.buffers import Outgoing
from numaflow_core.wire.status import ProtocolError
from numaflow_sessionreducer import Datum
from numaflow_sessionreducer._flow import Session, SessionFlow, SessionParentFlow
from numaflow_sessionreducer._proto.sessionreduce_pb2 import SessionReduceRequest, SessionReduceResponse
from numaflow_sessionreducer.testing import Operation, SessionResult, decode, encode
from numaflow_sessionreducer.testing import Session as Name

T = datetime(2026, 1, 1, tzinfo=timezone.utc)
KEYS = ("k",)


class Call(OpenCall):
    """A call that does nothing until the test says so."""

    def __init__(self, token: Any) -> None:
        super().__init__(None, token)  # type: ignore[arg-type]
        self.inputs_: list[Any] = []
        self.size = 0
        self.ended = False

    @property
    def session(self) -> Session:
        session: Session = self.token
        return session

    @property
    def values(self) -> list[bytes]:
        return [(each[1] if isinstance(each, tuple) else each).value for each in self.inputs_]

    @property
    def silent(self) -> bool:
        return self.line is not None


class FakeDesk:
    """Implements ``Desk``."""

    def __init__(self, new_flow: Callable[[Any], Any] = SessionFlow) -> None:
        self.calls: list[Call] = []
        self.released = 0
        self.flow = new_flow(self)

    def begin(self, token: Any) -> Call:
        self.calls.append(Call(token))
        return self.calls[-1]

    def feed(self, call: OpenCall, inputs: Sequence[Any], size: int) -> None:
        assert isinstance(call, Call)
        assert not call.ended
        call.inputs_ += inputs
        call.size += size

    def complete(self, call: OpenCall) -> None:
        assert isinstance(call, Call)
        assert not call.ended
        call.ended = True

    def consumed(self, size: int) -> None:
        self.released += size

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        raise AssertionError("nothing here waits for the clock")

    # -- for tests

    def send(self, *operations: Operation) -> list[SessionResult]:
        """Send them in one batch; what is answered at once."""
        return replies(self.flow.receive(list(map(encode, operations))))

    def finish(self, call: Call, accumulator: bytes = b"") -> list[SessionResult]:
        assert call.ended
        call.session.accumulator = accumulator
        return replies(self.flow.finished(call))


def replies(messages: Iterable[Outgoing]) -> list[SessionResult]:
    return [decode(bytes(message)) for message in messages]


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
    return [decode(each[0]).session for each in call.inputs_ if isinstance(each, tuple)]


def test_open_and_append_feed_one_call() -> None:
    desk = FakeDesk()
    a = name(0, 10)
    assert desk.send(opened(b"1", a), appended(b"2", a)) == []
    assert desk.send(appended(b"3", a)) == []
    (call,) = desk.calls
    assert call.values == [b"1", b"2", b"3"]
    assert call.size == sum(len(encode(each)) for each in (opened(b"1", a), appended(b"2", a), appended(b"3", a)))
    assert decode(call.session.response).session == a
    assert not call.ended


def test_keys_and_both_bounds_tell_sessions_apart() -> None:
    desk = FakeDesk()
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
    desk.send(*(opened(str(number).encode(), each) for number, each in enumerate(names)))
    assert [call.values for call in desk.calls] == [[str(number).encode()] for number in range(len(names))]


def test_close_is_answered_when_the_call_has_finished_with_the_window_as_it_came() -> None:
    desk = FakeDesk()
    a = name(0, 10)
    request = SessionReduceRequest.FromString(encode(closed(a)))
    request.operation.keyedWindows[0].slot = "another slot"
    wire = request.SerializeToString()
    desk.send(opened(b"1", a))
    assert desk.flow.receive([wire]) == []
    (call,) = desk.calls
    assert call.ended
    assert not call.silent
    assert desk.released == 0
    (answer,) = desk.flow.finished(call)
    response = SessionReduceResponse.FromString(answer)
    assert response == SessionReduceResponse(EOF=True, keyedWindow=request.operation.keyedWindows[0])
    assert desk.released == len(wire)


def test_expand_renames_then_adds() -> None:
    desk = FakeDesk()
    a, b, c = name(0, 10), name(0, 15), name(-5, 15)
    desk.send(opened(b"1", a), expanded(b"2", a, b), appended(b"3", b), expanded(b"4", b, c))
    (call,) = desk.calls
    assert call.values == [b"1", b"2", b"3", b"4"]
    assert known_bounds(call) == [b, c]
    assert decode(call.session.response).session == a, "the handler's side moves on when it reads"
    desk.send(closed(c))
    assert desk.finish(call) == [eof(c)]


def test_names_that_were_left_are_free() -> None:
    desk = FakeDesk()
    a, b = name(0, 10), name(0, 15)
    desk.send(opened(b"1", a), expanded(b"2", a, b), opened(b"3", a), closed(b), opened(b"4", b))
    assert [call.values for call in desk.calls] == [[b"1", b"2"], [b"3"], [b"4"]]


def test_merge_waits_for_all_accumulators_and_takes_the_earliest_first() -> None:
    desk = FakeDesk()
    a, b, c = name(0, 10), name(8, 18), name(15, 25)
    desk.send(opened(b"1", a), opened(b"2", b), opened(b"3", c), appended(b"4", a), merged(c, b, a))
    members = list(desk.calls)
    assert [call.values for call in members] == [[b"1", b"4"], [b"2"], [b"3"]]
    assert all(call.ended and call.silent for call in members)
    assert desk.released == len(encode(merged(c, b, a)))
    assert desk.finish(members[1], b"B") == []
    assert desk.finish(members[2], b"C") == []
    assert desk.calls == members
    assert desk.finish(members[0], b"A") == []
    whole = desk.calls[3]
    assert whole.session.accumulators == [b"A", b"B", b"C"]
    assert decode(whole.session.response).session == name(0, 25)
    desk.send(closed(name(0, 25)))
    assert desk.finish(whole) == [eof(name(0, 25))]


def test_union_reaches_from_the_smallest_start_to_the_largest_end() -> None:
    desk = FakeDesk()
    inner, outer = name(5, 8), name(0, 20)
    desk.send(opened(b"1", inner), opened(b"2", outer), merged(outer, inner))
    for call in desk.calls[:2]:
        desk.finish(call, call.values[0])
    assert desk.calls[2].session.accumulators == [b"2", b"1"]
    desk.send(appended(b"3", outer), closed(outer))
    assert desk.calls[2].values == [b"3"]
    assert desk.finish(desk.calls[2]) == [eof(outer)]


def test_what_comes_while_members_end_is_added_afterwards_in_order() -> None:
    desk = FakeDesk()
    a, b, whole, longer = name(0, 10), name(5, 15), name(0, 15), name(0, 20)
    desk.send(opened(b"1", a), opened(b"2", b), merged(b, a), appended(b"3", whole), expanded(b"4", whole, longer))
    desk.send(appended(b"5", longer), closed(longer))
    for call in desk.calls[:2]:
        assert desk.finish(call, b"state") == []
    call = desk.calls[2]
    assert call.values == [b"3", b"4", b"5"]
    assert known_bounds(call) == [longer]
    assert call.size == sum(
        len(encode(each)) for each in (appended(b"3", whole), expanded(b"4", whole, longer), appended(b"5", longer))
    )
    assert call.ended
    assert desk.finish(call) == [eof(longer)]


def test_merge_of_a_session_that_is_still_being_merged() -> None:
    desk = FakeDesk()
    a, b, c = name(0, 10), name(5, 15), name(12, 30)
    desk.send(opened(b"1", a), opened(b"2", b), opened(b"3", c))
    desk.send(merged(b, a), appended(b"4", name(0, 15)), merged(name(0, 15), c), closed(name(0, 30)))
    first, second, third = desk.calls
    desk.finish(third, b"C")
    desk.finish(second, b"B")
    desk.finish(first, b"A")
    inner = desk.calls[3]
    assert inner.session.accumulators == [b"A", b"B"]
    assert inner.values == [b"4"]
    assert inner.ended
    assert inner.silent
    desk.finish(inner, b"AB4")
    outer = desk.calls[4]
    assert outer.session.accumulators == [b"AB4", b"C"]
    assert outer.ended
    assert not outer.silent
    assert desk.finish(outer) == [eof(name(0, 30))]


def test_a_merge_holds_up_no_other_key() -> None:
    desk = FakeDesk()
    a, b, other = name(0, 10), name(5, 15), name(0, 10, "other")
    desk.send(opened(b"1", a), opened(b"2", b), merged(b, a), opened(b"3", other), closed(other))
    assert desk.finish(desk.calls[2]) == [eof(other)]


def test_sessions_of_a_key_close_one_after_the_other() -> None:
    desk = FakeDesk()
    a, b, unknown, other = name(0, 10), name(20, 30), name(40, 50), name(0, 10, "other")
    desk.send(opened(b"1", a), opened(b"2", b), opened(b"3", other))
    assert desk.send(closed(a), closed(unknown), closed(b), closed(other)) == []
    first, second, third = desk.calls
    assert (first.ended, second.ended, third.ended) == (True, False, True)
    assert desk.finish(third) == [eof(other)]
    assert desk.finish(first) == [eof(a), eof(unknown)]
    assert second.ended
    assert desk.finish(second) == [eof(b)]
    assert desk.send(closed(a)) == [eof(a)]


def test_everything_is_forgotten_in_the_end() -> None:
    desk = FakeDesk()
    a, b = name(0, 10), name(5, 15)
    desk.send(opened(b"1", a), opened(b"2", b), merged(b, a), closed(name(0, 15)))
    for call in desk.calls:  # goes on to the merged one
        desk.finish(call)
    flow = desk.flow
    assert isinstance(flow, SessionFlow)
    assert not flow._sessions
    assert not flow._closing
    assert not flow._feed._shares
    assert all(not call.session.members and not call.session.waiting for call in desk.calls)


# -- what is not known


@pytest.mark.parametrize(
    "operation",
    [opened(b"1", name(0, 10)), appended(b"1", name(0, 10)), expanded(b"1", name(0, 5), name(0, 10))],
    ids=lambda operation: operation.event,
)
def test_a_message_for_an_unknown_session_opens_it(operation: Operation) -> None:
    desk = FakeDesk()
    desk.send(operation, closed(name(0, 10)))
    assert [call.values for call in desk.calls] == [[b"1"]]
    assert desk.finish(desk.calls[0]) == [eof(name(0, 10))]


def test_close_of_an_unknown_session_is_answered_at_once() -> None:
    desk = FakeDesk()
    assert desk.send(closed(name(0, 10))) == [eof(name(0, 10))]
    assert desk.calls == []
    assert desk.released == len(encode(closed(name(0, 10))))


def test_merge_takes_the_bounds_of_unknown_members_too() -> None:
    desk = FakeDesk()
    a, unknown = name(5, 10), name(0, 8)
    desk.send(opened(b"1", a), merged(a, unknown), appended(b"2", name(0, 10)))
    desk.finish(desk.calls[0], b"A")
    assert desk.calls[1].session.accumulators == [b"A"]
    assert desk.calls[1].values == [b"2"]
    desk.send(closed(name(0, 10)))
    assert desk.finish(desk.calls[1]) == [eof(name(0, 10))]


def test_merge_of_unknown_sessions_opens_none() -> None:
    desk = FakeDesk()
    assert desk.send(merged(name(0, 10), name(5, 15))) == []
    assert desk.calls == []
    assert desk.send(closed(name(0, 15))) == [eof(name(0, 15))]


def test_merge_of_a_session_with_itself_changes_nothing() -> None:
    desk = FakeDesk()
    a = name(0, 10)
    desk.send(opened(b"1", a), merged(a), merged(a, a), appended(b"2", a))
    assert [call.values for call in desk.calls] == [[b"1", b"2"]]


def test_open_of_an_open_session_adds_to_it() -> None:
    desk = FakeDesk()
    desk.send(opened(b"1", name(0, 10)), opened(b"2", name(0, 10)))
    assert [call.values for call in desk.calls] == [[b"1", b"2"]]


def test_merge_and_expand_onto_an_open_session_take_it_in() -> None:
    for last in (merged(name(0, 5), name(3, 10)), expanded(b"4", name(0, 5), name(0, 10))):
        desk = FakeDesk()
        desk.send(*(opened(b"1", each) for each in (name(0, 5), name(3, 10), name(0, 10))), last)
        ended = [call.ended for call in desk.calls]
        assert ended == [True, last.event == "MERGE", True]
        for call in [call for call in desk.calls if call.ended]:
            desk.finish(call, b"x")
        whole = desk.calls[3]
        assert len(whole.session.accumulators) == sum(ended)
        assert whole.values == ([] if last.event == "MERGE" else [b"4"])


# -- the end


def test_half_close_closes_what_is_open_in_the_order_of_keys_and_times() -> None:
    desk = FakeDesk()
    names = [name(20, 30, "b"), name(0, 10, "b"), name(5, 10, "a")]
    desk.send(*(opened(b"1", each) for each in names))
    desk.flow.half_closed()
    b2, b1, a = desk.calls
    assert (b2.ended, b1.ended, a.ended) == (False, True, True)
    assert desk.finish(b1) == [eof(names[1])]
    assert desk.finish(b2) == [eof(names[0])]
    assert desk.finish(a) == [eof(names[2])]
    assert desk.released == 0
    assert desk.flow.closed() == ()


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


@pytest.mark.parametrize("flow", [SessionFlow, SessionParentFlow])
@pytest.mark.parametrize("message", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(message: bytes, flow: Callable[[Any], Any]) -> None:
    with pytest.raises(ProtocolError):
        FakeDesk(flow).flow.receive([message])


# -- in front of workers


def test_parent_passes_everything_on_by_keys() -> None:
    desk = FakeDesk(SessionParentFlow)
    operations = [opened(b"1", A), merged(A, B), closed(A), opened(b"2", name(0, 10, "a:b"))]
    assert desk.send(*operations) == []
    (call,) = desk.calls
    assert call.inputs_ == [(keys_number(each.sessions[0].keys), encode(each)) for each in operations]
    assert [call.ended for call in desk.calls] == [False]
    desk.flow.half_closed()
    assert [call.ended for call in desk.calls] == [True]
    assert desk.flow.finished(call) == ()
    assert desk.flow.closed() == ()


def test_parent_without_messages_has_no_call() -> None:
    desk = FakeDesk(SessionParentFlow)
    desk.flow.half_closed()
    assert desk.calls == []
