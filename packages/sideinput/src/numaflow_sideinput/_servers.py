"""The side input servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, MultiProcServer, ShutdownCallback, SyncServer

from ._datatypes import SideInput
from ._files import SIDE_INPUT_DIR_PATH
from ._version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from numaflow_core.server import Settings

    from ._datatypes import (
        SideInputAsyncHandler,
        SideInputAsyncHandlerObject,
        SideInputHandler,
        SideInputHandlerObject,
    )

MAX_MESSAGE_SIZE: Final = 4 * 1024 * 1024
"""The platform's client takes no larger response (``rust/numaflow-sideinput/src/manager/client.rs``), so that a larger
one is better refused here, where the error says so."""


def _load() -> RpcSpec:
    from ._codec import RETRIEVE

    return RETRIEVE


KIND: Final = Kind(
    name="side input",
    distribution="numaflow-sideinput",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="sideinput.v1.SideInput",
    socket_name="sideinput.sock",
    info_name="sideinput-server-info",
    methods=(Method("RetrieveSideInput", _load),),
)
SIDE_INPUT_SOCK_PATH: Final = KIND.sock_path
SIDE_INPUT_SERVER_INFO_FILE_PATH: Final = KIND.info_path


def _rule(server: str, wants_async: bool | None, instead: str = "") -> HandlerRule:
    return HandlerRule(server, SideInput, (), wants_async, instead, attribute="retrieve_handler")


class SideInputServer(SyncServer):
    """Retrieves a side input with a sync handler on threads."""

    _kind = KIND
    _rule = _rule("SideInputServer", False, "SideInputAsyncServer")

    def __init__(
        self,
        side_input_instance: SideInputHandler | SideInputHandlerObject,
        sock_path: str = SIDE_INPUT_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        side_input_dir_path: str = SIDE_INPUT_DIR_PATH,
        server_info_file: str = SIDE_INPUT_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``side_input_instance`` is the handler, and ``side_input_dir_path`` is accepted for compatibility with
        pynumaflow: a retriever has no such directory. The other arguments are those of ``SyncServer``."""
        super().__init__(side_input_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class SideInputAsyncServer(AsyncServer):
    """Retrieves a side input with an async handler on the main thread's event loop."""

    _kind = KIND
    _rule = _rule("SideInputAsyncServer", True, "SideInputServer")

    def __init__(
        self,
        side_input_instance: SideInputAsyncHandler | SideInputAsyncHandlerObject,
        sock_path: str = SIDE_INPUT_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SIDE_INPUT_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``side_input_instance`` is the handler; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            side_input_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            max_concurrency=max_concurrency,
            **settings,
        )


class SideInputMultiProcServer(MultiProcServer):
    """Retrieves a side input in worker processes, which are forked at the start. One of them is enough: a handler that
    is CPU-bound for a long time then does not delay the readiness probe."""

    _kind = KIND
    _rule = _rule("SideInputMultiProcServer", None)

    def __init__(
        self,
        side_input_instance: SideInputHandler
        | SideInputHandlerObject
        | SideInputAsyncHandler
        | SideInputAsyncHandlerObject,
        server_count: int | None = None,
        sock_path: str = SIDE_INPUT_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SIDE_INPUT_SERVER_INFO_FILE_PATH,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``side_input_instance`` is the handler; the other arguments are those of ``MultiProcServer``."""
        super().__init__(
            side_input_instance,
            server_count,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            max_concurrency=max_concurrency,
            **settings,
        )
