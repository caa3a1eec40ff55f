"""Sync handlers on threads."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from ..strategy import Codec, MessageCaller, OnFailure, OpenCall, OpenCaller, StreamCodec, SyncHandler
from ..wire.buffers import Buffer
from ..wire.status import ProtocolError
from ._output import SyncRun


class ThreadPool:
    """Threads that run what is put in their queue, until it returns false.

    What is queued is bounded by the streams' flow control. The threads are daemons: a handler that never returns must
    not keep a process alive that has reported its error.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._queue: SimpleQueue[Callable[[], bool] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"numaflow-handler-{number}", daemon=True)
            for number in range(size)
        ]

    async def open(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, work: Callable[[], bool], times: int = 1) -> None:
        """Have ``times`` threads do the same work, as soon as they are free."""
        for _ in range(times):
            self._queue.put(work)

    async def close(self, patience: float) -> None:
        """Let each thread end with the call that it is in."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            if not work():
                return


class ThreadStrategy(ThreadPool):
    """Runs each call on one of ``threads`` threads; a thread takes the next call when it is done with one.

    A batch is put in the queue once for each thread that can help with it. Whoever gets it takes calls off it, one at a
    time, until it is empty; so calls begin in order, a thread that is blocked holds up nobody, and the queue, whose
    operations wake threads, is touched once per batch and not once per call.
    """

    def __init__(self, handler: SyncHandler, codec: Codec | StreamCodec, threads: int, on_failure: OnFailure) -> None:
        super().__init__(threads)
        self._handler = handler
        self._on_failure = on_failure
        self._one: Callable[[MessageCaller, Any], None]
        if isinstance(codec, StreamCodec):
            self._stream_codec = codec
            self._one = self._stream
        else:
            self._one = partial(_reply_once, codec, handler)

    def submit(self, caller: MessageCaller, calls: list[Buffer]) -> None:
        """Queue a batch."""
        self.put(partial(self._run, caller, deque(calls)), min(len(calls), self.size))

    def left(self, caller: MessageCaller) -> None:
        """Threads look at ``caller.ready``."""

    def _run(self, caller: MessageCaller, calls: deque[Any]) -> bool:
        """Work on a batch until nothing is left of it; return whether the server goes on."""
        one, take = self._one, calls.popleft
        while calls:
            try:
                call = take()
            except IndexError:
                break  # another thread was faster
            if not caller.ready and not isinstance(call, SyncRun):
                caller.postpone([call, *_take_all(calls)])
                break
            try:
                one(caller, call)
            except ProtocolError as error:
                caller.broken(error)
            except BaseException as error:  # the process ends
                self._on_failure(error)
                return False
        return True

    def _stream(self, caller: MessageCaller, call: Buffer | SyncRun) -> None:
        """Begin a call that makes any number of replies, or go on with it."""
        run = call if isinstance(call, SyncRun) else SyncRun(self._stream_codec, self._handler, caller, call)
        if not run.go():
            caller.when_ready(lambda: self.put(partial(self._run, caller, deque([run]))))


def _take_all(calls: deque[Buffer]) -> list[Buffer]:
    """What other threads have not taken."""
    found = []
    with suppress(IndexError):
        while True:
            found.append(calls.popleft())
    return found


def _reply_once(codec: Codec, handler: SyncHandler, caller: MessageCaller, call: Buffer) -> None:
    token, result = codec.call(handler, call)
    caller.reply(codec.encode(token, result))


class SyncInbox(OpenCall):
    """What a handler on a thread reads of an open call."""

    __slots__ = ("_over", "_queue", "_taken")

    def __init__(self, caller: OpenCaller, token: Any) -> None:
        super().__init__(caller, token)
        self._queue: SimpleQueue[tuple[Sequence[Any], int] | None] = SimpleQueue()
        self._taken = (0, 0)  # what the handler is working on: inputs, and their bytes
        self._over = False

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._queue.put((inputs, size))

    def end(self) -> None:
        self._queue.put(None)

    def leave(self) -> None:
        self.left = True
        self._queue.put(None)

    def inputs(self, view: Callable[[Any], Any] | None = None) -> Iterator[Any]:
        while (batch := self._next()) is not None:
            for each in batch if view is None else map(view, batch):
                if self.left:
                    return
                yield each

    def drain(self) -> bool:
        """Pass over what the handler has not read, to the end of the call; return whether its stream is still there."""
        while self._next() is not None:
            pass
        return not self.left

    def _next(self) -> Sequence[Any] | None:
        """The next batch. Whoever asks for it is done with the one before."""
        if self._taken[0]:
            self.caller.released(*self._taken)
            self._taken = (0, 0)
        fed = None if self._over else self._queue.get()
        if fed is None or self.left:
            self._over = True
            return None
        self._taken = (len(fed[0]), fed[1])
        return fed[0]


class OpenThreadStrategy(ThreadPool):
    """Runs each open call on a thread of its own, up to ``threads`` at once; it blocks there while its handler waits
    for messages. A call that finds no free thread waits with its messages, which flow control bounds."""

    def __init__(self, handler: SyncHandler, codec: StreamCodec, threads: int, on_failure: OnFailure) -> None:
        super().__init__(threads)
        self._handler = handler
        self._codec = codec
        self._on_failure = on_failure

    def begin(self, caller: OpenCaller, token: Any) -> OpenCall:
        """Queue the call."""
        call = SyncInbox(caller, token)
        self.put(partial(self._run, call))
        return call

    def kick(self) -> None:
        """Threads wait at their calls' own queues."""

    def _run(self, call: SyncInbox, run: SyncRun | None = None) -> bool:
        """Begin a call, or go on with it; return whether the server goes on."""
        if run is None and call.left:
            return True
        try:
            if run is None:
                run = SyncRun(self._codec, self._handler, call.caller, call)
            if not run.go(call.drain):
                call.caller.when_ready(lambda: self.put(partial(self._run, call, run)))
        except BaseException as error:  # the process ends
            self._on_failure(error)
            return False
        return True
