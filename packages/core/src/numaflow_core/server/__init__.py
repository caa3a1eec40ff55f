"""Servers: what users start. A kind's classes bring a handler and a ``Kind``; everything else is here."""

from typing import TYPE_CHECKING

from ._servers import AsyncServer, MultiProcServer, Server, SyncServer
from ._types import HandlerRule, Hook, PerKey, PushObject, Settings, ShutdownCallback, Transport

if TYPE_CHECKING:  # at run time it would bring asyncio along
    from ._runtime import Runtime as Runtime

__all__ = [
    "AsyncServer",
    "HandlerRule",
    "Hook",
    "MultiProcServer",
    "PerKey",
    "PushObject",
    "Server",
    "Settings",
    "ShutdownCallback",
    "SyncServer",
    "Transport",
]
