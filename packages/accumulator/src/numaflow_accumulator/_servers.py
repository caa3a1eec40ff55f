"""The accumulator servers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, PerKey, ShutdownCallback, SyncServer

from ._datatypes import Accumulator, SyncAccumulator
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import (
        AccumulatorAsyncHandler,
        AccumulatorAsyncHandlerObject,
        AccumulatorOutputHandler,
        AccumulatorOutputHandlerObject,
    )


def _load() -> RpcSpec:
    from ._codec import SPEC

    return SPEC


KIND: Final = Kind(
    name="accumulator",
    distribution="numaflow-accumulator",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="accumulator.v1.Accumulator",
    socket_name="accumulator.sock",
    info_name="accumulator-server-info",
    methods=(Method("AccumulateFn", _load),),
    minimum_numaflow_version="1.5.0-z",
)
ACCUMULATOR_SOCK_PATH: Final = KIND.sock_path
ACCUMULATOR_SERVER_INFO_FILE_PATH: Final = KIND.info_path

_PARAMETERS: Final = ("datums",)
_WITH_OUTPUT: Final = ("datums", "output")


class AccumulatorServer(SyncServer):
    """Accumulates with a ``SyncAccumulator``, whose ``add`` is called with each datum, on threads."""

    _kind = KIND
    _rule = HandlerRule(
        "AccumulatorServer",
        SyncAccumulator,
        _PARAMETERS,
        False,
        "AccumulatorAsyncServer",
        generates=True,
        push=SyncAccumulator,
        collects=False,
    )

    def __init__(
        self,
        accumulator_instance: type[SyncAccumulator],
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = ACCUMULATOR_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = ACCUMULATOR_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``accumulator_instance`` is the handler: a class, of which an instance is made for each key with
        ``init_args`` and ``init_kwargs``. The other arguments are those of ``SyncServer``."""
        handler = PerKey(accumulator_instance, init_args, init_kwargs)
        super().__init__(handler, sock_path, max_message_size, max_threads, server_info_file, **settings)


class AccumulatorAsyncServer(AsyncServer):
    """Accumulates with an async handler on the main thread's event loop, one call for each key that is open."""

    _kind = KIND
    _rule = HandlerRule(
        "AccumulatorAsyncServer",
        Accumulator,
        _PARAMETERS,
        True,
        "AccumulatorServer",
        generates=True,
        with_output=_WITH_OUTPUT,
        push=SyncAccumulator,
    )

    def __init__(
        self,
        accumulator_instance: type[Accumulator]
        | AccumulatorAsyncHandler
        | AccumulatorOutputHandler
        | AccumulatorAsyncHandlerObject
        | AccumulatorOutputHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        sock_path: str = ACCUMULATOR_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = ACCUMULATOR_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``accumulator_instance`` is the handler: a class, of which an instance is made for each key with
        ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``AsyncServer``; there is no
        ``max_concurrency``, because every open key has its call."""
        super().__init__(
            PerKey(accumulator_instance, init_args, init_kwargs),
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            **settings,
        )


class AccumulatorMultiProcServer(MultiProcServer):
    """Accumulates in worker processes, with sync or async handlers. A key is always in the same worker, so that its
    datums stay in order."""

    _kind = KIND
    _rule = HandlerRule(
        "AccumulatorMultiProcServer",
        Accumulator,
        _PARAMETERS,
        None,
        generates=True,
        with_output=_WITH_OUTPUT,
        push=SyncAccumulator,
        collects=False,
    )

    def __init__(
        self,
        accumulator_instance: type[SyncAccumulator]
        | type[Accumulator]
        | AccumulatorAsyncHandler
        | AccumulatorOutputHandler
        | AccumulatorAsyncHandlerObject
        | AccumulatorOutputHandlerObject,
        init_args: tuple[object, ...] = (),
        init_kwargs: Mapping[str, object] | None = None,
        server_count: int | None = None,
        sock_path: str = ACCUMULATOR_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = ACCUMULATOR_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``accumulator_instance`` is the handler: a class, of which an instance is made for each key with
        ``init_args`` and ``init_kwargs``, or a function. The other arguments are those of ``MultiProcServer``."""
        super().__init__(
            PerKey(accumulator_instance, init_args, init_kwargs),
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            **settings,
        )
