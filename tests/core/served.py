"""An ``Rpc`` between a stream that notes what is sent and a flow that says what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from numaflow_core.kind import Event, Flow
from numaflow_core.rpc import Rpc, RpcContext, Runner
from numaflow_core.wire.buffers import Outgoing
from numaflow_core.wire.status import ProtocolError, Status

MAX_MESSAGE_SIZE = 2 << 20


class HandLoop:
    """The transport's event loop, which runs when a test says so."""

    def __init__(self) -> None:
        self._due: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()
        self.timers: list[tuple[float, Callable[..., object]]] = []

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: object) -> None:
        self._due.put((callback, arguments))

    def call_later(self, seconds: float, callback: Callable[..., object]) -> _Timer:
        self.timers.append((seconds, callback))
        return _Timer()

    def run(self) -> None:
        """Run what is due, and what that makes due."""
        while True:
            try:
                callback, arguments = self._due.get_nowait()
            except Empty:
                return
            callback(*arguments)


class _Timer:
    def cancel(self) -> None:
        """Nobody looks at the clock."""


class NotingStream:
    """Implements ``transport.Stream``. The peer reads unless a test says otherwise."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.released = 0
        """Bytes of messages that were released."""

        self.released_count = 0
        self.releases: list[tuple[int, int]] = []
        self.status: Status | None = None
        self.congested = False

    def send(self, messages: Sequence[Outgoing], count: int = 0, size: int = 0) -> None:
        assert self.status is None
        self.sent += map(bytes, messages)
        self.release(count, size)

    def release(self, count: int, size: int) -> None:
        self.released_count += count
        self.released += size
        if count or size:
            self.releases.append((count, size))

    def finish(self, status: Status) -> None:
        self.status = self.status or status

    def fail(self, error: ProtocolError) -> None:
        self.finish(error.status)


class Saying(Flow):
    """A flow whose messages are events."""

    def __init__(self, on_done: Callable[[], object]) -> None:
        self.ended: list[Any] = []
        self._on_done = on_done

    def receive(self, messages: list[Any]) -> Iterable[Event]:
        return messages

    def done(self, call: Any) -> Iterable[Event]:
        self.ended.append(call)
        self._on_done()
        return ()


class Served:
    """A stream that is served."""

    def __init__(
        self,
        runner: Runner,
        loop: Any = None,
        flow: Flow | None = None,
        *,
        on_done: Callable[[], object] = lambda: None,
    ) -> None:
        """``loop`` is the transport's, by default one that is run by hand. ``flow`` says what a test says, by
        default; ``on_done`` is called when that hears of the end of a call."""
        by_hand: Any = HandLoop()
        self.loop: Any = by_hand if loop is None else loop
        self.stream = NotingStream()
        self.failures: list[BaseException] = []
        self.saying = Saying(on_done)
        context = RpcContext(
            self.loop, MAX_MESSAGE_SIZE, lambda rpc: None, lambda error, about: self.failures.append(error)
        )
        self.rpc = Rpc(self.stream, context, flow or self.saying, runner)

    @property
    def sent(self) -> list[bytes]:
        return self.stream.sent

    def say(self, *events: Event) -> None:
        """Have the flow say this."""
        messages: list[Any] = list(events)
        self.rpc.received(messages)

    def stop_reading(self) -> None:
        """The peer reads no more, which is noticed with the next reply."""
        self.stream.congested = True

    def read(self) -> None:
        """The peer reads again."""
        self.stream.congested = False
        self.rpc.drained()


class Encoder:
    """Replies are the results."""

    def add(self, result: bytes, /) -> bytes:
        return result

    def finish(self) -> tuple[()]:
        return ()
