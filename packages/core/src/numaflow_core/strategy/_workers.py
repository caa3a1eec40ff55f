"""Worker processes, seen from the process that owns the socket: their pipes, their lives and their ends.

Everything here runs on the transport's thread; no handler runs in this process.
"""

import asyncio
import json
import logging
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ..errors import StartError
from ..strategy import Caller
from ..wire.status import ProtocolError, StatusCode
from ._pipe import Frame, FrameType, PipeProtocol

logger = logging.getLogger(__name__)

_REAP_TIMEOUT: Final = 1.0
"""Seconds that a worker which has closed its pipe gets to end."""

_KILL_AFTER: Final = 0.05
"""Seconds that a worker gets to end when its pipe has been closed on it."""

OnWorkerFailure = Callable[[str, str], None]
"""Told the summary and the detail of what ended a worker."""


@dataclass(frozen=True)
class Worker:
    """A forked process and our end of its pipe."""

    number: int
    pid: int
    pipe: socket.socket


class Link(PipeProtocol):
    """The pipe to one worker."""

    def __init__(self, pool: "WorkerPool[Link]", worker: Worker) -> None:
        super().__init__()
        self._pool = pool
        self.worker = worker
        self.stopping = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def frame_received(self, frame: Frame) -> None:
        kind, messages = frame.kind, frame.messages
        if kind == FrameType.BROKEN:
            code, text = json.loads(bytes(messages[0]))
            self._pool.broken(frame.stream, ProtocolError(text, StatusCode(code)))
        elif kind == FrameType.FAILED:
            self.stopping = True
            summary, detail = json.loads(bytes(messages[0]))
            self._pool.on_failure(summary, detail)
        elif kind == FrameType.READY:
            self.ready.set_result(None)
        elif kind == FrameType.START_FAILED:
            self.stopping = True
            self.ready.set_exception(StartError(f"worker {self.worker.number}: {bytes(messages[0]).decode()}"))
        else:
            self.stream_frame(frame)

    def pause(self, stream: int) -> None:
        """Have the worker make no more replies to a stream."""
        self.send(FrameType.PAUSE, stream)

    def resume(self, stream: int) -> None:
        """Let it go on."""
        self.send(FrameType.RESUME, stream)

    def stream_frame(self, frame: Frame) -> None:
        """A frame that concerns a stream: one of ``REPLIES``, ``RELEASED`` and ``DONE``."""
        raise NotImplementedError

    def pipe_lost(self) -> None:
        self.gone.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(StartError(f"worker {self.worker.number} (pid {self.worker.pid}) ended at start"))
        elif not self.stopping:
            self._pool.died(self)


_L_co = TypeVar("_L_co", bound=Link, covariant=True)


class WorkerPool(ABC, Generic[_L_co]):
    """The workers of a server. Strategies derive from it."""

    def __init__(self, workers: list[Worker], on_failure: OnWorkerFailure) -> None:
        self._workers = workers
        self.on_failure = on_failure
        self._links: list[_L_co] = []
        self._closing = False
        self._funerals: set[asyncio.Task[None]] = set()
        self._paused: set[int] = set()

    async def open(self) -> None:
        """Connect to the workers, and wait until all are ready. Raises: StartError."""
        loop = asyncio.get_running_loop()
        for worker in self._workers:
            link = self.new_link(worker)
            self._links.append(link)
            await loop.create_unix_connection(lambda link=link: link, sock=worker.pipe)  # type: ignore[misc]
        done = await asyncio.gather(*(link.ready for link in self._links), return_exceptions=True)
        for problem in done:
            if isinstance(problem, BaseException):
                raise problem

    async def close(self, patience: float) -> None:
        """End the workers; what has not ended after ``patience`` seconds is killed."""
        self._closing = True
        for link in self._links:
            link.stopping = True
            link.send(FrameType.STOP)
        if self._links:
            await asyncio.wait([link.gone for link in self._links], timeout=patience)
        for link in self._links:
            link.close()
        for worker in self._workers:
            worker.pipe.close()
        await asyncio.gather(*(self._bury(worker.pid, _KILL_AFTER) for worker in self._workers))

    # -- for subclasses

    @abstractmethod
    def new_link(self, worker: Worker) -> _L_co:
        """The pipe to a worker."""

    @abstractmethod
    def caller(self, stream: int) -> Caller | None:
        """The stream that workers know by this number; ``None`` when it is over."""

    def pause_if_congested(self, stream: int, caller: Caller) -> None:
        """Have workers make no more replies than the peer reads."""
        if caller.ready or stream in self._paused:
            return
        self._paused.add(stream)
        for link in self._links:
            link.pause(stream)
        caller.when_ready(lambda: self._resume(stream))

    # -- from the links

    def broken(self, stream: int, error: ProtocolError) -> None:
        """A worker could not understand a message of the stream."""
        caller = self.caller(stream)
        if caller is not None:
            caller.broken(error)

    def died(self, link: Link) -> None:
        """A worker's pipe has closed."""
        task = asyncio.get_running_loop().create_task(self._report_death(link.worker))
        self._funerals.add(task)
        task.add_done_callback(self._funerals.discard)

    # -- inside

    def _resume(self, stream: int) -> None:
        self._paused.discard(stream)
        if self.caller(stream) is not None:
            for link in self._links:
                link.resume(stream)

    async def _report_death(self, worker: Worker) -> None:
        status = await self._bury(worker.pid, _REAP_TIMEOUT)
        if status is None:
            how = "closed its pipe"
        elif status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        else:
            how = f"exited with status {status}"
        self.on_failure(f"worker {worker.number} (pid {worker.pid}) {how}", "")

    async def _bury(self, pid: int, patience: float) -> int | None:
        """Wait for a worker that is about to end, and make sure that it does; its exit code as ``waitstatus`` has it,
        ``None`` if somebody else took it."""
        loop = asyncio.get_running_loop()
        killer = loop.call_later(patience, _kill, pid)
        try:
            _, status = await loop.run_in_executor(None, os.waitpid, pid, 0)
        except ChildProcessError:
            return None
        finally:
            killer.cancel()
        return os.waitstatus_to_exitcode(status)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
