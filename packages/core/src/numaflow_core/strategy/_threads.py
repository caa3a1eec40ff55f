"""Sync handlers on threads."""

import threading
from collections import deque
from queue import SimpleQueue

from ..buffers import Buffer
from ..status import ProtocolError
from . import Caller, Codec, OnFailure, SyncHandler


class ThreadStrategy:
    """Runs each call on one of ``threads`` threads; a thread takes the next call when it is done with one.

    A batch is put in the queue once for each thread that can help with it. Whoever gets it takes calls off it, one at a
    time, until it is empty; so calls begin in order, a thread that is blocked holds up nobody, and the queue, whose
    operations wake threads, is touched once per batch and not once per call.

    What is queued is bounded by the streams' flow control. The threads are daemons: a handler that never returns must
    not keep a process alive that has reported its error.
    """

    def __init__(self, handler: SyncHandler, codec: Codec, threads: int, on_failure: OnFailure) -> None:
        self._handler = handler
        self._codec = codec
        self._on_failure = on_failure
        self._batches: SimpleQueue[tuple[Caller, deque[Buffer]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"numaflow-handler-{number}", daemon=True)
            for number in range(threads)
        ]

    async def open(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, caller: Caller, calls: list[Buffer]) -> None:
        """Queue a batch."""
        batch = caller, deque(calls)
        for _ in range(min(len(calls), len(self._threads))):
            self._batches.put(batch)

    def left(self, caller: Caller) -> None:
        """Threads look at ``caller.ready``."""

    async def close(self, patience: float) -> None:
        """Let each thread end with the call that it is in."""
        for _ in self._threads:
            self._batches.put(None)

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            if not self._run(*batch):
                return

    def _run(self, caller: Caller, calls: deque[Buffer]) -> bool:
        """Work on a batch until nothing is left of it; return whether the server goes on."""
        handler, begin, encode = self._handler, self._codec.call, self._codec.encode
        take, reply = calls.popleft, caller.reply
        while calls:
            try:
                call = take()
            except IndexError:
                break  # another thread was faster
            if not caller.ready:
                caller.postpone(call)
                continue
            try:
                token, result = begin(handler, call)
                response = encode(token, result)
            except ProtocolError as error:
                caller.broken(error)
            except BaseException as error:  # the process ends
                self._on_failure(error)
                return False
            else:
                reply(response)
        return True
