"""Calls in worker processes, seen from the process that owns the socket.

Everything here runs on the transport's thread; no handler runs in this process. Calls go to the worker with the least
unanswered ones, and only as many as it is going to answer within some milliseconds: what waits, waits here, where
the next free worker can have it.
"""

import asyncio
import json
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from ..buffers import Buffer
from ..errors import StartError
from ..status import ProtocolError, StatusCode
from . import Caller
from ._pipe import FrameType, PipeProtocol

logger = logging.getLogger(__name__)

_QUEUE_SECONDS: Final = 0.03
"""How much work a worker gets ahead, by its measured rate. Less would leave a busy worker idle at times: its thread for
the pipe has to wait for the interpreter's lock, up to 5 ms each time."""

_QUEUE_LIMIT: Final = 512
_QUEUE_BYTES: Final = 2 << 20
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


class _Link(PipeProtocol):
    """One worker: what it has been given, and what it says."""

    def __init__(self, owner: "ProcessStrategy", worker: Worker, minimum: int) -> None:
        super().__init__()
        self._owner = owner
        self.worker = worker
        self._minimum = minimum
        self.limit = minimum
        self.unanswered = 0
        self.unanswered_bytes = 0
        self._streams: dict[int, list[int]] = {}  # stream: its part of the two above
        self._busy_since = 0.0
        self._answered = 0
        self._reply_size = 1  # on average, in the last frame of replies
        self.stopping = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def room(self) -> int:
        """How many more calls the worker may be given, as far as their requests and replies are going to be small."""
        if self.unanswered_bytes >= _QUEUE_BYTES:
            return 0
        ahead = min(self.limit, max(self._minimum, _QUEUE_BYTES // self._reply_size))
        return ahead - self.unanswered

    def give(self, stream: int, calls: list[Buffer]) -> None:
        if not self.unanswered:
            self._busy_since, self._answered = monotonic(), 0
        size = sum(map(len, calls))
        part = self._streams.setdefault(stream, [0, 0])
        part[0] += len(calls)
        part[1] += size
        self.unanswered += len(calls)
        self.unanswered_bytes += size
        self.send(FrameType.CALLS, stream, calls)

    def leave(self, stream: int) -> None:
        """The stream is over: the worker starts none of its calls any more."""
        part = self._streams.pop(stream, None)
        if part is not None:
            self.unanswered -= part[0]
            self.unanswered_bytes -= part[1]
            self.send(FrameType.LEFT, stream)

    def _took(self, stream: int, count: int) -> None:
        """``count`` calls are answered; adapt how many the worker gets ahead to how fast it is."""
        part = self._streams.get(stream)
        if part is None:
            return  # the stream was left in the meantime
        size = round(part[1] * count / part[0])
        part[0] -= count
        part[1] -= size
        self.unanswered -= count
        self.unanswered_bytes -= size
        self._answered += count
        elapsed = monotonic() - self._busy_since
        if elapsed >= _QUEUE_SECONDS or not self.unanswered:
            wanted = round(self._answered / max(elapsed, 1e-6) * _QUEUE_SECONDS)
            self.limit = max(self._minimum, min(_QUEUE_LIMIT, wanted, 2 * self.limit))
            self._busy_since, self._answered = monotonic(), 0

    def frame_received(self, kind: int, stream: int, messages: list[Buffer]) -> None:
        if kind == FrameType.REPLIES:
            self._reply_size = max(1, sum(map(len, messages)) // len(messages))
            self._took(stream, len(messages))
            self._owner.replied(stream, messages)
        elif kind == FrameType.BROKEN:
            code, text = json.loads(bytes(messages[0]))
            self._owner.broken(stream, ProtocolError(text, StatusCode(code)))
        elif kind == FrameType.FAILED:
            self.stopping = True
            summary, detail = json.loads(bytes(messages[0]))
            self._owner.on_failure(summary, detail)
        elif kind == FrameType.READY:
            self.ready.set_result(None)
        elif kind == FrameType.START_FAILED:
            self.stopping = True
            self.ready.set_exception(StartError(f"worker {self.worker.number}: {bytes(messages[0]).decode()}"))

    def pipe_lost(self) -> None:
        self.gone.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(StartError(f"worker {self.worker.number} (pid {self.worker.pid}) ended at start"))
        elif not self.stopping:
            self._owner.died(self)


class ProcessStrategy:
    """Implements ``Strategy`` with forked workers."""

    def __init__(self, workers: list[Worker], concurrency: int, on_failure: OnWorkerFailure) -> None:
        self._workers = workers
        self._concurrency = concurrency
        self.on_failure = on_failure
        self._links: list[_Link] = []
        self._queue: deque[tuple[Caller, Buffer]] = deque()
        self._ids: dict[Caller, int] = {}
        self._callers: dict[int, Caller] = {}
        self._next_id = 0
        self._closing = False
        self._funerals: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for worker in self._workers:
            link = _Link(self, worker, self._concurrency)
            self._links.append(link)
            await loop.create_unix_connection(lambda link=link: link, sock=worker.pipe)  # type: ignore[misc]
        done = await asyncio.gather(*(link.ready for link in self._links), return_exceptions=True)
        for problem in done:
            if isinstance(problem, BaseException):
                raise problem

    def submit(self, caller: Caller, calls: list[Buffer]) -> None:
        if caller not in self._ids:
            self._next_id += 1
            self._ids[caller] = self._next_id
            self._callers[self._next_id] = caller
        self._queue.extend([(caller, call) for call in calls])
        self._dispatch()

    def left(self, caller: Caller) -> None:
        number = self._ids.pop(caller, None)
        if number is not None:
            del self._callers[number]
            for link in self._links:
                link.leave(number)
            self._dispatch()

    async def close(self, patience: float) -> None:
        self._closing = True
        self._queue.clear()
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

    # -- from the links

    def replied(self, stream: int, replies: list[Buffer]) -> None:
        caller = self._callers.get(stream)
        if caller is not None:
            caller.reply_all(replies)
        self._dispatch()

    def broken(self, stream: int, error: ProtocolError) -> None:
        caller = self._callers.get(stream)
        if caller is not None:
            caller.broken(error)
        self._dispatch()

    def died(self, link: _Link) -> None:
        task = asyncio.get_running_loop().create_task(self._report_death(link.worker))
        self._funerals.add(task)
        task.add_done_callback(self._funerals.discard)

    # -- inside

    def _dispatch(self) -> None:
        """Give out what waits, evenly, as far as the workers have room."""
        if not self._queue or self._closing:
            return
        free = sorted((link for link in self._links if link.room > 0), key=lambda link: link.unanswered)
        total = min(len(self._queue), sum(link.room for link in free))
        for index, link in enumerate(free):
            share = -(-total // (len(free) - index))
            count = min(share, link.room)
            total -= self._give(link, count)

    def _give(self, link: _Link, count: int) -> int:
        """Give ``link`` up to ``count`` calls, a frame per run of calls of one stream; return how many it got."""
        queue = self._queue
        given = 0
        run: list[Buffer] = []
        owner: Caller | None = None
        size = link.unanswered_bytes
        while queue and given < count and size < _QUEUE_BYTES:
            caller, call = queue.popleft()
            if not caller.ready:
                caller.postpone(call)
                continue
            if caller is not owner:
                if owner is not None and run:
                    link.give(self._ids[owner], run)
                owner, run = caller, []
            run.append(call)
            size += len(call)
            given += 1
        if owner is not None and run:
            link.give(self._ids[owner], run)
        return given

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
