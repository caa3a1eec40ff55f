"""The map servers."""

import os
from typing import Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Calls, Kind
from numaflow_core.server import (
    AsyncServer,
    HandlerRule,
    Hook,
    MultiProcServer,
    ShutdownCallback,
    SyncServer,
    Transport,
)

from ._datatypes import MapAsyncHandler, MapAsyncHandlerObject, MapHandler, MapHandlerObject, Mapper
from ._version import __version__


def _load_unary() -> Calls:
    from ._codec import UNARY

    return UNARY


KIND: Final = Kind(
    name="map",
    distribution="numaflow-mapper",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="map.v1.Map",
    method="MapFn",
    socket_name="map.sock",
    info_name="mapper-server-info",
    info_metadata={"MAP_MODE": "unary-map"},
    load_calls=_load_unary,
)

MAP_SOCK_PATH: Final = KIND.sock_path
MAP_SERVER_INFO_FILE_PATH: Final = KIND.info_path

_PARAMETERS: Final = ("keys", "datum")


class MapServer(SyncServer):
    """Maps messages with a sync handler on threads: for handlers that wait in blocking calls, or do little."""

    _kind = KIND
    _rule = HandlerRule("MapServer", Mapper, _PARAMETERS, False, "MapAsyncServer")

    def __init__(
        self,
        mapper_instance: MapHandler | MapHandlerObject,
        sock_path: str = MAP_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = MAP_SERVER_INFO_FILE_PATH,
        *,
        transport: Transport | None = None,
        grace_period: float | None = None,
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        """
        Args:
            mapper_instance: the handler, called with ``(keys, datum)``.
            sock_path: the unix socket; the platform connects to the default.
            max_message_size: bytes, in either direction.
            max_threads: how many messages are handled at once; default: the environment's ``MAX_THREADS``, or 4.
            server_info_file: the file that describes the server; the platform reads the default.
            transport: ``"h2"`` or ``"grpcio"``; default: the environment's ``NUMAFLOW_TRANSPORT``, or ``"h2"``.
            grace_period: seconds for answering what has been accepted when the server is stopped; default: the
                environment's ``NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS``, or 25.
            on_startup: called before the socket listens; an exception ends the process with status 1.
            on_shutdown: called when everything is answered.

        Raises:
            TypeError: the handler, or another argument, is not of the expected kind.
            ValueError: an argument, or an environment variable, is out of its range.
        """
        super().__init__(
            mapper_instance,
            max_threads,
            sock_path=sock_path,
            server_info_file=server_info_file,
            max_message_size=max_message_size,
            transport=transport,
            grace_period=grace_period,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
        )


class MapAsyncServer(AsyncServer):
    """Maps messages with an async handler on the main thread's event loop: for handlers that await."""

    _kind = KIND
    _rule = HandlerRule("MapAsyncServer", Mapper, _PARAMETERS, True, "MapServer")

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
        transport: Transport | None = None,
        grace_period: float | None = None,
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        """
        Args:
            mapper_instance: the handler, called with ``(keys, datum)``.
            sock_path: the unix socket; the platform connects to the default.
            max_message_size: bytes, in either direction.
            max_threads: accepted for pynumaflow's sake; an async handler has one thread.
            server_info_file: the file that describes the server; the platform reads the default.
            shutdown_callback: called once with the event loop after ``start()`` has stopped it.
            max_concurrency: how many messages are handled at once; default: the environment's ``MAX_CONCURRENCY``,
                or 1000.
            transport: as in ``MapServer``.
            grace_period: as in ``MapServer``.
            on_startup: called on the event loop before the socket listens, and awaited if it can be.
            on_shutdown: called on the event loop when everything is answered, and awaited if it can be.

        Raises:
            TypeError: the handler, or another argument, is not of the expected kind.
            ValueError: an argument, or an environment variable, is out of its range.
        """
        super().__init__(
            mapper_instance,
            max_concurrency,
            shutdown_callback,
            sock_path=sock_path,
            server_info_file=server_info_file,
            max_message_size=max_message_size,
            transport=transport,
            grace_period=grace_period,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
        )


class MapMultiProcServer(MultiProcServer):
    """Maps messages with a handler, sync or async, in worker processes: for handlers that burn CPU."""

    _kind = KIND
    _rule = HandlerRule("MapMultiProcServer", Mapper, _PARAMETERS, None)

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
        transport: Transport | None = None,
        grace_period: float | None = None,
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        """
        Args:
            mapper_instance: the handler, called with ``(keys, datum)`` in a worker. Workers are forked by ``start()``:
                each has its own copy of whatever the handler refers to.
            server_count: how many workers; default: the CPUs that the container may use.
            sock_path: the unix socket; the platform connects to the default.
            max_message_size: bytes, in either direction.
            max_threads: as in ``MapServer``, per worker.
            server_info_file: the file that describes the server; the platform reads the default.
            max_concurrency: as in ``MapAsyncServer``, per worker.
            transport: as in ``MapServer``.
            grace_period: as in ``MapServer``.
            on_startup: called in each worker before the socket listens.
            on_shutdown: called in each worker when everything is answered.

        Raises:
            TypeError: the handler, or another argument, is not of the expected kind.
            ValueError: an argument, or an environment variable, is out of its range.
        """
        super().__init__(
            mapper_instance,
            server_count,
            max_threads,
            max_concurrency,
            sock_path=sock_path,
            server_info_file=server_info_file,
            max_message_size=max_message_size,
            transport=transport,
            grace_period=grace_period,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
        )


MapMultiprocServer = MapMultiProcServer
"""pynumaflow's spelling."""
