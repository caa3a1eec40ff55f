"""User code for reduce, session reduce and accumulators that mypy must refuse: each error is stated at its line; never
run."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable

from numaflow_accumulator import Accumulator, AccumulatorAsyncServer, AccumulatorServer, SyncAccumulator
from numaflow_accumulator import Datum as AccumulatorDatum
from numaflow_accumulator import Message as AccumulatorMessage
from numaflow_reducer import (
    Datum,
    Message,
    Messages,
    Metadata,
    Output,
    ReduceAsyncServer,
    ReduceMultiProcServer,
    Reducer,
    ReduceServer,
    ReduceStreamAsyncServer,
    ReduceStreamServer,
    SyncReducer,
    SyncReduceStreamer,
)
from numaflow_sessionreducer import Datum as SessionDatum
from numaflow_sessionreducer import Message as SessionMessage
from numaflow_sessionreducer import (
    SessionReduceAsyncServer,
    SessionReducer,
    SessionReduceServer,
    SyncSessionReducer,
)


def function(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Messages:
    return Messages()


def one_by_one(keys: list[str], datum: Datum) -> Messages:
    return Messages()


def wants_a_list(keys: list[str], datums: list[Datum], md: Metadata) -> Messages:
    return Messages()


def gives_bytes(keys: list[str], datums: Iterable[Datum], md: Metadata) -> bytes:
    return b""


async def coroutine(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    return Messages()


async def with_output(keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None:
    await output.put(b"")  # E: Argument 1 to "put" of "Output" has incompatible type


class Count(SyncReducer):
    def __init__(self, start: int) -> None:
        self.count = start

    def add(self, datum: Datum) -> None: ...

    def finish(self) -> int:  # E: Return type "int" of "finish" incompatible with return type
        return self.count


class NoFinish(SyncReducer):
    def add(self, datum: Datum) -> None: ...


class ForStreams(SyncReduceStreamer):
    def add(self, datum: Datum) -> Message:
        return Message(datum.value)


class AsyncClass(Reducer):
    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
        return Messages()


ReduceServer(coroutine)  # E: to "ReduceServer" has incompatible type
ReduceServer(one_by_one)  # E: to "ReduceServer" has incompatible type
ReduceServer(wants_a_list)  # E: to "ReduceServer" has incompatible type
ReduceServer(gives_bytes)  # E: to "ReduceServer" has incompatible type
ReduceServer(ForStreams)  # E: to "ReduceServer" has incompatible type
ReduceServer(function, server_count=2)  # E: server_count
ReduceServer(function, max_concurrency=2)  # E: max_concurrency
ReduceAsyncServer(function)  # E: to "ReduceAsyncServer" has incompatible type
ReduceAsyncServer(Count)  # E: to "ReduceAsyncServer" has incompatible type
ReduceAsyncServer(coroutine, init_args=[1])  # E: Argument "init_args" to "ReduceAsyncServer" has incompatible type
ReduceMultiProcServer(one_by_one)  # E: to "ReduceMultiProcServer" has incompatible type
ReduceStreamServer(coroutine)  # E: to "ReduceStreamServer" has incompatible type
ReduceStreamAsyncServer(function)  # E: to "ReduceStreamAsyncServer" has incompatible type
NoFinish()  # E: Cannot instantiate abstract class "NoFinish"


def sessions(keys: list[str], datums: Iterable[SessionDatum], md: Metadata) -> None: ...


class NoMerge(SyncSessionReducer):
    def add(self, datum: SessionDatum) -> None: ...

    def finish(self) -> None: ...

    def accumulator(self) -> bytes:
        return b""


class StateAsText(SessionReducer):
    async def session_reduce(
        self, keys: list[str], datums: AsyncIterable[SessionDatum]
    ) -> AsyncIterator[SessionMessage]:
        yield SessionMessage(b"")

    def accumulator(self) -> str:  # E: Return type "str" of "accumulator" incompatible with return type
        return ""

    def merge_accumulator(self, accumulator: bytes) -> None: ...


SessionReduceServer(sessions)  # E: to "SessionReduceServer" has incompatible type
SessionReduceServer(StateAsText)  # E: to "SessionReduceServer" has incompatible type
SessionReduceAsyncServer(NoMerge)  # E: Only concrete class can be given
NoMerge()  # E: Cannot instantiate abstract class "NoMerge"


async def accumulate(datums: AsyncIterable[AccumulatorDatum]) -> AsyncIterator[AccumulatorMessage]:
    async for datum in datums:
        yield AccumulatorMessage.to_drop(datum.id)  # E: Argument 1 to "to_drop" of "Message" has incompatible type
        yield datum  # E: Incompatible types in "yield"


async def gives_nothing(datums: AsyncIterable[AccumulatorDatum]) -> None: ...


class Changes(SyncAccumulator):
    def add(self, datum: AccumulatorDatum) -> bytes:  # E: Return type "bytes" of "add" incompatible with return type
        return datum.value

    def finish(self) -> None: ...


class Puts(Accumulator):
    async def handler(self, datums: AsyncIterable[AccumulatorDatum]) -> AsyncIterator[AccumulatorMessage]:
        yield AccumulatorMessage("")  # E: Argument 1 to "Message" has incompatible type


AccumulatorServer(accumulate)  # E: to "AccumulatorServer" has incompatible type
AccumulatorServer(Puts)  # E: to "AccumulatorServer" has incompatible type
AccumulatorAsyncServer(gives_nothing)  # E: to "AccumulatorAsyncServer" has incompatible type
AccumulatorAsyncServer(Changes)  # E: to "AccumulatorAsyncServer" has incompatible type
