"""The handlers under test of kinds with a call for each key. A call's results are those of its datums, in order; what
is nonsense, it gives in place of one of them."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial

from behaviour.commands import NonsenseWantedError, act, act_async
from behaviour.handlers import NONSENSE, Kind


def joined(results: list[bytes]) -> bytes:
    return b"".join(results)


def kind_reduce() -> Kind:
    from numaflow_reducer import (
        Datum,
        Message,
        Metadata,
        ReduceAsyncServer,
        ReduceMultiProcServer,
        Reducer,
        ReduceServer,
        SyncReducer,
    )

    class Pushed(SyncReducer):
        def __init__(self) -> None:
            self.results: list[bytes] = []
            self.makes_sense = True

        def add(self, datum: Datum) -> None:
            try:
                self.results.append(act(datum.value))
            except NonsenseWantedError:
                self.makes_sense = False

        def finish(self) -> Message:
            return Message(joined(self.results), keys=self.keys) if self.makes_sense else NONSENSE

    def handle(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Message:
        return Message(joined([act(datum.value) for datum in datums]), keys=keys)

    async def handle_async(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
        try:
            return Message(joined([await act_async(datum.value) async for datum in datums]), keys=keys)
        except NonsenseWantedError:
            return NONSENSE  # type: ignore[no-any-return]

    handlers = {
        "closure": Pushed,
        "async": handle_async,
        "lambda": lambda keys, datums, md: handle(list(keys), datums, md),
        "class": type("Handler", (Reducer,), {"handler": staticmethod(handle)}),
        "partial": partial(lambda extra, *arguments: handle(*arguments), object()),
    }
    return Kind(ReduceServer, ReduceAsyncServer, ReduceMultiProcServer, handlers, has_max_concurrency=False)


def kind_reduce_stream() -> Kind:
    from numaflow_reducer import (
        Datum,
        Message,
        Metadata,
        ReduceStreamAsyncServer,
        ReduceStreamer,
        ReduceStreamMultiProcServer,
        ReduceStreamServer,
        SyncReduceStreamer,
    )

    def result(keys: list[str], value: bytes) -> Message:
        try:
            return Message(act(value), keys=keys)
        except NonsenseWantedError:
            return NONSENSE  # type: ignore[no-any-return]

    async def result_async(keys: list[str], value: bytes) -> Message:
        try:
            return Message(await act_async(value), keys=keys)
        except NonsenseWantedError:
            return NONSENSE  # type: ignore[no-any-return]

    class Pushed(SyncReduceStreamer):
        def add(self, datum: Datum) -> Message:
            return result(self.keys, datum.value)

    def handle(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
        for datum in datums:
            yield result(keys, datum.value)

    async def handle_async(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
        async for datum in datums:
            yield await result_async(keys, datum.value)

    handlers = {
        "closure": Pushed,
        "async": handle_async,
        "lambda": lambda keys, datums, md: handle(list(keys), datums, md),
        "class": type("Handler", (ReduceStreamer,), {"handler": staticmethod(handle)}),
        "partial": partial(lambda extra, *arguments: handle(*arguments), object()),
    }
    servers = ReduceStreamServer, ReduceStreamAsyncServer, ReduceStreamMultiProcServer
    return Kind(*servers, handlers, has_max_concurrency=False)


KINDS: dict[str, Callable[[], Kind]] = {
    "reduce": kind_reduce,
    "reduce stream": kind_reduce_stream,
}
