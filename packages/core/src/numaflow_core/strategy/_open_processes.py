"""Open calls in worker processes: each is divided into parts, one for each worker that gets messages of it.

A part is an open call to its worker; the replies of all parts are the call's. Messages go to workers evenly, or, where
a kind has keys, by key, so that what belongs together stays in one process and in order: all windows of a key.
"""

from collections.abc import Sequence
from typing import Any

from ..strategy import OpenCall, OpenCaller
from ..wire.buffers import Buffer, Outgoing
from ._line import Line
from ._pipe import Frame, FrameType
from ._workers import Link, OnWorkerFailure, Worker, WorkerPool


class _Part:
    """One worker's share of a call."""

    __slots__ = ("call", "caller", "given", "held", "link", "number", "undone")

    def __init__(self, number: int, call: "DividedCall", link: "_Link") -> None:
        self.number = number
        self.call = call
        self.caller = call.caller
        self.link = link
        self.given = 0  # messages so far
        self.undone = 0  # messages that the worker is not done with
        self.held: list[Outgoing] | None = None  # replies that wait in the call's line


class _Link(Link):
    """One worker, and how many messages it is not done with."""

    def __init__(self, owner: "OpenProcessStrategy", worker: Worker) -> None:
        super().__init__(owner, worker)
        self._owner = owner
        self.undone = 0

    def stream_frame(self, frame: Frame) -> None:
        self._owner.answered(self, frame)


class DividedCall(OpenCall):
    """An open call, here where its messages arrive."""

    __slots__ = ("_owner", "ended", "order", "parts")

    def __init__(self, owner: "OpenProcessStrategy", caller: OpenCaller, token: Any) -> None:
        super().__init__(caller, token)
        self._owner = owner
        self.parts: dict[int, _Part] = {}  # by the worker's number
        self.ended = False
        self.order: Line | None = None  # in which the parts' last replies leave

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._owner.divide(self, inputs)

    def end(self) -> None:
        self.ended = True
        self._owner.form_line(self)
        for part in self.parts.values():
            part.link.send(FrameType.HALF_CLOSE, part.number)
        if not self.parts:
            self.caller.finished(self)

    def leave(self) -> None:
        self.left = True
        self._owner.forget(self)


class OpenProcessStrategy(WorkerPool[_Link]):
    """Implements ``OpenStrategy`` with forked workers."""

    def __init__(self, workers: list[Worker], on_failure: OnWorkerFailure, *, keyed: bool) -> None:
        """``keyed``: calls are fed with pairs of a number and a message, and messages with the same number go to the
        same worker. Otherwise each call's messages are divided evenly."""
        super().__init__(workers, on_failure)
        self._keyed = keyed
        self._parts: dict[int, _Part] = {}
        self._next_number = 0

    # -- OpenStrategy

    def begin(self, caller: OpenCaller, token: Any) -> OpenCall:
        """A new call; workers hear of it with its first messages."""
        return DividedCall(self, caller, token)

    def kick(self) -> None:
        """Messages are on their way already."""

    def new_link(self, worker: Worker) -> _Link:
        """The pipe to a worker."""
        return _Link(self, worker)

    def caller(self, stream: int) -> OpenCaller | None:
        """The stream that a part belongs to."""
        part = self._parts.get(stream)
        return None if part is None else part.call.caller

    # -- for the calls

    def divide(self, call: DividedCall, inputs: Sequence[Any]) -> None:
        """Give messages of a call to workers."""
        if not self._keyed:
            self._divide_evenly(call, inputs)
            return
        links = self._links
        shares: list[list[Buffer]] = [[] for _ in links]
        for number, message in inputs:
            shares[number % len(links)].append(message)
        for link, share in zip(links, shares, strict=True):
            if share:
                self._give(call, link, share)

    def form_line(self, call: DividedCall) -> None:
        """The call is about to end. Each worker makes the results of its keys in order; those of one worker come
        after those of another."""
        if self._keyed and len(call.parts) > 1:
            parts = [part for _, part in sorted(call.parts.items())]
            call.order = Line(call.caller.later, parts)
            for part in parts:
                call.order.join(part)

    def forget(self, call: DividedCall) -> None:
        """The call's stream is over."""
        for part in call.parts.values():
            del self._parts[part.number]
            part.link.undone -= part.undone
            part.link.send(FrameType.LEFT, part.number)
        call.parts.clear()

    # -- for the links

    def answered(self, link: _Link, frame: Frame) -> None:
        """A worker has something to say of a part."""
        part = self._parts.get(frame.stream)
        if part is None:
            return  # the call was left in the meantime
        caller = part.call.caller
        if frame.kind == FrameType.REPLIES:
            line = part.call.order
            at_once = frame.messages if line is None else [each for each in frame.messages if not line.hold(part, each)]
            caller.reply_all(at_once, 0)
            self.pause_if_congested(frame.stream, caller)
        elif frame.kind == FrameType.RELEASED:
            part.undone -= frame.number
            link.undone -= frame.number
            caller.released(frame.number, int.from_bytes(frame.messages[0], "little"))
        elif frame.kind == FrameType.DONE:
            call = part.call
            del self._parts[part.number]
            del call.parts[link.worker.number]
            if call.order is not None:
                caller.reply_all(call.order.done(part), 0)
            if call.ended and not call.parts:
                caller.finished(call)

    # -- inside

    def _divide_evenly(self, call: DividedCall, messages: Sequence[Buffer]) -> None:
        """Have each worker end up with the same share of the call, whatever pieces it comes in."""

        def given(link: _Link) -> int:
            part = call.parts.get(link.worker.number)
            return 0 if part is None else part.given

        links = sorted(self._links, key=lambda link: (given(link), link.undone))
        left = len(messages)
        goal = -(-(left + sum(map(given, links))) // len(links))
        start = 0
        for link in links:
            count = min(left, max(0, goal - given(link)))
            if count:
                self._give(call, link, messages[start : start + count])
                start += count
                left -= count

    def _give(self, call: DividedCall, link: _Link, messages: Sequence[Buffer]) -> None:
        part = call.parts.get(link.worker.number)
        if part is None:
            self._next_number += 1
            part = _Part(self._next_number, call, link)
            call.parts[link.worker.number] = self._parts[part.number] = part
        part.given += len(messages)
        part.undone += len(messages)
        link.undone += len(messages)
        link.send(FrameType.CALLS, part.number, messages)
