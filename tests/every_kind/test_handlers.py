"""Which handlers the servers take, and what they say of those that they do not."""

import functools
import inspect
from abc import ABC
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any, Final, NamedTuple

import pytest

from numaflow_core.server import Settings
from numaflow_mapper import (
    BatchMapAsyncServer,
    BatchMapMultiProcServer,
    BatchMapper,
    BatchMapServer,
    MapAsyncServer,
    MapMultiProcServer,
    MapMultiprocServer,
    Mapper,
    MapServer,
    MapStreamAsyncServer,
    MapStreamer,
    MapStreamMultiProcServer,
    MapStreamServer,
)
from numaflow_sinker import SinkAsyncServer, Sinker, SinkMultiProcServer, SinkServer
from numaflow_sourcetransformer import (
    SourceTransformAsyncServer,
    SourceTransformer,
    SourceTransformMultiProcServer,
    SourceTransformServer,
)


def returns(*given: object) -> None: ...


def yields(*given: object) -> Iterator[None]:
    yield None


async def returns_async(*given: object) -> None: ...


async def yields_async(*given: object) -> AsyncIterator[None]:
    yield None


BODIES: Final[tuple[Callable[..., Any], ...]] = (returns, yields, returns_async, yields_async)
SYNC: Final = frozenset({returns, yields})


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*given: object, **named: object) -> Any:
        return function(*given, **named)

    return wrapper


SHAPES: Final[dict[str, Callable[[Callable[..., Any], type], object]]] = {
    "function": lambda body, base: body,
    "object": lambda body, base: type("Derived", (base,), {"handler": body})(),
    "method": lambda body, base: type("Derived", (base,), {"handler": body})().handler,
    "object of another class": lambda body, base: type("Duck", (), {"handler": body})(),
    "callable object": lambda body, base: type("Called", (), {"__call__": body})(),
    "decorated function": lambda body, base: decorated(body),
    "partial": lambda body, base: functools.partial(body, 1),
}


class Taker(NamedTuple):
    """A server class, and what it takes."""

    server: Callable[..., Any]
    base: type[ABC]
    first: str
    """pynumaflow's name of the parameter for the handler."""

    parameters: str
    """What handlers are called with."""

    bodies: frozenset[Callable[..., Any]]
    """Which of ``BODIES``."""

    other: str = ""
    """The server for the other colour."""

    @property
    def name(self) -> str:
        return self.server.__name__

    @property
    def body(self) -> Callable[..., Any]:
        """One that it takes."""
        return next(body for body in BODIES if body in self.bodies)


def takers() -> Iterator[Taker]:
    """Three servers a kind: sync, async, worker processes."""
    for first, base, parameters, returned, servers in (
        ("mapper", Mapper, "keys, datum", returns_async, (MapServer, MapAsyncServer, MapMultiProcServer)),
        (
            "batch_mapper",
            BatchMapper,
            "datums",
            returns_async,
            (BatchMapServer, BatchMapAsyncServer, BatchMapMultiProcServer),
        ),
        (
            "map_stream",
            MapStreamer,
            "keys, datum",
            yields_async,
            (MapStreamServer, MapStreamAsyncServer, MapStreamMultiProcServer),
        ),
        ("sinker", Sinker, "datums", returns_async, (SinkServer, SinkAsyncServer, SinkMultiProcServer)),
        (
            "source_transform",
            SourceTransformer,
            "keys, datum",
            returns_async,
            (SourceTransformServer, SourceTransformAsyncServer, SourceTransformMultiProcServer),
        ),
    ):
        sync, coloured, multiproc = servers
        rest = (base, f"{first}_instance", parameters)
        yield Taker(sync, *rest, SYNC, coloured.__name__)
        yield Taker(coloured, *rest, frozenset({returned}), sync.__name__)
        yield Taker(multiproc, *rest, SYNC | {returned})


TAKERS: Final = tuple(takers())
ASYNC: Final = frozenset(taker.name for taker in TAKERS if not taker.bodies & SYNC)

every_server = pytest.mark.parametrize("taker", TAKERS, ids=lambda taker: taker.name)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@every_server
@every_shape
def test_handlers_of_the_right_colour(taker: Taker, shape: Callable[..., object]) -> None:
    for body in taker.bodies:
        taker.server(shape(body, taker.base))


def complaint(taker: Taker, body: Callable[..., Any]) -> str:
    """What a server says of a handler that it does not take."""
    if body is yields_async and yields_async not in taker.bodies and "Stream" not in taker.name:
        return f"{taker.name} takes a handler that returns its result; .* is an async generator"
    if body is returns_async and "Stream" in taker.name and taker.name != "MapStreamServer":
        return f"{taker.name} takes a handler that yields its results; .* write an async generator"
    if body in SYNC:
        return f"{taker.name} takes an async handler, .* write 'async def', or use {taker.other}"
    return f"{taker.name} takes a sync handler, .* is 'async def': write 'def', or use {taker.other}"


@every_server
@every_shape
def test_handlers_of_another_colour(taker: Taker, shape: Callable[..., object]) -> None:
    for body in set(BODIES) - taker.bodies:
        with pytest.raises(TypeError, match=complaint(taker, body)):
            taker.server(shape(body, taker.base))


def coloured(taker: Taker, handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler with its own parameters, in a colour that the server takes."""
    if taker.name not in ASYNC:
        return handler
    marked = functools.partial(taker.body)
    marked.__signature__ = inspect.signature(handler)  # type: ignore[attr-defined]
    return marked


FITTING: Final[dict[str, list[Callable[..., Any]]]] = {
    "datums": [lambda datums: 0, lambda datums, option=1: 0, lambda *given: 0, lambda *given, **named: 0],
    "keys, datum": [
        lambda keys, datum: 0,
        lambda k, d, option=1: 0,
        lambda keys, *rest: 0,
        lambda *given: 0,
        lambda *given, **named: 0,
    ],
}
NOT_FITTING: Final[dict[str, list[Callable[..., Any]]]] = {
    "datums": [lambda: 0, lambda keys, datum: 0, lambda *, datums: 0, lambda datums, *, option: 0],
    "keys, datum": [lambda: 0, lambda datum: 0, lambda keys, datum, more: 0, lambda keys, *, datum: 0],
}


@every_server
def test_parameters_that_fit(taker: Taker) -> None:
    for handler in FITTING[taker.parameters]:
        taker.server(coloured(taker, handler))


@every_server
@pytest.mark.parametrize("index", range(4))
def test_parameters_that_do_not_fit(taker: Taker, index: int) -> None:
    handler = NOT_FITTING[taker.parameters][index]
    with pytest.raises(
        TypeError, match=rf"{taker.name} calls its handler with \({taker.parameters}\); .* does not fit"
    ):
        taker.server(coloured(taker, handler))


@every_server
def test_class_in_place_of_an_instance(taker: Taker) -> None:
    things: list[type] = [taker.base, int, type("Own", (taker.base,), {"handler": taker.body})]
    for name, thing in ((thing.__name__, thing) for thing in things):
        with pytest.raises(TypeError, match=rf"takes an instance, got the class {name}: pass {name}\(\)"):
            taker.server(thing)


@every_server
@pytest.mark.parametrize("thing", [None, 1, "handler", object(), [returns]])
def test_something_else_in_place_of_a_handler(taker: Taker, thing: object) -> None:
    with pytest.raises(
        TypeError, match=f"takes a function, or an object with a handler method, got {type(thing).__name__}"
    ):
        taker.server(thing)


@pytest.mark.parametrize("base", sorted({taker.base for taker in TAKERS}, key=str))
def test_base_class_wants_its_handler(base: type[ABC]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (base,), {})()


WRONG: Final[list[tuple[str, Any, type[Exception], str]]] = [
    ("max_threads", 0, ValueError, "max_threads must be at least 1, got 0"),
    ("max_threads", 2.0, TypeError, "max_threads must be an int, got float"),
    ("max_message_size", -1, ValueError, "max_message_size must be at least 1"),
    ("max_message_size", "64MB", TypeError, "max_message_size must be an int, got str"),
    ("sock_path", 7, TypeError, "sock_path must be a path, got int"),
    ("server_info_file", b"x", TypeError, "server_info_file must be a path, got bytes"),
    ("sock_path", "", ValueError, "sock_path must be a path, got ''"),
    ("server_info_file", "a\0b", ValueError, "server_info_file must be a path"),
    ("tune_memory", "no", TypeError, "tune_memory must be True or False, got str: 'no'"),
    ("transport", "tcp", ValueError, "transport must be one of h2, grpcio, got 'tcp'"),
    ("grace_period", 0, ValueError, "grace_period must be more than 0"),
    ("grace_period", -1.5, ValueError, "grace_period must be more than 0"),
    ("grace_period", timedelta(0), ValueError, "grace_period must be more than 0"),
    (
        "grace_period",
        "25",
        TypeError,
        r"grace_period must be a timedelta, such as timedelta\(seconds=25\), or a number",
    ),
    ("max_concurrency", 0, ValueError, "max_concurrency must be at least 1"),
    ("server_count", 0, ValueError, "server_count must be at least 1"),
    ("server_count", "2", TypeError, "server_count must be an int"),
]


def heeds(taker: Taker, argument: str) -> bool:
    """Whether a server has the argument, and does something with it."""
    if argument == "max_threads":
        return taker.name not in ASYNC  # accepted for pynumaflow's sake
    return argument in inspect.signature(taker.server).parameters or argument in Settings.__annotations__


@pytest.mark.parametrize(
    ("taker", "argument", "value", "error", "message"),
    [
        pytest.param(taker, argument, *rest, id=f"{taker.name}-{argument}-{rest[0]}")
        for taker in TAKERS
        for argument, *rest in WRONG
        if heeds(taker, argument)
    ],
)
def test_other_arguments_are_checked(
    taker: Taker, argument: str, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        taker.server(taker.body, **{argument: value})


@every_server
def test_misspelt_argument(taker: Taker) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_thread'"):
        taker.server(taker.body, max_thread=2)


@every_server
def test_parameters_are_pynumaflows_in_its_order(taker: Taker) -> None:
    paths = ("/tmp/s", 1000, 2, "/tmp/i")
    if taker.other:
        more: tuple[Any, ...] = (lambda loop: None,) if taker.name in ASYNC else ()
        server = taker.server(taker.body, *paths, *more)
    else:
        server = taker.server(taker.body, 2, *paths)
        assert server.server_count == 2
    assert (server.sock_path, server.server_info_file) == ("/tmp/s", "/tmp/i")
    taker.server(**{taker.first: taker.body})


@pytest.mark.parametrize(
    ("prefix", "sock", "info"),
    [
        ("Map", "map.sock", "mapper-server-info"),
        ("BatchMap", "batchmap.sock", "mapper-server-info"),
        ("MapStream", "mapstream.sock", "mapper-server-info"),
        ("Sink", "sink.sock", "sinker-server-info"),
        ("SourceTransform", "sourcetransform.sock", "sourcetransformer-server-info"),
    ],
)
def test_paths_of_the_platform_are_the_defaults(prefix: str, sock: str, info: str) -> None:
    names = {f"{prefix}{kind}Server" for kind in ("", "Async", "MultiProc")}
    servers = [taker.server(taker.body) for taker in TAKERS if taker.name in names]
    assert len(servers) == 3
    assert {server.sock_path for server in servers} == {f"/var/run/numaflow/{sock}"}
    assert {server.server_info_file for server in servers} == {f"/var/run/numaflow/{info}"}


def test_multiproc_by_its_old_name() -> None:
    assert issubclass(MapMultiprocServer, MapMultiProcServer)
