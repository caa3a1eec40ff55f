"""Reads that end in time, whatever the read handler does.

The handler runs apart from the reads, on a thread or in a task of its own. A read takes what the handler makes, until
it has enough, the handler's call has ended, or its time is over; the handler goes on, and what it makes is kept for the
next read. A call may make as many messages as its read asked for, at any time; before one more than that is taken from
it, it has to wait for the next read, so that what is kept is bounded.

Before a read begins, the nack handler gets the messages of streams that are over: those that were sent and not answered
for. It has them delivered again, as it does with messages that the platform refuses.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from time import monotonic
from typing import Any, Final, NamedTuple

from numaflow_core.rpc import Inbox, OnFailure
from numaflow_core.values.messages import iterable

from ._datatypes import AckRequest, Message, NackRequest, ReadRequest
from ._delivered import Delivered

_COMPLAINT: Final = "a read handler must yield Message objects, return them, or put them into its output"

_BATCH: Final = 128
"""Messages that are encoded in one go, at most."""

_SLICE: Final = 0.005
"""Seconds of a handler that never suspends, after which other tasks of the loop get a turn."""


class ReadingEndedError(BaseException):
    """Unwinds a read handler that puts a message when the server has ended."""


class Handlers(NamedTuple):
    """The source's, as far as reads have to do with them, and what is told when they raise here."""

    read: Callable[..., Any]
    ack: Callable[[AckRequest], Any]
    nack: Callable[[NackRequest], Any]
    on_failure: OnFailure
    on_nack_failure: OnFailure


class _Reading:
    """What a read handler has made, and what it may make."""

    def __init__(self, handlers: Handlers, *, takes_output: bool) -> None:
        self._handler = handlers.read
        self._ack_handler = handlers.ack
        self._nack_handler = handlers.nack
        self._delivered = Delivered()
        self._takes_output = takes_output
        self._on_failure = handlers.on_failure
        self._on_nack_failure = handlers.on_nack_failure
        self._kept: deque[Message] = deque()
        self._turn = 0  # number of the latest read: one of a stream that is gone may be about
        self._taken = 0  # messages that reads have been given since the server began
        self._limit = 0  # how many may have been made, taken or kept, before the handler has to wait
        self._closed = False

    def ack(self, request: AckRequest) -> Any:
        """Call the ack handler."""
        self._delivered.settle(request.offsets)
        return self._ack_handler(request)

    def _next_turn(self) -> int:
        """A read begins: the one before is over, should it still wait."""
        self._turn += 1
        return self._turn

    def _let_make(self, turn: int, count: int) -> None:
        """The read of that turn wants so many messages."""
        if turn == self._turn:
            self._limit = self._taken + count

    def _is_over(self, turn: int, inbox: Inbox) -> bool:
        """Whether a read is to end at once: what there is, is the next one's."""
        return turn != self._turn or inbox.left or self._closed

    def _take(self, wanted: int, inbox: Inbox) -> list[Message]:
        take = self._kept.popleft
        count = min(wanted, len(self._kept), _BATCH)
        self._taken += count  # first: whoever looks meanwhile may see too many, never too few
        batch = [take() for _ in range(count)]
        self._delivered.add(inbox.rpc, batch)
        return batch

    def _keep(self, message: object) -> None:
        if not isinstance(message, Message):
            raise TypeError(f"{_COMPLAINT}, got {type(message).__name__}: {message!r:.80}")
        self._kept.append(message)

    def _has_made_too_many(self) -> bool:
        return self._taken + len(self._kept) > self._limit


class SyncReading(_Reading):
    """Reads of a sync handler. The handler gets a thread that lives as long as the server."""

    def __init__(self, handlers: Handlers, *, takes_output: bool) -> None:
        super().__init__(handlers, takes_output=takes_output)
        self._thread: threading.Thread | None = None
        self._next: ReadRequest | None = None
        self._running = False  # a call has been asked for and has not ended
        self._waiting = False  # a read is, or will look once more before it does; a put that tells it, clears this
        self._nacking = threading.Lock()  # no handler runs beside itself
        lock = threading.Lock()
        self._news = threading.Condition(lock)  # for the read
        self._room = threading.Condition(lock)  # for the handler's thread

    def read(self, inbox: Inbox) -> Iterator[list[Message]]:
        """What one read gets, in batches. A batch is taken when the peer has room for it."""
        request: ReadRequest = inbox.call
        deadline = monotonic() + request.timeout_in_ms / 1000
        wanted = request.num_records
        called = False
        with self._news:
            turn = self._next_turn()
            self._news.notify_all()
        self._refuse_lost()
        with self._room:
            self._let_make(turn, wanted)
            self._room.notify_all()
        while wanted:
            with self._news:
                self._waiting = True  # set before each look: what is put after it, is announced
                while not self._kept and not self._is_over(turn, inbox):
                    if not self._running:
                        if called:
                            return
                        called = True
                        self._call(ReadRequest(wanted, _milliseconds(deadline - monotonic())))
                    left = deadline - monotonic()
                    if left <= 0:
                        return
                    self._news.wait(left)
                    self._waiting = True  # a put that was late to tell may have cleared it
                if self._is_over(turn, inbox):
                    return
                batch = self._take(wanted, inbox)
            wanted -= len(batch)
            yield batch
            if monotonic() >= deadline:
                return

    def nack(self, request: NackRequest) -> None:
        """Call the nack handler."""
        self._delivered.settle(request.offsets)
        self._nack(request)

    def _refuse_lost(self) -> None:
        """Call the nack handler for the messages of streams that are over, if there are any."""
        lost = self._delivered.take_lost()
        if lost is None:
            return
        try:
            self._nack(lost)
        except BaseException as error:
            self._on_nack_failure(error, _nothing)  # first: as an error of the read, it would name the read handler
            raise

    def _nack(self, request: NackRequest) -> None:
        with self._nacking:
            self._nack_handler(request)

    def put(self, message: Message, /) -> None:
        """As ``Output`` says."""
        self._keep(message)
        if not (self._waiting or self._closed or self._has_made_too_many()):
            return  # nobody has to be told, so no lock is taken
        with self._room:
            self._waiting = False
            self._news.notify_all()
            while self._has_made_too_many() and not self._closed:
                self._room.wait()
            if self._closed:
                raise ReadingEndedError

    def close(self) -> None:
        """End the handler's thread. If the handler blocks, the thread stays until the process ends."""
        with self._news:
            self._closed = True
            self._news.notify_all()
            self._room.notify_all()

    def _call(self, request: ReadRequest) -> None:
        self._running = True
        self._next = request
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="numaflow-read", daemon=True)
            self._thread.start()
        else:
            self._room.notify_all()

    def _work(self) -> None:
        try:
            while (request := self._take_request()) is not None:
                self._make(request)
                with self._news:
                    self._running = False
                    self._news.notify_all()
        except ReadingEndedError:
            pass
        except BaseException as error:  # the server ends
            self._on_failure(error, _nothing)

    def _take_request(self) -> ReadRequest | None:
        with self._room:
            while self._next is None and not self._closed:
                self._room.wait()
            request, self._next = self._next, None
            return None if self._closed else request

    def _make(self, request: ReadRequest) -> None:
        """One call of the handler."""
        result = self._handler(request, self) if self._takes_output else self._handler(request)
        if result is None and self._takes_output:
            return
        try:
            for message in iterable(result, _COMPLAINT):
                self.put(message)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()


class AsyncReading(_Reading):
    """Reads of an async handler. Each call is a task; there is one at a time. All of it is on one event loop."""

    def __init__(self, handlers: Handlers, *, takes_output: bool, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(handlers, takes_output=takes_output)
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._nacking = asyncio.Lock()  # no handler runs beside itself
        self._news = asyncio.Event()  # for the read
        self._room = asyncio.Event()  # for the handler
        self._slice_ends = 0.0

    async def read(self, inbox: Inbox) -> AsyncIterator[list[Message]]:
        """As ``SyncReading.read``."""
        request: ReadRequest = inbox.call
        deadline = monotonic() + request.timeout_in_ms / 1000
        wanted = request.num_records
        called = False
        turn = self._next_turn()
        self._news.set()
        await self._refuse_lost()
        self._let_make(turn, wanted)
        self._room.set()
        over = False

        def end() -> None:
            nonlocal over
            over = True
            self._news.set()

        timer = self._loop.call_later(max(0.0, deadline - monotonic()), end)
        try:
            while wanted:
                while not self._kept and not self._is_over(turn, inbox):
                    if self._task is None:
                        if called:
                            return
                        called = True
                        self._call(ReadRequest(wanted, _milliseconds(deadline - monotonic())))
                    if over:
                        return
                    self._news.clear()
                    await self._news.wait()
                if self._is_over(turn, inbox):
                    return
                batch = self._take(wanted, inbox)
                wanted -= len(batch)
                yield batch
                if monotonic() >= deadline:
                    return
        finally:
            timer.cancel()

    async def nack(self, request: NackRequest) -> None:
        """As ``SyncReading.nack``."""
        self._delivered.settle(request.offsets)
        await self._nack(request)

    async def _refuse_lost(self) -> None:
        """As ``SyncReading._refuse_lost``."""
        lost = self._delivered.take_lost()
        if lost is None:
            return
        try:
            await self._nack(lost)
        except asyncio.CancelledError:  # the server ends
            raise
        except BaseException as error:
            self._on_nack_failure(error, _nothing)
            raise

    async def _nack(self, request: NackRequest) -> None:
        async with self._nacking:
            await self._nack_handler(request)

    async def put(self, message: Message, /) -> None:
        """As ``AsyncOutput`` says."""
        if not self._kept:
            self._news.set()
        self._keep(message)
        while self._has_made_too_many():
            self._room.clear()
            await self._room.wait()
        if monotonic() > self._slice_ends:
            await asyncio.sleep(0)
            self._slice_ends = monotonic() + _SLICE

    def close(self) -> None:
        """End the handler's task. On any thread."""
        try:
            self._loop.call_soon_threadsafe(self._close)
        except RuntimeError:
            pass  # the loop is closed, and its tasks with it

    def _close(self) -> None:
        self._closed = True
        self._news.set()
        if self._task is not None:
            self._task.cancel()

    def _call(self, request: ReadRequest) -> None:
        self._slice_ends = monotonic() + _SLICE
        self._task = self._loop.create_task(self._work(request), name="numaflow-read")

    async def _work(self, request: ReadRequest) -> None:
        try:
            await self._make(request)
        except asyncio.CancelledError as error:
            if not self._closed:
                self._on_failure(error, _nothing)
            raise
        except BaseException as error:  # the server ends
            self._on_failure(error, _nothing)
        else:
            self._task = None
            self._news.set()

    async def _make(self, request: ReadRequest) -> None:
        """One call of the handler."""
        result = self._handler(request, self) if self._takes_output else self._handler(request)
        if hasattr(result, "__aiter__"):
            if not hasattr(result, "aclose"):
                async for message in result:
                    await self.put(message)
                return
            async with aclosing(result):
                async for message in result:
                    await self.put(message)
            return
        result = await result
        if result is None and self._takes_output:
            return
        for message in iterable(result, _COMPLAINT):
            await self.put(message)


def _nothing() -> None:
    """Neither a read nor what is lost is one message."""


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
