"""The source transform servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, ShutdownCallback, SyncServer

from ._datatypes import SourceTransformer
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import (
        SourceTransformAsyncHandler,
        SourceTransformAsyncHandlerObject,
        SourceTransformHandler,
        SourceTransformHandlerObject,
    )


def _load() -> RpcSpec:
    from ._codec import TRANSFORM

    return TRANSFORM


KIND: Final = Kind(
    name="source transform",
    distribution="numaflow-sourcetransformer",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="sourcetransformer.v1.SourceTransform",
    socket_name="sourcetransform.sock",
    info_name="sourcetransformer-server-info",
    methods=(Method("SourceTransformFn", _load),),
)

SOURCE_TRANSFORMER_SOCK_PATH: Final = KIND.sock_path
SOURCE_TRANSFORMER_SERVER_INFO_FILE_PATH: Final = KIND.info_path

_PARAMETERS: Final = ("keys", "datum")


class SourceTransformServer(SyncServer):
    """Transforms messages with a sync handler on threads: for handlers that wait in blocking calls, or do little."""

    _kind = KIND
    _rule = HandlerRule("SourceTransformServer", SourceTransformer, _PARAMETERS, False, "SourceTransformAsyncServer")

    def __init__(
        self,
        source_transform_instance: SourceTransformHandler | SourceTransformHandlerObject,
        sock_path: str = SOURCE_TRANSFORMER_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SOURCE_TRANSFORMER_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``source_transform_instance`` is the handler; the other arguments are those of ``SyncServer``."""
        super().__init__(
            source_transform_instance, sock_path, max_message_size, max_threads, server_info_file, **settings
        )


class SourceTransformAsyncServer(AsyncServer):
    """Transforms messages with an async handler on the main thread's event loop: for handlers that await."""

    _kind = KIND
    _rule = HandlerRule("SourceTransformAsyncServer", SourceTransformer, _PARAMETERS, True, "SourceTransformServer")

    def __init__(
        self,
        source_transform_instance: SourceTransformAsyncHandler | SourceTransformAsyncHandlerObject,
        sock_path: str = SOURCE_TRANSFORMER_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SOURCE_TRANSFORMER_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``source_transform_instance`` is the handler; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            source_transform_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class SourceTransformMultiProcServer(MultiProcServer):
    """Transforms messages with a handler, sync or async, in worker processes: for CPU-bound handlers."""

    _kind = KIND
    _rule = HandlerRule("SourceTransformMultiProcServer", SourceTransformer, _PARAMETERS, None)

    def __init__(
        self,
        source_transform_instance: SourceTransformHandler
        | SourceTransformHandlerObject
        | SourceTransformAsyncHandler
        | SourceTransformAsyncHandlerObject,
        server_count: int | None = None,
        sock_path: str = SOURCE_TRANSFORMER_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SOURCE_TRANSFORMER_SERVER_INFO_FILE_PATH,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``source_transform_instance`` is the handler; the other arguments are those of ``MultiProcServer``."""
        super().__init__(
            source_transform_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )
