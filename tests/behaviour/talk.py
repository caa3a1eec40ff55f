"""Conversations with a server, in ids and payloads: the same for every kind."""

import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from numaflow_core.testing import Outcome, RawStream, UdfClient

from .harness import PATIENCE, ServerProcess
from .kinds import KindCase


@dataclass
class _Rpc:
    stream: RawStream
    due: int
    """How many answers it owes."""


class Talk:
    """A conversation with a server, in ids and payloads, on one stream; where calls have to be side by side and a
    stream has only one at a time, on more. Where a call is an RPC, each that is sent has a stream of its own, and
    ``stream`` is the newest."""

    def __init__(
        self,
        client: UdfClient,
        kind: KindCase,
        *,
        opened: bool = True,
        deadline: float | None = None,
        gzip: bool = False,
    ) -> None:
        self.kind = kind
        self._client = client
        self._new_stream = partial(client.open, kind.rpc, deadline=deadline, gzip=gzip)
        self.stream: RawStream = self._new_stream()
        self._unused = True
        # Where a stream may be given what another has asked for, ids tell whose an answer is.
        self._mark = f"{uuid.uuid4()} " if kind.is_serial else ""
        self._sent = deque([_Rpc(self.stream, 0)])
        self._others: deque[_Rpc] = deque()  # each of them has one request, that is not answered yet
        self._ready: deque[tuple[str, bytes]] = deque()
        if opened:
            self._shake_hands(self.stream)

    def send(self, requests: Iterable[tuple[str, bytes]]) -> None:
        """Requests on the stream: as many calls, or one with all of them. Unary ones have a stream each."""
        requests = list(requests)
        for together in [[request] for request in requests] if self.kind.is_unary else [requests]:
            if self.kind.calls_are_rpcs and not self._unused:
                self.stream = self._new_stream()
                self._sent.append(_Rpc(self.stream, 0))
            self._unused = False
            self._sent[-1].due += len({name for name, _ in together} if self.kind.joins_same_ids else together)
            self._send(self.stream, together)

    def send_as_it_is(self, *messages: bytes) -> None:
        """Messages on the stream, which no answer is expected to."""
        self.stream.send(*messages)
        if self.kind.calls_are_rpcs:
            self.stream.half_close()

    def spread(self, requests: Iterable[tuple[str, bytes]]) -> None:
        """Requests that are calls of their own, side by side as far as the server allows."""
        if not self.kind.takes_streams:
            self.send(requests)
            return
        for request in requests:
            stream = self._client.open(self.kind.rpc)
            self._shake_hands(stream)
            self._send(stream, [request])
            self._others.append(_Rpc(stream, 1))

    def answers(self, count: int, timeout: float = PATIENCE) -> list[tuple[str, bytes]]:
        """The next ``count`` answers, in the order in which they come on the stream; then those on others."""
        return [self._next_answer(timeout) for _ in range(count)]

    def ask(self, payload: bytes, id: str = "one") -> bytes:
        """Send one request and wait for its answer."""
        self.send([(id, payload)])
        ((answered, reply),) = self.answers(1)
        assert answered == id
        return reply

    @property
    def taken(self) -> int:
        """How many messages gRPC has taken to send, on streams that are not done with."""
        return sum(rpc.stream.taken for rpc in self._sent)

    def finish(self, timeout: float = PATIENCE) -> list[tuple[str, bytes]]:
        """Half-close, and expect the streams to end well; what was still answered."""
        found = [*self._ready]
        self._ready.clear()
        if self._unused and self.kind.is_unary:
            self._sent.pop().stream.cancel()  # without a request it could not end well
        self.half_close()
        for stream in self._streams():
            found += self._rest(stream, timeout)
        return found

    def cancel(self) -> None:
        """End the streams from the client's side, at once."""
        for stream in self._streams():
            stream.cancel()

    def half_close(self) -> None:
        """Half-close all streams."""
        for stream in self._streams():
            stream.half_close()

    def statuses(self, *, owing: bool = False) -> list[Outcome]:
        """How the streams ended, beside those that have ended well with their answers.

        Args:
            owing: only of those that owe an answer; a stream without a request ends earlier, and with other words.
        """
        return [rpc.stream.status() for rpc in (*self._sent, *self._others) if rpc.due > 0 or not owing]

    def _streams(self) -> list[RawStream]:
        return [rpc.stream for rpc in (*self._sent, *self._others)]

    def _send(self, stream: RawStream, requests: list[tuple[str, bytes]]) -> None:
        stream.send(*self.kind.encode([(self._mark + name, payload) for name, payload in requests]))
        if self.kind.calls_are_rpcs:
            stream.half_close()

    def _read(self, reply: bytes) -> list[tuple[str, bytes]]:
        """The answers in it that are this conversation's."""
        return [
            (answer.id.removeprefix(self._mark), answer.payload)
            for answer in self.kind.answers(reply)
            if answer.id.startswith(self._mark)
        ]

    def _next_answer(self, timeout: float) -> tuple[str, bytes]:
        while not self._ready:
            rpcs = self._others if self._others and all(rpc.due <= 0 for rpc in self._sent) else self._sent
            rpc = rpcs[0]
            answers: list[tuple[str, bytes]] = []
            while not answers:
                answers = self._read(rpc.stream.receive(timeout))
            rpc.due -= len(answers)
            self._ready.extend(answers)
            if self.kind.calls_are_rpcs and rpc.due <= 0:
                assert self._rest(rpc.stream, timeout) == []
            if rpc.due <= 0 and (self.kind.calls_are_rpcs or rpcs is self._others):
                rpcs.popleft()
        return self._ready.popleft()

    def _rest(self, stream: RawStream, timeout: float) -> list[tuple[str, bytes]]:
        """What a stream still answers until it ends, which has to be well."""
        found = [answer for reply in stream.rest(timeout) for answer in self._read(reply)]
        outcome = stream.status()
        assert outcome.code == "OK", str(outcome)
        return found

    def _shake_hands(self, stream: RawStream) -> None:
        stream.send(*self.kind.opening)
        for _ in self.kind.opening:
            assert self.kind.is_opening_reply(stream.receive(PATIENCE))


def assert_serves(server: ServerProcess) -> None:
    """A new client, on a new connection, is served as ever."""
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        assert talk.ask(b"still there?") == b"still there?"
        assert talk.finish() == []
