"""Calls in worker processes, seen from the process that owns the socket. Everything here runs on the transport's
thread; no handler runs in this process.

Each worker gets a *share*: of a stream whose messages are a call each, or of a call that takes inputs. A share is a
stream of its own to its worker, and what all workers reply is what the stream or the call replies.

Messages that are calls go to the worker with the least undone ones, and only as many as it is going to answer within
some milliseconds: what waits, waits here, where the next free worker can have it. Inputs are divided at once: evenly
or, where a kind has keys, by key, so that what belongs together stays in one process and in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import StartError
from ..rpc import Inbox, Rpc
from ..rpc.line import Line
from ..wire.buffers import Buffer, Outgoing
from ..wire.frames import Frame, FrameType
from ..wire.status import ProtocolError, StatusCode
from .children import Worker, how_it_ended
from .link import Link

_LAST_FRAMES: Final = 0.05
"""Seconds to read what a worker has sent before it ended."""

_KILL_AFTER: Final = 0.05
"""Seconds that a worker gets to end when its pipe has been closed on it."""

OnWorkerFailure = Callable[[bytes], None]
"""Given the report of a handler's error, as the worker has written it."""

OnWorkerDeath = Callable[[str], None]
"""Told how a worker has ended that should not have."""


class Share:
    """What one worker gets of a stream or of a call."""

    __slots__ = ("given", "held", "link", "number", "owner", "paused", "undone", "undone_size")

    def __init__(self, number: int, owner: "Divided", link: Link) -> None:
        self.number = number
        self.owner = owner
        self.link = link
        self.given = 0  # messages so far
        self.undone = 0  # messages that the worker is not done with,
        self.undone_size = 0  # and their bytes
        self.paused = False  # the peer does not read: what is undone says nothing about the worker
        self.held: list[Outgoing] | None = None  # replies that wait in the owner's order

    @property
    def rpc(self) -> Rpc:
        """Where replies go."""
        return self.owner.rpc


class Divided(Inbox):
    """A call that takes inputs, here where they arrive; or a stream whose messages are a call each."""

    __slots__ = ("_runner", "closed", "order", "shares")

    def __init__(self, runner: "WorkerRunner", rpc: Rpc, call: Any) -> None:
        super().__init__(rpc, call)
        self._runner = runner
        self.shares: dict[int, Share] = {}  # by the worker's number
        self.closed = False
        self.order: Line | None = None  # in which the shares' last replies leave

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._runner.divide(self, inputs)

    def close(self) -> None:
        self.closed = True
        self._runner.form_line(self)
        for share in self.shares.values():
            share.link.send(FrameType.HALF_CLOSE, share.number)
        if not self.shares:
            self.rpc.done(self)

    def leave(self) -> None:
        self.left = True
        self._runner.forget(self)


class WorkerRunner:
    """Implements ``Runner`` with forked workers, for all RPCs of a kind."""

    def __init__(
        self,
        workers: list[Worker],
        concurrency: int,
        on_failure: OnWorkerFailure,
        on_death: OnWorkerDeath,
        *,
        keyed: bool,
    ) -> None:
        """
        Args:
            workers: are this runner's from now on.
            concurrency: how many calls a worker runs at once.
            on_failure: told when a handler has raised.
            on_death: told when a worker has ended.
            keyed: calls are fed with pairs of a number and a message, and messages with the same number go to the same
                worker. Otherwise each call's inputs are divided evenly.
        """
        self._workers = workers
        self._concurrency = concurrency
        self._on_failure = on_failure
        self._on_death = on_death
        self._keyed = keyed
        self._links: list[Link] = []
        self._shares: dict[int, Share] = {}
        self._next_number = 0
        self._streams: dict[Rpc, Divided] = {}  # those whose messages are a call each
        self._queue: deque[tuple[Rpc, Buffer]] = deque()
        self._closing = False

    # -- Runner

    async def open(self) -> None:
        """Connect to the workers, and wait until all are ready. Raises: StartError, as soon as one cannot start."""
        loop = asyncio.get_running_loop()
        for worker in self._workers:
            link = Link(worker, self._concurrency, self._frame)
            self._links.append(link)
            link.child.exited.add_done_callback(lambda _, link=link: self._exited(link))  # type: ignore[misc]
            await loop.create_unix_connection(lambda link=link: link, sock=worker.pipe)  # type: ignore[misc]
        done, _ = await asyncio.wait([link.ready for link in self._links], return_when=asyncio.FIRST_EXCEPTION)
        for ready in done:
            ready.result()

    def submit(self, rpc: Rpc, messages: list[Buffer]) -> None:
        """Queue messages, and give out what workers have room for."""
        if rpc not in self._streams:
            self._streams[rpc] = Divided(self, rpc, None)
        self._queue.extend([(rpc, message) for message in messages])
        self._dispatch()

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        """A new call; workers are told of it with its first inputs."""
        return Divided(self, rpc, call)

    def kick(self) -> None:
        """Inputs are on their way already."""

    def leave(self, rpc: Rpc) -> None:
        """Workers start none of the stream's messages any more."""
        stream = self._streams.pop(rpc, None)
        if stream is not None:
            self.forget(stream)
            self._dispatch()

    async def close(self, patience: float) -> None:
        """End the workers; what has not ended after ``patience`` seconds is killed."""
        self._closing = True
        self._queue.clear()
        for link in self._links:
            link.send(FrameType.STOP)
        exits = [link.child.exited for link in self._links]
        if exits:
            await asyncio.wait(exits, timeout=patience)
        for link in self._links:
            link.close()
        for worker in self._workers:
            worker.pipe.close()
        if exits:
            await asyncio.wait(exits, timeout=_KILL_AFTER)
            for link in self._links:
                link.child.kill()
            await asyncio.wait(exits)
        self._workers.clear()

    # -- for the calls

    def divide(self, call: Divided, inputs: Sequence[Any]) -> None:
        """Give inputs of a call to workers."""
        links = self._links
        if self._keyed:
            parts: list[list[Buffer]] = [[] for _ in links]
            for number, message in inputs:
                parts[number % len(links)].append(message)
            for link, part in zip(links, parts, strict=True):
                if part:
                    self._give(call, link, part)
            return

        # Each worker is to end up with the same share of the call, whatever pieces it comes in.
        def given(link: Link) -> int:
            share = call.shares.get(link.worker.number)
            return 0 if share is None else share.given

        left = len(inputs)
        goal = -(-(left + sum(map(given, links))) // len(links))
        start = 0
        for link in sorted(links, key=lambda link: (given(link), link.undone)):
            count = min(left, max(0, goal - given(link)))
            if count:
                self._give(call, link, inputs[start : start + count])
                start += count
                left -= count

    def form_line(self, call: Divided) -> None:
        """The call is about to end. Each worker makes the results of its keys in order; those of one worker come
        after those of another."""
        if self._keyed and len(call.shares) > 1:
            shares = [share for _, share in sorted(call.shares.items())]
            call.order = Line(call.rpc.later, shares)
            for share in shares:
                call.order.join(share)

    def forget(self, owner: Divided) -> None:
        """The stream is over: the workers start none of its calls any more."""
        for share in owner.shares.values():
            del self._shares[share.number]
            share.link.uncount(share)
            share.link.send(FrameType.LEFT, share.number)
        owner.shares.clear()

    # -- giving out

    def _dispatch(self) -> None:
        """Give out the messages that wait, evenly, as far as the workers have room."""
        if not self._queue or self._closing:
            return
        free = sorted((link for link in self._links if link.room > 0), key=lambda link: link.undone)
        total = min(len(self._queue), sum(link.room for link in free))
        for index, link in enumerate(free):
            part = -(-total // (len(free) - index))
            total -= self._give_queued(link, min(part, link.room))

    def _give_queued(self, link: Link, count: int) -> int:
        """Give ``link`` up to ``count`` messages, a frame for each run of one stream's; return how many it got."""
        queue = self._queue
        given = 0
        run: list[Buffer] = []
        owner: Rpc | None = None
        size_left = link.room_size
        while queue and given < count and size_left > 0:
            rpc, message = queue.popleft()
            if not rpc.ready:
                postponed = [message]
                while queue and queue[0][0] is rpc:
                    postponed.append(queue.popleft()[1])
                rpc.postpone(postponed)
                continue
            if rpc is not owner:
                if owner is not None and run:
                    self._give(self._streams[owner], link, run)
                owner, run = rpc, []
            run.append(message)
            size_left -= len(message)
            given += 1
        if owner is not None and run:
            self._give(self._streams[owner], link, run)
        return given

    def _give(self, owner: Divided, link: Link, messages: Sequence[Buffer]) -> None:
        share = owner.shares.get(link.worker.number)
        if share is None:
            self._next_number += 1
            share = Share(self._next_number, owner, link)
            owner.shares[link.worker.number] = self._shares[share.number] = share
        link.give(share, messages, owner.rpc.method)

    # -- frames of the workers

    def _frame(self, link: Link, frame: Frame) -> None:
        if frame.kind == FrameType.FAILED:
            link.stopping = True
            self._on_failure(bytes(frame.messages[0]))
            return
        share = self._shares.get(frame.share)
        if share is None:
            return  # the stream was left in the meantime
        owner, rpc = share.owner, share.rpc
        if frame.kind == FrameType.REPLIES:
            link.took(share, frame)
            replies, order = frame.messages, owner.order
            if order is not None:
                replies = [each for each in replies if not order.hold(share, each)]
            rpc.pass_on(replies, frame.number, frame.size)
            self._pause_if_congested(share)
            self._dispatch()
        elif frame.kind == FrameType.DONE:
            del self._shares[share.number]
            del owner.shares[link.worker.number]
            if owner.order is not None:
                rpc.pass_on(owner.order.done(share), 0, 0)
            if owner.closed and not owner.shares:
                rpc.done(owner)
        elif frame.kind == FrameType.BROKEN:
            rpc.broken(ProtocolError(bytes(frame.messages[0]).decode(), StatusCode(frame.number)))

    def _pause_if_congested(self, share: Share) -> None:
        """Have the worker make no more replies than the peer reads."""
        if share.rpc.ready or share.rpc.gone or share.paused:
            return
        share.link.pause(share)
        share.rpc.when_ready(lambda: self._resume(share))

    def _resume(self, share: Share) -> None:
        share.paused = False
        if share.number in self._shares:
            share.link.resume(share)
            self._dispatch()

    # -- the lives of the workers

    def _exited(self, link: Link) -> None:
        """A worker has ended. What it has sent before that is read first."""
        if not (self._closing or link.stopping):
            asyncio.get_running_loop().call_later(_LAST_FRAMES, self._report_exit, link)

    def _report_exit(self, link: Link) -> None:
        if self._closing or link.stopping:
            return
        link.stopping = True
        how = f"worker {link.worker.number} (pid {link.worker.pid}) {how_it_ended(link.child.exited.result())}"
        if link.ready.done():
            self._on_death(how)
        else:
            link.ready.set_exception(StartError(f"{how} while it started"))
