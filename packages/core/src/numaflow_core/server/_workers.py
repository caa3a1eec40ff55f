"""Worker processes, from the inside: forked from the server, they run its handler and nothing else."""

import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import FrameType
from typing import Final, NoReturn

from ..errors import ServerError, StartError
from ..kind import Kind
from ..rpc import Rpc, RpcContext
from ..runners.children import Worker
from ..runners.parent import ParentLink, PipedStream
from ..values.about import About
from ..wire.frames import FrameType as Frames
from ..wire.frames import encode_frame
from ._children import keep_from_children
from ._describe import describe
from ._lifecycle import call_shutdown, serve_until_end
from ._loops import new_event_loop
from ._memory import tune
from ._options import Options
from ._report import Report
from ._runtime import DESCRIBING, reason, undescribed
from ._services import Service
from ._watchdog import SIGNALS, exit_now, flush

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1

NewServices = Callable[["WorkerRuntime", asyncio.AbstractEventLoop], Sequence[Service]]
"""A service for each RPC of the kind."""


def fork_workers(count: int, kind: Kind, options: Options, new_services: NewServices) -> list[Worker]:
    """Fork the workers. Only the parent returns.

    A worker holds nothing but its own end of its own pipe, so that each end notices when the other process is gone,
    whatever ended it.

    Raises:
        StartError: there are not enough processes or file descriptors. Those that were had are let go of.
    """
    for stream in (sys.stdout, sys.stderr):
        flush(stream)  # or each worker would print it, too
    pairs: list[tuple[socket.socket, socket.socket]] = []
    workers: list[Worker] = []
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        for _ in range(count):
            pairs.append(socket.socketpair())  # noqa: PERF401 - those before one that fails are to be closed
        for number, (ours, theirs) in enumerate(pairs):
            pid = os.fork()
            if pid == 0:
                for other, (a, b) in enumerate(pairs):
                    a.close()
                    if other != number:
                        b.close()
                _work(number, parent, theirs, mask, kind, options, new_services)
            workers.append(Worker(number, pid, ours))
    except OSError as error:
        for ours, _ in pairs:
            ours.close()
        abandon(workers)
        raise StartError(f"cannot start worker {len(workers)} of {count}: {error.strerror or error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _, theirs in pairs:
            theirs.close()
    return workers


def abandon(workers: Sequence[Worker]) -> None:
    """End workers that were never served."""
    for worker in workers:
        worker.pipe.close()
        try:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def _work(
    number: int,
    parent: int,
    pipe: socket.socket,
    mask: set[signal.Signals | int],
    kind: Kind,
    options: Options,
    new_services: NewServices,
) -> NoReturn:
    """A worker's life. It must not return into its parent's code, whatever happens."""
    status = 1
    try:
        _die_with(parent)
        before = {int(name): signal.signal(name, _leave_it_to_the_parent) for name in SIGNALS}
        keep_from_children(lambda: (pipe.fileno(),), before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if options.tune_memory:
            tune()
        asyncio.set_event_loop(None)
        status = _run(number, pipe, kind, options, new_services)
    except BaseException:
        logger.exception("worker %d failed", number)
    finally:
        exit_now(status)
    raise AssertionError("a worker outlived its end")


def _run(number: int, pipe: socket.socket, kind: Kind, options: Options, new_services: NewServices) -> int:
    try:
        loop = new_event_loop()
        asyncio.set_event_loop(loop)
        runtime = WorkerRuntime(number, pipe, kind, options, lambda worker: new_services(worker, loop))
        loop.run_until_complete(serve_until_end(runtime))
    except (StartError, OSError, RuntimeError) as error:
        text = str(error) if isinstance(error, StartError) else f"cannot start: {reason(error)}"
        pipe.setblocking(True)
        pipe.sendall(b"".join(encode_frame(Frames.START_FAILED, 0, [text.encode("utf-8", "backslashreplace")])))
        return 1
    loop.run_until_complete(call_shutdown(options.on_shutdown))
    return 0


def _nothing_to_watch(rpc: Rpc) -> None:
    """The server watches the progress of its streams."""


def _leave_it_to_the_parent(number: int, frame: FrameType | None) -> None:
    """Signals to the whole group (Ctrl-C) reach workers too; the parent decides, and ends them through the pipe. A
    function, because ignored signals would stay ignored in programs that a handler starts."""


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, even if a handler blocks everything in it (Linux)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return  # elsewhere the end of the pipe has to do
    if os.getppid() != parent:
        os._exit(1)


class WorkerRuntime:
    """What ``Runtime`` is to the server, with a pipe in place of a socket that clients connect to."""

    def __init__(
        self,
        number: int,
        pipe: socket.socket,
        kind: Kind,
        options: Options,
        new_services: Callable[["WorkerRuntime"], Sequence[Service]],
    ) -> None:
        self.kind = kind
        self.options = options
        self.ready: Future[None] = Future()
        self.finished: Future[ServerError | None] = Future()
        self.loop: asyncio.AbstractEventLoop
        self.handler: object = None
        """What errors are told of where no handler is named."""

        self._pipe = pipe
        self._services = new_services(self)
        self._process = os.getpid()
        self._failed = threading.Lock()
        self._told = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numaflow-pipe", daemon=True)

    def start(self) -> None:
        """Begin to take calls from the pipe. Raises ``OSError`` or ``RuntimeError`` where there are no file descriptors
        or threads left."""
        self.loop = new_event_loop()
        self._thread.start()
        self._started.wait()

    def fail(self, error: BaseException, about: Callable[[], About | None], handler: object = None) -> None:
        """A handler raised: tell the server, which ends everything."""
        if os.getpid() != self._process:
            exit_now(1)  # a process that a handler has forked, and that came back out of it
        if self._failed.acquire(blocking=False):
            self._context.soon(self.loop.call_later, DESCRIBING, self._tell, undescribed(self.kind))
            handler = self.handler if handler is None else handler
            self._context.soon(self._tell, describe(error, self.kind, handler, about, self.options.log_payload))

    def _tell(self, report: Report) -> None:
        if not self._told:
            self._told = True
            self._link.send(Frames.FAILED, 0, [json.dumps([report.summary, report.detail]).encode()])

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._context = RpcContext(self.loop, self.options.max_message_size, _nothing_to_watch, self.fail)
        self._started.set()
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as error:
            if isinstance(error, (OSError, RuntimeError)) and not self.ready.done():
                self.ready.set_exception(StartError(f"cannot start: {reason(error)}"))
                return
            logger.exception("the worker's pipe failed")
            exit_now(1)
        self.finished.set_result(None)

    async def _serve(self) -> None:
        self._link = ParentLink(self._new_rpc)
        for service in self._services:
            await service.runner.open()
        await self.loop.create_unix_connection(lambda: self._link, sock=self._pipe)
        self._link.send(Frames.READY)
        self.ready.set_result(None)
        await self._link.stopped
        for service in self._services:
            await service.runner.close(0)

    def _new_rpc(self, stream: PipedStream, method: int) -> Rpc:
        return self._services[method].new_rpc(stream, self._context)
