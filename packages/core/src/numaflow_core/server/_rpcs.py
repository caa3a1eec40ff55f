"""The receivers of a server's RPCs: streams of calls, and the readiness probe. They live on the transport's thread."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from .._proto.ready_pb2 import ReadyResponse
from ..flow import Flow
from ..strategy import OnFailure, Strategy
from ..transport import OUTPUT_LIMIT, Stream
from ..wire.buffers import Buffer, Outgoing, count_bytes
from ..wire.status import OK, ProtocolError, Status, StatusCode

_T = TypeVar("_T")

_SMALL: Final = 1024
"""Bytes of a reply that is not worth counting: the interpreter makes too few of them to fill the memory."""

_READY: Final = ReadyResponse(ready=True).SerializeToString()
UNFINISHED: Final = Status(StatusCode.UNAVAILABLE, "the server is shutting down")
"""The end of a stream that is cut off."""


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


@dataclass(frozen=True)
class RpcContext:
    """What all streams of a server have in common."""

    loop: asyncio.AbstractEventLoop
    """The transport's."""

    max_message_size: int
    on_progress: Callable[["Rpc"], None]
    """Told that messages came in, that all were answered, or that the stream is over."""

    on_failure: OnFailure


class Rpc(ABC):
    """A stream, between the transport and a strategy. Implements ``transport.Receiver`` and ``strategy.Caller``.

    The methods of a ``Caller`` may be called on any thread, everything else runs on the transport's.
    """

    _most_waiting = OUTPUT_LIMIT
    """Bytes of replies that may wait for the transport's thread; with more, handlers have to stop."""

    def __init__(self, stream: Stream, context: RpcContext) -> None:
        self._stream = stream
        self._context = context
        self._half_closed = False
        self._refusing = False
        self._mute = False  # a reply could not be sent: what followed it would make its call look complete
        self.gone = False
        self._held_back = False  # until `drained`
        self.ready = True  # false when held back, and for as long as too much waits for the transport's thread
        # These are only ever appended to by handlers and cut at the front by the transport's thread, each in one step
        # that the interpreter does not interrupt; they are never exchanged for other lists.
        self._replies: list[Outgoing] = []
        self._waiting = 0  # bytes of them, but for small ones; about right, since threads add to it without a lock
        self._finished: list[Any] = []
        self._flush_due = False
        self._awaiting_room: list[Callable[[], None]] = []

    @property
    @abstractmethod
    def unanswered(self) -> int:
        """How many messages have been accepted and are not done with."""

    # -- transport.Receiver

    @abstractmethod
    def received(self, messages: list[Buffer]) -> None: ...

    def half_closed(self) -> None:
        self._half_closed = True
        self._settle()

    def cancelled(self) -> None:
        self._leave()

    def drained(self) -> None:
        self._held_back = False
        self.ready = not self.gone
        self._tell_room()

    # -- strategy.Caller

    def reply(self, message: Outgoing) -> None:
        self._replies.append(message)
        size = len(message)
        if size > _SMALL:
            self._count(size)
        if not self._flush_due:
            self._schedule_flush()

    def reply_with(self, messages: list[Outgoing]) -> None:
        self._replies.extend(messages)
        self._count(count_bytes(messages))
        if not self._flush_due:
            self._schedule_flush()

    def finished(self, call: Any) -> None:
        self._finished.append(call)
        if not self._flush_due:
            self._schedule_flush()

    def when_ready(self, callback: Callable[[], None]) -> None:
        self._context.loop.call_soon_threadsafe(self._when_ready, callback)

    def broken(self, error: ProtocolError) -> None:
        self._context.loop.call_soon_threadsafe(self.break_off, error)

    # -- for the server

    def refuse(self) -> None:
        """Accept no more messages; what has been accepted is answered."""
        self._refusing = True

    def hold_back(self) -> None:
        """The stream takes no more replies than handlers are about to make, until it is ``drained``."""
        self._held_back = not self.gone
        self.ready = False

    def end(self, status: Status) -> None:
        """Send what has been answered, then end the stream."""
        if not self.gone:
            self._flush()
        if not self.gone:
            self._stream.finish(status)
            self._leave()

    # -- inside

    @abstractmethod
    def _flush(self) -> None:
        """Pass on what handlers have left here since the last time."""

    @abstractmethod
    def _settle(self) -> None:
        """See whether the stream has come to its end."""

    def _schedule_flush(self) -> None:
        self._flush_due = True
        self._context.loop.call_soon_threadsafe(self._flush)

    def _count(self, size: int) -> None:
        """Replies wait for the transport's thread: handlers that are faster than it have to stop before long, too."""
        self._waiting += size
        if self._waiting > self._most_waiting:
            self.ready = False

    def _take_replies(self) -> list[Outgoing]:
        replies = take(self._replies)
        self._waiting = 0  # a thread may be about to set it to what it was: that thread then schedules another flush
        self.ready = not (self.gone or self._held_back)
        return replies

    def _send(self, replies: Sequence[Outgoing]) -> bool:
        """Send replies; return whether the stream is still there to go on with."""
        if not self._may_send(replies):
            return False
        if replies:
            self._stream.send(replies)
            self._look_for_room()
        return True

    def _may_send(self, replies: Sequence[Outgoing]) -> bool:
        if self.gone or self._mute:
            return False
        limit = self._context.max_message_size
        largest = max(map(len, replies), default=0)
        if largest > limit:
            self._mute = True
            self._context.on_failure(
                ValueError(
                    f"the handler's result takes {largest} bytes on the wire, the limit is {limit} "
                    "(max_message_size): return less, or split it"
                )
            )
            return False
        return True

    def _look_for_room(self) -> None:
        if self._stream.congested:
            self.hold_back()

    def _when_ready(self, callback: Callable[[], None]) -> None:
        self._flush()
        if self._held_back:
            self._awaiting_room.append(callback)
        else:
            callback()

    def _tell_room(self) -> None:
        waiting, self._awaiting_room = self._awaiting_room, []
        for callback in waiting:
            callback()

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self.ready = self._held_back = False
            self._forget_calls()
            self._tell_room()
            self._context.on_progress(self)

    @abstractmethod
    def _forget_calls(self) -> None:
        """The stream is over: nobody waits for its calls."""

    def break_off(self, error: ProtocolError) -> None:
        """End the stream because of what its peer did."""
        if not self.gone:
            self._flush()
            self._stream.fail(error)
            self._leave()


class CallsRpc(Rpc):
    """A stream on which every message is a call."""

    def __init__(
        self, stream: Stream, context: RpcContext, flow: Flow, strategy: Strategy, *, reply_each: bool
    ) -> None:
        """``reply_each``: whether each reply ends a call; otherwise ``finished`` does."""
        super().__init__(stream, context)
        self._flow = flow
        self._strategy = strategy
        self._reply_each = reply_each
        self._unanswered = 0
        self._unanswered_bytes = 0
        self._postponed: list[Buffer] = []

    @property
    def unanswered(self) -> int:
        return self._unanswered

    def received(self, messages: list[Buffer]) -> None:
        if self._refusing:
            return
        calls, answers = self._flow.receive(messages)
        size = count_bytes(calls)
        if answers:
            self._stream.release(count_bytes(messages) - size)
            self._stream.send(answers)
        self._submit(calls, size)

    def half_closed(self) -> None:
        try:
            calls = self._flow.half_closed()
        except ProtocolError:
            if not self._refusing:
                raise
            self.end(UNFINISHED)  # what the flow misses is what was refused
            return
        self._submit(calls, count_bytes(calls))
        super().half_closed()

    def end(self, status: Status) -> None:
        """As ``Rpc.end``."""
        super().end(UNFINISHED if self._flow.endless and status is OK else status)

    def drained(self) -> None:
        super().drained()
        calls, self._postponed = self._postponed, []
        if calls:
            self._strategy.submit(self, calls)

    def postpone(self, calls: list[Buffer]) -> None:
        """As ``strategy.Caller`` says."""
        self._context.loop.call_soon_threadsafe(self._postpone, calls)

    def reply_all(self, replies: Sequence[Outgoing], finished: int) -> None:
        """As ``strategy.Caller`` says."""
        if not self._deliver(replies, finished):
            return
        if finished:
            size = round(self._unanswered_bytes * finished / self._unanswered)
            self._unanswered -= finished
            self._unanswered_bytes -= size
            self._stream.release(size)
        self._settle()

    def _submit(self, calls: list[Buffer], size: int) -> None:
        if calls:
            self._unanswered += len(calls)
            self._unanswered_bytes += size
            self._strategy.submit(self, calls)
            self._context.on_progress(self)

    def _deliver(self, replies: Sequence[Outgoing], finished: int) -> bool:
        """Send replies with which that many calls are over; return whether the stream is still there."""
        return self._send(replies)

    def _flush(self) -> None:
        self._flush_due = False  # before the queues are emptied: what comes after this schedules anew
        finished = take(self._finished)  # before the replies: those of finished calls are all there
        replies = self._take_replies()
        if replies or finished:
            self.reply_all(replies, len(replies) if self._reply_each else len(finished))

    def _settle(self) -> None:
        if self._unanswered or self.gone:
            return
        if self._half_closed:
            self._stream.finish(OK)
            self._leave()
        else:
            self._context.on_progress(self)

    def _forget_calls(self) -> None:
        self._unanswered = 0
        self._postponed.clear()
        self._strategy.left(self)

    def _postpone(self, calls: list[Buffer]) -> None:
        self._flush()
        if self.gone:
            return
        if self._held_back:
            self._postponed += calls
        else:
            self._strategy.submit(self, calls)


def take(queue: list[_T]) -> list[_T]:
    """Cut off what is there."""
    taken = queue[:]
    del queue[: len(taken)]
    return taken


class PipedStream(Stream, Protocol):
    """A stream of the parent's, as a worker process sees it. ``finish`` tells that a half-closed stream has all its
    replies; the parent ends its streams by itself."""

    def answer(self, messages: Sequence[Outgoing], finished: int) -> None:
        """Replies, with which that many calls are over."""

    def give_back(self, count: int, size: int) -> None:
        """Handlers are done with that many messages."""


class PipedCallsRpc(CallsRpc):
    """The calls of a stream that one worker gets."""

    _stream: PipedStream

    def _deliver(self, replies: Sequence[Outgoing], finished: int) -> bool:
        if not self._may_send(replies):
            return False
        self._stream.answer(replies, finished)
        self._look_for_room()
        return True
