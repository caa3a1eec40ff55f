"""One RPC on an HTTP/2 connection: what came in, what goes out, and how much of both."""

import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from ..transport import INITIAL_WINDOW, MESSAGE_COST, OUTPUT_LIMIT, STREAM_WINDOW, Receiver
from ..wire.buffers import Buffer, Outgoing, coalesce, count_bytes
from ..wire.headers import Headers, ended, trailers
from ..wire.messages import MessageReader, frame_messages
from ..wire.status import ProtocolError, Status
from ._h2_state import DATA, FRAME

logger = logging.getLogger(__name__)

_SLOW = 0.05
"""Seconds. When a peer waits longer for credit, handlers are slow and more messages at once might help: the window
doubles. While handlers are fast it stays small, and what is in it stays in the processor's cache."""

_QUICK = 8
"""So many shorter waits in a row say that a smaller window would do: it halves. After that they are half as long, and
the window does not double again for what was only a pause, of the garbage collector's say."""


class Connection(Protocol):
    """What a stream asks of its connection."""

    def output_ready(self, stream: "H2Stream") -> None:
        """There are bytes or trailers to write."""

    loop: AbstractEventLoop

    def may_widen(self, size: int) -> bool:
        """Whether a stream's window may grow by ``size``, as far as the others leave room for it."""

    def narrowed(self, size: int) -> None:
        """A stream's window has shrunk by ``size``."""

    def grant(self, stream: "H2Stream", size: int) -> None:
        """Send a WINDOW_UPDATE."""

    def forget(self, stream: "H2Stream") -> None:
        """The stream ended; nothing more will be read or written."""


class H2Stream:
    """Implements ``transport.Stream``; the connection moves its bytes."""

    __slots__ = (
        "_connection",
        "_drain_wanted",
        "_end_told",
        "_incoming",
        "_quick",
        "_waiting",
        "credit",
        "deadline",
        "done",
        "half_closed",
        "held",
        "id",
        "name",
        "out",
        "out_size",
        "reader",
        "receiver",
        "trailers",
        "window",
    )

    def __init__(self, connection: Connection, stream_id: int, name: str, reader: MessageReader) -> None:
        self._connection = connection
        self.id = stream_id
        self.name = name
        self.reader = reader
        self.receiver: Receiver | None = None
        self.deadline: TimerHandle | None = None
        self.credit = INITIAL_WINDOW  # what the peer may still send
        self.held = 0  # bytes of whole messages that are not released
        self.window = INITIAL_WINDOW
        self._waiting: TimerHandle | None = None  # set while the peer is about to run out of credit
        self._quick = 0  # times in a row that it did not wait long for more
        self._incoming: list[Buffer] = []
        self.half_closed = False
        self._end_told = False
        self.out: deque[Buffer] = deque()
        self.out_size = 0
        self.trailers: Headers | None = None
        self._drain_wanted = False
        self.done = False

    # -- transport.Stream

    @property
    def congested(self) -> bool:
        return self.out_size > OUTPUT_LIMIT

    def send(self, messages: Sequence[Outgoing], count: int = 0, size: int = 0) -> None:
        if count:
            self.release(count, size)
        if self.done or self.trailers is not None or not messages:
            return
        pieces = frame_messages(messages)
        length = count_bytes(pieces)
        self.out += coalesce(pieces, length)
        self.out_size += length
        if self.congested:
            self._drain_wanted = True
        self._connection.output_ready(self)

    def finish(self, status: Status) -> None:
        if self.done or self.trailers is not None:
            return
        self.trailers = trailers(status)
        self._incoming.clear()
        if self.deadline is not None:
            self.deadline.cancel()
        self._connection.output_ready(self)

    def fail(self, error: ProtocolError) -> None:
        if self.done or self.trailers is not None:
            return
        logger.warning("%s: stream ended with %s", self.name, ended(error.status))
        self.finish(error.status)
        if self.receiver is not None:
            self.receiver.cancelled()

    def release(self, count: int, size: int) -> None:
        self.held -= size + count * MESSAGE_COST
        self.replenish()

    # -- for the connection

    def charge(self, size: int) -> bool:
        """Count a DATA frame against what the peer may send; return whether it might."""
        self.credit -= size
        if self._waiting is None and self.credit < self.window // 4:
            self._waiting = self._connection.loop.call_later(_SLOW, self._widen)
        return self.credit >= 0

    def arrived(self, data: memoryview) -> None:
        """Take the payload of a DATA frame. Raises: ProtocolError."""
        before = len(self._incoming)
        self.reader.feed(data, self._incoming)
        new = self._incoming[before:]
        self.held += count_bytes(new) + MESSAGE_COST * len(new)

    def replenish(self) -> None:
        """Let the peer send as much as the window has room for, once that is worth a frame."""
        if self.half_closed or self.done or self.trailers is not None:
            return
        room = self.window - self.held - self.credit
        if room >= self.window // 4:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None
                self._quick += 1
                if self._quick >= _QUICK and self.window > INITIAL_WINDOW:
                    self._narrow()
                    return
            self.credit += room
            self._connection.grant(self, room)

    def _narrow(self) -> None:
        """The peer has not waited long for credit, again and again."""
        self._quick = 0
        less = min(self.window // 2, self.window - INITIAL_WINDOW)
        self.window -= less
        self._connection.narrowed(less)
        self.replenish()

    def _widen(self) -> None:
        """The peer has waited for credit."""
        self._waiting = None
        self._quick = 0
        more = min(self.window, STREAM_WINDOW - self.window)
        if not self.done and self._connection.may_widen(more):
            self.window += more
            self.replenish()

    def deliver(self) -> None:
        """Hand over what has arrived."""
        if self.receiver is None or self.done or self.trailers is not None or self.congested:
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

    def written(self, size: int) -> None:
        """``size`` bytes of output have gone to the socket."""
        self.out_size -= size
        if self._drain_wanted and self.out_size <= OUTPUT_LIMIT // 2:
            self._drain_wanted = False
            if self.receiver is not None and not self.done:
                self.receiver.drained()
                self.deliver()

    def carve(self, size: int, limit: int, to: list[Buffer]) -> None:
        """Cut ``size`` bytes of the output into DATA frames of no more than ``limit`` bytes each."""
        source = self.out
        while size:
            frame = min(size, limit)
            to.append(FRAME.pack(frame >> 8, frame & 0xFF, DATA, 0, self.id))
            size -= frame
            while frame:
                head = source[0]
                if len(head) <= frame:
                    to.append(head)
                    source.popleft()
                    frame -= len(head)
                else:
                    view = memoryview(head)
                    to.append(view[:frame])
                    source[0] = view[frame:]
                    frame = 0

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
        self.out_size = 0
        self._incoming.clear()
        for timer in (self.deadline, self._waiting):
            if timer is not None:
                timer.cancel()
        self._connection.forget(self)
