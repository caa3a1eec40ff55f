"""The reduce and the reduce stream servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, PerKey, ShutdownCallback, SyncServer

from ._datatypes import Reducer, SyncReducer
from ._stream import ReduceStreamer, SyncReduceStreamer
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import (
        ReduceAsyncHandler,
        ReduceAsyncHandlerObject,
        ReduceHandler,
        ReduceHandlerObject,
    )
    from ._stream import (
        ReduceStreamAsyncHandler,
        ReduceStreamAsyncHandlerObject,
        ReduceStreamHandler,
        ReduceStreamHandlerObject,
        ReduceStreamOutputHandler,
    )

_PARAMETERS: Final = ("keys", "datums", "md")
_WITH_OUTPUT: Final = ("keys", "datums", "output", "md")


def _load_reduce() -> RpcSpec:
    from ._codec import REDUCE

    return REDUCE


def _load_reduce_stream() -> RpcSpec:
    from ._codec import REDUCE_STREAM

    return REDUCE_STREAM


def _kind(name: str, load: Callable[[], RpcSpec], socket_name: str, info_name: str) -> Kind:
    return Kind(
        name=name,
        distribution="numaflow-reducer",
        version=__version__,
        package_root=os.path.dirname(__file__),
        service="reduce.v1.Reduce",
        socket_name=socket_name,
        info_name=info_name,
        methods=(Method("ReduceFn", load),),
    )


KIND: Final = _kind("reduce", _load_reduce, "reduce.sock", "reducer-server-info")
STREAM_KIND: Final = _kind("reduce stream", _load_reduce_stream, "reducestream.sock", "reducestreamer-server-info")
REDUCE_SOCK_PATH: Final = KIND.sock_path
REDUCE_SERVER_INFO_FILE_PATH: Final = KIND.info_path
REDUCE_STREAM_SOCK_PATH: Final = STREAM_KIND.sock_path
REDUCE_STREAM_SERVER_INFO_FILE_PATH: Final = STREAM_KIND.info_path


class ReduceServer(SyncServer):
    """Reduces windows with sync handlers on threads: a ``SyncReducer``, whose ``add`` is called with each datum, or a
    function that is called with all datums of a key and window when the window closes."""

    _kind = KIND
    _rule = HandlerRule("ReduceServer", Reducer, _PARAMETERS, False, "ReduceAsyncServer", push=SyncReducer)

    def __init__(
        self,
        reducer_instance: type[SyncReducer] | type[Reducer] | ReduceHandler | ReduceHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = REDUCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = REDUCE_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``reducer_instance`` is the handler: a class, of which an instance is made for each key and window
        with ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``SyncServer``."""
        handler = PerKey(reducer_instance, init_args, init_kwargs)
        super().__init__(handler, sock_path, max_message_size, max_threads, server_info_file, **settings)


class ReduceAsyncServer(AsyncServer):
    """Reduces windows with async handlers on the main thread's event loop, one call for each key and window that is
    open."""

    _kind = KIND
    _rule = HandlerRule("ReduceAsyncServer", Reducer, _PARAMETERS, True, "ReduceServer", push=SyncReducer)

    def __init__(
        self,
        reducer_instance: type[Reducer] | ReduceAsyncHandler | ReduceAsyncHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = REDUCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = REDUCE_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``reducer_instance`` is the handler: a class, of which an instance is made for each key and window
        with ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``AsyncServer``; there
        is no ``max_concurrency``, because every open key has its call."""
        super().__init__(
            PerKey(reducer_instance, init_args, init_kwargs),
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            **settings,
        )


class ReduceMultiProcServer(MultiProcServer):
    """Reduces windows in worker processes, with sync or async handlers. All windows of a key are in the same
    worker, so that its datums stay in order."""

    _kind = KIND
    _rule = HandlerRule("ReduceMultiProcServer", Reducer, _PARAMETERS, None, push=SyncReducer)

    def __init__(
        self,
        reducer_instance: type[SyncReducer]
        | type[Reducer]
        | ReduceHandler
        | ReduceHandlerObject
        | type[Reducer]
        | ReduceAsyncHandler
        | ReduceAsyncHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        server_count: int | None = None,
        sock_path: str = REDUCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = REDUCE_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``reducer_instance`` is the handler: a class, of which an instance is made for each key and window
        with ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``MultiProcServer``."""
        super().__init__(
            PerKey(reducer_instance, init_args, init_kwargs),
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            **settings,
        )


class ReduceStreamServer(SyncServer):
    """As ``ReduceServer``, for vertices with ``streaming: true``: a ``SyncReduceStreamer`` may make results with every
    datum, and each result is forwarded as it is made."""

    _kind = STREAM_KIND
    _rule = HandlerRule(
        "ReduceStreamServer",
        ReduceStreamer,
        _PARAMETERS,
        False,
        "ReduceStreamAsyncServer",
        generates=True,
        push=SyncReduceStreamer,
    )

    def __init__(
        self,
        reduce_stream_instance: type[SyncReduceStreamer]
        | type[ReduceStreamer]
        | ReduceStreamHandler
        | ReduceStreamHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = REDUCE_STREAM_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = REDUCE_STREAM_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``reduce_stream_instance`` is the handler: a class, of which an instance is made for each key and window
        with ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``SyncServer``."""
        handler = PerKey(reduce_stream_instance, init_args, init_kwargs)
        super().__init__(handler, sock_path, max_message_size, max_threads, server_info_file, **settings)


class ReduceStreamAsyncServer(AsyncServer):
    """As ``ReduceAsyncServer``, for vertices with ``streaming: true``: each result is forwarded as it is made."""

    _kind = STREAM_KIND
    _rule = HandlerRule(
        "ReduceStreamAsyncServer",
        ReduceStreamer,
        _PARAMETERS,
        True,
        "ReduceStreamServer",
        generates=True,
        with_output=_WITH_OUTPUT,
        push=SyncReduceStreamer,
    )

    def __init__(
        self,
        reduce_stream_instance: type[ReduceStreamer]
        | ReduceStreamAsyncHandler
        | ReduceStreamOutputHandler
        | ReduceStreamAsyncHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = REDUCE_STREAM_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = REDUCE_STREAM_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``reduce_stream_instance`` is the handler: a class, of which an instance is made for each key and window
        with ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``AsyncServer``; there
        is no ``max_concurrency``, because every open key has its call."""
        super().__init__(
            PerKey(reduce_stream_instance, init_args, init_kwargs),
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            **settings,
        )


class ReduceStreamMultiProcServer(MultiProcServer):
    """As ``ReduceMultiProcServer``, for vertices with ``streaming: true``: each result is forwarded as it is made."""

    _kind = STREAM_KIND
    _rule = HandlerRule(
        "ReduceStreamMultiProcServer",
        ReduceStreamer,
        _PARAMETERS,
        None,
        generates=True,
        with_output=_WITH_OUTPUT,
        push=SyncReduceStreamer,
    )

    def __init__(
        self,
        reduce_stream_instance: type[SyncReduceStreamer]
        | type[ReduceStreamer]
        | ReduceStreamHandler
        | ReduceStreamHandlerObject
        | type[ReduceStreamer]
        | ReduceStreamAsyncHandler
        | ReduceStreamOutputHandler
        | ReduceStreamAsyncHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        server_count: int | None = None,
        sock_path: str = REDUCE_STREAM_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = REDUCE_STREAM_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``reduce_stream_instance`` is the handler: a class, of which an instance is made for each key and window
        with ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``MultiProcServer``."""
        super().__init__(
            PerKey(reduce_stream_instance, init_args, init_kwargs),
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            **settings,
        )
