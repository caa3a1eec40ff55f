"""How calls of one message are given to worker processes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from numaflow_core.buffers import Buffer, Outgoing
from numaflow_core.strategy._pipe import Frame, FrameType
from numaflow_core.strategy._processes import ProcessStrategy, _Link
from numaflow_core.strategy._workers import Worker

CONCURRENCY = 3


class Caller:
    """A stream whose peer reads when it is told to."""

    def __init__(self, strategy: ProcessStrategy) -> None:
        self._strategy = strategy
        self.ready = True
        self.gone = False
        self.replies = 0
        self.postponed: list[Buffer] = []
        self.callbacks: list[Callable[[], None]] = []

    def reply_all(self, replies: Sequence[Outgoing], finished: int) -> None:
        self.replies += len(replies)

    def when_ready(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def postpone(self, calls: list[Buffer]) -> None:
        self.postponed += calls

    def read(self) -> None:
        """The peer reads; callbacks are another step of the loop."""
        self.ready = True
        calls, self.postponed = self.postponed, []
        self.submit(*calls)

    def call_back(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()

    def submit(self, *calls: Buffer) -> None:
        self._strategy.submit(self, list(calls))  # type: ignore[arg-type]


class Link(_Link):
    """A pipe with nobody at its other end."""

    def __init__(self, owner: ProcessStrategy, worker: Worker) -> None:
        super().__init__(owner, worker, CONCURRENCY)
        self.given: list[Buffer] = []
        self.said: list[FrameType] = []

    def send(self, kind: FrameType, stream: int = 0, messages: Sequence[Any] = (), number: int = 0) -> None:
        if kind == FrameType.CALLS:
            self.given += messages
        else:
            self.said.append(kind)

    def answer(self, stream: int, replies: int, finished: int) -> None:
        self.frame_received(Frame(FrameType.REPLIES, stream, finished, [b"reply"] * replies))


def no_failure(summary: str, detail: str) -> None:
    pytest.fail(summary)


def begin() -> tuple[ProcessStrategy, Link]:
    worker: Any = Worker(0, 0, None)  # type: ignore[arg-type]
    strategy = ProcessStrategy([worker], CONCURRENCY, no_failure, reply_each=False)
    link = Link(strategy, worker)
    strategy._links.append(link)
    return strategy, link


def begin_paused() -> tuple[ProcessStrategy, Link, Caller]:
    """Two calls, one reply, and a peer that does not read it."""
    strategy, link = begin()
    caller = Caller(strategy)
    caller.submit(b"1", b"2")
    caller.ready = False
    link.answer(1, replies=1, finished=0)
    assert link.said == [FrameType.PAUSE]
    return strategy, link, caller


def test_calls_that_are_given_just_before_a_paused_stream_goes_on_count_once() -> None:
    async def run() -> None:
        _, link, caller = begin_paused()
        caller.read()
        caller.submit(b"3", b"4")
        caller.call_back()
        assert link.said == [FrameType.PAUSE, FrameType.RESUME]
        assert link.given == [b"1", b"2", b"3", b"4"]
        link.answer(1, replies=4, finished=4)
        assert link.unanswered == 0
        assert link.unanswered_bytes == 0
        caller.submit(*(b"%d" % number for number in range(CONCURRENCY)))
        assert len(link.given) == 4 + CONCURRENCY

    asyncio.run(run())


def test_calls_of_a_paused_stream_leave_their_places_to_others() -> None:
    async def run() -> None:
        strategy, link = begin()
        slow, other = Caller(strategy), Caller(strategy)
        slow.submit(*[b"s"] * 5)
        assert link.given == [b"s"] * CONCURRENCY
        slow.ready = False
        link.answer(1, replies=1, finished=0)
        other.submit(b"o")
        assert link.given == [b"s"] * CONCURRENCY + [b"o"]
        assert slow.postponed == [b"s"] * 2
        link.answer(2, replies=1, finished=1)
        slow.read()
        slow.call_back()
        link.answer(1, replies=3, finished=3)
        assert link.given == [b"s"] * CONCURRENCY + [b"o"] + [b"s"] * 2
        link.answer(1, replies=2, finished=2)
        assert (slow.replies, other.replies, link.unanswered, link.unanswered_bytes) == (6, 1, 0, 0)

    asyncio.run(run())


def test_paused_stream_that_is_over_takes_nothing_with_it() -> None:
    async def run() -> None:
        strategy, link, caller = begin_paused()
        caller.gone = True
        strategy.left(caller)  # type: ignore[arg-type]
        caller.call_back()
        assert link.said == [FrameType.PAUSE, FrameType.LEFT]
        assert (link.unanswered, link.unanswered_bytes) == (0, 0)

    asyncio.run(run())
