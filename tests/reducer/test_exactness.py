"""Histories of events and watermarks, windowed as the platform does it, against a model that computes the answer.

The reference windower issues the operations of ``rust/numaflow-core/src/reduce/reducer/aligned``: a message that is
late beyond what is allowed, or older than its own watermark, is dropped; windows that the watermark has passed are
closed first, the oldest first; then the message goes to each of its windows, on that window's stream.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from behaviour.harness import ServerProcess
from behaviour.kinds import TYPES, Combination
from numaflow_core.testing import RawStream, UdfClient

from .conftest import KINDS, RPC, results
from .wire import APPEND, OPEN, operation, parse, payload, request, window

MS: Final = 1_000_000
START: Final = 1_700_000_000_000 * MS
KEYS: Final = [(), ("",), ("a",), ("b",), ("a:b",), ("a", "b"), ("a", ""), ("", "a"), ("NON_KEYED_STREAM",)]


class Event(NamedTuple):
    keys: tuple[str, ...]
    time: int
    watermark: int


class History(NamedTuple):
    length: int
    """Of windows, and what is between their starts; nanoseconds."""
    slide: int
    lateness: int
    events: list[Event]
    restart: int
    """Before which event the platform restarts, and replays the windows that are open."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    slide = draw(st.sampled_from([1, 7, 50])) * MS
    length = slide * draw(st.sampled_from([1, 1, 2, 3]))
    lateness = draw(st.sampled_from([0, 0, 20, 100])) * MS
    watermark = START
    events = []
    for _ in range(draw(st.integers(1, 40))):
        watermark += draw(st.sampled_from([0, 0, 1, 5, 30, 200])) * MS
        time = watermark + draw(st.integers(-60 * MS, 120 * MS))
        events.append(Event(draw(st.sampled_from(KEYS)), time, watermark))
    restart = draw(st.sampled_from([0, 0, len(events) // 2]))
    return History(length, slide, lateness, events, restart)


Windows = dict[tuple[int, int], dict[tuple[str, ...], list[list[object]]]]


def windows_of(history: History, time: int) -> Iterator[tuple[int, int]]:
    start = time // history.slide * history.slide
    while start + history.length > time:
        yield start, start + history.length
        start -= history.slide


def model(history: History) -> Windows:
    """What each window that is closed at the end has in it, computed from the events alone."""
    found: Windows = defaultdict(lambda: defaultdict(list))
    for number, event in enumerate(history.events):
        if event.time < event.watermark:
            continue
        for bounds in windows_of(history, event.time):
            if bounds[1] > event.watermark - history.lateness:
                found[bounds][event.keys].append([str(number), event.time])
    return found


class Windower:
    """The platform, as far as one reduce vertex sees it."""

    def __init__(self, client: UdfClient, history: History) -> None:
        self._client = client
        self._history = history
        self._open: dict[tuple[int, int], list[bytes]] = {}  # what would be in the write-ahead log
        self._streams: dict[tuple[int, int], RawStream] = {}
        self.found: Windows = defaultdict(lambda: defaultdict(list))

    def run(self) -> None:
        for number, event in enumerate(self._history.events):
            if number and number == self._history.restart:
                self._restart()
            if event.time < event.watermark:
                continue
            self._close_until(event.watermark - self._history.lateness)
            for bounds in windows_of(self._history, event.time):
                if bounds[1] > event.watermark - self._history.lateness:
                    body = payload(event.keys, str(number).encode(), event.time, event.watermark)
                    self._open.setdefault(bounds, []).append(body)
                    self._send(bounds, body)
        self._close_until(1 << 62)

    def _send(self, bounds: tuple[int, int], body: bytes) -> None:
        event = APPEND
        if bounds not in self._streams:
            self._streams[bounds] = self._client.open(RPC)
            event = OPEN
        self._streams[bounds].send(request(body, operation(event, window(*bounds))))

    def _close_until(self, time: int) -> None:
        for bounds in sorted(self._streams):
            if bounds[1] <= time:
                self._collect(bounds)

    def _collect(self, bounds: tuple[int, int]) -> None:
        stream = self._streams.pop(bounds)
        del self._open[bounds]
        stream.half_close()
        replies = [parse(reply) for reply in stream.rest(60)]
        outcome = stream.status()
        assert outcome.code == "OK", str(outcome)
        assert [reply.eof for reply in replies] == [False] * (len(replies) - 1) + [True]
        assert {reply.window for reply in replies} == {window(*bounds)}
        early: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for reply in replies[:-1]:
            if "early" in reply.tags:
                early[reply.keys].append(reply.value.decode())
        for reply in results(replies[:-1]):
            told = json.loads(reply.value)
            assert told["window"] == list(bounds)
            assert tuple(told["keys"]) == reply.keys
            assert reply.keys not in self.found[bounds], "a second result for the key"
            self.found[bounds][reply.keys] = told["datums"]
            if early:
                assert early.pop(reply.keys) == [value for value, _ in told["datums"]]
        assert not early

    def _restart(self) -> None:
        """Streams are dropped, and the messages of open windows sent anew."""
        for stream in self._streams.values():
            stream.cancel()
        self._streams.clear()
        for bounds, bodies in self._open.items():
            for body in bodies:
                self._send(bounds, body)


@pytest.fixture(
    scope="module",
    params=[Combination(kind, type_, "h2") for kind in KINDS for type_ in TYPES],
    ids=lambda combination: combination.id,
)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(request.param, tmp_path_factory.mktemp("exact"), "--workers", 3) as server:
        yield server.wait_listening()


@pytest.mark.timeout(300)
def test_every_history_gives_what_the_model_says(running: ServerProcess) -> None:
    with running.client() as client:

        @given(histories())
        def check(history: History) -> None:
            windower = Windower(client, history)
            windower.run()
            assert windower.found == model(history)

        check()
    assert running.is_alive(), running.stderr()
