"""Streams of calls that take messages while they run. Like the others, they live on the transport's thread."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ..flow import OpenFlow
from ..strategy import OpenCall, OpenStrategy
from ..strategy._pipe import WRITE_HIGH_WATER
from ..transport import Stream
from ..wire.buffers import Buffer, Outgoing
from ..wire.status import OK, ProtocolError, Status
from ._rpcs import UNFINISHED, PipedStream, Rpc, RpcContext, take


class OpenRpc(Rpc):
    """A stream of calls that take messages while they run; the ``Desk`` of its flow."""

    def __init__(
        self,
        stream: Stream,
        context: RpcContext,
        new_flow: Callable[["OpenRpc"], OpenFlow],
        strategy: OpenStrategy,
        *,
        endless: bool,
    ) -> None:
        """``endless``: whether only the peer may end the stream well; the server ends it as unfinished."""
        super().__init__(stream, context)
        self._strategy = strategy
        self._endless = endless
        self._calls: set[OpenCall] = set()
        self._held = 0  # messages that handlers are not done with
        self._completing = 0  # calls that have all their messages and are not finished
        self._released: list[tuple[int, int]] = []  # as the lists of `Rpc`
        self._timers: set[asyncio.TimerHandle] = set()
        self._flow = new_flow(self)

    @property
    def unanswered(self) -> int:
        """A call that waits for messages which the peer has not sent does not count: nothing can be done for it."""
        return max(self._held, self._completing)

    # -- transport.Receiver

    def received(self, messages: list[Buffer]) -> None:
        if self._refusing:
            return
        self._send(self._flow.receive(messages))
        self._strategy.kick()
        self._context.on_progress(self)

    def half_closed(self) -> None:
        self._flow.half_closed()
        self._strategy.kick()
        super().half_closed()

    # -- flow.Desk

    def begin(self, token: Any) -> OpenCall:
        call = self._strategy.begin(self, token)
        self._calls.add(call)
        return call

    def feed(self, call: OpenCall, inputs: Sequence[Any], size: int) -> None:
        self._held += len(inputs)
        call.feed(inputs, size)

    def complete(self, call: OpenCall) -> None:
        self._completing += 1
        call.end()

    def consumed(self, size: int) -> None:
        self._stream.release(size)

    # -- strategy.OpenCaller

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """As ``flow.Desk`` says, too."""

        def call_back() -> None:
            self._timers.discard(timer)
            callback()

        timer = self._context.loop.call_later(seconds, call_back)
        self._timers.add(timer)

    def released(self, count: int, size: int) -> None:
        self._released.append((count, size))
        if not self._flush_due:
            self._schedule_flush()

    # -- for the server

    def end(self, status: Status) -> None:
        """As ``Rpc.end``. A call that is cut off must not look complete: a stream does not end well with one, nor with
        an end of which the peer would take no notice."""
        cut_off = self._calls or (self._endless and not self._half_closed)
        super().end(UNFINISHED if cut_off and status is OK else status)

    # -- inside

    def reply_all(self, replies: Sequence[Outgoing], finished: int) -> None:
        """As ``strategy.Caller`` says."""
        if self._replies:
            self._flush()  # they came before these
        self._send(replies)

    def _flush(self) -> None:
        self._flush_due = False  # before the queues are emptied: what comes after this schedules anew
        finished = take(self._finished)  # before the replies: those of finished calls are all there
        replies = self._take_replies()
        released = take(self._released)
        if not (finished or replies or released) or not self._send(replies):
            return
        if released:
            count = size = 0
            for one_count, one_size in released:
                count += one_count
                size += one_size
            self._held -= count
            self._give_back(count, size)
        if finished:
            more: list[Outgoing] = []
            try:
                for call in finished:
                    self._calls.discard(call)
                    self._completing -= 1
                    more += self._flow.finished(call)
            except ProtocolError as error:
                self._send(more)
                self._stream.fail(error)
                self._leave()
                return
            if not self._send(more):
                return
            self._strategy.kick()
        self._settle()

    def _give_back(self, count: int, size: int) -> None:
        """Handlers are done with that many messages."""
        self._stream.release(size)

    def _settle(self) -> None:
        if self.unanswered or self.gone or self._replies:
            return
        if self._half_closed and not self._calls:
            self._send(self._flow.closed())
            self._stream.finish(OK)
            self._leave()
        else:
            self._context.on_progress(self)

    def _forget_calls(self) -> None:
        self._held = self._completing = 0
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for call in self._calls:
            call.leave()
        self._calls.clear()
        self._strategy.kick()


class PipedOpenRpc(OpenRpc):
    """One worker's part of an open call."""

    # There may be a handler for each of very many keys, and what all of them have made is copied into the pipe at once.
    _most_waiting = WRITE_HIGH_WATER

    _stream: PipedStream

    def consumed(self, size: int) -> None:
        """The parent has counted the message; it hears of this after what is answered now."""
        self._held += 1
        self.released(1, size)

    def _give_back(self, count: int, size: int) -> None:
        self._stream.give_back(count, size)
