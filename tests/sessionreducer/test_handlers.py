"""What a server takes as a handler, and what it says of anything else."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from typing import Any

import pytest

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
    def __init__(self, factor: int = 1) -> None:
        self.keys_when_made = self.keys

    def add(self, datum: Datum) -> None: ...

    def finish(self) -> Message | None:
        return None

    def accumulator(self) -> bytes:
        return b""

    def merge_accumulator(self, accumulator: bytes) -> None: ...


class Async(SessionReducer):
    async def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum], /) -> AsyncIterator[Message]:
        async for datum in datums:
            yield Message(datum.value)

    def accumulator(self) -> bytes:
        return b""

    def merge_accumulator(self, accumulator: bytes) -> None: ...


def function(keys: list[str], datums: Iterable[Datum]) -> Message:
    return Message(b"")


async def async_function(keys: list[str], datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
    async for datum in datums:
        yield Message(datum.value)


class Plain:
    def handler(self, keys: list[str], datums: Iterable[Datum]) -> None: ...


class NoMerge:
    def add(self, datum: Datum) -> None: ...

    def finish(self) -> None: ...


class AsyncState(Pushed):
    async def accumulator(self) -> bytes:  # type: ignore[override]
        return b""


class Returns(Async):
    async def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum], /) -> list[Message]:  # type: ignore[override]
        return []


class NotAsync(Async):
    def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum], /) -> AsyncIterator[Message]:
        raise NotImplementedError


class Abstract(SessionReducer):
    def accumulator(self) -> bytes:
        return b""


SYNC, ASYNC, MULTIPROC = SessionReduceServer, SessionReduceAsyncServer, SessionReduceMultiProcServer


@pytest.mark.parametrize(
    ("server", "handler"),
    [
        (SYNC, Pushed),
        (SYNC, partial(Pushed, 3)),
        (SYNC, function),
        (SYNC, Plain()),
        (SYNC, lambda keys, datums: None),
        (ASYNC, Async),
        (MULTIPROC, Pushed),
        (MULTIPROC, Async),
        (MULTIPROC, function),
    ],
)
def test_handlers_that_fit(server: Any, handler: Any) -> None:
    server(handler)


def test_init_arguments() -> None:
    SYNC(Pushed, (2,))
    SYNC(Pushed, init_kwargs={"factor": 2})
    with pytest.raises(TypeError, match="does not fit Pushed"):
        SYNC(Pushed, (1, 2))
    with pytest.raises(TypeError, match="init_args and init_kwargs are for a class"):
        SYNC(function, (1,))


@pytest.mark.parametrize(
    ("server", "handler", "message"),
    [
        (SYNC, Pushed.__new__(Pushed), "takes the class Pushed, got an instance"),
        (SYNC, Async, "takes a sync handler, .* use SessionReduceAsyncServer"),
        (SYNC, NoMerge, "NoMerge does not define accumulator, merge_accumulator"),
        (SYNC, AsyncState, "AsyncState.accumulator on a thread, it is 'async def'"),
        (SYNC, async_function, "takes a subclass of SessionReducer"),
        (SYNC, lambda datums: None, "calls its handler with"),
        (SYNC, int, "takes a function or a subclass of SessionReducer or SyncSessionReducer"),
        (SYNC, 3, "takes a function"),
        (ASYNC, async_function, "which has accumulator and merge_accumulator; .* write such a class"),
        (ASYNC, function, "takes an async handler"),
        (ASYNC, Pushed, "messages are pushed to Pushed: use SessionReduceServer"),
        (ASYNC, Returns, "it has no 'yield'"),
        (ASYNC, NotAsync, "is not async"),
        (ASYNC, Abstract, "Abstract does not define merge_accumulator, session_reduce"),
        (ASYNC, Async(), "takes the class Async, got an instance"),
        (MULTIPROC, async_function, "write such a class"),
        (MULTIPROC, NotAsync, "is not async"),
    ],
)
def test_handlers_that_do_not_fit(server: Any, handler: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        server(handler)
