"""The session reduce servers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, PerKey, ShutdownCallback, SyncServer

from ._datatypes import SessionReducer, SyncSessionReducer
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import SessionReduceHandler, SessionReduceHandlerObject


def _load() -> RpcSpec:
    from ._codec import SPEC

    return SPEC


KIND: Final = Kind(
    name="session reduce",
    distribution="numaflow-sessionreducer",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="sessionreduce.v1.SessionReduce",
    socket_name="sessionreduce.sock",
    info_name="sessionreducer-server-info",
    methods=(Method("SessionReduceFn", _load),),
)
SESSION_REDUCE_SOCK_PATH: Final = KIND.sock_path
SESSION_REDUCE_SERVER_INFO_FILE_PATH: Final = KIND.info_path


def _handler_rule(server: str, wants_async: bool | None, instead: str = "") -> HandlerRule:
    return HandlerRule(
        server,
        SessionReducer,
        ("keys", "datums"),
        wants_async,
        instead,
        generates=True,
        push=SyncSessionReducer,
        method="session_reduce",
        state=("accumulator", "merge_accumulator"),
    )


class SessionReduceServer(SyncServer):
    """Reduces sessions with sync handlers on threads: a ``SyncSessionReducer``, whose ``add`` is called with each
    datum, or a function that is called with all datums of a session when it closes."""

    _kind = KIND
    _rule = _handler_rule("SessionReduceServer", False, "SessionReduceAsyncServer")

    def __init__(
        self,
        session_reducer_instance: type[SyncSessionReducer] | SessionReduceHandler | SessionReduceHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = SESSION_REDUCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SESSION_REDUCE_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``session_reducer_instance`` is the handler: a class, of which an instance is made for each session with
        ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``SyncServer``."""
        handler = PerKey(session_reducer_instance, init_args, init_kwargs)
        super().__init__(handler, sock_path, max_message_size, max_threads, server_info_file, **settings)


class SessionReduceAsyncServer(AsyncServer):
    """Reduces sessions with a ``SessionReducer`` on the main thread's event loop, one call for each session that is
    open."""

    _kind = KIND
    _rule = _handler_rule("SessionReduceAsyncServer", True, "SessionReduceServer")

    def __init__(
        self,
        session_reducer_instance: type[SessionReducer],
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = SESSION_REDUCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SESSION_REDUCE_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``session_reducer_instance`` is the handler: a class, of which an instance is made for each session with
        ``init_args`` and ``init_kwargs``. The other arguments are those of ``AsyncServer``; there is no
        ``max_concurrency``, because every open session has its call."""
        super().__init__(
            PerKey(session_reducer_instance, init_args, init_kwargs),
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            **settings,
        )


class SessionReduceMultiProcServer(MultiProcServer):
    """Reduces sessions in worker processes, with sync or async handlers. All sessions of a key are in the same
    worker, so that they can be merged and their datums stay in order."""

    _kind = KIND
    _rule = _handler_rule("SessionReduceMultiProcServer", None)

    def __init__(
        self,
        session_reducer_instance: type[SyncSessionReducer]
        | type[SessionReducer]
        | SessionReduceHandler
        | SessionReduceHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        server_count: int | None = None,
        sock_path: str = SESSION_REDUCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SESSION_REDUCE_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``session_reducer_instance`` is the handler: a class, of which an instance is made for each session with
        ``init_args`` and ``init_kwargs``, or a sync function. The other arguments are those of ``MultiProcServer``."""
        super().__init__(
            PerKey(session_reducer_instance, init_args, init_kwargs),
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            **settings,
        )
