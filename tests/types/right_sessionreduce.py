"""User code for session reduce that must pass ``mypy --strict``; never run."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from typing_extensions import assert_type

from numaflow_sessionreducer import (
    Datum,
    Message,
    Messages,
    SessionReduceAsyncServer,
    SessionReduceMultiProcServer,
    SessionReducer,
    SessionReduceServer,
    SyncSessionReducer,
)


def function(keys: list[str], datums: Iterable[Datum]) -> Messages:
    return Messages(*(Message(datum.value, keys=keys) for datum in datums))


def generator(keys: list[str], datums: Iterable[Datum]) -> Iterator[Message]:
    for datum in datums:
        yield Message(datum.value)


class WithHandler:
    def handler(self, keys: list[str], datums: Iterable[Datum]) -> Message | None:
        return None


class AsInPynumaflowLite(SessionReducer):
    def __init__(self, start: int = 0) -> None:
        self.count = start

    async def session_reduce(self, keys: list[str], datums: AsyncIterator[Datum]) -> AsyncIterator[Message]:
        async for datum in datums:
            assert_type(datum, Datum)
            self.count += 1
        yield Message(str(self.count).encode(), keys)

    async def accumulator(self) -> bytes:
        return str(self.count).encode()

    async def merge_accumulator(self, accumulator: bytes) -> None:
        self.count += int(accumulator)


class WithSyncState(SessionReducer):
    async def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum]) -> AsyncIterable[Message]:
        async for datum in datums:
            yield Message(datum.value)

    def accumulator(self) -> bytes:
        return b""

    def merge_accumulator(self, accumulator: bytes) -> None: ...


class Pushed(SyncSessionReducer):
    def __init__(self, start: int = 0) -> None:
        assert_type(self.keys, list[str])
        self.count = start

    def add(self, datum: Datum) -> None:
        self.count += 1

    def finish(self) -> Message:
        return Message(str(self.count).encode(), self.keys)

    def accumulator(self) -> bytes:
        return str(self.count).encode()

    def merge_accumulator(self, accumulator: bytes) -> None:
        self.count += int(accumulator)


class Streaming(Pushed):
    def add(self, datum: Datum) -> Iterator[Message]:  # type: ignore[override]  # from None, not from the base's
        yield Message(datum.value)


SessionReduceServer(Pushed)
SessionReduceServer(Pushed, (1,), {"start": 2}, "/tmp/sock", 1024, 8, "/tmp/info", transport="grpcio")
SessionReduceServer(Streaming)
SessionReduceServer(function)
SessionReduceServer(generator)
SessionReduceServer(WithHandler())
SessionReduceServer(session_reducer_instance=function)
SessionReduceAsyncServer(AsInPynumaflowLite, (3,))
SessionReduceAsyncServer(WithSyncState, shutdown_callback=lambda loop: None)
SessionReduceMultiProcServer(Pushed, server_count=2)
SessionReduceMultiProcServer(AsInPynumaflowLite)
SessionReduceMultiProcServer(function)
