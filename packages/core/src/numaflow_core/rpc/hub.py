"""One stream, between its transport, its flow and its runner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..kind import Begin, Calls, Close, Event, Feed, Flow, Release, Reply
from ..transport import OUTPUT_LIMIT, Stream
from ..wire.buffers import Buffer, Outgoing, count_bytes
from ..wire.status import OK, ProtocolError, Status, StatusCode
from .line import DISCARD, Line

if TYPE_CHECKING:
    import asyncio

    from .context import RpcContext
    from .inbox import Inbox
    from .runner import Runner

_T = TypeVar("_T")

_SMALL: Final = 1024
"""Bytes of a reply that is not worth counting: the interpreter makes too few of them to fill the memory."""

UNFINISHED: Final = Status(StatusCode.UNAVAILABLE, "the server is shutting down")
"""The end of a stream that is cut off."""


class Rpc:
    """A stream. Carries out its flow's events, and sends what runners have made. Implements ``transport.Receiver``.

    Handlers' threads leave replies and what they are done with in lists, and schedule one ``_flush`` on the transport's
    thread for all that has come by then. ``answer``, ``reply``, ``reply_with``, ``answered``, ``released``, ``done``,
    ``postpone``, ``when_ready`` and ``broken`` may be called on any thread, everything else runs on the transport's.
    """

    def __init__(
        self,
        stream: Stream,
        context: RpcContext,
        flow: Flow,
        runner: Runner,
        *,
        method: int = 0,
        output_limit: int = OUTPUT_LIMIT,
    ) -> None:
        """
        Args:
            method: the number of the RPC among those of its kind.
            output_limit: bytes of replies that may wait for the transport's thread; with more, handlers stop.
        """
        self.method = method
        self._stream = stream
        self._context = context
        self._flow = flow
        self._runner = runner
        self._output_limit = output_limit
        self._inboxes: dict[Any, Inbox] = {}  # of the open calls
        self._held = 0  # messages that handlers are not done with
        self._closing = 0  # calls that have all their inputs and are not done
        self._postponed: list[Buffer] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._half_closed = False
        self._refusing = False
        self._mute = False  # a reply could not be sent: what followed it would make its call look complete
        self.gone = False
        """Whether the stream is over: nobody waits for replies."""

        self._paused = False  # until `drained`
        self.ready = True
        """Whether the stream takes replies now. If not, it is over, its peer does not read, or too much waits for the
        transport's thread."""

        # These are only ever appended to by handlers and cut at the front by the transport's thread, each in one step
        # that the interpreter does not interrupt; they are never exchanged for other lists.
        self._replies: list[Outgoing] = []
        self._sizes: list[int] = []  # of messages that were a call each, and are answered
        self._released: list[tuple[int, int]] = []  # inputs of open calls that handlers are done with: count and size
        self._done: list[Inbox] = []
        self._waiting = 0  # bytes of replies, but for small ones; about right, since threads add to it without a lock
        self._flush_due = False
        self._awaiting_room: list[Callable[[], None]] = []

    @property
    def unanswered(self) -> int:
        """How many messages have been accepted and are not done with. A call that waits for inputs which the peer has
        not sent does not count: nothing can be done for it."""
        return max(self._held, self._closing)

    # -- transport.Receiver

    def received(self, messages: list[Buffer]) -> None:
        if self._refusing:
            return
        self._carry_out(self._flow.receive(messages))
        self._runner.kick()
        self._context.on_progress(self)

    def half_closed(self) -> None:
        try:
            events = self._flow.half_closed()
        except ProtocolError:
            if not self._refusing:
                raise
            self.end(UNFINISHED)  # what the flow misses is what was refused
            return
        self._half_closed = True
        self._carry_out(events)
        self._runner.kick()
        self._settle()

    def cancelled(self) -> None:
        self._leave()

    def drained(self) -> None:
        """The peer reads again."""
        self._paused = False
        self.ready = not self.gone
        self._call_waiting()
        messages, self._postponed = self._postponed, []
        if messages and not self.gone:
            self._runner.submit(self, messages)

    # -- for runners, on any thread

    def answer(self, reply: Outgoing, size: int) -> None:
        """The one reply to a message of ``size`` bytes, which is done with."""
        self._replies.append(reply)
        self._sizes.append(size)  # after the reply: `_flush` takes it before
        length = len(reply)
        if length > _SMALL:
            self._count(length)
        if not self._flush_due:
            self._schedule_flush()

    def reply(self, message: Outgoing) -> None:
        """A reply; ``answered`` or ``done`` follows the last one."""
        self._replies.append(message)
        size = len(message)
        if size > _SMALL:
            self._count(size)
        if not self._flush_due:
            self._schedule_flush()

    def reply_with(self, messages: list[Outgoing]) -> None:
        """Some replies."""
        self._replies.extend(messages)
        self._count(count_bytes(messages))
        if not self._flush_due:
            self._schedule_flush()

    def answered(self, size: int) -> None:
        """A message of ``size`` bytes that was a call has had its last reply."""
        self._sizes.append(size)
        if not self._flush_due:
            self._schedule_flush()

    def released(self, count: int, size: int) -> None:
        """A handler is done with that many inputs of an open call, which took ``size`` bytes on the wire."""
        self._released.append((count, size))
        if not self._flush_due:
            self._schedule_flush()

    def done(self, inbox: Inbox) -> None:
        """An open call has made its last reply."""
        self._done.append(inbox)
        if not self._flush_due:
            self._schedule_flush()

    def postpone(self, messages: list[Buffer]) -> None:
        """Give messages back that were not started because ``ready`` is false: they are submitted anew when the stream
        is ready, or forgotten."""
        self._context.soon(self._postpone, messages)

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Call back on the transport's thread, once everything replied so far is on its way and ``ready`` is true, or
        the stream is over."""
        self._context.soon(self._when_ready, callback)

    def broken(self, error: ProtocolError) -> None:
        """A message could not be understood; the stream ends."""
        self._context.soon(self.break_off, error)

    # -- for runners, on the transport's thread

    def pass_on(self, replies: Sequence[Outgoing], count: int, size: int) -> None:
        """What a worker process has made: replies, with which it is done with ``count`` messages of ``size`` bytes."""
        if self._replies:
            self._flush()  # they came before these
        self._held -= count
        if self._send(replies, count, size):
            self._settle()

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back in that many seconds, unless the stream is over by then."""

        def call_back() -> None:
            self._timers.discard(timer)
            callback()

        timer = self._context.loop.call_later(seconds, call_back)
        self._timers.add(timer)

    # -- for the server

    def refuse(self) -> None:
        """Accept no more messages; what has been accepted is answered."""
        self._refusing = True

    def pause(self) -> None:
        """The stream takes no more replies than handlers are about to make, until it is ``drained``."""
        self._paused = not self.gone
        self.ready = False

    def end(self, status: Status) -> None:
        """Send what has been answered, then end the stream. A call that is cut off must not look complete: a stream
        does not end well with one, nor with an end of which the peer would take no notice."""
        if not self.gone:
            self._flush()
        if not self.gone:
            cut_off = self._inboxes or (self._flow.endless and not self._half_closed)
            self._stream.finish(UNFINISHED if cut_off and status is OK else status)
            self._leave()

    def break_off(self, error: ProtocolError) -> None:
        """End the stream because of what its peer did."""
        if not self.gone:
            self._flush()
            self._stream.fail(error)
            self._leave()

    # -- events

    def _carry_out(self, events: Iterable[Event]) -> bool:
        """Carry out a flow's events; return whether the stream is still there."""
        replies: list[Outgoing] = []
        count = size = 0
        for event in events:
            if isinstance(event, Calls):
                self._held += len(event.messages)
                self._runner.submit(self, event.messages)
            elif isinstance(event, Feed):
                self._feed(event)
            elif isinstance(event, Reply):
                replies += event.messages
            elif isinstance(event, Release):
                count += event.number
                size += event.size
            elif isinstance(event, Begin):
                self._inboxes[event.call] = self._runner.begin(self, event.call)
            elif isinstance(event, Close):
                self._close(event)
            else:
                self.later(event.seconds, self._wake)
        return self._send(replies, count, size) if replies or count else not self.gone

    def _feed(self, event: Feed) -> None:
        inboxes = self._inboxes
        for call, inputs, size in event.shares:
            self._held += len(inputs)
            inboxes[call].feed(inputs, size)

    def _close(self, event: Close) -> None:
        inboxes = [self._inboxes[call] for call in event.calls]
        line = DISCARD if event.silently else Line(self.later, inboxes) if len(inboxes) > 1 else None
        self._closing += len(inboxes)
        for inbox in inboxes:
            inbox.line = line
            inbox.close()

    def _wake(self) -> None:
        self._carry_out(self._flow.wake())

    # -- replies

    def _schedule_flush(self) -> None:
        self._flush_due = True
        self._context.soon(self._flush)

    def _flush(self) -> None:
        """Pass on what handlers have left here since the last time."""
        self._flush_due = False  # before the lists are emptied: what comes after this schedules anew
        done, sizes, released = take(self._done), take(self._sizes), take(self._released)
        replies = take(self._replies)  # after the others: replies to what is done with are all there
        self._waiting = 0  # a thread may be about to set it to what it was: that thread then schedules another flush
        self.ready = not (self.gone or self._paused)
        if self.gone or self._mute:
            return
        count, size = len(sizes), sum(sizes)
        for one_count, one_size in released:
            count += one_count
            size += one_size
        if not (replies or count or done):
            return
        self._held -= count
        if (replies or count) and not self._send(replies, count, size):
            return
        if done and not self._finish(done):
            return
        self._settle()

    def _finish(self, done: list[Inbox]) -> bool:
        """Calls have made their last replies; return whether the stream is still there."""
        events: list[Event] = []
        try:
            for inbox in done:
                del self._inboxes[inbox.call]
                self._closing -= 1
                if inbox.line is not None:
                    events.append(Reply(inbox.line.done(inbox)))
                events += self._flow.done(inbox.call)
        except ProtocolError as error:
            if self._carry_out(events):
                self.break_off(error)
            return False
        there = self._carry_out(events)
        self._runner.kick()
        return there

    def _send(self, replies: Sequence[Outgoing], count: int, size: int) -> bool:
        """Send replies, and give back window; return whether the stream is still there to go on with."""
        if self.gone or self._mute:
            return False
        if replies:
            limit = self._context.max_message_size
            largest = max(map(len, replies))
            if largest > limit:
                self._mute = True
                self._context.on_failure(
                    ValueError(
                        f"the handler's result takes {largest} bytes on the wire, the limit is {limit} "
                        "(max_message_size): return less, or split it"
                    ),
                    lambda: None,
                )
                return False
        self._stream.send(replies, count, size)
        if replies and self._stream.congested:
            self.pause()
        return True

    def _count(self, size: int) -> None:
        """Replies wait for the transport's thread: handlers that are faster than it have to stop before long, too."""
        self._waiting += size
        if self._waiting > self._output_limit:
            self.ready = False

    def _when_ready(self, callback: Callable[[], None]) -> None:
        self._flush()
        if self._paused:
            self._awaiting_room.append(callback)
        else:
            callback()

    def _call_waiting(self) -> None:
        waiting, self._awaiting_room = self._awaiting_room, []
        for callback in waiting:
            callback()

    def _postpone(self, messages: list[Buffer]) -> None:
        self._flush()
        if self.gone:
            return
        if self._paused:
            self._postponed += messages
        else:
            self._runner.submit(self, messages)

    # -- the end

    def _settle(self) -> None:
        """See whether the stream has come to its end."""
        if self.unanswered or self.gone or self._mute or self._replies:
            return
        if self._half_closed and not self._inboxes:
            self._stream.finish(OK)
            self._leave()
        else:
            self._context.on_progress(self)

    def _leave(self) -> None:
        if self.gone:
            return
        self.gone = True
        self.ready = self._paused = False
        self._held = self._closing = 0
        self._postponed.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for inbox in self._inboxes.values():
            inbox.leave()
        self._inboxes.clear()
        self._runner.leave(self)
        self._runner.kick()
        self._call_waiting()
        self._context.on_progress(self)


def take(queue: list[_T]) -> list[_T]:
    """Cut off what is there."""
    taken = queue[:]
    del queue[: len(taken)]
    return taken
