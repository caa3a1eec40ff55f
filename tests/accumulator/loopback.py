"""A flow and its calls without a server: handlers run when chance says so."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from accumulator.handlers import Body, Sorter
from flows.played import Call, Played
from numaflow_accumulator._codec import SPEC
from numaflow_accumulator._flow import AccumulatorFlow
from numaflow_core.kind import Encoder, Push, StreamCodec
from numaflow_core.rpc import Inbox


class _Pushed:
    """What a ``SyncAccumulator`` would be."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def add(self, datum: Any) -> Any:
        return self._body.take(datum, self._body.command(datum))

    def finish(self) -> Any:
        return self._body.end()


class _Running:
    """A call of the handler."""

    def __init__(self, call: Call, body: Body, codec: StreamCodec) -> None:
        assert SPEC.make_push is not None
        inbox = Inbox(None, call.call)  # type: ignore[arg-type]
        token, push = SPEC.make_push(lambda keys: _Pushed(body), inbox)
        self.encoder: Encoder = codec.encoder(token)
        self.push: Push = push
        self.taken = 0  # inputs


class Loopback(Played):
    """Runs the calls of a flow, each on what has come of its inputs."""

    def __init__(self, random: Random, body: Callable[[], Body] = Sorter) -> None:
        super().__init__(AccumulatorFlow())
        assert isinstance(SPEC.codec, StreamCodec)
        self._codec = SPEC.codec
        self._random = random
        self._body = body
        self._running: dict[Call, _Running] = {}

    def run(self, messages: Sequence[bytes]) -> list[bytes]:
        """Send messages in batches, running calls in between, and half-close; all replies."""
        left = deque(messages)
        while left:
            self.receive(*(left.popleft() for _ in range(min(len(left), self._random.randint(1, 6)))))
            while (calls := self._undone()) and self._random.random() < 0.5:
                self.work(self._random.choice(calls))
        self.half_close()
        self.work_all()
        assert self.is_over
        return self.replies

    def work_all(self) -> None:
        """Run calls until there is nothing to do."""
        while calls := [call for call in self._undone() if call.closed or len(call.inputs) > self._taken(call)]:
            self.work(self._random.choice(calls))

    def work(self, call: Call) -> None:
        """Run a call's handler on what has come of its inputs, and to its end where that has come."""
        running = self._running.get(call)
        if running is None:
            running = self._running[call] = _Running(call, self._body(), self._codec)
        while running.taken < len(call.inputs):
            running.taken += 1
            self._reply(running, running.push.add(call.inputs[running.taken - 1]))
        if call.closed:
            self._reply(running, running.push.finish())
            self.replies += map(bytes, running.encoder.finish())
            self.done(call)

    def _undone(self) -> list[Call]:
        return [call for call in self.calls if not call.done]

    def _taken(self, call: Call) -> int:
        return self._running[call].taken if call in self._running else 0

    def _reply(self, running: _Running, made: Any) -> None:
        for message in self._codec.items(made):
            reply = running.encoder.add(message)
            assert reply is not None
            assert not isinstance(reply, list)
            self.replies.append(bytes(reply))
