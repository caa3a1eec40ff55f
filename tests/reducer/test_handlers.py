"""Which handlers the servers take, and what they say of those that they do not."""

import functools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

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
    ReduceStreamer,
    ReduceStreamMultiProcServer,
    ReduceStreamServer,
    SyncReducer,
    SyncReduceStreamer,
)

Build = Callable[..., object]


def sync_handler(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Messages:
    return Messages()


async def async_handler(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    return Messages()


def generator(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
    yield Message(b"")


async def async_generator(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
    yield Message(b"")


async def with_output(keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None: ...


class SyncClass(Reducer):
    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata) -> Messages:
        return Messages()


class AsyncClass(Reducer):
    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.start = start

    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
        return Messages()


class Pushed(SyncReducer):
    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.start = start

    def add(self, datum: Datum) -> None: ...

    def finish(self) -> Messages:
        return Messages()


class PushedStream(SyncReduceStreamer):
    def add(self, datum: Datum) -> None: ...


class GeneratorClass(ReduceStreamer):
    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
        yield Message(b"")


class OutputClass(ReduceStreamer):
    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None: ...


class SyncGeneratorClass(ReduceStreamer):
    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
        yield Message(b"")


class Duck:
    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata) -> Messages:
        return Messages()


class DuckPush:
    def add(self, datum: Datum) -> None: ...

    def finish(self) -> None: ...


class AsyncCallable:
    async def __call__(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
        return Messages()


async def with_extra(extra: int, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    return Messages()


SYNC: list[Any] = [
    sync_handler,
    lambda keys, datums, md: None,
    lambda *args: None,
    functools.partial(lambda extra, keys, datums, md: None, 1),
    SyncClass,
    Pushed,
    functools.partial(Pushed, 1, step=2),
    Duck,
    Duck(),
    Duck().handler,
    DuckPush,
]
ASYNC: list[Any] = [
    async_handler,
    functools.partial(with_extra, 1),
    AsyncCallable(),
    AsyncClass,
    functools.partial(AsyncClass, 1),
    AsyncClass().handler,
]
STREAM_SYNC: list[Any] = [generator, sync_handler, PushedStream, SyncGeneratorClass]
STREAM_ASYNC: list[Any] = [async_generator, with_output, GeneratorClass, OutputClass, OutputClass().handler]


@pytest.mark.parametrize(
    ("server", "handler"),
    [
        *((ReduceServer, handler) for handler in SYNC),
        *((ReduceAsyncServer, handler) for handler in ASYNC),
        *((ReduceMultiProcServer, handler) for handler in SYNC + ASYNC),
        *((ReduceStreamServer, handler) for handler in STREAM_SYNC),
        *((ReduceStreamAsyncServer, handler) for handler in STREAM_ASYNC),
        *((ReduceStreamMultiProcServer, handler) for handler in STREAM_SYNC + STREAM_ASYNC),
    ],
)
def test_taken(server: Build, handler: object) -> None:
    server(handler)


@pytest.mark.parametrize("server", [ReduceMultiProcServer, ReduceStreamMultiProcServer])
def test_a_multiproc_server_sees_the_colour(server: Any) -> None:
    streams = server is ReduceStreamMultiProcServer
    for handler in STREAM_SYNC if streams else SYNC:
        assert server(handler)._is_async is False
    for handler in STREAM_ASYNC if streams else ASYNC:
        assert server(handler)._is_async is True


@pytest.mark.parametrize(
    ("server", "handler", "text"),
    [
        (ReduceServer, async_handler, "takes a sync handler, async_handler is 'async def'.* ReduceAsyncServer"),
        (ReduceServer, AsyncClass, "takes a sync handler, AsyncClass.handler is 'async def'"),
        (ReduceAsyncServer, sync_handler, "takes an async handler, sync_handler is not.* ReduceServer"),
        (ReduceAsyncServer, SyncClass, "takes an async handler, SyncClass.handler is not"),
        (ReduceAsyncServer, Pushed, "takes an async handler, messages are pushed to Pushed: use ReduceServer"),
        (ReduceAsyncServer, async_generator, "async_generator is an async generator"),
        (ReduceStreamAsyncServer, async_handler, "has no 'yield'"),
        (ReduceStreamServer, with_output, r"takes a sync handler"),
        (ReduceServer, lambda keys, datums: None, r"calls its handler with \(keys, datums, md\); .* does not fit"),
        (ReduceServer, int, "takes a function or a subclass of Reducer or SyncReducer, got the class int"),
        (ReduceServer, 7, "takes a function, or an object with a handler method, got int"),
        (ReduceServer, None, "takes a function, or an object with a handler method, got NoneType"),
        (ReduceServer, Pushed(), "takes the class Pushed, got an instance.* init_args"),
        (ReduceAsyncServer, AsyncClass(), "takes the class AsyncClass, got an instance"),
        (ReduceServer, SyncReducer, "SyncReducer does not define add, finish"),
        (ReduceServer, Reducer, "Reducer does not define handler"),
    ],
)
def test_refused(server: Build, handler: object, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        server(handler)


@pytest.mark.parametrize(("server", "made"), [(ReduceServer, Pushed), (ReduceAsyncServer, AsyncClass)])
def test_arguments_have_to_fit_the_class(server: Build, made: type) -> None:
    server(made, (1,), {"step": 2})
    server(made, init_kwargs={"start": 1})
    for args, kwargs in [((1, 2), None), ((), {"stride": 1}), ((1,), {"start": 1})]:
        with pytest.raises(TypeError, match=f"makes a {made.__name__} with init_args .* which does not fit"):
            server(made, args, kwargs)


@pytest.mark.parametrize(("server", "handler"), [(ReduceServer, sync_handler), (ReduceAsyncServer, async_handler)])
def test_a_function_takes_no_arguments(server: Build, handler: object) -> None:
    with pytest.raises(TypeError, match="init_args and init_kwargs are for a class"):
        server(handler, (1,))


def test_async_methods_of_a_push_class() -> None:
    class Wrong(SyncReducer):
        async def add(self, datum: Datum) -> None: ...  # type: ignore[override]

        def finish(self) -> None: ...

    with pytest.raises(TypeError, match=r"Wrong.add on a thread, it is 'async def'"):
        ReduceServer(Wrong)


def test_keys_and_metadata_are_there_in_the_constructor() -> None:
    class Early(SyncReducer):
        def __init__(self) -> None:
            self.shown = (self.keys, self.metadata)

        def add(self, datum: Datum) -> None: ...

        def finish(self) -> None: ...

    server: Any = ReduceServer(Early)
    made = server._handlers["ReduceFn"](["a"], "metadata")
    assert made.shown == (["a"], "metadata")


def test_a_function_is_called_with_everything_at_the_end() -> None:
    calls: list[object] = []
    server: Any = ReduceServer(lambda keys, datums, md: calls.append((keys, list(datums), md)))
    push = server._handlers["ReduceFn"](["a"], "metadata")
    push.add(1)
    push.add(2)
    assert calls == []
    push.finish()
    assert calls == [(["a"], [1, 2], "metadata")]


def test_paths_of_the_platform_are_the_defaults() -> None:
    for server in (ReduceServer(sync_handler), ReduceAsyncServer(async_handler), ReduceMultiProcServer(sync_handler)):
        assert server.sock_path == "/var/run/numaflow/reduce.sock"
        assert server.server_info_file == "/var/run/numaflow/reducer-server-info"
    for stream in (
        ReduceStreamServer(generator),
        ReduceStreamAsyncServer(async_generator),
        ReduceStreamMultiProcServer(generator),
    ):
        assert stream.sock_path == "/var/run/numaflow/reducestream.sock"
        assert stream.server_info_file == "/var/run/numaflow/reducestreamer-server-info"


def test_parameters_are_pynumaflows_in_its_order() -> None:
    ReduceAsyncServer(AsyncClass, (1,), {"step": 2}, "/tmp/s", 1000, 2, "/tmp/i", lambda loop: None)
    ReduceAsyncServer(reducer_instance=async_handler)
    ReduceStreamAsyncServer(OutputClass, (), None, "/tmp/s", 1000, 2, "/tmp/i", lambda loop: None)
    ReduceStreamAsyncServer(reduce_stream_instance=with_output)
