"""What an async handler may do with the messages of an open call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress

import pytest

from numaflow_core.kind import Begin, Close, Feed, StreamCodec
from numaflow_core.runners.loop import LoopRunner

from .served import Encoder, Served

PATIENCE = 60.0

Handler = Callable[[AsyncIterator[bytes]], Awaitable[Iterable[bytes]]]


CODEC = StreamCodec(lambda handler, call: (None, handler(call.inputs())), lambda results: results, lambda _: Encoder())


class Conversation:
    """One call of a handler. ``limit`` is that of the runner: there is none for keyed calls."""

    def __init__(self, handler: Handler, limit: int | None) -> None:
        self.failures: list[BaseException] = []
        self._finished = asyncio.Event()
        loop = asyncio.get_running_loop()
        runner = LoopRunner(handler, CODEC, limit, lambda error, about: self.failures.append(error), loop)
        self.served = Served(runner, loop, on_done=self._finished.set)
        self.served.say(Begin(self))

    def send(self, *messages: bytes) -> None:
        self.served.say(Feed([(self, messages, sum(map(len, messages)))]))

    async def finish(self) -> list[bytes]:
        self.served.say(Close((self,)))
        await asyncio.wait_for(self._finished.wait(), PATIENCE)
        return self.served.sent


async def next_of(messages: AsyncIterator[bytes]) -> bytes:
    return await messages.__anext__()


async def begin_to_wait(messages: AsyncIterator[bytes]) -> "asyncio.Task[bytes]":
    task = asyncio.create_task(next_of(messages))
    await asyncio.sleep(0)  # tasks run in turn: it has come to where it waits
    return task


async def give_up_to_wait(messages: AsyncIterator[bytes]) -> None:
    """What ``asyncio.wait_for`` does when the time is over."""
    task = await begin_to_wait(messages)
    assert task.cancel()
    with suppress(asyncio.CancelledError):
        await task


limits = pytest.mark.parametrize("limit", [None, 2])


@limits
def test_wait_that_is_given_up_loses_nothing(limit: int | None) -> None:
    async def run() -> None:
        waiting, given_up = asyncio.Event(), asyncio.Event()

        async def impatient(messages: AsyncIterator[bytes]) -> list[bytes]:
            await give_up_to_wait(messages)
            waiting.set()
            seen = [await messages.__anext__()]
            await give_up_to_wait(messages)
            given_up.set()
            return [*seen, *[each async for each in messages]]

        talk = Conversation(impatient, limit)
        await asyncio.wait_for(waiting.wait(), PATIENCE)
        talk.send(b"1")
        await asyncio.wait_for(given_up.wait(), PATIENCE)
        talk.send(b"2", b"3")
        talk.send(b"4")
        assert await talk.finish() == [b"1", b"2", b"3", b"4"]
        assert talk.served.stream.released == 4
        assert talk.failures == []

    asyncio.run(run())


@limits
def test_two_waits_at_once_are_refused(limit: int | None) -> None:
    async def run() -> None:
        waiting = asyncio.Event()

        async def greedy(messages: AsyncIterator[bytes]) -> list[bytes]:
            first = await begin_to_wait(messages)
            waiting.set()
            try:
                await messages.__anext__()
            except RuntimeError as error:
                return [str(error).encode(), await first]
            return []

        talk = Conversation(greedy, limit)
        await asyncio.wait_for(waiting.wait(), PATIENCE)
        talk.send(b"1")
        assert await talk.finish() == [
            b"the next message is being waited for already: await one before the other",
            b"1",
        ]

    asyncio.run(run())


@limits
def test_wait_that_outlives_its_handler_ends(limit: int | None) -> None:
    async def run() -> None:
        left: list[asyncio.Task[bytes]] = []
        waiting = asyncio.Event()

        async def careless(messages: AsyncIterator[bytes]) -> list[bytes]:
            left.append(await begin_to_wait(messages))
            waiting.set()
            return [b"done"]

        talk = Conversation(careless, limit)
        await asyncio.wait_for(waiting.wait(), PATIENCE)
        talk.send(b"1", b"2")
        assert await talk.finish() == [b"done"]
        assert talk.served.stream.released == 2
        done, _ = await asyncio.wait(left, timeout=PATIENCE)
        assert [task.cancelled() for task in done] == [True]

    asyncio.run(run())


@limits
def test_messages_of_a_call_that_never_runs_dry_leave_other_tasks_their_turn(limit: int | None) -> None:
    async def run() -> None:
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def count(messages: AsyncIterator[bytes]) -> list[bytes]:
            before = turns
            number = len([each async for each in messages])
            return [b"%d" % number, b"%d" % (turns > before + 50)]

        other = asyncio.create_task(count_turns())
        talk = Conversation(count, limit)
        for _ in range(100):
            talk.send(b"a", b"b")
        assert await talk.finish() == [b"200", b"1"]
        other.cancel()

    asyncio.run(run())


def test_call_without_a_stream_is_cancelled_where_it_waits() -> None:
    """Only if it is keyed: the end of its messages would mean that its window is closed."""

    async def run(limit: int | None) -> list[str]:
        ends: list[str] = []
        waiting, over = asyncio.Event(), asyncio.Event()

        async def stubborn(messages: AsyncIterator[bytes]) -> list[bytes]:
            waiting.set()
            try:
                with suppress(asyncio.CancelledError):
                    async for _ in messages:
                        pass
                    ends.append("ended")
                async for _ in messages:
                    pass
                ends.append("ended again")
            except asyncio.CancelledError:
                ends.append("cancelled again")
            finally:
                over.set()
            return []

        talk = Conversation(stubborn, limit)
        await asyncio.wait_for(waiting.wait(), PATIENCE)
        talk.served.rpc.cancelled()
        await asyncio.wait_for(over.wait(), PATIENCE)
        assert talk.failures == []
        return ends

    assert asyncio.run(run(None)) == ["cancelled again"]
    assert asyncio.run(run(2)) == ["ended", "ended again"]
