"""Which handlers the servers take, and what they say of those that they do not."""

import functools
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import pytest

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


async def generator(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
    yield Message(b"")


async def with_output(datums: AsyncIterable[Datum], output: Output) -> None: ...


async def returning(datums: AsyncIterable[Datum]) -> list[Message]:
    return []


def plain(datums: Iterable[Datum]) -> list[Message]:
    return []


class Pushed(SyncAccumulator):
    def __init__(self, size: int = 0, *, name: str = "") -> None:
        self.size = size

    def add(self, datum: Datum) -> None: ...

    def finish(self) -> None: ...


class AsyncPushed(SyncAccumulator):
    async def add(self, datum: Datum) -> None: ...  # type: ignore[override]

    def finish(self) -> None: ...


class Half(SyncAccumulator):
    def add(self, datum: Datum) -> None: ...


class Duck:
    def add(self, datum: Datum) -> None: ...

    def finish(self) -> None: ...


class Putting(Accumulator):
    def __init__(self, size: int = 0) -> None:
        self.size = size

    async def handler(self, datums: AsyncIterable[Datum], output: Output) -> None: ...


class Generating(Accumulator):
    async def handler(self, datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        yield Message(b"")


class Plain(Accumulator):
    def handler(self, datums: Iterable[Datum]) -> list[Message]:  # type: ignore[override]
        return []


class Object:
    async def handler(self, datums: AsyncIterable[Datum], output: Output) -> None: ...


SYNC: list[Any] = [Pushed, Duck, functools.partial(Pushed, 7)]
ASYNC: list[Any] = [generator, with_output, Putting, Generating, Object(), functools.partial(generator)]


@pytest.mark.parametrize("handler", SYNC)
def test_sync_handlers(handler: Any) -> None:
    AccumulatorServer(handler)
    AccumulatorMultiProcServer(handler)
    with pytest.raises(TypeError, match="AccumulatorServer"):
        AccumulatorAsyncServer(handler)


@pytest.mark.parametrize("handler", ASYNC)
def test_async_handlers(handler: Any) -> None:
    AccumulatorAsyncServer(handler)
    AccumulatorMultiProcServer(handler)
    with pytest.raises(TypeError, match="AccumulatorAsyncServer"):
        AccumulatorServer(handler)


@pytest.mark.parametrize("server", [AccumulatorServer, AccumulatorMultiProcServer])
@pytest.mark.parametrize("handler", [plain, Plain])
def test_a_sync_function_would_get_everything_at_the_end(server: Any, handler: Any) -> None:
    with pytest.raises(TypeError, match="would get them all at the end: derive a class from SyncAccumulator"):
        server(handler)


def test_arguments_of_the_class() -> None:
    AccumulatorServer(Pushed, (1,), {"name": "x"})
    AccumulatorAsyncServer(Putting, (1,))
    with pytest.raises(TypeError, match="does not fit Pushed"):
        AccumulatorServer(Pushed, (1, 2, 3))
    with pytest.raises(TypeError, match="does not fit Putting"):
        AccumulatorAsyncServer(Putting, (), {"what": 1})
    with pytest.raises(TypeError, match="init_args and init_kwargs are for a class"):
        AccumulatorAsyncServer(with_output, (1,))


@pytest.mark.parametrize(
    ("server", "handler", "text"),
    [
        (AccumulatorServer, Half, "Half does not define finish"),
        (AccumulatorServer, AsyncPushed, "'async def': write 'def'"),
        (AccumulatorServer, Pushed(), "takes the class Pushed, got an instance"),
        (AccumulatorAsyncServer, Putting(), "takes the class Putting, got an instance"),
        (AccumulatorAsyncServer, returning, "it has no 'yield'"),
        (AccumulatorAsyncServer, plain, "takes an async handler"),
        (AccumulatorAsyncServer, 7, "got int"),
        (AccumulatorServer, int, "got the class int"),
    ],
)
def test_handlers_that_make_no_sense(server: Any, handler: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        server(handler)


def test_defaults() -> None:
    server = AccumulatorAsyncServer(with_output)
    assert server.sock_path == "/var/run/numaflow/accumulator.sock"
    assert server.server_info_file == "/var/run/numaflow/accumulator-server-info"
