"""Sync handlers on threads."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from ..kind import Codec, StreamCodec
from ..rpc import Inbox, OnFailure, Rpc
from ..wire.buffers import Buffer
from ..wire.status import ProtocolError
from .failure import about
from .output import SyncRun


class ThreadRunner:
    """Runs each call on one of ``threads`` threads; a thread takes the next call when it is done with one. Implements
    ``Runner``.

    Messages that are calls are queued as a batch, once for each thread that can help with it. Whoever gets it takes
    messages off it, one at a time, until it is empty; so calls begin in order, a thread that is blocked holds up
    nobody, and the queue, whose operations wake threads, is touched once per batch and not once per call.

    A call that takes inputs has a thread to itself, which blocks while its handler waits for inputs. One that finds no
    free thread waits with its inputs.

    What is queued is bounded by the streams' flow control. The threads are daemons: a handler that never returns must
    not keep a process alive that has reported its error.
    """

    def __init__(
        self, handler: Callable[..., Any], codec: Codec | StreamCodec, threads: int, on_failure: OnFailure
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._on_failure = on_failure
        self._run_batch = self._stream_each if isinstance(codec, StreamCodec) else self._answer_each
        self._queue: SimpleQueue[Callable[[], bool] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"numaflow-handler-{number}", daemon=True)
            for number in range(threads)
        ]

    # -- the transport's thread

    async def open(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, rpc: Rpc, messages: list[Buffer]) -> None:
        """Queue a batch."""
        self.put(partial(self._run_batch, rpc, deque(messages)), len(messages))

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        """Queue the call."""
        inbox = SyncInbox(rpc, call)
        self.put(partial(self._run, inbox))
        return inbox

    def kick(self) -> None:
        """Threads wait at their calls' own queues."""

    def leave(self, rpc: Rpc) -> None:
        """Threads look at ``rpc.ready``."""

    async def close(self, patience: float) -> None:
        """Let each thread end with the call that it is in."""
        for _ in self._threads:
            self._queue.put(None)

    # -- the threads

    def put(self, work: Callable[[], bool], times: int = 1) -> None:
        """Have up to ``times`` threads do the same work, as soon as they are free. From any thread."""
        for _ in range(min(times, len(self._threads))):
            self._queue.put(work)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            if not work():
                return

    def fail(self, error: BaseException, call: Any) -> None:
        """The handler has raised; ``call`` is the message or the inbox that it was called with."""
        self._on_failure(error, partial(about, self._codec, call))

    def _answer_each(self, rpc: Rpc, messages: deque[Any]) -> bool:
        """Answer messages, one reply each, until none is left of them; return whether the server goes on."""
        codec = self._codec
        assert isinstance(codec, Codec)
        decode, encode, handler, answer, take = codec.decode, codec.encode, self._handler, rpc.answer, messages.popleft
        while messages:
            try:
                message = take()
            except IndexError:
                break  # another thread was faster
            if not rpc.ready:
                rpc.postpone([message, *_take_all(messages)])
                break
            try:
                token, arguments = decode(message)
                answer(encode(token, handler(*arguments)), len(message))
            except ProtocolError as error:
                rpc.broken(error)
            except BaseException as error:  # the process ends
                self.fail(error, message)
                return False
        return True

    def _stream_each(self, rpc: Rpc, calls: deque[Any]) -> bool:
        """Begin calls of one message that make any number of replies, and go on with them: messages and their runs."""
        codec = self._codec
        assert isinstance(codec, StreamCodec)
        while calls:
            try:
                call = calls.popleft()
            except IndexError:
                break  # another thread was faster
            if not rpc.ready and not isinstance(call, SyncRun):
                rpc.postpone([call, *_take_all(calls)])
                break
            try:
                run = call if isinstance(call, SyncRun) else SyncRun(codec, self._handler, rpc, call)
                if not run.go():
                    rpc.when_ready(partial(self.put, partial(self._stream_each, rpc, deque((run,)))))
            except ProtocolError as error:
                rpc.broken(error)
            except BaseException as error:  # the process ends
                self.fail(error, call.call if isinstance(call, SyncRun) else call)
                return False
        return True

    def _run(self, inbox: "SyncInbox", run: SyncRun | None = None) -> bool:
        """Begin a call that takes inputs, or go on with it; return whether the server goes on."""
        if run is None and inbox.left:
            return True
        codec = self._codec
        assert isinstance(codec, StreamCodec)
        try:
            if run is None:
                run = SyncRun(codec, self._handler, inbox.rpc, inbox)
            if not run.go(inbox.drain):
                inbox.rpc.when_ready(partial(self.put, partial(self._run, inbox, run)))
        except BaseException as error:  # the process ends
            self.fail(error, inbox)
            return False
        return True


def _take_all(messages: deque[Buffer]) -> list[Buffer]:
    """What other threads have not taken."""
    found = []
    with suppress(IndexError):
        while True:
            found.append(messages.popleft())
    return found


class SyncInbox(Inbox):
    """What a handler on a thread reads."""

    __slots__ = ("_over", "_queue", "_taken")

    def __init__(self, rpc: Rpc, call: Any) -> None:
        super().__init__(rpc, call)
        self._queue: SimpleQueue[tuple[Sequence[Any], int] | None] = SimpleQueue()
        self._taken = (0, 0)  # what the handler is working on: inputs, and their bytes
        self._over = False

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._queue.put((inputs, size))

    def close(self) -> None:
        self._queue.put(None)

    def leave(self) -> None:
        self.left = True
        self._queue.put(None)

    def inputs(self, view: Callable[[Any], Any] | None = None) -> Iterator[Any]:
        while (batch := self._next()) is not None:
            for each in batch if view is None else map(view, batch):
                if self.left:
                    return
                self.latest = each
                yield each

    def drain(self) -> bool:
        """Pass over what the handler has not read, to the end of the call; return whether its stream is still there."""
        while self._next() is not None:
            pass
        return not self.left

    def _next(self) -> Sequence[Any] | None:
        """The next inputs. Whoever asks for them is done with those before."""
        if self._taken[0]:
            self.rpc.released(*self._taken)
            self._taken = (0, 0)
        fed = None if self._over else self._queue.get()
        if fed is None or self.left:
            self._over = True
            return None
        self._taken = (len(fed[0]), fed[1])
        return fed[0]
