"""User code for accumulators that must pass ``mypy --strict``; never run."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from datetime import datetime
from functools import partial

from typing_extensions import assert_type

from numaflow_accumulator import (
    Accumulator,
    AccumulatorAsyncServer,
    AccumulatorMultiProcServer,
    AccumulatorServer,
    Datum,
    KeyedWindow,
    Message,
    Output,
    SyncAccumulator,
)


async def generator(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
    async for datum in datums:
        assert_type(datum, Datum)
        yield Message.from_datum(datum)


async def with_output(datums: AsyncIterable[Datum], output: Output) -> None:
    async for datum in datums:
        await output.put(Message.to_drop(datum))


async def with_option(option: int, datums: AsyncIterable[Datum], output: Output) -> None: ...


class Puts(Accumulator):
    def __init__(self, size: int) -> None:
        self.size = size

    async def handler(self, datums: AsyncIterable[Datum], output: Output) -> None:
        await output.put(Message(b""))


class Yields(Accumulator):
    async def handler(self, datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        yield Message(b"")


class Pushed(SyncAccumulator):
    def __init__(self, size: int = 0) -> None:
        self.size = size

    def add(self, datum: Datum) -> Iterator[Message]:
        assert_type(self.keys, list[str])
        yield Message.from_datum(datum, value=bytearray(b"x"), keys=("a",), tags=["t"])

    def finish(self) -> Message | None:
        return None


class Lists(SyncAccumulator):
    def add(self, datum: Datum) -> None: ...

    def finish(self) -> list[Message]:
        return []


AccumulatorServer(Pushed)
AccumulatorServer(Lists, (), {}, "/tmp/sock", 1024, 8, "/tmp/info", transport="grpcio", grace_period=1)
AccumulatorAsyncServer(generator)
AccumulatorAsyncServer(with_output)
AccumulatorAsyncServer(partial(with_option, 1))
AccumulatorAsyncServer(Puts, init_args=(1,), init_kwargs={"size": 1})
AccumulatorAsyncServer(Yields)
AccumulatorAsyncServer(Puts(1).handler)
AccumulatorMultiProcServer(Pushed, (1,), server_count=2)
AccumulatorMultiProcServer(Puts, (1,))
AccumulatorMultiProcServer(generator)


def values(datum: Datum, message: Message, window: KeyedWindow) -> None:
    assert_type(datum.id, str)
    assert_type(datum.watermark, datetime)
    assert_type(message.watermark, datetime | None)
    assert_type(message.event_time, datetime | None)
    assert_type(message.headers, dict[str, str])
    assert_type(message.id, str)
    assert_type(window.keys, list[str])
    assert_type(window.end_ns, int)
    Message(memoryview(b"x"), ("a",), ["t"], datum.watermark, datum.event_time, datum.headers, "id")
    Datum(["k"], b"", datum.event_time, None, "id", {"h": "1"})
