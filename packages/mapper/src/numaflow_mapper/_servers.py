"""The map servers: unary, batch and stream, which the platform tells apart by the server-info file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, ShutdownCallback, SyncServer

from ._batch import BatchMapper
from ._datatypes import Mapper
from ._stream import MapStreamer
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._batch import BatchMapAsyncHandler, BatchMapAsyncHandlerObject, BatchMapHandler, BatchMapHandlerObject
    from ._datatypes import MapAsyncHandler, MapAsyncHandlerObject, MapHandler, MapHandlerObject
    from ._stream import MapStreamAsyncHandler, MapStreamAsyncHandlerObject, MapStreamHandler, MapStreamHandlerObject


def _load_unary() -> RpcSpec:
    from ._codec import UNARY

    return UNARY


def _load_batch() -> RpcSpec:
    from ._batch_codec import BATCH

    return BATCH


def _load_stream() -> RpcSpec:
    from ._stream_codec import STREAM

    return STREAM


def _kind(name: str, socket_name: str, mode: str, load: Callable[[], RpcSpec]) -> Kind:
    return Kind(
        name=name,
        distribution="numaflow-mapper",
        version=__version__,
        package_root=os.path.dirname(__file__),
        service="map.v1.Map",
        socket_name=socket_name,
        info_name="mapper-server-info",
        info_metadata={"MAP_MODE": mode},
        methods=(Method("MapFn", load),),
    )


KIND: Final = _kind("map", "map.sock", "unary-map", _load_unary)
BATCH_KIND: Final = _kind("batch map", "batchmap.sock", "batch-map", _load_batch)
STREAM_KIND: Final = _kind("map stream", "mapstream.sock", "stream-map", _load_stream)

MAP_SOCK_PATH: Final = KIND.sock_path
BATCH_MAP_SOCK_PATH: Final = BATCH_KIND.sock_path
MAP_STREAM_SOCK_PATH: Final = STREAM_KIND.sock_path
MAP_SERVER_INFO_FILE_PATH: Final = KIND.info_path

_MESSAGE: Final = ("keys", "datum")
_BATCH: Final = ("datums",)
"""What handlers are called with."""


class MapServer(SyncServer):
    """Maps messages with a sync handler on threads: for handlers that wait in blocking calls, or do little."""

    _kind = KIND
    _rule = HandlerRule("MapServer", Mapper, _MESSAGE, False, "MapAsyncServer")

    def __init__(
        self,
        mapper_instance: MapHandler | MapHandlerObject,
        sock_path: str = MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``mapper_instance`` is the handler; the other arguments are those of ``SyncServer``."""
        super().__init__(mapper_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class MapAsyncServer(AsyncServer):
    """Maps messages with an async handler on the main thread's event loop: for handlers that await."""

    _kind = KIND
    _rule = HandlerRule("MapAsyncServer", Mapper, _MESSAGE, True, "MapServer")

    def __init__(
        self,
        mapper_instance: MapAsyncHandler | MapAsyncHandlerObject,
        sock_path: str = MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``mapper_instance`` is the handler; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            mapper_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class MapMultiProcServer(MultiProcServer):
    """Maps messages with a handler, sync or async, in worker processes: for CPU-bound handlers."""

    _kind = KIND
    _rule = HandlerRule("MapMultiProcServer", Mapper, _MESSAGE, None)

    def __init__(
        self,
        mapper_instance: MapHandler | MapHandlerObject | MapAsyncHandler | MapAsyncHandlerObject,
        server_count: int | None = None,
        sock_path: str = MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``mapper_instance`` is the handler; the other arguments are those of ``MultiProcServer``."""
        super().__init__(
            mapper_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )


MapMultiprocServer = MapMultiProcServer
"""pynumaflow's spelling."""


class BatchMapServer(SyncServer):
    """Maps batches of messages with a sync handler on threads."""

    _kind = BATCH_KIND
    _rule = HandlerRule("BatchMapServer", BatchMapper, _BATCH, False, "BatchMapAsyncServer")

    def __init__(
        self,
        batch_mapper_instance: BatchMapHandler | BatchMapHandlerObject,
        sock_path: str = BATCH_MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``batch_mapper_instance`` is the handler; the other arguments are those of ``SyncServer``."""
        super().__init__(batch_mapper_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class BatchMapAsyncServer(AsyncServer):
    """Maps batches of messages with an async handler on the main thread's event loop."""

    _kind = BATCH_KIND
    _rule = HandlerRule("BatchMapAsyncServer", BatchMapper, _BATCH, True, "BatchMapServer")

    def __init__(
        self,
        batch_mapper_instance: BatchMapAsyncHandler | BatchMapAsyncHandlerObject,
        sock_path: str = BATCH_MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``batch_mapper_instance`` is the handler; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            batch_mapper_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class BatchMapMultiProcServer(MultiProcServer):
    """Maps batches of messages in worker processes: each batch is divided between them, and each worker's
    handler gets a batch of its own."""

    _kind = BATCH_KIND
    _rule = HandlerRule("BatchMapMultiProcServer", BatchMapper, _BATCH, None)

    def __init__(
        self,
        batch_mapper_instance: BatchMapHandler
        | BatchMapHandlerObject
        | BatchMapAsyncHandler
        | BatchMapAsyncHandlerObject,
        server_count: int | None = None,
        sock_path: str = BATCH_MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``batch_mapper_instance`` is the handler; the other arguments are those of ``MultiProcServer``."""
        super().__init__(
            batch_mapper_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )


class MapStreamServer(SyncServer):
    """Maps messages with a sync generator on threads: each result is forwarded as it is yielded."""

    _kind = STREAM_KIND
    _rule = HandlerRule("MapStreamServer", MapStreamer, _MESSAGE, False, "MapStreamAsyncServer", generates=True)

    def __init__(
        self,
        map_stream_instance: MapStreamHandler | MapStreamHandlerObject,
        sock_path: str = MAP_STREAM_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``map_stream_instance`` is the handler; the other arguments are those of ``SyncServer``."""
        super().__init__(map_stream_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class MapStreamAsyncServer(AsyncServer):
    """Maps messages with an async generator on the main thread's event loop: each result is forwarded when it is
    yielded."""

    _kind = STREAM_KIND
    _rule = HandlerRule("MapStreamAsyncServer", MapStreamer, _MESSAGE, True, "MapStreamServer", generates=True)

    def __init__(
        self,
        map_stream_instance: MapStreamAsyncHandler | MapStreamAsyncHandlerObject,
        sock_path: str = MAP_STREAM_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``map_stream_instance`` is the handler; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            map_stream_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class MapStreamMultiProcServer(MultiProcServer):
    """Maps messages with a generator, sync or async, in worker processes: each result is forwarded as it is yielded."""

    _kind = STREAM_KIND
    _rule = HandlerRule("MapStreamMultiProcServer", MapStreamer, _MESSAGE, None, generates=True)

    def __init__(
        self,
        map_stream_instance: MapStreamHandler
        | MapStreamHandlerObject
        | MapStreamAsyncHandler
        | MapStreamAsyncHandlerObject,
        server_count: int | None = None,
        sock_path: str = MAP_STREAM_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``map_stream_instance`` is the handler; the other arguments are those of ``MultiProcServer``."""
        super().__init__(
            map_stream_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )
