"""Calls of one message in worker processes.

Calls go to the worker with the least unanswered ones, and only as many as it is going to answer within some
milliseconds: what waits, waits here, where the next free worker can have it.
"""

from collections import deque
from time import monotonic
from typing import Final

from ..strategy import MessageCaller, rest_of
from ..wire.buffers import Buffer
from ._pipe import Frame, FrameType
from ._workers import Link, OnWorkerFailure, Worker, WorkerPool

_QUEUE_SECONDS: Final = 0.03
"""How much work a worker gets ahead, by its measured rate. Less would leave a busy worker idle at times: its thread for
the pipe has to wait for the interpreter's lock, up to 5 ms each time."""

_QUEUE_LIMIT: Final = 512
_QUEUE_BYTES: Final = 2 << 20


class _Link(Link):
    """One worker: what it has been given, and what it has answered."""

    def __init__(self, owner: "ProcessStrategy", worker: Worker, minimum: int) -> None:
        super().__init__(owner, worker)
        self._owner = owner
        self._minimum = minimum
        self.limit = minimum
        self.unanswered = 0
        self.unanswered_bytes = 0
        self._streams: dict[int, list[int]] = {}  # stream: its part of the two above
        self._held_back: set[int] = set()  # streams whose peers do not read: their part counts for nothing
        self._busy_since = 0.0
        self._answered = 0
        self._reply_size = 1  # on average, in the last frame of replies

    @property
    def room(self) -> int:
        """How many more calls the worker may be given, as far as their requests and replies are going to be small."""
        if self.unanswered_bytes >= _QUEUE_BYTES:
            return 0
        ahead = min(self.limit, max(self._minimum, _QUEUE_BYTES // self._reply_size))
        return ahead - self.unanswered

    def give(self, stream: int, calls: list[Buffer]) -> None:
        if not self.unanswered:
            self._busy_since, self._answered = monotonic(), 0
        size = sum(map(len, calls))
        part = self._streams.setdefault(stream, [0, 0])
        part[0] += len(calls)
        part[1] += size
        if stream not in self._held_back:  # or they count when the stream goes on, which it is about to
            self.unanswered += len(calls)
            self.unanswered_bytes += size
        self.send(FrameType.CALLS, stream, calls)

    def leave(self, stream: int) -> None:
        """The stream is over: the worker starts none of its calls any more."""
        part = self._streams.pop(stream, None)
        if part is not None:
            if stream not in self._held_back:
                self.unanswered -= part[0]
                self.unanswered_bytes -= part[1]
            self._held_back.discard(stream)
            self.send(FrameType.LEFT, stream)

    def pause(self, stream: int) -> None:
        super().pause(stream)
        part = self._streams.get(stream)
        if part is not None:
            self._held_back.add(stream)
            self.unanswered -= part[0]
            self.unanswered_bytes -= part[1]

    def resume(self, stream: int) -> None:
        super().resume(stream)
        if stream in self._held_back:
            self._held_back.remove(stream)
            part = self._streams[stream]
            self.unanswered += part[0]
            self.unanswered_bytes += part[1]

    def stream_frame(self, frame: Frame) -> None:
        if frame.kind == FrameType.REPLIES:
            if frame.messages:
                self._reply_size = max(1, sum(map(len, frame.messages)) // len(frame.messages))
            if frame.number:
                self._took(frame.stream, frame.number)
            self._owner.replied(frame)

    def _took(self, stream: int, count: int) -> None:
        """``count`` calls are answered; adapt how many the worker gets ahead to how fast it is."""
        part = self._streams.get(stream)
        if part is None:
            return  # the stream was left in the meantime
        size = round(part[1] * count / part[0])
        part[0] -= count
        part[1] -= size
        if stream in self._held_back:
            return
        self.unanswered -= count
        self.unanswered_bytes -= size
        self._answered += count
        elapsed = monotonic() - self._busy_since
        if elapsed >= _QUEUE_SECONDS or not self.unanswered:
            wanted = round(self._answered / max(elapsed, 1e-6) * _QUEUE_SECONDS)
            self.limit = max(self._minimum, min(_QUEUE_LIMIT, wanted, 2 * self.limit))
            self._busy_since, self._answered = monotonic(), 0


class ProcessStrategy(WorkerPool[_Link]):
    """Implements ``Strategy`` with forked workers."""

    def __init__(
        self,
        workers: list[Worker],
        concurrency: int,
        on_failure: OnWorkerFailure,
        *,
        reply_each: bool,
        methods: int = 1,
    ) -> None:
        """
        Args:
            workers, concurrency, on_failure: as everywhere.
            reply_each: whether each reply ends a call; otherwise a call's replies may go on for ever.
            methods: how many RPCs the workers serve. This is the strategy of the first, number 0; ``ProcessMethod`` is
                that of the others. A stream's number divided by ``methods`` leaves its RPC's.
        """
        super().__init__(workers, on_failure)
        self._methods = methods
        self._concurrency = concurrency
        self._reply_each = reply_each
        self._queue: deque[tuple[MessageCaller, Buffer]] = deque()
        self._ids: dict[MessageCaller, int] = {}
        self._callers: dict[int, MessageCaller] = {}
        self._next_id = 0

    def submit(self, caller: MessageCaller, calls: list[Buffer], method: int = 0) -> None:
        """Queue calls, and give out what workers have room for."""
        if caller not in self._ids:
            self._next_id += self._methods
            self._ids[caller] = self._next_id + method
            self._callers[self._next_id + method] = caller
        self._queue.extend([(caller, call) for call in calls])
        self._dispatch()

    def left(self, caller: MessageCaller) -> None:
        """Workers start none of its calls any more."""
        number = self._ids.pop(caller, None)
        if number is not None:
            del self._callers[number]
            for link in self._links:
                link.leave(number)
            self._dispatch()

    async def close(self, patience: float) -> None:
        """End the workers."""
        self._queue.clear()
        await super().close(patience)

    def new_link(self, worker: Worker) -> _Link:
        """The pipe to a worker."""
        return _Link(self, worker, self._concurrency)

    def caller(self, stream: int) -> MessageCaller | None:
        """The stream with this number."""
        return self._callers.get(stream)

    def replied(self, frame: Frame) -> None:
        """A worker has made replies, or is done with calls."""
        caller = self._callers.get(frame.stream)
        if caller is not None:
            caller.reply_all(frame.messages, frame.number)
            if not self._reply_each:
                self.pause_if_congested(frame.stream, caller)
        self._dispatch()

    # -- inside

    def _dispatch(self) -> None:
        """Give out what waits, evenly, as far as the workers have room."""
        if not self._queue or self._closing:
            return
        free = sorted((link for link in self._links if link.room > 0), key=lambda link: link.unanswered)
        total = min(len(self._queue), sum(link.room for link in free))
        for index, link in enumerate(free):
            share = -(-total // (len(free) - index))
            count = min(share, link.room)
            total -= self._give(link, count)

    def _give(self, link: _Link, count: int) -> int:
        """Give ``link`` up to ``count`` calls, a frame per run of calls of one stream; return how many it got."""
        queue = self._queue
        given = 0
        run: list[Buffer] = []
        owner: MessageCaller | None = None
        size = link.unanswered_bytes
        while queue and given < count and size < _QUEUE_BYTES:
            caller, call = queue.popleft()
            if not caller.ready:
                caller.postpone([call, *rest_of(caller, queue)])
                continue
            if caller is not owner:
                if owner is not None and run:
                    link.give(self._ids[owner], run)
                owner, run = caller, []
            run.append(call)
            size += len(call)
            given += 1
        if owner is not None and run:
            link.give(self._ids[owner], run)
        return given


class ProcessMethod:
    """Implements ``Strategy`` for one more RPC of the workers that a ``ProcessStrategy`` owns."""

    def __init__(self, pool: ProcessStrategy, method: int) -> None:
        self._pool = pool
        self._method = method

    async def open(self) -> None:
        """The workers are the pool's."""

    def submit(self, caller: MessageCaller, calls: list[Buffer]) -> None:
        """As the pool does."""
        self._pool.submit(caller, calls, self._method)

    def left(self, caller: MessageCaller) -> None:
        """As the pool does."""
        self._pool.left(caller)

    async def close(self, patience: float) -> None:
        """The workers are the pool's."""
