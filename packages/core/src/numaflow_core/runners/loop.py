"""Async handlers on an event loop."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any, Final

from ..kind import Codec, StreamCodec
from ..rpc import Inbox, OnFailure, Rpc
from ..wire.buffers import Buffer
from ..wire.status import ProtocolError
from .async_inbox import AsyncInbox, Delivery
from .failure import about
from .output import SLICE, call_soon, run_async

_LOOK_AT_CLOCK: Final = 7
"""Calls, less one, between two looks at the clock."""


class LoopRunner:
    """Runs calls on an event loop, up to ``limit`` at once. Implements ``Runner``.

    Messages that are calls cost no task each. Worker tasks take them from one queue, and a worker whose handler never
    suspends goes through the whole queue in one step of the loop. Whenever a worker is about to call a handler,
    ``_relay`` is due: when the handler does suspend, the loop runs ``_relay``, which lets another worker go on with the
    queue. So a call costs a task switch exactly when its handler waits for something. A worker ends when a call has
    left something behind that the next one could see: a changed context, or a cancellation that has not been delivered.

    A call that takes inputs has a task of its own. Without a ``limit`` these are *keyed*. There is one for each open
    key, and all of them have to run for any to end, so their number cannot be limited. And the end of their inputs
    means something, the close of a window: when the stream is over before that, the task is cancelled, so that no
    handler takes the one for the other. The inputs of other calls just end.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        codec: Codec | StreamCodec,
        limit: int | None,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._limit = limit
        self._on_failure = on_failure
        self.loop = loop
        self.keyed = limit is None
        self._context = copy_context()  # each call begins with what is in it now
        self._closed = False
        # Messages that are calls.
        self._queue: deque[tuple[Rpc, Buffer]] = deque()
        self._relay_due = False
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._held_back = 0  # workers whose call waits for its peer to read
        # Calls that take inputs. Appended to by the transport's thread, cut at the front by the loop's.
        self._slots = None if limit is None else asyncio.Semaphore(limit)
        self._new: deque[AsyncInbox] = deque()
        self.deliveries: deque[Delivery] = deque()
        """What calls get with the next ``kick``."""
        self._left: deque[AsyncInbox] = deque()
        self._pump_due = False
        self._tasks: dict[asyncio.Task[None], AsyncInbox] = {}

    # -- the transport's thread

    async def open(self) -> None:
        """Tasks are made as calls need them."""

    def submit(self, rpc: Rpc, messages: list[Buffer]) -> None:
        """Queue messages for the workers."""
        self._queue.extend([(rpc, message) for message in messages])
        if not self._relay_due:
            self._relay_due = True
            call_soon(self.loop, self._context.run, self._relay)

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        """A task for the call, with the next ``kick``."""
        inbox = AsyncInbox(rpc, call, self)
        self._new.append(inbox)
        return inbox

    def was_left(self, inbox: AsyncInbox) -> None:
        """The call's task is to end, with the next ``kick``."""
        self._left.append(inbox)

    def kick(self) -> None:
        """Have the loop see to what has come."""
        if not self._pump_due and (self._new or self.deliveries or self._left):
            self._pump_due = True
            call_soon(self.loop, self._context.run, self._pump)

    def leave(self, rpc: Rpc) -> None:
        """Workers look at ``rpc.ready``."""

    async def close(self, patience: float) -> None:
        """Cancel all tasks."""
        self._closed = True
        self._queue.clear()
        call_soon(self.loop, self._cancel)

    # -- the event loop

    def _cancel(self) -> None:
        for task in (*self._workers, *self._tasks):
            task.cancel()

    def fail(self, error: BaseException, call: Any) -> None:
        """The handler has raised; ``call`` is the message or the inbox that it was called with."""
        self._on_failure(error, partial(about, self._codec, call))

    # -- messages that are calls

    def _relay(self) -> None:
        """Let one more worker go on with the queue. In ``_context``, which a new worker gets a copy of."""
        self._relay_due = False
        busy = len(self._workers) - len(self._idle) - self._held_back
        assert self._limit is not None
        if not self._queue or self._closed or busy >= self._limit:
            return
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            worker = self.loop.create_task(self._work(), name=f"numaflow-handler-{len(self._workers)}")
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if self._queue and not self._relay_due:
            self._relay_due = True
            self.loop.call_soon(self._context.run, self._relay)

    async def _work(self) -> None:  # noqa: PLR0912  # all in one: each message passes it
        queue, handler, codec = self._queue, self._handler, self._codec
        one_reply = codec if isinstance(codec, Codec) else None
        task: Any = asyncio.current_task()
        clean = copy_context()
        # Cancellations that were asked for; until Python 3.11 only one that has not been delivered can be seen.
        cancellations = getattr(task, "cancelling", lambda: task._must_cancel)
        while not self._closed:
            slice_ends = monotonic() + SLICE
            calls = 0
            while queue:
                rpc, message = queue.popleft()
                if queue and not self._relay_due:
                    self._relay_due = True
                    self.loop.call_soon(self._context.run, self._relay)
                if not rpc.ready:
                    rpc.postpone([message, *_rest_of(rpc, queue)])
                    continue
                try:
                    if one_reply is not None:
                        token, arguments = one_reply.decode(message)
                        rpc.answer(one_reply.encode(token, await handler(*arguments)), len(message))
                    else:
                        assert isinstance(codec, StreamCodec)
                        await run_async(codec, handler, rpc, message, self._hold_back)
                except ProtocolError as error:
                    rpc.broken(error)
                except asyncio.CancelledError as error:
                    if not self._closed:
                        self.fail(error, message)
                    raise
                except BaseException as error:  # the process ends
                    self.fail(error, message)
                    return
                try:
                    # An unchanged context is equal to its copy at once: they share what they hold.
                    if copy_context() != clean or cancellations():
                        return
                except Exception:  # a changed one may hold what cannot be compared, as arrays cannot
                    return
                calls += 1
                if not calls & _LOOK_AT_CLOCK and monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = monotonic() + SLICE
            wake = self.loop.create_future()
            self._idle.append(wake)
            await wake

    async def _hold_back(self, room: Awaitable[None]) -> None:
        """Wait for the peer of a call to read; other streams' calls need not wait for that."""
        self._held_back += 1
        if not self._relay_due:
            self._relay_due = True
            self.loop.call_soon(self._context.run, self._relay)
        try:
            await room
        finally:
            self._held_back -= 1

    # -- calls that take inputs

    def _pump(self) -> None:
        """Begin calls, deliver what has come, and end calls. In ``_context``, which a new task gets a copy of."""
        self._pump_due = False  # before the queues are emptied: what comes after this is pumped anew
        while self._new:
            inbox = self._new.popleft()
            if not self._closed:
                task = inbox.task = self.loop.create_task(self._run(inbox), name="numaflow-call")
                self._tasks[task] = inbox
                task.add_done_callback(self._done)
        deliveries = self.deliveries
        while deliveries:
            delivery = deliveries.popleft()
            inbox = delivery[0]
            inbox.receive(delivery)
            waiter = inbox.waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        while self._left:
            inbox = self._left.popleft()
            if self.keyed and inbox.task is not None:
                inbox.task.cancel()
            elif inbox.waiter is not None and not inbox.waiter.done():
                inbox.waiter.set_result(None)

    def _run(self, inbox: AsyncInbox) -> Coroutine[Any, Any, None]:
        codec = self._codec
        assert isinstance(codec, StreamCodec)
        if self._slots is None:
            return run_async(codec, self._handler, inbox.rpc, inbox, _wait, self._failed)
        return self._run_limited(codec, inbox, self._slots)

    async def _run_limited(self, codec: StreamCodec, inbox: AsyncInbox, slots: asyncio.Semaphore) -> None:
        async def hold_back(room: Awaitable[None]) -> None:
            """Wait for the peer to read; other streams' calls need not wait for that."""
            slots.release()
            await room  # where this is cancelled, the server ends, and one slot too many does not matter
            await slots.acquire()

        async with slots:
            if not inbox.left:
                await run_async(codec, self._handler, inbox.rpc, inbox, hold_back, self._failed)

    def _failed(self, inbox: AsyncInbox, error: BaseException) -> None:
        if not issubclass(type(error), asyncio.CancelledError) or not (self._closed or inbox.left):
            self.fail(error, inbox)  # the process ends

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).task = None


async def _wait(room: Awaitable[None]) -> None:
    """Wait for the peer of a call to read."""
    await room


def _rest_of(rpc: Rpc, queue: deque[tuple[Rpc, Buffer]]) -> list[Buffer]:
    """Cut off the messages at the front of a queue that are one stream's."""
    rest = []
    while queue and queue[0][0] is rpc:
        rest.append(queue.popleft()[1])
    return rest
