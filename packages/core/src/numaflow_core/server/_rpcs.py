"""The receivers of a server's RPCs: a stream of calls, and the readiness probe. They live on the transport's thread."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from .._proto.ready_pb2 import ReadyResponse
from ..buffers import Buffer, Outgoing
from ..flow import Flow
from ..status import OK, ProtocolError, Status
from ..strategy import OnFailure, Strategy
from ..transport import Stream, count_bytes

_READY: Final = ReadyResponse(ready=True).SerializeToString()


class ReadyRpc:
    """``IsReady``: answered on the transport's own thread, whatever the handlers do."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def received(self, messages: list[Buffer]) -> None:
        self._stream.release(count_bytes(messages))

    def half_closed(self) -> None:
        self._stream.send([_READY])
        self._stream.finish(OK)

    def cancelled(self) -> None:
        """Nothing is left to do."""

    def drained(self) -> None:
        """Nothing waits."""


class CallsRpc:
    """A stream of calls: from the transport through the flow to the strategy, and the replies back.

    Everything but ``reply``, ``postpone`` and ``broken`` runs on the transport's thread; those three may be called on
    any thread.
    """

    def __init__(
        self,
        stream: Stream,
        flow: Flow,
        strategy: Strategy,
        loop: asyncio.AbstractEventLoop,
        max_message_size: int,
        on_progress: Callable[["CallsRpc"], None],
        on_failure: OnFailure,
    ) -> None:
        self._stream = stream
        self._flow = flow
        self._strategy = strategy
        self._loop = loop
        self._max_message_size = max_message_size
        self._on_progress = on_progress
        self._on_failure = on_failure
        self.unanswered = 0
        self._unanswered_bytes = 0
        self._half_closed = False
        self._refusing = False
        self.gone = False
        self.ready = True
        # Only ever appended to by handlers and cut at the front by the transport's thread, each in one step that the
        # interpreter does not interrupt; it is never exchanged for another list.
        self._replies: list[Outgoing] = []
        self._flush_due = False
        self._postponed: list[Buffer] = []

    # -- transport.Receiver

    def received(self, messages: list[Buffer]) -> None:
        if self._refusing:
            return
        calls, answers = self._flow.receive(messages)
        size = count_bytes(calls)
        if answers:
            self._stream.release(count_bytes(messages) - size)
            self._stream.send(answers)
        if calls:
            self.unanswered += len(calls)
            self._unanswered_bytes += size
            self._strategy.submit(self, calls)
            self._on_progress(self)

    def half_closed(self) -> None:
        self._half_closed = True
        self._settle()

    def cancelled(self) -> None:
        self._leave()

    def drained(self) -> None:
        self.ready = not self.gone
        calls, self._postponed = self._postponed, []
        if calls:
            self._strategy.submit(self, calls)

    # -- strategy.Caller

    def reply(self, message: Outgoing) -> None:
        self._replies.append(message)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon_threadsafe(self._flush)

    def postpone(self, message: Buffer) -> None:
        self._loop.call_soon_threadsafe(self._postpone, message)

    def broken(self, error: ProtocolError) -> None:
        self._loop.call_soon_threadsafe(self._break, error)

    # -- for the server, on the transport's thread

    def refuse(self) -> None:
        """Accept no more messages; what has been accepted is answered."""
        self._refusing = True

    def end(self, status: Status) -> None:
        """Send what has been answered, then end the stream."""
        if not self.gone:
            self._flush()
            self._stream.finish(status)
            self._leave()

    def reply_all(self, replies: Sequence[Outgoing]) -> None:
        if self.gone or not replies:
            return
        largest = max(map(len, replies))
        if largest > self._max_message_size:
            self._on_failure(
                ValueError(
                    f"the handler's result takes {largest} bytes on the wire, the limit is {self._max_message_size} "
                    "(max_message_size): return less, or split it"
                )
            )
            return
        share = len(replies) / self.unanswered
        size = round(self._unanswered_bytes * share)
        self.unanswered -= len(replies)
        self._unanswered_bytes -= size
        self._stream.send(replies)
        if self._stream.congested:
            self.ready = False
        self._stream.release(size)
        self._settle()

    def _flush(self) -> None:
        self._flush_due = False  # before the queue is emptied: a reply after this schedules anew
        queue = self._replies
        count = len(queue)
        replies = queue[:count]
        del queue[:count]
        self.reply_all(replies)

    def _settle(self) -> None:
        if self.unanswered or self.gone:
            return
        if self._half_closed:
            self._stream.finish(OK)
            self._leave()
        else:
            self._on_progress(self)

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self.ready = False
            self.unanswered = 0
            self._postponed.clear()
            self._strategy.left(self)
            self._on_progress(self)

    def _postpone(self, message: Buffer) -> None:
        if self.gone:
            return
        if self.ready:
            self._strategy.submit(self, [message])
        else:
            self._postponed.append(message)

    def _break(self, error: ProtocolError) -> None:
        if not self.gone:
            self._flush()
            self._stream.fail(error)
            self._leave()
