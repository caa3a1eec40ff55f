"""What a kind's module needs to name at import; light, because importing a kind is to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

Transport = Literal["h2", "grpcio"]
"""Names of the transports."""

Hook = Callable[[], Awaitable[None] | None]
"""Called without arguments; what it returns is awaited if it can be."""

ShutdownCallback = Callable[["AbstractEventLoop"], None] | Callable[["AbstractEventLoop"], Awaitable[None]]
"""Called with the event loop after it has stopped; an ``async def`` is run on it."""


class Settings(TypedDict):
    """The constructor arguments that all server types share, as users give them."""

    sock_path: str
    server_info_file: str
    max_message_size: int
    transport: Transport | None
    grace_period: float | None
    on_startup: Hook | None
    on_shutdown: Hook | None


class HandlerRule(NamedTuple):
    """What a server class expects of its handler."""

    server: str
    """The class's name, for messages."""

    base: type
    """Base of handlers that are classes; their ``handler`` method is called."""

    parameters: tuple[str, ...]
    """Names of the positional arguments that a handler gets."""

    wants_async: bool | None
    """Whether it must be ``async def``; ``None`` where both will do."""

    instead: str = ""
    """The class that takes the other colour."""
