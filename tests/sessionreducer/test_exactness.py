"""Histories of events and watermarks, made into operations as the platform does it, against two models.

``components`` computes from the events alone which sessions there are and what is in them: events of a key whose times
overlap, directly or through others, are one session, which is there in full when the watermark has passed its end.
``replay`` follows the operations with lists in place of handlers, and tells the order of what is in a session and the
bounds of results that are made before the end.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behaviour.harness import ServerProcess
from behaviour.kinds import Combination, ServerType, TransportName
from numaflow_core.values.windows import IntervalWindow
from numaflow_sessionreducer import Datum
from numaflow_sessionreducer.testing import Operation, Session, SessionReduceClient, SessionWindower

from .conftest import KIND, T

KEYS: Final = [(), ("",), ("a",), ("b",), ("a:b",), ("a", "b"), ("a", ""), ("", "a"), ("NON_KEYED_STREAM",)]
MS: Final = 1_000_000
END: Final = 1 << 62

Values = list[str]
Found = dict[Session, list[Values]]
"""What each session had in it: once for each time that it was closed."""


class Event(NamedTuple):
    keys: tuple[str, ...]
    us: int
    """Microseconds after ``T``: the platform's sessions have milliseconds."""

    watermark: int | None
    """In milliseconds after ``T``: sessions are closed up to then before the event comes."""


class History(NamedTuple):
    timeout: int
    """In milliseconds."""

    events: list[Event]


@st.composite
def histories(draw: st.DrawFn) -> History:
    timeout = draw(st.sampled_from([1, 5, 10, 12]))
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
    around = 0
    watermark = 0
    events: list[Event] = []

    def add(key: tuple[str, ...], ms: int, watermark: int | None = None) -> None:
        events.append(Event(key, 1000 * ms + draw(st.sampled_from([0, 0, 1, 500, 999])), watermark))

    for _ in range(draw(st.sampled_from([2, 8, 25]))):
        around += draw(st.sampled_from([0, 1, 5]))
        key = draw(st.sampled_from(keys))
        ms = around + draw(st.integers(-20, 20))
        what = draw(st.sampled_from(["one", "two that a third joins", "watermark"]))
        if what == "two that a third joins":
            for between in (0, timeout + timeout // 2, timeout - 1):
                add(key, ms + between)
            if draw(st.booleans()):  # the first of them ends, and reaches into the second
                watermark = max(watermark, ms + 2 * timeout)
                add(draw(st.sampled_from(keys)), ms + draw(st.integers(0, 3 * timeout)), watermark)
        elif what == "watermark":
            watermark += draw(st.sampled_from([0, 1, 10, 25]))
            add(key, ms, watermark)
        else:
            add(key, ms)
    return History(timeout, events)


def datum(number: int, event: Event) -> Datum:
    value = f"{'+' if number % 3 == 0 else ''}{number}".encode()
    return Datum(event.keys, value, event_time=T + timedelta(microseconds=event.us), watermark=T)


def operations(history: History) -> list[Operation]:
    windower = SessionWindower(timedelta(milliseconds=history.timeout))
    found = []
    for number, event in enumerate(history.events):
        if event.watermark is not None:
            found += windower.close(T + timedelta(milliseconds=event.watermark))
        found.append(windower.assign(datum(number, event)))
    return found + windower.close()


def components(history: History) -> Found:
    found: Found = defaultdict(list)
    waiting: dict[tuple[str, ...], list[tuple[int, int, str]]] = defaultdict(list)

    def close(until: int) -> None:
        for keys, events in waiting.items():
            left: list[tuple[int, int, str]] = []
            component: list[tuple[int, int, str]] = []
            for each in [*sorted(events), (END, END, "")]:
                if component and each[0] >= max(end for _, end, _ in component):
                    end = max(end for _, end, _ in component)
                    if end <= until:
                        found[_session(component[0][0], end, keys)].append(sorted(value for _, _, value in component))
                    else:
                        left += component
                    component = []
                component.append(each)
            waiting[keys] = left

    for number, event in enumerate(history.events):
        if event.watermark is not None:
            close(event.watermark)
        start = event.us // 1000
        waiting[event.keys].append((start, start + history.timeout, datum(number, event).value.decode()))
    close(END - 1)
    return found


def _session(start_ms: int, end_ms: int, keys: tuple[str, ...]) -> Session:
    window = IntervalWindow(T + timedelta(milliseconds=start_ms), T + timedelta(milliseconds=end_ms))
    return Session(window, keys)


def replay(sent: Sequence[Operation]) -> tuple[Found, list[tuple[Session, str]]]:
    """What is in each session, in order; and the results that are made at once."""
    found: Found = defaultdict(list)
    early = []
    state: dict[Session, Values] = {}

    def unite(sessions: Sequence[Session]) -> Values:
        known = [each for each in dict.fromkeys(sessions) if each in state]
        known.sort(key=lambda each: (each.window.start_ns, each.window.end_ns))
        return [value for each in known for value in state.pop(each)]

    for event, sessions, datum_or_none in sent:
        if event == "CLOSE":
            found[sessions[0]].append(state.pop(sessions[0]))
        elif event == "MERGE":
            union = sessions[0]
            for each in sessions[1:]:
                union = union.union(each)
            state[union] = unite(sessions)
        else:
            assert datum_or_none is not None
            value = datum_or_none.value.decode()
            state[sessions[-1]] = [*unite(sessions), value]
            if value.startswith("+"):
                early.append((sessions[-1], value))
    assert not state
    return found, early


class Case(NamedTuple):
    type: ServerType
    style: str
    transport: TransportName
    pause: float = 0


CASES: Final = [
    Case("sync", "push", "h2"),
    Case("sync", "push", "grpcio", 0.0005),
    Case("sync", "function", "h2"),
    Case("async", "async", "h2"),
    Case("async", "async", "grpcio", 0.0005),
    Case("multiproc", "push", "h2", 0.0005),
    Case("multiproc", "async", "grpcio"),
    Case("multiproc", "function", "h2"),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case.type}-{case.style}-{case.transport}")
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture(scope="module")
def running(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    combination = Combination(KIND, case.type, case.transport)
    options = ("--style", case.style, "--pause", case.pause, "--workers", 3)
    with ServerProcess(combination, tmp_path_factory.mktemp("exact"), *options) as server:
        yield server.wait_listening()


@pytest.mark.timeout(300)
def test_every_history_gives_what_the_models_say(running: ServerProcess, case: Case) -> None:
    with SessionReduceClient(str(running.sock)) as client:

        @given(histories())
        def check(history: History) -> None:
            sent = operations(history)
            in_order, at_once = replay(sent)
            found: Found = defaultdict(list)
            early = []
            with client.open() as stream:
                stream.send(*sent)
                closing = Counter(operation.sessions[0] for operation in sent if operation.event == "CLOSE")
                closed: Counter[Session] = Counter()
                while closed.total() < closing.total():
                    session, message = stream.receive()
                    if message is None:
                        closed[session] += 1
                        assert len(found[session]) == closed[session], "the EOF comes after the result"
                    elif message.tags:
                        early.append((session, message.value.decode()))
                    else:
                        found[session].append([value for value, _ in json.loads(message.value)])
                assert closed == closing
                stream.raw.half_close()
                assert stream.raw.rest() == []
                assert stream.raw.status().code == "OK"
            assert found == in_order
            assert sorted(early, key=repr) == ([] if case.style == "function" else sorted(at_once, key=repr))
            assert {name: [sorted(each) for each in times] for name, times in found.items()} == components(history)

        check()
    assert running.is_alive(), running.stderr()


@settings(max_examples=4 * settings().max_examples)
@given(histories())
def test_the_models_agree(history: History) -> None:
    in_order, _ = replay(operations(history))
    assert {name: [sorted(each) for each in times] for name, times in in_order.items()} == components(history)
