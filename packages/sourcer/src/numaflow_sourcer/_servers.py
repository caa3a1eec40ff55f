"""The source servers."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.kind import Kind, Method, RpcSpec
from numaflow_core.server import AsyncServer, HandlerRule, Server, ShutdownCallback, SyncServer

from ._handlers import Sourcer
from ._version import __version__

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from numaflow_core.server import Runtime, Settings

    from ._handlers import AsyncSource, SyncSource

_READ, _ACK, _NACK, _PENDING, _PARTITIONS = "ReadFn", "AckFn", "NackFn", "PendingFn", "PartitionsFn"


def _load(method: str) -> RpcSpec:
    from ._codec import SPECS

    return SPECS[method]


KIND: Final = Kind(
    name="source",
    distribution="numaflow-sourcer",
    version=__version__,
    package_root=os.path.dirname(__file__),
    service="source.v1.Source",
    socket_name="source.sock",
    info_name="sourcer-server-info",
    methods=tuple(
        Method(name, partial(_load, name), takes_late=name in (_ACK, _NACK))
        for name in (_READ, _ACK, _NACK, _PENDING, _PARTITIONS)
    ),
)
SOURCE_SOCK_PATH: Final = KIND.sock_path
SOURCE_SERVER_INFO_FILE_PATH: Final = KIND.info_path


def _rule(server: str, wants_async: bool, instead: str) -> HandlerRule:
    return HandlerRule(
        server, Sourcer, ("datum",), wants_async, instead, generates=None, attribute="read_handler", functions=False
    )


def _other_rules(read: HandlerRule) -> dict[str, HandlerRule]:
    rule = read._replace(generates=False)
    return {
        _ACK: rule._replace(attribute="ack_handler", parameters=("ack_request",)),
        _NACK: rule._replace(attribute="nack_handler", parameters=("nack_request",)),
        _PENDING: rule._replace(attribute="pending_handler", parameters=()),
        _PARTITIONS: rule._replace(attribute="active_partitions_handler", parameters=()),
    }


class _SourceServer(Server):
    """What both servers have: the user's object, taken apart."""

    _kind = KIND
    _is_async: ClassVar[bool]

    def _check(self, handler: object) -> dict[str, Callable[..., Any]]:
        partitions = self._other_rules[_PARTITIONS]
        own = _overridden(handler, "active_partitions_handler")
        if not own and callable(getattr(handler, "partitions_handler", None)):
            partitions, own = partitions._replace(attribute="partitions_handler"), True
        rules = {**self._other_rules, _PARTITIONS: partitions}
        if not own:
            del rules[_PARTITIONS]
        total = None
        if _overridden(handler, "total_partitions_handler"):
            total = self._check_one(partitions._replace(attribute="total_partitions_handler"), handler)
        wanted = self._rule._replace(parameters=("datum", "output"))
        try:
            self._takes_output, read = True, self._check_one(wanted, handler)
        except TypeError:
            self._takes_output, read = False, self._check_one(self._rule, handler)
        checked = {name: self._check_one(rule, handler) for name, rule in rules.items()}
        active = checked.get(_PARTITIONS)
        joined = (_join_async if self._is_async else _join)(active, total)
        vars(joined)["__wrapped__"] = active or total  # what a report names
        return {**checked, _READ: read, _PARTITIONS: joined}

    def _bind(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> Mapping[str, Callable[..., Any]]:
        from ._reading import AsyncReading, Handlers, SyncReading

        handlers = Handlers(
            self._handlers[_READ],
            self._handlers[_ACK],
            self._handlers[_NACK],
            on_failure=self._on_failure(runtime, _READ),
            on_nack_failure=self._on_failure(runtime, _NACK),
        )
        reading: AsyncReading | SyncReading
        if self._is_async:
            reading = AsyncReading(handlers, takes_output=self._takes_output, loop=loop)
        else:
            reading = SyncReading(handlers, takes_output=self._takes_output)
        runtime.at_end(reading.close)
        return {**self._handlers, _READ: reading.read, _ACK: reading.ack, _NACK: reading.nack}


def _overridden(handler: object, name: str) -> bool:
    """Whether the user has written the method, whose default serves sync and async servers alike."""
    method = getattr(handler, name, None)
    return callable(method) and getattr(method, "__func__", None) is not getattr(Sourcer, name)


def _join(active: Callable[[], Any] | None, total: Callable[[], Any] | None) -> Callable[[], Any]:
    """The two handlers that answer one RPC."""
    active = active or _default_partitions
    return lambda: (active(), total() if total is not None else None)


def _join_async(active: Callable[[], Any] | None, total: Callable[[], Any] | None) -> Callable[[], Any]:
    async def partitions() -> tuple[object, object]:
        return (
            await active() if active is not None else _default_partitions(),
            await total() if total is not None else None,
        )

    return partitions


def _default_partitions() -> object:
    from ._datatypes import PartitionsResponse, get_default_partitions

    return PartitionsResponse(get_default_partitions())


class SourceServer(_SourceServer, SyncServer):
    """Serves a source whose handlers are sync. Each handler has a thread of its own, so that one that blocks does not
    hold up the others."""

    _rule = _rule("SourceServer", False, "SourceAsyncServer")
    _other_rules = _other_rules(_rule)
    _is_async = False

    def __init__(
        self,
        sourcer_instance: SyncSource,
        sock_path: str = SOURCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SOURCE_SERVER_INFO_FILE_PATH,
        **settings: Unpack[Settings],
    ) -> None:
        """``sourcer_instance`` is the source, and ``max_threads`` has no effect, because there is one thread for each
        handler. The other arguments are those of ``SyncServer``."""
        super().__init__(sourcer_instance, sock_path, max_message_size, max_threads, server_info_file, **settings)


class SourceAsyncServer(_SourceServer, AsyncServer):
    """Serves a source whose handlers are async, on the main thread's event loop."""

    _rule = _rule("SourceAsyncServer", True, "SourceServer")
    _other_rules = _other_rules(_rule)
    _is_async = True

    def __init__(
        self,
        sourcer_instance: AsyncSource,
        sock_path: str = SOURCE_SOCK_PATH,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str = SOURCE_SERVER_INFO_FILE_PATH,
        shutdown_callback: ShutdownCallback | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """``sourcer_instance`` is the source; the other arguments are those of ``AsyncServer``."""
        super().__init__(
            sourcer_instance,
            sock_path,
            max_message_size,
            max_threads,
            server_info_file,
            shutdown_callback,
            **settings,
        )
