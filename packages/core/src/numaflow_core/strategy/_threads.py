"""Sync handlers on threads."""

import threading
from queue import SimpleQueue
from typing import Any

from ..status import ProtocolError
from ..validate import Buffer
from . import Caller, Codec, OnFailure, SyncHandler


class ThreadStrategy:
    """Runs each call on one of ``threads`` threads; a thread takes the next call when it is done with one.

    The queue holds what the streams' flow control lets in. The threads are daemons: a handler that never returns must
    not keep a process alive that has reported its error.
    """

    def __init__(self, handler: SyncHandler, codec: Codec, threads: int, on_failure: OnFailure) -> None:
        self._handler = handler
        self._codec = codec
        self._on_failure = on_failure
        self._queue: SimpleQueue[tuple[Caller, Buffer] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"numaflow-handler-{number}", daemon=True)
            for number in range(threads)
        ]

    async def open(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, caller: Caller, calls: list[Buffer]) -> None:
        put = self._queue.put
        for call in calls:
            put((caller, call))

    def left(self, caller: Caller) -> None:
        """Threads look at ``caller.gone``."""

    async def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        get, handler, decode, encode = self._queue.get, self._handler, self._codec.decode, self._codec.encode
        item: Any
        while (item := get()) is not None:
            caller, call = item
            if caller.gone:
                continue
            if caller.congested:
                caller.postpone(call)
                continue
            try:
                token, arguments = decode(call)
                reply = encode(token, handler(*arguments))
            except ProtocolError as error:
                caller.broken(error)
            except BaseException as error:  # the process ends
                self._on_failure(error)
                return
            else:
                caller.reply(reply)
