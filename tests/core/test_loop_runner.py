"""How an event loop runs calls of one message: many in a task, and none sees what another has left."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from numaflow_core.flows.bidi import EachFlow
from numaflow_core.kind import Codec
from numaflow_core.runners.loop import LoopRunner

from .served import Served

PATIENCE = 60.0
CODEC = Codec(lambda message: (None, (message,)), lambda token, result: result)

Handler = Callable[[bytes], Awaitable[bytes]]


async def serve(handler: Handler, messages: list[bytes], limit: int = 1) -> list[bytes]:
    """The answers to messages that come at once."""
    failures: list[BaseException] = []
    loop = asyncio.get_running_loop()
    runner = LoopRunner(handler, CODEC, limit, lambda error, about: failures.append(error), loop)
    served = Served(runner, loop, flow=EachFlow())
    served.rpc.received(list(messages))
    end = loop.time() + PATIENCE
    while len(served.sent) < len(messages):
        assert loop.time() < end
        assert failures == []
        await asyncio.sleep(0)
    await runner.close(0)
    return served.sent


MARK: ContextVar[Any] = ContextVar("MARK")


class Incomparable:
    """As an array is, whose comparison is an array of comparisons."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("which of them?")


def test_values_that_cannot_be_compared_do_not_matter() -> None:
    async def run() -> None:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        before = Incomparable()
        MARK.set(before)
        seen = []

        async def handler(message: bytes) -> bytes:
            seen.append(MARK.get())
            MARK.set(Incomparable())
            return message

        assert await serve(handler, [b"1", b"2", b"3"]) == [b"1", b"2", b"3"]
        assert [each is before for each in seen] == [True] * 3
        await asyncio.sleep(0)
        gc.collect()
        assert errors == []

    asyncio.run(run())


def test_handlers_that_leave_nothing_share_a_task() -> None:
    async def run() -> None:
        async def handler(message: bytes) -> bytes:
            return b"%d" % id(asyncio.current_task())

        assert len(set(await serve(handler, [b"1"] * 100, limit=5))) == 1

    asyncio.run(run())


def test_handlers_that_leave_something_have_a_task_of_their_own() -> None:
    async def run() -> None:
        tasks = []

        async def handler(message: bytes) -> bytes:
            tasks.append(asyncio.current_task())
            MARK.set(message)
            return message

        await serve(handler, [b"%d" % number for number in range(10)], limit=3)
        assert len(set(tasks)) == 10

    asyncio.run(run())


def test_no_more_handlers_at_once_than_the_limit_whatever_they_leave() -> None:
    async def run() -> None:
        now = most = 0

        async def handler(message: bytes) -> bytes:
            nonlocal now, most
            now += 1
            most = max(most, now)
            MARK.set(message)
            for _ in range(10):
                await asyncio.sleep(0)
            now -= 1
            return message

        messages = [b"%d" % number for number in range(50)]
        assert sorted(await serve(handler, messages, limit=4)) == sorted(messages)
        assert most == 4

    asyncio.run(run())
