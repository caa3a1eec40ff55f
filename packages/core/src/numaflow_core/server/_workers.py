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

from ..buffers import Buffer, Outgoing
from ..errors import ServerError, StartError
from ..flow import PipedFlow
from ..kind import Kind
from ..status import ProtocolError, Status
from ..strategy import Strategy
from ..strategy._pipe import FrameType as Pipe
from ..strategy._pipe import PipeProtocol, encode_frame
from ..strategy._processes import Worker
from ._lifecycle import call_shutdown, serve_until_end
from ._loops import new_event_loop
from ._memory import keep_freed_memory
from ._options import Options
from ._report import describe
from ._rpcs import CallsRpc
from ._runtime import exit_now

logger = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG: Final = 1

NewStrategy = Callable[["WorkerRuntime", asyncio.AbstractEventLoop], Strategy]


def fork_workers(count: int, kind: Kind, options: Options, new_strategy: NewStrategy) -> list[Worker]:
    """Fork the workers. Only the parent returns.

    A worker holds nothing but its own end of its own pipe, so that each end notices when the other process is gone,
    whatever ended it.
    """
    kind.load_calls()  # once, and its memory is shared
    sys.stdout.flush()
    sys.stderr.flush()
    pairs = [socket.socketpair() for _ in range(count)]
    workers = []
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        for number, (ours, theirs) in enumerate(pairs):
            pid = os.fork()
            if pid == 0:
                for other, (a, b) in enumerate(pairs):
                    a.close()
                    if other != number:
                        b.close()
                _work(number, parent, theirs, mask, kind, options, new_strategy)
            workers.append(Worker(number, pid, ours))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _, theirs in pairs:
            theirs.close()
    return workers


def abandon(workers: Sequence[Worker]) -> None:
    """End workers that were never served: they go when their pipe does."""
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        try:
            os.waitpid(worker.pid, 0)
        except ChildProcessError:
            pass


def _work(
    number: int,
    parent: int,
    pipe: socket.socket,
    mask: set[signal.Signals | int],
    kind: Kind,
    options: Options,
    new_strategy: NewStrategy,
) -> NoReturn:
    """A worker's life. It must not return into its parent's code, whatever happens."""
    status = 1
    try:
        _die_with(parent)
        for name in _SIGNALS:
            signal.signal(name, _leave_it_to_the_parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        keep_freed_memory()
        asyncio.set_event_loop(None)
        status = _run(number, pipe, kind, options, new_strategy)
    except BaseException:
        logger.exception("worker %d failed", number)
    finally:
        exit_now(status)
    raise AssertionError("a worker outlived its end")


def _run(number: int, pipe: socket.socket, kind: Kind, options: Options, new_strategy: NewStrategy) -> int:
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    runtime = WorkerRuntime(number, pipe, kind, options, lambda worker: new_strategy(worker, loop))
    try:
        loop.run_until_complete(serve_until_end(runtime))
    except StartError as error:
        for piece in encode_frame(Pipe.START_FAILED, 0, [str(error).encode()]):
            pipe.sendall(piece)
        return 1
    loop.run_until_complete(call_shutdown(options.on_shutdown))
    return 0


def _nothing_to_watch(rpc: CallsRpc) -> None:
    """The parent watches the progress of its streams."""


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
    """What ``Runtime`` is to the parent, with a pipe in place of a socket that clients connect to."""

    def __init__(
        self,
        number: int,
        pipe: socket.socket,
        kind: Kind,
        options: Options,
        new_strategy: Callable[["WorkerRuntime"], Strategy],
    ) -> None:
        self.kind = kind
        self.options = options
        self.ready: Future[None] = Future()
        self.finished: Future[ServerError | None] = Future()
        self.loop: asyncio.AbstractEventLoop
        self._pipe = pipe
        self._strategy = new_strategy(self)
        self._failed = threading.Lock()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numaflow-pipe", daemon=True)

    def start(self) -> None:
        """Begin to take calls from the pipe."""
        self._thread.start()
        self._started.wait()

    def fail(self, error: BaseException) -> None:
        """A handler raised: tell the parent, which ends everything."""
        if self._failed.acquire(blocking=False):
            report = describe(error, self.kind.package_root)
            text = json.dumps([report.summary, report.detail]).encode()
            self.loop.call_soon_threadsafe(self._link.send, Pipe.FAILED, 0, [text])

    def _run(self) -> None:
        self.loop = new_event_loop()
        asyncio.set_event_loop(self.loop)
        self._link = _ParentLink(self, self._strategy, self.loop)
        self._started.set()
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException:
            logger.exception("the worker's pipe failed")
            exit_now(1)
        self.finished.set_result(None)

    async def _serve(self) -> None:
        await self._strategy.open()
        await self.loop.create_unix_connection(lambda: self._link, sock=self._pipe)
        self._link.send(Pipe.READY)
        self.ready.set_result(None)
        await self._link.stopped
        await self._strategy.close(0)


class _ParentLink(PipeProtocol):
    """The pipe to the parent."""

    def __init__(self, runtime: WorkerRuntime, strategy: Strategy, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._runtime = runtime
        self._strategy = strategy
        self._loop = loop
        self._rpcs: dict[int, CallsRpc] = {}
        self.stopped: asyncio.Future[None] = loop.create_future()

    def frame_received(self, kind: int, stream: int, messages: list[Buffer]) -> None:
        if kind == Pipe.CALLS:
            rpc = self._rpcs.get(stream)
            if rpc is None:
                rpc = self._rpcs[stream] = CallsRpc(
                    _PipedStream(self, stream),
                    PipedFlow(),
                    self._strategy,
                    self._loop,
                    self._runtime.options.max_message_size,
                    _nothing_to_watch,
                    self._runtime.fail,
                )
            rpc.received(messages)
        elif kind == Pipe.LEFT:
            left = self._rpcs.pop(stream, None)
            if left is not None:
                left.cancelled()
        elif kind == Pipe.STOP and not self.stopped.done():
            self.stopped.set_result(None)

    def pipe_lost(self) -> None:
        if not self.stopped.done():
            os._exit(1)  # the parent is gone; there is nobody to answer


class _PipedStream:
    """A stream of the parent's, as its worker sees it. The parent bounds what it sends and always reads."""

    congested = False

    def __init__(self, link: _ParentLink, number: int) -> None:
        self._link = link
        self._number = number

    def send(self, messages: Sequence[Outgoing]) -> None:
        self._link.send(Pipe.REPLIES, self._number, messages)

    def finish(self, status: Status) -> None:
        """The parent ends its streams by itself."""

    def fail(self, error: ProtocolError) -> None:
        status = error.status
        text = json.dumps([int(status.code), status.message]).encode()
        self._link.send(Pipe.BROKEN, self._number, [text])

    def release(self, size: int) -> None:
        """The parent counts by itself."""
