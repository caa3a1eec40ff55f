"""User code for reduce that must pass ``mypy --strict``; never run."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from datetime import datetime
from functools import partial

from typing_extensions import assert_type

from numaflow_reducer import (
    Datum,
    IntervalWindow,
    Message,
    Messages,
    Metadata,
    Output,
    ReduceAsyncServer,
    ReduceMultiProcServer,
    Reducer,
    ReduceServer,
    ReduceStreamAsyncServer,
    ReduceStreamer,
    ReduceStreamMultiProcServer,
    ReduceStreamServer,
    SyncReducer,
    SyncReduceStreamer,
)


def function(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Messages:
    return Messages(*(Message(datum.value, keys=keys) for datum in datums))


def nothing(k: list[str], d: Iterable[Datum], m: Metadata) -> None:
    return None


def generated(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
    yield Message(b"a", ["key"], ["tag"])


async def coroutine(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    async for datum in datums:
        assert_type(datum, Datum)
    return Messages()


async def coroutine_of_one(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message | None:
    return Message.to_drop()


async def async_generator(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
    yield Message(b"")


async def with_output(keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None:
    await output.put(Message(b""))


async def with_option(option: int, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    return Messages()


class AsyncClass(Reducer):
    def __init__(self, start: int) -> None:
        self.total = start

    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
        return Messages()


class SyncClass(Reducer):
    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
        yield Message(b"")


class Sum(SyncReducer):
    def __init__(self, start: int = 0) -> None:
        self.total = start

    def add(self, datum: Datum) -> None:
        self.total += len(datum.value)

    def finish(self) -> list[Message]:
        assert_type(self.keys, list[str])
        assert_type(self.metadata, Metadata)
        return [Message(b"", keys=self.keys)]


class Echo(SyncReduceStreamer):
    def add(self, datum: Datum) -> Iterator[Message]:
        yield Message(datum.value)


class Yields(ReduceStreamer):
    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
        yield Message(b"")


class Puts(ReduceStreamer):
    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None:
        await output.put(Message(b""))


class SyncYields(ReduceStreamer):
    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
        yield Message(b"")


ReduceServer(function)
ReduceServer(nothing)
ReduceServer(generated)
ReduceServer(Sum)
ReduceServer(Sum, (1,), {"start": 2}, "/tmp/sock", 1024, 8, "/tmp/info", transport="grpcio")
ReduceServer(SyncClass)
ReduceAsyncServer(coroutine)
ReduceAsyncServer(coroutine_of_one)
ReduceAsyncServer(partial(with_option, 1))
ReduceAsyncServer(AsyncClass, init_args=(1,))
ReduceAsyncServer(AsyncClass(1).handler)
ReduceMultiProcServer(Sum, (1,), server_count=2)
ReduceMultiProcServer(AsyncClass, (1,))
ReduceMultiProcServer(coroutine)
ReduceStreamServer(generated)
ReduceStreamServer(Echo)
ReduceStreamServer(SyncYields)
ReduceStreamAsyncServer(async_generator)
ReduceStreamAsyncServer(with_output)
ReduceStreamAsyncServer(Yields)
ReduceStreamAsyncServer(Puts)
ReduceStreamMultiProcServer(Echo)
ReduceStreamMultiProcServer(with_output)


def looks(datum: Datum, md: Metadata) -> None:
    assert_type(md.interval_window, IntervalWindow)
    assert_type(md.interval_window.start, datetime)
    assert_type(md.interval_window.end_ns, int)
    assert_type(datum.keys, list[str])
    assert_type(datum.event_time < md.interval_window.end, bool)
