"""Which handlers the servers take, and what they say of those that they do not."""

import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from numaflow_mapper import Datum, MapAsyncServer, MapMultiProcServer, MapMultiprocServer, Mapper, MapServer, Messages


def sync_handler(keys: list[str], datum: Datum) -> Messages:
    return Messages()


async def async_handler(keys: list[str], datum: Datum) -> Messages:
    return Messages()


class SyncMapper(Mapper):
    def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class AsyncMapper(Mapper):
    async def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class Duck:
    def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class SyncCallable:
    def __call__(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class AsyncCallable:
    async def __call__(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> Any:
        return function(*args, **kwargs)

    return wrapper


def with_extra(extra: int, keys: list[str], datum: Datum) -> Messages:
    return Messages()


async def with_extra_async(extra: int, keys: list[str], datum: Datum) -> Messages:
    return Messages()


async def generator(keys: list[str], datum: Datum) -> AsyncIterator[Messages]:
    yield Messages()


SYNC: list[Any] = [
    sync_handler,
    lambda keys, datum: None,
    SyncMapper(),
    SyncMapper().handler,
    Duck(),
    Duck().handler,
    SyncCallable(),
    decorated(sync_handler),
    functools.partial(with_extra, 1),
    lambda *args: None,
    lambda keys, datum, option=1: None,
    lambda *args, **kwargs: None,
]
ASYNC: list[Any] = [
    async_handler,
    AsyncMapper(),
    AsyncMapper().handler,
    AsyncCallable(),
    decorated(async_handler),
    functools.partial(with_extra_async, 1),
]
EVERY_SERVER: list[Callable[[Any], object]] = [MapServer, MapAsyncServer, MapMultiProcServer, MapMultiprocServer]
WORKERS: list[Callable[[Any], object]] = [MapMultiProcServer, MapMultiprocServer]


@pytest.mark.parametrize("handler", SYNC)
@pytest.mark.parametrize("server", [MapServer, *WORKERS])
def test_sync_handlers(server: Callable[[Any], object], handler: object) -> None:
    server(handler)


@pytest.mark.parametrize("handler", ASYNC)
@pytest.mark.parametrize("server", [MapAsyncServer, *WORKERS])
def test_async_handlers(server: Callable[[Any], object], handler: object) -> None:
    server(handler)


@pytest.mark.parametrize("handler", ASYNC)
def test_sync_server_refuses_async_handlers(handler: object) -> None:
    with pytest.raises(TypeError, match=r"MapServer takes a sync handler, .* is 'async def': .* use MapAsyncServer"):
        MapServer(handler)  # type: ignore[arg-type]


@pytest.mark.parametrize("handler", SYNC)
def test_async_server_refuses_sync_handlers(handler: object) -> None:
    with pytest.raises(
        TypeError, match=r"MapAsyncServer takes an async handler, .* write 'async def', or use MapServer"
    ):
        MapAsyncServer(handler)  # type: ignore[arg-type]


def colours(server: Callable[[Any], object]) -> list[Callable[..., Any]]:
    """Handlers with one and three parameters, of the right colour."""
    if server is not MapAsyncServer:
        return [lambda datum: None, lambda keys, datum, other: None, lambda: None, lambda keys, *, datum: None]

    async def one(datum: Datum) -> None: ...

    async def three(keys: list[str], datum: Datum, other: int) -> None: ...

    async def none() -> None: ...

    async def keyword(keys: list[str], *, datum: Datum) -> None: ...

    return [one, three, none, keyword]


@pytest.mark.parametrize("server", EVERY_SERVER)
@pytest.mark.parametrize("index", range(4))
def test_wrong_number_of_parameters(server: Callable[[Any], object], index: int) -> None:
    with pytest.raises(TypeError, match=r"calls its handler with \(keys, datum\); .* does not fit"):
        server(colours(server)[index])


@pytest.mark.parametrize("server", EVERY_SERVER)
@pytest.mark.parametrize("thing", [SyncMapper, Duck, AsyncMapper, int])
def test_class_in_place_of_an_instance(server: Callable[[Any], object], thing: type) -> None:
    with pytest.raises(
        TypeError, match=rf"takes an instance, got the class {thing.__name__}: pass {thing.__name__}\(\)"
    ):
        server(thing)


@pytest.mark.parametrize("server", EVERY_SERVER)
@pytest.mark.parametrize("thing", [None, 1, "handler", object(), [sync_handler]])
def test_something_else_in_place_of_a_handler(server: Callable[[Any], object], thing: object) -> None:
    with pytest.raises(
        TypeError, match=f"takes a function, or an object with a handler method, got {type(thing).__name__}"
    ):
        server(thing)


@pytest.mark.parametrize("server", EVERY_SERVER)
def test_async_generator(server: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="is an async generator"):
        server(generator)


@pytest.mark.parametrize("server", EVERY_SERVER)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_threads": 0}, ValueError, "max_threads must be at least 1, got 0"),
        ({"max_threads": 2.0}, TypeError, "max_threads must be an int, got float"),
        ({"max_message_size": -1}, ValueError, "max_message_size must be at least 1"),
        ({"max_message_size": "64MB"}, TypeError, "max_message_size must be an int, got str"),
        ({"sock_path": 7}, TypeError, "sock_path must be a path, got int"),
        ({"server_info_file": b"x"}, TypeError, "server_info_file must be a path, got bytes"),
        ({"transport": "tcp"}, ValueError, "transport must be one of h2, grpcio, got 'tcp'"),
        ({"grace_period": 0}, ValueError, "grace_period must be more than 0"),
        ({"grace_period": -1.5}, ValueError, "grace_period must be more than 0"),
    ],
)
def test_other_arguments_are_checked(
    server: Callable[..., object], arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    if server is MapAsyncServer and "max_threads" in arguments:
        pytest.skip("accepted for pynumaflow's sake")
    with pytest.raises(error, match=message):
        server(async_handler if server is MapAsyncServer else sync_handler, **arguments)


def test_server_count_is_checked() -> None:
    with pytest.raises(ValueError, match="server_count must be at least 1"):
        MapMultiProcServer(sync_handler, server_count=0)
    with pytest.raises(TypeError, match="server_count must be an int"):
        MapMultiProcServer(sync_handler, server_count="2")  # type: ignore[arg-type]


def test_paths_of_the_platform_are_the_defaults() -> None:
    server = MapServer(sync_handler)
    assert server.sock_path == "/var/run/numaflow/map.sock"
    assert server.server_info_file == "/var/run/numaflow/mapper-server-info"


def test_parameters_are_pynumaflows_in_its_order() -> None:
    MapServer(sync_handler, "/tmp/s", 1000, 2, "/tmp/i")
    MapAsyncServer(async_handler, "/tmp/s", 1000, 2, "/tmp/i", lambda loop: None)
    server = MapMultiProcServer(sync_handler, 2, "/tmp/s", 1000, 2, "/tmp/i")
    assert server.server_count == 2
    MapServer(mapper_instance=SyncMapper())


def test_multiproc_by_its_old_name() -> None:
    assert issubclass(MapMultiprocServer, MapMultiProcServer)
