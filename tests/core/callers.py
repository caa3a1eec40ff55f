"""The other side of a strategy: a stream that notes what its calls do, and the simplest of codecs."""

from collections.abc import Callable, Sequence
from typing import Any

from numaflow_core.strategy import OpenCall

from numaflow_core.wire.buffers import Buffer, Outgoing
from numaflow_core.wire.status import ProtocolError


class Caller:
    """Implements ``OpenCaller`` and ``MessageCaller``."""

    def __init__(self, on_finished: Callable[[], object] = lambda: None) -> None:
        self.ready = True
        self.gone = False
        self.replies: list[Outgoing] = []
        self.calls_finished: list[OpenCall] = []
        self.given_back = 0
        """Bytes of messages that handlers are done with."""

        self.postponed: list[Buffer] = []
        self.waiting: list[Callable[[], None]] = []
        """Callbacks of ``when_ready``, which are due when a test says so."""

        self._on_finished = on_finished

    def reply(self, message: Outgoing) -> None:
        self.replies.append(message)

    def reply_with(self, messages: list[Outgoing]) -> None:
        self.replies += messages

    def reply_all(self, replies: Sequence[Outgoing], finished: int) -> None:
        self.replies += replies

    def finished(self, call: Any) -> None:
        self.calls_finished.append(call)
        self._on_finished()

    def released(self, count: int, size: int) -> None:
        self.given_back += size

    def postpone(self, calls: list[Buffer]) -> None:
        self.postponed += calls

    def when_ready(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def call_back(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        raise AssertionError("no line is formed here")

    def broken(self, error: ProtocolError) -> None:
        raise error


class Encoder:
    """Replies are the results."""

    def add(self, result: bytes, /) -> bytes:
        return result

    def finish(self) -> tuple[()]:
        return ()
