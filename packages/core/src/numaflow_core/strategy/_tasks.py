"""Async handlers on an event loop."""

import asyncio
from collections import deque
from time import monotonic

from ..buffers import Buffer
from ..status import ProtocolError
from . import AsyncHandler, Caller, Codec, OnFailure

_SLICE = 0.005
"""Seconds of calls that never suspend, after which other tasks of the loop get a turn."""


class TaskStrategy:
    """Runs calls on an event loop, up to ``limit`` at once, without a task per call.

    Worker tasks take calls from one queue. A worker whose handler never suspends goes through the whole queue in one
    step of the loop. Whenever a worker is about to call a handler, ``_relay`` is due: when the handler does suspend,
    the loop runs ``_relay``, which lets another worker go on with the queue. So a call costs a task switch exactly
    when its handler waits for something.
    """

    def __init__(
        self,
        handler: AsyncHandler,
        codec: Codec,
        limit: int,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._limit = limit
        self._on_failure = on_failure
        self._loop = loop
        self._queue: deque[tuple[Caller, Buffer]] = deque()
        self._relay_due = False
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._closed = False

    async def open(self) -> None:
        """Workers are made as calls need them."""

    def submit(self, caller: Caller, calls: list[Buffer]) -> None:
        self._queue.extend([(caller, call) for call in calls])
        if not self._relay_due:
            self._relay_due = True
            self._loop.call_soon_threadsafe(self._relay)

    def left(self, caller: Caller) -> None:
        """Workers look at ``caller.ready``."""

    async def close(self, patience: float) -> None:
        self._closed = True
        self._queue.clear()
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for worker in self._workers:
            worker.cancel()

    def _relay(self) -> None:
        """Let one more worker go on with the queue."""
        self._relay_due = False
        if not self._queue or self._closed:
            return
        if self._idle:
            self._idle.pop().set_result(None)
        elif len(self._workers) < self._limit:
            worker = self._loop.create_task(self._work(), name=f"numaflow-handler-{len(self._workers)}")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        queue, handler, begin, encode = self._queue, self._handler, self._codec.call, self._codec.encode
        while not self._closed:
            slice_ends = monotonic() + _SLICE
            while queue:
                caller, call = queue.popleft()
                if queue and not self._relay_due:
                    self._relay_due = True
                    self._loop.call_soon(self._relay)
                if not caller.ready:
                    caller.postpone(call)
                    continue
                try:
                    token, result = begin(handler, call)
                    reply = encode(token, await result)
                except ProtocolError as error:
                    caller.broken(error)
                except asyncio.CancelledError as error:
                    if not self._closed:
                        self._on_failure(error)
                    raise
                except BaseException as error:  # the process ends
                    self._on_failure(error)
                    return
                else:
                    caller.reply(reply)
                if monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = monotonic() + _SLICE
            wake = self._loop.create_future()
            self._idle.append(wake)
            await wake
