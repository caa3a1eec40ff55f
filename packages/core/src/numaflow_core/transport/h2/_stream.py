"""One RPC on an HTTP/2 connection, what came in, what goes out, and how much of both; and what the RPCs of a connection
share."""

import logging
from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ...transport import INITIAL_WINDOW, MESSAGE_COST, OUTPUT_LIMIT, STREAM_WINDOW, Receiver
from ...wire.buffers import Buffer, Outgoing, coalesce, count_bytes
from ...wire.headers import Headers, ended, trailers
from ...wire.messages import MessageReader, frame_messages
from ...wire.status import ProtocolError, Status, StatusCode
from ._budgets import INPUT_POOL, LEAST_OUTPUT, OUTPUT_POOL, Pool
from ._state import FIRST_WINDOW, FRAME, MAX_WINDOW, WINDOW_UPDATE

logger = logging.getLogger(__name__)

_SECOND_WINDOW: Final = 64 << 10
"""A stream's window when its first bytes have come. It grows to ``INITIAL_WINDOW`` as it is used, while half of the
pool is left: what hundreds of streams may send and do not would be missing to the others."""

_SLOW: Final = 0.05
"""Seconds. When a peer waits longer for credit, handlers are slow and more messages at once might help: the window
doubles. While handlers are fast it stays small, and what is in it stays in the processor's cache."""

_QUICK: Final = 8
"""So many shorter waits in a row say that a smaller window would do: it halves. After that they are half as long, and
the window does not double again for what was only a pause, of the garbage collector's say."""

_STALLED: Final = 10.0
"""Seconds that a stream may have the loan, send nothing, and keep others waiting for it."""

_LOANS: Final = 4 << 20
"""When more than this is lent there are no more loans. The last one may be for the largest message that there is."""

_OLDEST_FIRST: Final = 16
"""Of so many loans one goes to the stream that has waited longest, the others to the shortest message."""


class Streams:
    """The open streams of a connection, and what they share."""

    def __init__(
        self,
        control: list[Buffer],
        wake: Callable[[], None],
        call_later: Callable[..., TimerHandle],
        emptied: Callable[[], None],
    ) -> None:
        """``control`` takes frames to be written, ``wake`` has them and the streams' output written, ``call_later`` is
        the loop's, ``emptied`` is told that the last stream has ended."""
        self.by_id: dict[int, H2Stream] = {}
        self.ready: dict[H2Stream, None] = {}
        """Those with something to write, in the order of their turns."""
        self.wake = wake
        self.call_later = call_later
        self.input = Pool(INPUT_POOL, FIRST_WINDOW)
        self.output = Pool(OUTPUT_POOL, LEAST_OUTPUT)
        self._control = control
        self._emptied = emptied
        self._short: dict[H2Stream, None] = {}  # inside of a message that is longer than their share, in turn
        self._serving_short = False
        self._lent = 0
        self._loans = 0

    def output_ready(self, stream: "H2Stream") -> None:
        """The stream has bytes or an end to write."""
        self.ready[stream] = None
        self.wake()

    def grant(self, stream: "H2Stream", size: int) -> None:
        """Let the peer send more on the stream."""
        stream.credit += size
        self.settle(stream)
        self._control.append(FRAME.pack(0, 4, WINDOW_UPDATE, 0, stream.id) + size.to_bytes(4, "big"))
        self.wake()

    def forget(self, stream: "H2Stream") -> None:
        """The stream has ended; nothing more will be read or written."""
        del self.by_id[stream.id]
        self.ready.pop(stream, None)
        if stream.window > FIRST_WINDOW:
            self.input.users -= 1
        self.settle(stream)
        if not self.by_id:
            self._emptied()

    # A message that is longer than the stream's share of the pool has to pass all the same. So it gets a loan: as much
    # as it needs, beyond the pool, until it has been answered. While there are large loans there are no others.

    def ask(self, stream: "H2Stream") -> None:
        """The stream is inside of a message for which its share does not suffice."""
        self._short[stream] = None
        self._serve_short()

    def settle(self, stream: "H2Stream") -> None:
        """Account for what the stream holds now."""
        pool = self.input
        used = stream.used
        if stream.loan:
            loan = 0 if used <= pool.share(stream.taken) else min(stream.loan, used)
            self._lent -= stream.loan - loan
            stream.loan = loan
            used -= loan
        pool.left += stream.taken - used
        stream.taken = used
        if self._short and not self._serving_short:
            self._serve_short()

    def _serve_short(self) -> None:
        self._serving_short = True
        while self._short:
            stream = next(iter(self._short))
            if stream.need and not stream.fits(stream.need):
                if self._lent >= _LOANS:
                    break
                # The shortest passes soonest. But the one that has waited longest must not wait for ever.
                self._loans += 1
                if self._loans % _OLDEST_FIRST:
                    stream = min(self._short, key=lambda each: each.need or MAX_WINDOW)
                stream.loan += stream.need
                self._lent += stream.need
                self.call_later(_STALLED, self._check_loan, stream, stream.reader.pending)
            del self._short[stream]
            if stream.need:
                self.grant(stream, stream.need)
        self._serving_short = False

    def _check_loan(self, stream: "H2Stream", pending: int) -> None:
        """A peer that does not send what it was let to must not keep its other streams from sending."""
        if not stream.loan or not stream.reader.missing:
            return
        if self._short and stream.reader.pending == pending:
            stream.fail(ProtocolError("a large message was begun and not gone on with", StatusCode.RESOURCE_EXHAUSTED))
        else:
            self.call_later(_STALLED, self._check_loan, stream, stream.reader.pending)


class H2Stream:
    """Implements ``transport.Stream``; the connection moves its bytes."""

    __slots__ = (
        "_deadline",
        "_drain_wanted",
        "_end_told",
        "_enough",
        "_held",
        "_incoming",
        "_low",
        "_quick",
        "_streams",
        "_waiting",
        "announced",
        "credit",
        "done",
        "half_closed",
        "id",
        "loan",
        "name",
        "out",
        "out_size",
        "reader",
        "receiver",
        "taken",
        "trailers",
        "window",
    )

    def __init__(self, streams: Streams, stream_id: int, name: str, reader: MessageReader) -> None:
        self._streams = streams
        self.id = stream_id
        self.name = name
        self.reader = reader
        self.receiver: Receiver | None = None
        self._deadline: TimerHandle | None = None
        self.announced: int | None = None  # bytes that are still to come by the request's content-length
        self.credit = FIRST_WINDOW  # what the peer may still send
        self.taken = 0  # of the connection's pool
        self.loan = 0  # beyond it
        self.window = FIRST_WINDOW
        self._enough = -MAX_WINDOW  # room that is worth a frame
        self._low = -MAX_WINDOW  # the peer is about to run out of credit below this
        self._held = 0  # what whole messages cost that are not released
        self._waiting: TimerHandle | None = None  # set while the peer is about to run out of credit
        self._quick = 0  # times in a row that it did not wait long for more
        self._incoming: list[Buffer] = []
        self.half_closed = False
        self._end_told = False
        self.out: deque[Buffer] = deque()
        self.out_size = 0
        self.trailers: Headers | None = None  # empty: the last frame of the output is the end
        self._drain_wanted = False
        self.done = False
        streams.by_id[stream_id] = self
        streams.settle(self)

    # -- transport.Stream

    @property
    def congested(self) -> bool:
        if self.out_size <= self._output_share():
            return False
        self._drain_wanted = True
        return True

    def send(self, messages: Sequence[Outgoing], count: int = 0, size: int = 0) -> None:
        if count:
            self.release(count, size)
        if self.over or not messages:
            return
        pieces = frame_messages(messages)
        length = count_bytes(pieces)
        self.out += coalesce(pieces, length)
        self._set_output(self.out_size + length)
        self._streams.output_ready(self)

    def finish(self, status: Status) -> None:
        if self.over:
            return
        self.trailers = trailers(status)
        self._incoming.clear()
        if self._deadline is not None:
            self._deadline.cancel()
        self._streams.output_ready(self)

    def fail(self, error: ProtocolError) -> None:
        if self.over:
            return
        logger.warning("%s: stream ended with %s", self.name, ended(error.status))
        self.finish(error.status)
        if self.receiver is not None:
            self.receiver.cancelled()

    def release(self, count: int, size: int) -> None:
        self._hold(-count, -size)
        self.replenish()

    # -- what came in

    def _hold(self, count: int, size: int) -> None:
        """So many messages more are held, or less, of ``size`` bytes in all."""
        self._held += size + count * MESSAGE_COST

    @property
    def used(self) -> int:
        """Bytes of memory that the stream has, or may have when the peer sends what it may."""
        if self.done:
            return 0
        return self._held + self.reader.pending + (0 if self.half_closed else self.credit)

    @property
    def over(self) -> bool:
        """Whether an end is said, or need not be said any more."""
        return self.done or self.trailers is not None

    @property
    def need(self) -> int:
        """What the peer has to be granted for the message that it is inside of."""
        return 0 if self.over else max(self.reader.missing - self.credit, 0)

    def fits(self, size: int) -> bool:
        """Whether so much more is within the stream's share."""
        return self.taken + size <= self._streams.input.share(self.taken)

    def charge(self, size: int) -> bool:
        """Count a DATA frame against what the peer may send; return whether it might."""
        self.credit -= size
        if self.credit < self._low and self._waiting is None:
            self._waiting = self._streams.call_later(_SLOW, self._widen)
        return self.credit >= 0

    def arrived(self, data: memoryview) -> None:
        """Take the payload of a DATA frame. Raises: ProtocolError."""
        before = len(self._incoming)
        self.reader.feed(data, self._incoming)
        new = self._incoming[before:]
        self._hold(len(new), sum(map(len, new)))

    def replenish(self) -> None:
        """Let the peer send as much as the window has room for, once that is worth a frame."""
        if self.window - self._held - self.credit < self._enough and not self.half_closed:
            return  # there is not so much to account for, either
        streams = self._streams
        streams.settle(self)
        if self.half_closed or self.over:
            return
        if self.window == FIRST_WINDOW:
            self._resize(_SECOND_WINDOW)
            streams.input.users += 1
        share = streams.input.share(self.taken)
        enough = self._enough = min(self.window, share) >> 2
        room = self.window - self._held - self.credit
        if room < enough:
            return
        room = min(room, share - self.taken)
        if room < enough:
            if self.need:
                streams.ask(self)
            return
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
            self._quick += 1
            if self._quick >= _QUICK and self.window > INITIAL_WINDOW:
                self._quick = 0
                self._resize(max(self.window // 2, INITIAL_WINDOW))
                self.replenish()
                return
        streams.grant(self, room)
        if self.window < INITIAL_WINDOW and streams.input.left > INPUT_POOL // 2:
            self._resize(min(4 * self.window, INITIAL_WINDOW))

    def set_deadline(self, seconds: float) -> None:
        """End the call when it takes longer."""
        self._deadline = self._streams.call_later(seconds, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self.finish(Status(StatusCode.DEADLINE_EXCEEDED, "the deadline of the call has passed"))
        if self.receiver is not None:
            self.receiver.cancelled()

    def _resize(self, window: int) -> None:
        self.window = window
        if window >= INITIAL_WINDOW:
            self._low = window >> 2

    def _widen(self) -> None:
        """The peer has waited for credit."""
        self._waiting = None
        self._quick = 0
        if not self.done:
            self._resize(min(2 * self.window, STREAM_WINDOW))
            self.replenish()

    def deliver(self) -> None:
        """Hand over what has arrived."""
        if self.receiver is None or self.over or self.congested:
            return
        try:
            if self._incoming:
                batch, self._incoming = self._incoming, []
                self.receiver.received(batch)
            if self.half_closed and not self._end_told:
                self._end_told = True
                if self.reader.incomplete:
                    raise ProtocolError("the stream ended inside of a message")
                self.receiver.half_closed()
        except ProtocolError as error:
            self.fail(error)

    # -- what goes out

    def _output_share(self) -> int:
        """How much may wait for the peer before the stream is congested."""
        size = self.out_size
        return OUTPUT_LIMIT if size <= LEAST_OUTPUT else min(OUTPUT_LIMIT, self._streams.output.share(size))

    def _set_output(self, size: int) -> None:
        self._streams.output.left += self.out_size - size
        self.out_size = size

    def end_with(self, text: bytes) -> None:
        """End with text that is no message, and no trailers."""
        self.out.append(text)
        self._set_output(self.out_size + len(text))
        self.trailers = []
        self._streams.output_ready(self)

    def written(self, size: int) -> None:
        """``size`` bytes of output have gone to the socket."""
        self._set_output(self.out_size - size)
        if self._drain_wanted and self.out_size <= self._output_share() // 2:
            self._drain_wanted = False
            if self.receiver is not None and not self.done:
                self.receiver.drained()
                self.deliver()

    # -- the end

    def lost(self) -> None:
        """The peer is gone or has reset the stream."""
        if self.done:
            return
        self.close()
        if self.receiver is not None and self.trailers is None:
            self.receiver.cancelled()

    def close(self) -> None:
        """Stop here; nothing is read or written any more."""
        self.done = True
        self.out.clear()
        self._set_output(0)
        self._incoming.clear()
        for timer in (self._deadline, self._waiting):
            if timer is not None:
                timer.cancel()
        self._streams.forget(self)
