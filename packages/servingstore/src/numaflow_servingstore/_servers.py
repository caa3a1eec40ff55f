"""The serving store servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, ShutdownCallback, SyncServer

from ._datatypes import ServingStore
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import ServingStoreAsyncObject, ServingStoreObject


def _load_put() -> RpcSpec:
    from ._codec import PUT

    return PUT


def _load_get() -> RpcSpec:
    from ._codec import GET

    return GET


KIND: Final = Kind(
    name="serving store",
    distribution="numaflow-servingstore",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="serving.v1.ServingStore",
    socket_name="serving.sock",
    info_name="serving-server-info",
    methods=(Method("Put", _load_put), Method("Get", _load_get)),
    minimum_numaflow_version="1.5.0-z",
)
SERVING_STORE_SOCK_PATH: Final = KIND.sock_path
SERVING_STORE_SERVER_INFO_FILE_PATH: Final = KIND.info_path


def _rule(server: str, wants_async: bool | None, instead: str = "") -> HandlerRule:
    return HandlerRule(server, ServingStore, ("id", "payloads"), wants_async, instead, attribute="put", functions=False)


def _get_rule(put: HandlerRule) -> dict[str, HandlerRule]:
    return {"Get": put._replace(attribute="get", parameters=("id",))}


class ServingStoreServer(SyncServer):
    """Serves a store whose methods are sync, on threads: ``max_threads`` for each of the two."""

    _kind = KIND
    _rule = _rule("ServingStoreServer", False, "ServingStoreAsyncServer")
    _other_rules = _get_rule(_rule)

    def __init__(
        self,
        serving_store_instance: ServingStoreObject,
        sock_path: str = SERVING_STORE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SERVING_STORE_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``serving_store_instance`` is the store; the other arguments are those of ``SyncServer``."""
        super().__init__(serving_store_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class ServingStoreAsyncServer(AsyncServer):
    """Serves a store whose methods are async, on the main thread's event loop: ``max_concurrency`` calls at once of
    each of the two."""

    _kind = KIND
    _rule = _rule("ServingStoreAsyncServer", True, "ServingStoreServer")
    _other_rules = _get_rule(_rule)

    def __init__(
        self,
        serving_store_instance: ServingStoreAsyncObject,
        sock_path: str = SERVING_STORE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SERVING_STORE_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``serving_store_instance`` is the store; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            serving_store_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class ServingStoreMultiProcServer(MultiProcServer):
    """Serves a store in worker processes, for CPU-bound stores. Each worker has a copy of the store object: one worker
    gets what another has put, so it has to be kept outside of the object. Connections and files that the object opens
    should be opened after the fork (``on_startup`` runs in each worker)."""

    _kind = KIND
    _rule = _rule("ServingStoreMultiProcServer", None)
    _other_rules = _get_rule(_rule)

    def __init__(
        self,
        serving_store_instance: ServingStoreObject | ServingStoreAsyncObject,
        server_count: int | None = None,
        sock_path: str = SERVING_STORE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SERVING_STORE_SERVER_INFO_FILE_PATH,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``serving_store_instance`` is the store, whose methods are both sync or both async; the other arguments are
        those of ``MultiProcServer``."""
        super().__init__(
            serving_store_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )
