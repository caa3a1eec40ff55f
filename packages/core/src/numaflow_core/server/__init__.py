"""Servers: what users start. A kind's classes bring a handler and a ``Kind``; everything else is here."""

from ._handlers import HandlerRule
from ._options import (
    Hook,
    Options,
    ShutdownCallback,
    Transport,
    concurrency_or_default,
    make_options,
    threads_or_default,
)
from ._servers import AsyncServer, MultiProcServer, Server, SyncServer

__all__ = [
    "AsyncServer",
    "HandlerRule",
    "Hook",
    "MultiProcServer",
    "Options",
    "Server",
    "ShutdownCallback",
    "SyncServer",
    "Transport",
    "concurrency_or_default",
    "make_options",
    "threads_or_default",
]
