"""Servers: what users start. A kind's classes bring a handler and a ``Kind``; everything else is here."""

from ._servers import AsyncServer, MultiProcServer, Server, SyncServer
from ._types import HandlerRule, Hook, PerKey, PushObject, Settings, ShutdownCallback, Transport

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
