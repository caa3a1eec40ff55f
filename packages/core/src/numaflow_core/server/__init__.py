"""Servers: what users start. A kind's classes bring a handler and a ``Kind``; everything else is here."""

from ._servers import AsyncServer, MultiProcServer, Server, SyncServer
from ._types import HandlerRule, Hook, ShutdownCallback, Transport

__all__ = [
    "AsyncServer",
    "HandlerRule",
    "Hook",
    "MultiProcServer",
    "Server",
    "ShutdownCallback",
    "SyncServer",
    "Transport",
]
