"""The platform's side of an accumulator vertex, and what a sorter must make of it.

The reference windower issues the operations of ``rust/numaflow-core/src/reduce/reducer/unaligned``: a message that is
older than its own watermark is dropped; keys that have had no message for the timeout are closed first, by the
watermark less what is allowed to be late; then the message opens its key, or goes on with it. The books are those that
the platform keeps of input that it may have to send again.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hypothesis import strategies as st

from numaflow_core.constants import DROP

from .wire import APPEND, CLOSE, MAX_UTC, MS, NO_WATERMARK, OPEN, Reply, keyed_window, payload, request

START: Final = 1_700_000_000_000 * MS
KEYS: Final = [(), ("",), ("a",), ("b",), ("a:b",), ("a", "b"), ("a", ""), ("", "a"), ("NON_KEYED_STREAM",)]

Keys = tuple[str, ...]


class Event(NamedTuple):
    """A message that is read, or without keys a watermark that comes alone. Times are in nanoseconds."""

    keys: Keys | None
    time: int
    watermark: int
    times: int
    """How many messages the handler is to make of it."""


class History(NamedTuple):
    timeout: int
    lateness: int
    events: list[Event]
    pauses: frozenset[int]
    """Before which events the windower waits for the EOFs of all that it has closed; elsewhere it does not."""
    closes: bool
    """Whether all keys are closed in the end; otherwise the stream just ends."""
    ticks: list[int]
    """How many responses each tick of the books has, over and over."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    steps = st.sampled_from([0, 0, 1, 999_999, MS, 5 * MS, 30 * MS, 200 * MS])
    ahead = st.sampled_from([0, 0, 1, 2, 500_000, MS, 20 * MS, 90 * MS]) | st.integers(-2 * MS, 90 * MS)
    keys = st.sampled_from(draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=5, unique=True)))
    watermark = START
    events = []
    for _ in range(draw(st.integers(1, 50))):
        watermark += draw(steps)
        idle = draw(st.integers(0, 9)) == 0
        event = Event(
            None if idle else draw(keys), watermark + draw(ahead), watermark, draw(st.sampled_from([1, 1, 1, 0, 3]))
        )
        events.append(event)
    return History(
        timeout=draw(st.sampled_from([1, 999_999, MS, 40 * MS])),
        lateness=draw(st.sampled_from([0, 0, 1, 10 * MS])),
        events=events,
        pauses=draw(st.frozensets(st.integers(0, len(events)), max_size=4)),
        closes=draw(st.booleans()),
        ticks=draw(st.lists(st.integers(1, 12), min_size=1, max_size=5)),
    )


@dataclass
class Life:
    """A key from OPEN to CLOSE."""

    keys: Keys
    start: int
    inputs: dict[int, Event] = field(default_factory=dict)
    close: bytes | None = None
    end: int = MAX_UTC

    @property
    def latest(self) -> int:
        return max(event.time for event in self.inputs.values())


class Answer(NamedTuple):
    """What there is to be of one message."""

    keys: Keys
    value: bytes
    event_time: int
    watermark: int
    id: str
    tags: tuple[str, ...]
    end: int


class Request(NamedTuple):
    """What the windower sends."""

    operation: int
    data: bytes


def windowed(history: History) -> tuple[list[Request | None], list[Life]]:
    """The requests in their order, with ``None`` for each pause, and the lives that they make."""
    requests: list[Request | None] = []
    lives: list[Life] = []
    opened: dict[Keys, Life] = {}

    def close_until(watermark: int) -> None:
        for life in sorted(opened.values(), key=lambda life: life.latest):
            end = life.latest + history.timeout
            if watermark - history.lateness > end:
                del opened[life.keys]
                life.end, life.close = end, keyed_window(life.start, end, life.keys)
                requests.append(Request(CLOSE, request(CLOSE, life.close)))

    for number, event in enumerate(history.events):
        if number in history.pauses:
            requests.append(None)
        if event.keys is not None and event.time < event.watermark:
            continue
        close_until(event.watermark)
        if event.keys is None:
            continue
        operation = APPEND
        if event.keys not in opened:
            operation = OPEN
            opened[event.keys] = Life(event.keys, event.time)
            lives.append(opened[event.keys])
        life = opened[event.keys]
        life.inputs[number] = event
        body = payload(event.keys, b"%d" % event.times, event.time, event.watermark, f"in-{number}-0")
        data = request(operation, keyed_window(life.start, MAX_UTC, event.keys), body)
        requests.append(Request(operation, data))
    if history.closes:
        close_until(1 << 62)
    return requests, lives


def model(life: Life) -> tuple[list[Answer], bytes]:
    """The messages of a life, and the window of its EOF, computed from its events alone: each leaves with the first
    input whose watermark is later than its time."""
    arrivals = list(life.inputs.values())

    def leaves_with(position: int, event: Event) -> int:
        passing = (at for at in range(position, len(arrivals)) if arrivals[at].watermark > event.time)
        return next(passing, len(arrivals))

    order = sorted(
        (leaves_with(position, event), event.time, position, number, event)
        for position, (number, event) in enumerate(life.inputs.items())
    )
    answers = []
    end = NO_WATERMARK
    for _, _, _, number, event in order:
        end = max(end, event.watermark)
        answers += [
            Answer(
                keys=life.keys,
                value=b"%d of %d" % (index, event.times) if event.times else b"",
                event_time=event.time,
                watermark=event.watermark,
                id=f"in-{number}-0" + (f".{index}" if index else ""),
                tags=() if event.times else (DROP,),
                end=end,
            )
            for index in range(event.times or 1)
        ]
    return answers, keyed_window(0, end, life.keys) if life.close is None else life.close


def check(history: History, lives: Sequence[Life], replies: Sequence[Reply]) -> None:
    """Compare what came with the model, and keep the books."""
    by_keys: dict[Keys, list[Answer | bytes]] = defaultdict(list)
    for life in lives:
        answers, eof = model(life)
        by_keys[life.keys] += [*answers, eof]
    found: dict[Keys, list[Answer | bytes]] = defaultdict(list)
    for reply in replies:
        found[reply.window_keys].append(reply.window if reply.eof else answer(reply))
    assert found == by_keys
    ids = [reply.id for reply in replies if not reply.eof]
    assert len(set(ids)) == len(ids)
    Books(lives).keep(ticks(history, replies))


def answer(reply: Reply) -> Answer:
    assert reply.event_time is not None
    assert reply.watermark is not None
    assert reply.window == keyed_window(0, reply.end, reply.window_keys)
    times = reply.event_time, reply.watermark
    return Answer(reply.keys, reply.value, *times, reply.id, reply.tags, reply.end)


def ticks(history: History, replies: Sequence[Reply]) -> Iterator[Sequence[Reply]]:
    first = turn = 0
    while first < len(replies):
        count = history.ticks[turn % len(history.ticks)]
        yield replies[first : first + count]
        first, turn = first + count, turn + 1


class Books:
    """What the platform keeps of its input: with each tick, it deletes for the keys of a response all times that are
    earlier than the end of its window, where the last response for the keys counts. A life that is closed is done with
    when it has no times left."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self._lives: dict[Keys, list[tuple[Life, dict[int, Event]]]] = defaultdict(list)
        for life in lives:
            self._lives[life.keys].append((life, dict(life.inputs)))
        self._left = {number: event.times or 1 for life in lives for number, event in life.inputs.items()}

    def keep(self, ticks: Iterator[Sequence[Reply]]) -> None:
        for replies in ticks:
            last: dict[Keys, int] = {}
            for reply in replies:
                last[reply.window_keys] = reply.end
                if not reply.eof:
                    self._left[int(reply.id.split("-")[1])] -= 1
            for keys, end in last.items():
                self._delete(keys, end)
        for lives in self._lives.values():
            for life, tracked in lives:
                assert not (tracked and life.close is not None), "a life that is closed was not drained"
        assert not any(self._left.values())

    def _delete(self, keys: Keys, end: int) -> None:
        for _, tracked in self._lives[keys]:
            for number in [number for number, event in tracked.items() if event.time < end]:
                del tracked[number]
                assert not self._left[number], "the platform has forgotten an input that was not forwarded yet"
