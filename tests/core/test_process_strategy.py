"""How calls of one message are given to worker processes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from numaflow_core.strategy._pipe import Frame, FrameType
from numaflow_core.strategy._processes import ProcessStrategy, _Link
from numaflow_core.strategy._workers import Worker

from numaflow_core.wire.buffers import Buffer

from .callers import Caller

CONCURRENCY = 3


class Stream(Caller):
    """A stream whose peer reads when it is told to."""

    def __init__(self, strategy: ProcessStrategy) -> None:
        super().__init__()
        self._strategy = strategy

    def read(self) -> None:
        """The peer reads. Callbacks are another step of the loop."""
        self.ready = True
        calls, self.postponed = self.postponed, []
        self.submit(*calls)

    def submit(self, *calls: Buffer) -> None:
        self._strategy.submit(self, list(calls))


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
    no_pipe: Any = None
    worker = Worker(0, 0, no_pipe)
    strategy = ProcessStrategy([worker], CONCURRENCY, no_failure, reply_each=False)
    link = Link(strategy, worker)
    strategy._links.append(link)
    return strategy, link


def begin_paused() -> tuple[ProcessStrategy, Link, Stream]:
    """Two calls, one reply, and a peer that does not read it."""
    strategy, link = begin()
    caller = Stream(strategy)
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
        slow, other = Stream(strategy), Stream(strategy)
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
        assert (len(slow.replies), len(other.replies), link.unanswered, link.unanswered_bytes) == (6, 1, 0, 0)

    asyncio.run(run())


def test_paused_stream_that_is_over_takes_nothing_with_it() -> None:
    async def run() -> None:
        strategy, link, caller = begin_paused()
        caller.gone = True
        strategy.left(caller)
        caller.call_back()
        assert link.said == [FrameType.PAUSE, FrameType.LEFT]
        assert (link.unanswered, link.unanswered_bytes) == (0, 0)

    asyncio.run(run())
