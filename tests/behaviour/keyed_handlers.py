"""The handlers under test of kinds with a call for each key. Its results are those of its datums, in order."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from behaviour.commands import NonsenseWantedError, act, act_async, note, split
from behaviour.handlers import NONSENSE, Kind
from numaflow_core.values.datum import BaseDatum

_M = TypeVar("_M")


class Key:
    """What a key has been given, and what that has led to. As a context, it remembers that nonsense is wanted."""

    def __init__(self) -> None:
        self.results: list[bytes] = []
        self._makes_sense = True
        self._files: list[str] = []

    def payload(self, datum: BaseDatum) -> bytes:
        """What to act on. There are two commands more: the answer to ``!metadata`` tells of the user metadata, since
        results have none; ``!tell-close FILE`` has a line written to FILE.log when the key is closed."""
        if datum.value.startswith(b"!tell-close"):
            self._files.append(split(datum.value)[1])
            return b"will tell"
        if not datum.value.startswith(b"!metadata"):
            return datum.value
        groups = datum.user_metadata.as_dict()
        shown = {name: {key: value.hex() for key, value in group.items()} for name, group in groups.items()}
        return json.dumps([datum.value.decode(), shown]).encode()

    def close(self) -> None:
        for file in self._files:
            note(file, "closed ")

    def message(self, new: Callable[..., _M], keys: list[str]) -> _M:
        """The result of a key that answers at its close, which is now."""
        self.close()
        return new(b"".join(self.results), keys=keys) if self._makes_sense else NONSENSE

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is not NonsenseWantedError:
            return False
        self._makes_sense = False
        return True


def window_forms(
    pushed: type, handle: Callable[..., Any], handle_async: Callable[..., Any], base: type
) -> Mapping[str, Any]:
    """The forms of a handler of a key and window."""
    return {
        "closure": pushed,
        "async": handle_async,
        "lambda": lambda keys, datums, md: handle(list(keys), datums, md),
        "class": type("Handler", (base,), {"handler": staticmethod(handle)}),
        "partial": partial(lambda extra, *arguments: handle(*arguments), object()),
    }


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
            self.key = Key()

        def add(self, datum: Datum) -> None:
            with self.key:
                self.key.results.append(act(self.key.payload(datum)))

        def finish(self) -> Message:
            return self.key.message(Message, self.keys)

    def handle(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Message:
        key = Key()
        for datum in datums:
            with key:
                key.results.append(act(key.payload(datum)))
        return key.message(Message, keys)

    async def handle_async(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
        key = Key()
        async for datum in datums:
            with key:
                key.results.append(await act_async(key.payload(datum)))
        return key.message(Message, keys)

    handlers = window_forms(Pushed, handle, handle_async, Reducer)
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

    class Pushed(SyncReduceStreamer):
        def __init__(self) -> None:
            self.key = Key()

        def add(self, datum: Datum) -> Message:
            try:
                return Message(act(self.key.payload(datum)), keys=self.keys)
            except NonsenseWantedError:
                return NONSENSE

        def finish(self) -> None:
            self.key.close()

    def handle(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
        key = Key()
        for datum in datums:
            try:
                yield Message(act(key.payload(datum)), keys=keys)
            except NonsenseWantedError:
                yield NONSENSE
        key.close()

    async def handle_async(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
        key = Key()
        async for datum in datums:
            try:
                yield Message(await act_async(key.payload(datum)), keys=keys)
            except NonsenseWantedError:
                yield NONSENSE
        key.close()

    handlers = window_forms(Pushed, handle, handle_async, ReduceStreamer)
    servers = ReduceStreamServer, ReduceStreamAsyncServer, ReduceStreamMultiProcServer
    return Kind(*servers, handlers, has_max_concurrency=False)


def kind_session_reduce() -> Kind:
    from numaflow_sessionreducer import (
        Datum,
        Message,
        SessionReduceAsyncServer,
        SessionReduceMultiProcServer,
        SessionReducer,
        SessionReduceServer,
        SyncSessionReducer,
    )

    class Pushed(SyncSessionReducer):
        def __init__(self, extra: object = None) -> None:
            self.key = Key()

        def add(self, datum: Datum) -> None:
            with self.key:
                self.key.results.append(act(self.key.payload(datum)))

        def finish(self) -> Message:
            return self.key.message(Message, self.keys)

        def accumulator(self) -> bytes:
            raise AssertionError("no sessions are merged here")

        def merge_accumulator(self, accumulator: bytes) -> None:
            raise AssertionError("no sessions are merged here")

    class Async(SessionReducer):
        async def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum], /) -> AsyncIterator[Message]:
            key = Key()
            async for datum in datums:
                with key:
                    key.results.append(await act_async(key.payload(datum)))
            yield key.message(Message, keys)

        def accumulator(self) -> bytes:
            raise AssertionError("no sessions are merged here")

        def merge_accumulator(self, accumulator: bytes, /) -> None:
            raise AssertionError("no sessions are merged here")

    def handle(keys: list[str], datums: Iterable[Datum]) -> Message:
        key = Key()
        for datum in datums:
            with key:
                key.results.append(act(key.payload(datum)))
        return key.message(Message, keys)

    handlers = {
        "closure": Pushed,
        "async": Async,
        "lambda": lambda keys, datums: handle(list(keys), datums),
        "class": type("Handler", (), {"handler": staticmethod(handle)})(),
        "partial": partial(Pushed, object()),
    }
    servers = SessionReduceServer, SessionReduceAsyncServer, SessionReduceMultiProcServer
    return Kind(*servers, handlers, has_max_concurrency=False)


def kind_accumulator() -> Kind:
    from numaflow_accumulator import (
        Accumulator,
        AccumulatorAsyncServer,
        AccumulatorMultiProcServer,
        AccumulatorServer,
        Datum,
        Message,
        Output,
        SyncAccumulator,
    )

    class Pushed(SyncAccumulator):
        def __init__(self, extra: object = None) -> None:
            self.key = Key()

        def add(self, datum: Datum) -> Message:
            try:
                return Message.from_datum(datum, value=act(self.key.payload(datum)))
            except NonsenseWantedError:
                return NONSENSE

        def finish(self) -> None:
            self.key.close()

    async def handle_async(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        key = Key()
        async for datum in datums:
            try:
                yield Message.from_datum(datum, value=await act_async(key.payload(datum)))
            except NonsenseWantedError:
                yield NONSENSE
        key.close()

    class Putting(Accumulator):
        async def handler(self, datums: AsyncIterable[Datum], output: Output) -> None:
            async for message in handle_async(datums):
                await output.put(message)

    handlers = {
        "closure": Pushed,
        "async": handle_async,
        # A sync function would be called at the end of its key: there is none.
        "lambda": type("Handler", (Pushed,), {"finish": lambda self: self.key.close()}),
        "class": Putting,
        "partial": partial(Pushed, object()),
    }
    servers = AccumulatorServer, AccumulatorAsyncServer, AccumulatorMultiProcServer
    return Kind(*servers, handlers, has_max_concurrency=False)


KINDS: dict[str, Callable[[], Kind]] = {
    "reduce": kind_reduce,
    "reduce stream": kind_reduce_stream,
    "session reduce": kind_session_reduce,
    "accumulator": kind_accumulator,
}
