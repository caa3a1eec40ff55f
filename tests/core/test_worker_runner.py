"""How calls of one message are given to worker processes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from numaflow_core.flows.bidi import EachFlow
from numaflow_core.runners import link as links
from numaflow_core.runners.children import Worker
from numaflow_core.runners.link import Link
from numaflow_core.runners.workers import WorkerRunner
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.frames import Frame, FrameType

from .served import Served

CONCURRENCY = 3


class NoChild:
    """What watches a process that there is not."""

    def __init__(self, worker: Worker) -> None:
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()


@pytest.fixture(autouse=True)
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "Child", NoChild)


class NotingLink(Link):
    """A pipe with nobody at its other end."""

    def __init__(self, runner: WorkerRunner) -> None:
        no_pipe: Any = None
        super().__init__(Worker(0, 0, no_pipe), CONCURRENCY, runner._frame)
        self.given: list[Buffer] = []
        self.said: list[FrameType] = []

    def send(
        self, kind: FrameType, share: int = 0, messages: Sequence[Any] = (), number: int = 0, size: int = 0
    ) -> None:
        if kind == FrameType.CALLS:
            self.given += messages
        else:
            self.said.append(kind)

    def answer(self, share: int, replies: int, done: int) -> None:
        """The worker has made replies, and is done with so many messages of one byte."""
        self.frame_received(Frame(FrameType.REPLIES, share, done, done, [b"reply"] * replies))


def unexpected(report: object) -> None:
    pytest.fail(str(report))


class Workers:
    """A runner with one worker."""

    def __init__(self) -> None:
        self.runner = WorkerRunner([], CONCURRENCY, unexpected, unexpected, keyed=False)
        self.link = NotingLink(self.runner)
        self.runner._links.append(self.link)

    def stream(self) -> Served:
        return Served(self.runner, flow=EachFlow())

    def paused(self) -> Served:
        """Two calls, one reply, and a peer that does not read it."""
        stream = self.stream()
        stream.rpc.received([b"1", b"2"])
        stream.stop_reading()
        self.link.answer(1, replies=1, done=0)
        assert self.link.said == [FrameType.PAUSE]
        return stream

    @property
    def undone(self) -> tuple[int, int]:
        return self.link.undone, self.link._undone_size


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test()

        asyncio.run(main())

    run.__name__ = getattr(test, "__name__", "test")
    return run


@in_loop
async def test_calls_that_are_given_just_before_a_paused_stream_goes_on_count_once() -> None:
    workers = Workers()
    link, stream = workers.link, workers.paused()
    stream.read()
    stream.rpc.received([b"3", b"4"])
    stream.loop.run()
    assert link.said == [FrameType.PAUSE, FrameType.RESUME]
    assert link.given == [b"1", b"2", b"3", b"4"]
    link.answer(1, replies=4, done=4)
    assert workers.undone == (0, 0)
    stream.rpc.received([b"%d" % number for number in range(CONCURRENCY)])
    assert len(link.given) == 4 + CONCURRENCY
    assert stream.stream.released == 4


@in_loop
async def test_calls_of_a_paused_stream_leave_their_places_to_others() -> None:
    workers = Workers()
    link, slow, other = workers.link, workers.stream(), workers.stream()
    slow.rpc.received([b"s"] * 5)
    assert link.given == [b"s"] * CONCURRENCY
    slow.stop_reading()
    link.answer(1, replies=1, done=0)
    other.rpc.received([b"o"])
    assert link.given == [b"s"] * CONCURRENCY + [b"o"]
    slow.loop.run()
    assert slow.rpc._postponed == [b"s"] * 2
    link.answer(2, replies=1, done=1)
    slow.read()
    assert link.said == [FrameType.PAUSE, FrameType.RESUME]
    link.answer(1, replies=3, done=3)
    assert link.given == [b"s"] * CONCURRENCY + [b"o"] + [b"s"] * 2
    link.answer(1, replies=2, done=2)
    assert (len(slow.sent), len(other.sent)) == (6, 1)
    assert workers.undone == (0, 0)


@in_loop
async def test_paused_stream_that_is_over_takes_nothing_with_it() -> None:
    workers = Workers()
    stream = workers.paused()
    stream.rpc.cancelled()
    stream.loop.run()
    assert workers.link.said == [FrameType.PAUSE, FrameType.LEFT]
    assert workers.undone == (0, 0)
