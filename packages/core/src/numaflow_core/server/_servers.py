"""The three server types. A kind derives its classes from these and adds a constructor.

What a server needs to run (asyncio, the transport, the runners) is imported when it starts: importing a kind, to
test a handler or to read its types, takes a fraction of the time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

from ..constants import MAX_MESSAGE_SIZE
from ._types import Settings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import Any

    from typing_extensions import Unpack

    from ..kind import Kind, RpcSpec
    from ..rpc import OnFailure, Runner
    from ..runners.children import Worker
    from ._options import Options
    from ._runtime import Runtime
    from ._services import Service
    from ._types import HandlerRule, ShutdownCallback
    from ._workers import WorkerRuntime


class Server(ABC):
    """A server of one UDF kind on one unix socket.

    ``start()`` is for a container: it blocks, handles SIGTERM and SIGINT, and ends the process with a status that
    tells how it went. ``serving()`` is for a test or a larger program: it touches neither signals nor the process.
    """

    _kind: Kind
    _rule: ClassVar[HandlerRule]
    _other_rules: ClassVar[Mapping[str, HandlerRule]] = {}
    """What the kind's other RPCs call, by their names, where it has others."""

    def __init__(
        self,
        handler: object,
        sock_path: str | None,
        max_message_size: int,
        server_info_file: str | None,
        **settings: Unpack[Settings],
    ) -> None:
        from ._options import make_options

        for name in settings:
            if name not in Settings.__annotations__:
                raise TypeError(f"{self._rule.server}() got an unexpected keyword argument {name!r}")
        kind = self._kind
        self._handlers = self._check(handler)
        only = next(iter(self._handlers.values())) if len(self._handlers) == 1 else None
        self._given = handler if only is None else only
        """What errors are told of that belong to no handler in particular."""

        self._options = make_options(
            kind.sock_path if sock_path is None else sock_path,
            max_message_size,
            kind.info_path if server_info_file is None else server_info_file,
            settings,
        )
        self._runtime: Runtime | None = None

    @property
    def sock_path(self) -> str:
        """The unix socket that the server listens on."""
        return self._options.sock_path

    @property
    def server_info_file(self) -> str:
        """The file that tells the dataplane about the server."""
        return self._options.server_info_file

    def start(self) -> None:
        """Serve until SIGTERM or SIGINT, then return, with everything accepted answered.

        Call it on the main thread, once the process is set up; nothing runs beside it on that thread.

        Raises:
            SystemExit: status 1. The server could not start, a handler raised, or the grace period was too short. A
                second signal, or a handler that cannot be ended, ends the process without an exception.
        """
        from ._foreground import run_in_foreground
        from ._memory import tune

        if self._options.tune_memory:
            tune()
        run_in_foreground(lambda: self._prepare(owns_process=True), self._new_runtime, self._shutdown_callback())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        """Serve while the ``async with`` block runs, then answer what has been accepted and end.

        Async handlers run on the current event loop.

        Raises:
            StartError: on entry, the server could not start.
            HandlerError: on exit, a handler raised; the server ended at that moment.
            GracePeriodError: on exit, not everything was answered in time.
        """
        import asyncio

        from ._lifecycle import serving

        runtime = self._new_runtime(asyncio.get_running_loop())
        async with serving(runtime):
            yield self

    def stop(self) -> None:
        """Ask a running server to end as SIGTERM does: what has been accepted is answered. From any thread; returns
        at once, and does nothing where the server does not run."""
        if self._runtime is not None:
            self._runtime.stop()

    def _new_runtime(self, loop: asyncio.AbstractEventLoop) -> Runtime:
        from ._runtime import Runtime

        self._runtime = Runtime(
            self._kind,
            self._runtime_options(),
            lambda runtime: self._new_services(runtime, loop),
            handler=self._given,
        )
        return self._runtime

    def _prepare(self, *, owns_process: bool) -> None:  # noqa: B027 - most servers have nothing to prepare
        """What comes before there is an event loop."""

    def _runtime_options(self) -> Options:
        return self._options

    def _shutdown_callback(self) -> ShutdownCallback | None:
        return None

    def _new_services(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> dict[str, Service]:
        """By the full name of the RPC."""
        from ._services import Service

        handlers = self._bind(runtime, loop)
        services = {}
        for method in self._kind.methods:
            name, spec = method.name, method.load()
            runner = self._new_runner(self._on_failure(runtime, name), loop, spec, handlers[name])
            services[self._kind.path(name)] = Service(spec.new_flow, runner)
        return services

    def _on_failure(self, runtime: Runtime | WorkerRuntime, method: str) -> OnFailure:
        """What is told when a handler of this RPC raises."""
        from functools import partial

        return partial(runtime.fail, handler=self._handlers[method])

    def _check(self, handler: object) -> dict[str, Callable[..., Any]]:
        """The user's handler of each RPC, by the RPC's name. Raises: TypeError."""
        rules = {self._kind.methods[0].name: self._rule, **self._other_rules}
        return {name: self._check_one(rule, handler) for name, rule in rules.items()}

    @staticmethod
    def _check_one(rule: HandlerRule, handler: object) -> Callable[..., Any]:
        """One handler. Raises: TypeError."""
        from ._handlers import check_handler

        return check_handler(rule, handler)

    def _bind(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> Mapping[str, Callable[..., Any]]:
        """What each RPC calls in a run: the handlers themselves, unless a kind puts something in front of one."""
        return self._handlers

    @abstractmethod
    def _new_runner(
        self,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
        spec: RpcSpec,
        handler: Callable[..., Any],
    ) -> Runner: ...


class SyncServer(Server):
    """Runs a sync handler on threads."""

    def __init__(
        self,
        handler: object,
        sock_path: str | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """
        Args:
            handler: the user's.
            sock_path: the unix socket; the platform connects to the kind's default.
            max_message_size: bytes, in either direction.
            max_threads: how many calls run at once; default: the environment's ``MAX_THREADS``, or 4.
            server_info_file: the file that describes the server; the platform reads the kind's default.
            settings: see ``Settings``.

        Raises:
            TypeError: the handler, or another argument, is not of the expected kind.
            ValueError: an argument, or an environment variable, is out of its range.
        """
        from ._options import threads_or_default

        super().__init__(handler, sock_path, max_message_size, server_info_file, **settings)
        self.max_threads = threads_or_default(max_threads)

    def _new_runner(
        self,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
        spec: RpcSpec,
        handler: Callable[..., Any],
    ) -> Runner:
        from ._services import on_threads

        return on_threads(spec, handler, self.max_threads, on_failure)


class AsyncServer(Server):
    """Runs an async handler on the main thread's event loop."""

    def __init__(
        self,
        handler: object,
        sock_path: str | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str | None = None,
        shutdown_callback: ShutdownCallback | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """
        Args:
            handler: the user's.
            sock_path: the unix socket; the platform connects to the kind's default.
            max_message_size: bytes, in either direction.
            max_threads: accepted for pynumaflow's sake; async handlers have one thread.
            server_info_file: the file that describes the server; the platform reads the kind's default.
            shutdown_callback: called once with the event loop after ``start()`` has stopped it.
            max_concurrency: how many calls run at once; default: the environment's ``MAX_CONCURRENCY``, or 1000.
            settings: see ``Settings``.

        Raises:
            TypeError: the handler, or another argument, is not of the expected kind.
            ValueError: an argument, or an environment variable, is out of its range.
        """
        from ._options import concurrency_or_default

        super().__init__(handler, sock_path, max_message_size, server_info_file, **settings)
        self.max_concurrency = concurrency_or_default(max_concurrency)
        self.shutdown_callback = shutdown_callback

    def _shutdown_callback(self) -> ShutdownCallback | None:
        return self.shutdown_callback

    def _new_runner(
        self,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
        spec: RpcSpec,
        handler: Callable[..., Any],
    ) -> Runner:
        from ._services import on_loop

        return on_loop(spec, handler, self.max_concurrency, on_failure, loop)


class MultiProcServer(Server):
    """Runs a handler, sync or async, in forked worker processes behind one socket."""

    def __init__(
        self,
        handler: object,
        server_count: int | None = None,
        sock_path: str | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_threads: int | None = None,
        server_info_file: str | None = None,
        *,
        max_concurrency: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """
        Args:
            handler: the user's, called in a worker. Workers are forked by ``start()``: each has its own copy of
                whatever the handler refers to.
            server_count: how many workers; default: the CPUs of the container's limit, or without a limit those of the
                node, at most 8.
            sock_path: the unix socket; the platform connects to the kind's default.
            max_message_size: bytes, in either direction.
            max_threads: as in ``SyncServer``, per worker.
            server_info_file: the file that describes the server; the platform reads the kind's default.
            max_concurrency: as in ``AsyncServer``, per worker.
            settings: see ``Settings``.

        Raises:
            TypeError: the handler, or another argument, is not of the expected kind.
            ValueError: an argument, or an environment variable, is out of its range.
        """
        from ..values.validate import check_positive
        from ._cpus import default_workers
        from ._handlers import is_async
        from ._options import concurrency_or_default, threads_or_default

        super().__init__(handler, sock_path, max_message_size, server_info_file, **settings)
        self.server_count = default_workers() if server_count is None else check_positive(server_count, "server_count")
        self.max_threads = threads_or_default(max_threads)
        self.max_concurrency = concurrency_or_default(max_concurrency)
        colours = {is_async(each) for each in self._handlers.values()}
        if len(colours) > 1:
            raise TypeError(f"{self._rule.server} takes handlers that are all 'def' or all 'async def', got both")
        (self._is_async,) = colours
        self._workers: list[Worker] = []

    def start(self) -> None:
        try:
            super().start()
        finally:
            self._abandon()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        self._prepare(owns_process=False)
        try:
            async with super().serving():
                yield self
        finally:
            self._abandon()

    def _prepare(self, *, owns_process: bool) -> None:
        """Fork before there is any other thread or event loop of ours."""
        from contextlib import nullcontext

        from ._memory import shared_with_forks
        from ._workers import fork_workers

        for method in self._kind.methods:
            method.load()  # once, and its memory is shared
        with shared_with_forks(owns_process=owns_process) if self._options.tune_memory else nullcontext():
            self._workers = fork_workers(self.server_count, self._kind, self._options, self._new_worker_services)

    def _abandon(self) -> None:
        if self._workers:  # nobody took them over
            from ._workers import abandon

            abandon(self._workers)
            self._workers = []

    def _runtime_options(self) -> Options:
        from dataclasses import replace

        return replace(self._options, on_startup=None, on_shutdown=None)  # they run in the workers

    def _new_services(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> dict[str, Service]:
        import json

        from ..runners.workers import WorkerRunner
        from ._report import Report
        from ._services import in_workers

        workers, self._workers = self._workers, []
        specs = [method.load() for method in self._kind.methods]
        runner = WorkerRunner(
            workers,
            self.max_concurrency if self._is_async else self.max_threads,
            lambda text: runtime.fail_with(Report(*json.loads(text))),
            lambda how: runtime.fail_with(Report(how, "")),
            keyed=specs[0].keyed,
        )
        paths = [self._kind.path(method.name) for method in self._kind.methods]
        return dict(zip(paths, in_workers(specs, runner), strict=True))

    def _new_worker_services(self, runtime: WorkerRuntime, loop: asyncio.AbstractEventLoop) -> list[Service]:
        from ._services import in_a_worker

        runtime.handler = self._given
        services = []
        for method in self._kind.methods:
            name, spec = method.name, method.load()
            runner = self._new_runner(self._on_failure(runtime, name), loop, spec, self._handlers[name])
            services.append(in_a_worker(spec, runner))
        return services

    def _new_runner(
        self,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
        spec: RpcSpec,
        handler: Callable[..., Any],
    ) -> Runner:
        """In a worker."""
        from ._services import on_loop, on_threads

        if self._is_async:
            return on_loop(spec, handler, self.max_concurrency, on_failure, loop)
        return on_threads(spec, handler, self.max_threads, on_failure)
