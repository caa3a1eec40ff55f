"""The sink servers. One class serves all roles; the container says which."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, ShutdownCallback, SyncServer

from ._datatypes import Sinker
from ._roles import FALLBACK, ON_SUCCESS, PRIMARY, Role, role_of_container
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import SinkAsyncHandler, SinkAsyncHandlerObject, SinkHandler, SinkHandlerObject

_PARAMETERS: Final = ("datums",)


def _load(role: Role) -> RpcSpec:
    from ._codec import spec

    return spec(role)


def _kind(role: Role) -> Kind:
    return Kind(
        name=role.name,
        distribution="numaflow-sinker",
        version=__version__,
        package_root=os.path.dirname(__file__),
        service="sink.v1.Sink",
        socket_name=role.socket_name,
        info_name=role.info_name,
        methods=(Method("SinkFn", partial(_load, role)),),
    )


KIND: Final = _kind(PRIMARY)
SINK_SOCK_PATH: Final = KIND.sock_path
SINK_SERVER_INFO_FILE_PATH: Final = KIND.info_path
FALLBACK_SINK_SOCK_PATH: Final = _kind(FALLBACK).sock_path
FALLBACK_SINK_SERVER_INFO_FILE_PATH: Final = _kind(FALLBACK).info_path
ON_SUCCESS_SINK_SOCK_PATH: Final = _kind(ON_SUCCESS).sock_path
ON_SUCCESS_SINK_SERVER_INFO_FILE_PATH: Final = _kind(ON_SUCCESS).info_path


class SinkServer(SyncServer):
    """Writes batches of messages with a sync handler on threads: for handlers that wait in blocking calls."""

    _rule = HandlerRule("SinkServer", Sinker, _PARAMETERS, False, "SinkAsyncServer")

    def __init__(
        self,
        sinker_instance: SinkHandler | SinkHandlerObject,
        sock_path: str | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``sinker_instance`` is the handler; the other arguments are those of ``SyncServer``."""
        self._kind = _kind(role_of_container())
        super().__init__(sinker_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class SinkAsyncServer(AsyncServer):
    """Writes batches of messages with an async handler on the main thread's event loop: for handlers that await."""

    _rule = HandlerRule("SinkAsyncServer", Sinker, _PARAMETERS, True, "SinkServer")

    def __init__(
        self,
        sinker_instance: SinkAsyncHandler | SinkAsyncHandlerObject,
        sock_path: str | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str | None = None,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``sinker_instance`` is the handler; the other arguments are those of ``AsyncServer``."""
        self._kind = _kind(role_of_container())
        super().__init__(
            sinker_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class SinkMultiProcServer(MultiProcServer):
    """Writes batches of messages in worker processes: each batch is divided between them, and each worker's
    handler gets a batch of its own."""

    _rule = HandlerRule("SinkMultiProcServer", Sinker, _PARAMETERS, None)

    def __init__(
        self,
        sinker_instance: SinkHandler | SinkHandlerObject | SinkAsyncHandler | SinkAsyncHandlerObject,
        server_count: int | None = None,
        sock_path: str | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``sinker_instance`` is the handler; the other arguments are those of ``MultiProcServer``."""
        self._kind = _kind(role_of_container())
        super().__init__(
            sinker_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )
