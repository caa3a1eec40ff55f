"""A flow and its calls without a server: handlers run when chance says so."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from numaflow_core.strategy import Encoder, OpenCall, Push, StreamCodec

from accumulator.handlers import Body, Sorter
from numaflow_accumulator._codec import CALLS
from numaflow_accumulator._flow import AccumulatorFlow


class _Call(OpenCall):
    def __init__(self, loopback: "Loopback", token: Any) -> None:
        super().__init__(loopback, token)  # type: ignore[arg-type]
        self.fed: deque[tuple[Sequence[Any], int]] = deque()
        self.ended = False
        self.push: Push | None = None
        self.encoder: Encoder


class _Pushed:
    """What a ``SyncAccumulator`` would be."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def add(self, datum: Any) -> Any:
        return self._body.take(datum, self._body.command(datum))

    def finish(self) -> Any:
        return self._body.end()


class Loopback:
    """Implements ``Desk``."""

    def __init__(
        self,
        new_flow: Callable[["Loopback"], AccumulatorFlow],
        codec: StreamCodec,
        random: Random,
        body: Callable[[], Body] = Sorter,
    ) -> None:
        self._codec = codec
        self._random = random
        self._body = body
        self._calls: list[_Call] = []
        self.replies: list[bytes] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.given = 0
        """Bytes of requests."""

        self.taken = 0
        """Bytes of them that were given back."""

        self.flow = new_flow(self)

    # -- Desk

    def begin(self, token: Any) -> OpenCall:
        call = _Call(self, token)
        self._calls.append(call)
        return call

    def feed(self, call: Any, inputs: Sequence[Any], size: int) -> None:
        assert not call.ended
        call.fed.append((inputs, size))

    def complete(self, call: Any) -> None:
        call.ended = True

    def consumed(self, size: int) -> None:
        self.taken += size

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.timers.append((seconds, callback))

    # -- for tests

    def send(self, *messages: bytes) -> None:
        self.given += sum(map(len, messages))
        self.replies += map(bytes, self.flow.receive(list(messages)))

    def run(self, messages: Sequence[bytes]) -> list[bytes]:
        """Send messages in batches, running calls in between, and half-close; all replies."""
        position = 0
        while position < len(messages):
            count = self._random.randint(1, 6)
            self.send(*messages[position : position + count])
            position += count
            while self._calls and self._random.random() < 0.5:
                self.work(self._random.choice(self._calls))
        self.flow.half_closed()
        self.work_all()
        assert self.flow.closed() == ()
        return self.replies

    def work_all(self) -> None:
        """Run calls until there is nothing to do."""
        while any(call.fed or call.ended for call in self._calls):
            self.work(self._random.choice([call for call in self._calls if call.fed or call.ended]))

    def work(self, call: _Call) -> None:
        """Run a call's handler on what has come of its messages, and to its end where that has come."""
        assert CALLS.make_push is not None
        if call.push is None:
            token, call.push = CALLS.make_push(lambda keys: _Pushed(self._body()), call)
            call.encoder = self._codec.encoder(token)
        while call.fed:
            inputs, size = call.fed.popleft()
            for each in inputs:
                self._reply(call, call.push.add(each))
            self.taken += size
        if call.ended:
            self._reply(call, call.push.finish())
            self.replies += map(bytes, call.encoder.finish())
            self._calls.remove(call)
            self.replies += map(bytes, self.flow.finished(call))

    def _reply(self, call: _Call, made: Any) -> None:
        for message in self._codec.items(made):
            reply = call.encoder.add(message)
            assert reply is not None
            assert not isinstance(reply, list)
            self.replies.append(bytes(reply))
