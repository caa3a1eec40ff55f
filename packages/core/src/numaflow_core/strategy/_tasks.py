"""Async handlers on an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from time import monotonic
from typing import Any, Final

from ..strategy import AsyncHandler, Codec, MessageCaller, OnFailure, OpenCall, OpenCaller, StreamCodec, rest_of
from ..wire.buffers import Buffer
from ..wire.status import ProtocolError
from ._output import SLICE, room_for, run_async

_NOTHING: Final[Iterator[Any]] = iter(())


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
        codec: Codec | StreamCodec,
        limit: int,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._limit = limit
        self._on_failure = on_failure
        self._loop = loop
        self._queue: deque[tuple[MessageCaller, Buffer]] = deque()
        self._relay_due = False
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._held_back = 0  # workers whose call waits for its peer to read
        self._closed = False

    async def open(self) -> None:
        """Workers are made as calls need them."""

    def submit(self, caller: MessageCaller, calls: list[Buffer]) -> None:
        self._queue.extend([(caller, call) for call in calls])
        if not self._relay_due:
            self._relay_due = True
            self._loop.call_soon_threadsafe(self._relay)

    def left(self, caller: MessageCaller) -> None:
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
        busy = len(self._workers) - len(self._idle) - self._held_back
        if not self._queue or self._closed or busy >= self._limit:
            return
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            worker = self._loop.create_task(self._work(), name=f"numaflow-handler-{len(self._workers)}")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        queue, handler, codec = self._queue, self._handler, self._codec
        while not self._closed:
            slice_ends = monotonic() + SLICE
            while queue:
                caller, call = queue.popleft()
                if queue and not self._relay_due:
                    self._relay_due = True
                    self._loop.call_soon(self._relay)
                if not caller.ready:
                    caller.postpone([call, *rest_of(caller, queue)])
                    continue
                try:
                    if isinstance(codec, StreamCodec):
                        await run_async(codec, handler, caller, call, self._hold_back)
                    else:
                        token, result = codec.call(handler, call)
                        caller.reply(codec.encode(token, await result))
                except ProtocolError as error:
                    caller.broken(error)
                except asyncio.CancelledError as error:
                    if not self._closed:
                        self._on_failure(error)
                    raise
                except BaseException as error:  # the process ends
                    self._on_failure(error)
                    return
                if monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = monotonic() + SLICE
            wake = self._loop.create_future()
            self._idle.append(wake)
            await wake

    async def _hold_back(self, room: Awaitable[None]) -> None:
        """Wait for the peer of a call to read; other streams' calls need not wait for that."""
        self._held_back += 1
        self._relay()
        try:
            await room
        finally:
            self._held_back -= 1


class AsyncInbox(OpenCall):
    """What a handler on an event loop reads of an open call: an async iterator of its messages.

    It is no generator, for a generator is over once something is raised in it, and a handler may well give up waiting
    (``asyncio.wait_for(anext(datums), 5)``) and come back later.
    """

    # There may be one for each of a million keys: nothing is made before it is needed.
    __slots__ = ("_batch", "_count", "_ended", "_next", "_rest", "_size", "_strategy", "_view", "task", "waiter")

    def __init__(self, caller: OpenCaller, token: Any, strategy: "OpenTaskStrategy") -> None:
        super().__init__(caller, token)
        self._strategy = strategy
        self._next: News | None = None  # the messages that the handler gets next,
        self._rest: deque[News] | None = None  # and those that it gets then
        self._batch: Iterator[Any] = _NOTHING  # what it is working on,
        self._count = 0  # how many messages that were,
        self._size = 0  # and how many bytes
        self._view: Callable[[Any], Any] | None = None
        self._ended = False
        self.waiter: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None

    # -- the transport's thread

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._strategy.news.append((self, inputs, size))

    def end(self) -> None:
        self._strategy.news.append((self, (), 0))

    def leave(self) -> None:
        self.left = True
        self._strategy.was_left(self)

    # -- the event loop

    def hear(self, news: "News") -> None:
        """What came, in order: messages, or none to say that there are no more."""
        if not news[1]:
            self._ended = True
        elif self._next is None:
            self._next = news
        elif self._rest is None:
            self._rest = deque((news,))
        else:
            self._rest.append(news)

    def inputs(self, view: Callable[[Any], Any] | None = None) -> AsyncIterator[Any]:
        self._batch = _NOTHING
        self._view = view
        return self

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        # What it awaits is created anew for each batch, which for a kind with many keys is as good as each message: so
        # there is no coroutine beside this one.
        strategy, caller = self._strategy, self.caller
        for each in self._batch:
            if caller.gone:
                break
            return each
        if self._count:  # whoever comes here is done with the batch before
            caller.released(self._count, self._size)
            self._count = 0
            self._batch = _NOTHING
            if self._next is not None:
                await asyncio.sleep(0)  # what never runs dry leaves other tasks their turn
        while True:
            while self._next is None and not self._ended and not self.left:
                if self.waiter is not None and not self.waiter.done():
                    raise RuntimeError("the next message is being waited for already: await one before the other")
                self.waiter = strategy.loop.create_future()
                await self.waiter
                self.waiter = None
            if self.left:
                if strategy.keyed:
                    raise asyncio.CancelledError  # also to a handler that has caught the one of its task
                raise StopAsyncIteration
            if not strategy.keyed or caller.ready:
                break
            # Or each of very many keys would make one more result for a peer that does not read.
            await room_for(caller)
        return self._take()

    def _take(self) -> Any:
        """Begin with the next messages: return the first."""
        if self._next is None:
            self.closing()
            raise StopAsyncIteration
        _, inputs, self._size = self._next
        self._count = len(inputs)
        rest = self._rest
        if rest is None:
            self._next = None
        else:
            self._next = rest.popleft()
            if not rest:
                self._rest = None
        view = self._view
        if self._count == 1:
            return inputs[0] if view is None else view(inputs[0])
        self._batch = iter(inputs) if view is None else map(view, inputs)
        return next(self._batch)

    async def drain(self) -> bool:
        """Pass over what the handler has not read, to the end of the call; return whether its stream is still there."""
        if self.waiter is not None:
            self.waiter.cancel()  # it is not the handler's any more, which may have left somebody waiting
        async for _ in self.inputs():
            pass
        return not self.left


News = tuple[AsyncInbox, Sequence[Any], int]
"""Messages for a call, which took that many bytes; or none, when there are no more."""


class OpenTaskStrategy:
    """Runs each open call in a task of its own, up to ``limit`` at once.

    Without a ``limit``, calls are *keyed*. There is one for each open key, and all of them have to run for any to end,
    so their number cannot be limited. And the end of their messages means something, the close of a window: when the
    stream is over before that, the task is cancelled, so that no handler takes the one for the other. The messages of
    other calls just end.
    """

    def __init__(
        self,
        handler: AsyncHandler,
        codec: StreamCodec,
        limit: int | None,
        on_failure: OnFailure,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._on_failure = on_failure
        self.loop = loop
        self._slots = None if limit is None else asyncio.Semaphore(limit)
        self.keyed = limit is None
        # Appended to by the transport's thread, cut at the front by the loop's.
        self._new: deque[AsyncInbox] = deque()
        self.news: deque[News] = deque()
        """What calls are to hear with the next ``kick``."""
        self._left: deque[AsyncInbox] = deque()
        self._pump_due = False
        self._tasks: dict[asyncio.Task[None], AsyncInbox] = {}
        self._closed = False

    # -- the transport's thread

    async def open(self) -> None:
        """Tasks are made as calls need them."""

    def begin(self, caller: OpenCaller, token: Any) -> OpenCall:
        call = AsyncInbox(caller, token, self)
        self._new.append(call)
        return call

    def was_left(self, call: AsyncInbox) -> None:
        """The call's task is to end; whoever says so kicks."""
        self._left.append(call)

    def kick(self) -> None:
        if not self._pump_due and (self._new or self.news or self._left):
            self._pump_due = True
            self.loop.call_soon_threadsafe(self._pump)

    async def close(self, patience: float) -> None:
        self._closed = True
        self.loop.call_soon_threadsafe(self._cancel)

    # -- the event loop

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _pump(self) -> None:
        self._pump_due = False  # before the queues are emptied: what comes after this is pumped anew
        while self._new:
            call = self._new.popleft()
            if not self._closed:
                task = call.task = self.loop.create_task(self._run(call), name="numaflow-call")
                self._tasks[task] = call
                task.add_done_callback(self._done)
        news = self.news
        while news:
            each = news.popleft()
            call = each[0]
            call.hear(each)
            waiter = call.waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        while self._left:
            call = self._left.popleft()
            if self.keyed and call.task is not None:
                call.task.cancel()
            elif call.waiter is not None and not call.waiter.done():
                call.waiter.set_result(None)

    def _run(self, call: AsyncInbox) -> Coroutine[Any, Any, None]:
        if self._slots is None:
            return run_async(self._codec, self._handler, call.caller, call, _wait, self._failed)
        return self._run_limited(call, self._slots)

    async def _run_limited(self, call: AsyncInbox, slots: asyncio.Semaphore) -> None:
        async with slots:
            if not call.left:
                await run_async(self._codec, self._handler, call.caller, call, self._hold_back, self._failed)

    def _failed(self, call: AsyncInbox, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError) or not (self._closed or call.left):
            self._on_failure(error)  # the process ends

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).task = None

    async def _hold_back(self, room: Awaitable[None]) -> None:
        """Wait for the peer of a call to read; other streams' calls need not wait for that."""
        assert self._slots is not None
        self._slots.release()
        await room  # where this is cancelled, the server ends, and one slot too many does not matter
        await self._slots.acquire()


async def _wait(room: Awaitable[None]) -> None:
    """Wait for the peer of a call to read."""
    await room
