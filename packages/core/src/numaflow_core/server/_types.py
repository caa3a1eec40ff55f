"""What a kind's module needs to name at import; light, because importing a kind is to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

Transport = Literal["h2", "grpcio"]
"""Names of the transports."""

Hook = Callable[[], Awaitable[None] | None]
"""Called without arguments; what it returns is awaited if it can be."""

ShutdownCallback = Callable[["AbstractEventLoop"], None] | Callable[["AbstractEventLoop"], Awaitable[None]]
"""Called with the event loop after it has stopped; an ``async def`` is run on it."""


class Settings(TypedDict, total=False):
    """The keyword-only constructor arguments that all server types share."""

    transport: Transport | None
    """``"h2"`` or ``"grpcio"``; default: the environment's ``NUMAFLOW_TRANSPORT``, or ``"h2"``."""

    grace_period: timedelta | float | None
    """Time for answering what has been accepted when the server is stopped. A plain number is seconds. Default: the
    environment's ``NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS``, or 25 seconds."""

    on_startup: Hook | None
    """Called before the socket listens, and awaited if it can be; an exception ends the process with status 1. On the
    event loop of async handlers; in each worker of a multiprocess server."""

    on_shutdown: Hook | None
    """Called when everything is answered, likewise."""

    tune_memory: bool | None
    """Whether ``start()`` sets up the allocator and the garbage collector for messages; default: the environment's
    ``NUMAFLOW_TUNE_MEMORY`` (0 or 1), or yes."""


class HandlerRule(NamedTuple):
    """What a server class expects of its handler."""

    server: str
    """The class's name, for messages."""

    base: type
    """Base of handlers that are classes; their method ``method`` is called."""

    parameters: tuple[str, ...]
    """Names of the positional arguments that a handler gets."""

    wants_async: bool | None
    """Whether it must be ``async def``; ``None`` where both will do."""

    instead: str = ""
    """The class that takes async handlers where this one takes sync ones, and the other way round."""

    generates: bool | None = False
    """Whether an async handler is an async generator: one that yields its results; ``None`` where both will do."""

    attribute: str = "handler"
    """The method of an object that is called."""

    functions: bool = True
    """Whether a function will do in place of an object."""

    with_output: tuple[str, ...] = ()
    """Names of the arguments of an async handler that puts its results into an ``output`` and returns nothing, where
    there may be such."""

    push: type[PushObject] | None = None
    """Where handlers are made per key: base of the sync ones that messages are pushed to."""

    collects: bool = True
    """Whether a sync function may take their place, which is called with all messages of a key at the end."""

    method: str = "handler"
    """What the method of async handlers that are classes is called."""

    state: tuple[str, ...] = ()
    """Names of the methods with which a handler gives its state away and takes another's. Where there are such, an
    async handler has to be a class, and what is called for a key makes an object of it."""


class PushObject:
    """Base of the classes that sync handlers of keyed kinds derive from: an object for each key that is open."""

    __slots__ = ()

    _told: tuple[str, ...]
    """Names of the attributes that the server sets before the constructor runs: what a function would be called with,
    but for the messages."""


class PerKey(NamedTuple):
    """A handler of a keyed kind, as the user gave it: a function, or a class to be made anew for each open key."""

    handler: object
    args: tuple[object, ...]
    kwargs: Mapping[str, object] | None
    """What the class is made with."""
