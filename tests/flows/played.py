"""A flow, played with lists: messages in, and what its events come to."""

from collections.abc import Iterable
from typing import Any

from numaflow_core.kind import Begin, Calls, Close, Event, Feed, Flow, Release, Reply
from numaflow_core.wire.buffers import Buffer, count_bytes


class Call:
    """A call that a flow has begun. It does nothing until a test says so."""

    def __init__(self, call: Any) -> None:
        self.call = call
        """The flow's object."""

        self.inputs: list[Any] = []
        self.size = 0
        self.closed = False
        self.silent = False
        """Whether what it makes at its end is dropped."""

        self.done = False


class Played:
    """Carries out what a flow says as ``Rpc`` does, and checks that it makes sense."""

    def __init__(self, flow: Flow) -> None:
        self.flow: Any = flow
        self.calls: list[Call] = []
        """Those that were begun, in order."""

        self.messages: list[Buffer] = []
        """Those that are a call each."""

        self.closings: list[list[Call]] = []
        """Those that were closed together."""

        self.replies: list[bytes] = []
        self.timers: list[float] = []
        """Seconds, of each ``Wake`` that was not carried out."""

        self.given = 0
        """Bytes of all messages."""

        self.released = 0
        """Bytes that no call has taken."""

        self._left = 0  # messages that were neither released nor given to a call
        self._open: dict[int, Call] = {}

    # -- what a flow is told; each returns what is replied at once

    def receive(self, *messages: Buffer) -> list[bytes]:
        self._left += len(messages)
        self.given += count_bytes(messages)
        return self._carry_out(self.flow.receive(list(messages)))

    def half_close(self) -> list[bytes]:
        return self._carry_out(self.flow.half_closed())

    def done(self, call: Call) -> list[bytes]:
        assert call.closed
        assert self._open.pop(id(call.call)) is call
        call.done = True
        return self._carry_out(self.flow.done(call.call))

    def wake(self) -> list[bytes]:
        self.timers.pop(0)
        return self._carry_out(self.flow.wake())

    # -- what came of it

    @property
    def ending(self) -> list[Call]:
        """The calls that are closed and not done."""
        return [call for call in self._open.values() if call.closed]

    @property
    def is_over(self) -> bool:
        """Whether a stream that its client has half-closed would end now."""
        return not self._open

    @property
    def waiting(self) -> int:
        """Bytes of messages that the flow keeps."""
        taken = sum(call.size for call in self.calls) + count_bytes(self.messages)
        return self.given - taken - self.released

    def check_all_taken(self) -> None:
        """Every message was given to one call, or released."""
        assert self.waiting == 0
        assert self._left == 0

    def _carry_out(self, events: Iterable[Event]) -> list[bytes]:
        replies: list[bytes] = []
        for event in events:
            if isinstance(event, Calls):
                assert event.messages
                self.messages += event.messages
                self._left -= len(event.messages)
            elif isinstance(event, Begin):
                assert id(event.call) not in self._open
                assert hash(event.call) is not None
                call = self._open[id(event.call)] = Call(event.call)
                self.calls.append(call)
            elif isinstance(event, Feed):
                self._feed(event)
            elif isinstance(event, Close):
                self._close(event)
            elif isinstance(event, Reply):
                replies += map(bytes, event.messages)
            elif isinstance(event, Release):
                self.released += event.size
                self._left -= event.number
            else:
                self.timers.append(event.seconds)
        self.replies += replies
        assert self.waiting >= 0
        assert self._left >= 0
        return replies

    def _feed(self, event: Feed) -> None:
        assert event.shares
        for each, inputs, size in event.shares:
            call = self._open[id(each)]
            assert not call.closed
            assert inputs
            call.inputs += inputs
            call.size += size
            self._left -= len(inputs)

    def _close(self, event: Close) -> None:
        calls = [self._open[id(each)] for each in event.calls]
        for call in calls:
            assert not call.closed
            call.closed = True
            call.silent = event.silently
        self.closings.append(calls)


def cut(messages: list[Buffer], sizes: Iterable[int]) -> list[list[Buffer]]:
    """The messages in batches of so many; what is left in the last one."""
    batches, position = [], 0
    for size in sizes:
        if position < len(messages):
            batches.append(messages[position : position + size])
            position += size
    if position < len(messages):
        batches.append(messages[position:])
    return batches
