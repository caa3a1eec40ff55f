"""The pipe to one worker process: what the worker has been given, and what it is done with."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from ..errors import StartError
from ..wire.buffers import Buffer, count_bytes
from ..wire.frames import Frame, FrameType
from .children import Child, Worker
from .pipe import Pipe

if TYPE_CHECKING:
    from .workers import Share

_QUEUE_SECONDS: Final = 0.03
"""How much work a worker gets ahead, by its measured rate. Less would leave a busy worker idle at times: its thread for
the pipe has to wait for the interpreter's lock, up to 5 ms each time."""

_PIPE_LOST: Final = 0.2
"""Seconds that a worker which has closed its pipe gets to end by itself."""

_QUEUE_LIMIT: Final = 512
_QUEUE_BYTES: Final = 2 << 20


class Link(Pipe):
    """One worker. The messages that it is not done with count, but for those of streams whose peers do not read."""

    def __init__(self, worker: Worker, minimum: int, on_frame: Callable[["Link", Frame], None]) -> None:
        """``minimum``: how many messages the worker may always be given. ``on_frame`` gets what the worker says of its
        calls."""
        super().__init__()
        self.worker = worker
        self.child = Child(worker)
        self.stopping = False
        """Whether the end of the worker is expected, or told already."""

        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.undone = 0
        self._undone_size = 0
        self._on_frame = on_frame
        self._minimum = minimum
        self._limit = minimum
        self._busy_since = 0.0
        self._done = 0  # messages since then
        self._reply_size = 1  # on average, in the last frame of replies

    @property
    def room(self) -> int:
        """How many more messages the worker may be given, as far as they and their replies are going to be small."""
        if self.room_size <= 0:
            return 0
        return min(self._limit, max(self._minimum, _QUEUE_BYTES // self._reply_size)) - self.undone

    @property
    def room_size(self) -> int:
        """How many bytes of messages it may be given; the last message may exceed that."""
        return _QUEUE_BYTES - self._undone_size

    def give(self, share: "Share", messages: Sequence[Buffer], method: int) -> None:
        """Give messages to the worker."""
        if not self.undone:
            self._busy_since, self._done = monotonic(), 0
        count, size = len(messages), count_bytes(messages)
        share.given += count
        share.undone += count
        share.undone_size += size
        if not share.paused:  # or they count when the stream goes on, which it is about to
            self.undone += count
            self._undone_size += size
        self.send(FrameType.CALLS, share.number, messages, method)

    def took(self, share: "Share", frame: Frame) -> None:
        """The worker has made replies; adapt how many messages it gets ahead to how fast it is."""
        if frame.messages:
            self._reply_size = max(1, count_bytes(frame.messages) // len(frame.messages))
        share.undone -= frame.number
        share.undone_size -= frame.size
        if share.paused or not frame.number:
            return
        self.undone -= frame.number
        self._undone_size -= frame.size
        self._done += frame.number
        elapsed = monotonic() - self._busy_since
        if elapsed >= _QUEUE_SECONDS or not self.undone:
            wanted = round(self._done / max(elapsed, 1e-6) * _QUEUE_SECONDS)
            self._limit = max(self._minimum, min(_QUEUE_LIMIT, wanted, 2 * self._limit))
            self._busy_since, self._done = monotonic(), 0

    def pause(self, share: "Share") -> None:
        """Have the worker make no more replies for a share."""
        self.uncount(share)
        share.paused = True
        self.send(FrameType.PAUSE, share.number)

    def resume(self, share: "Share") -> None:
        """Let it go on, with a share that is not paused any more."""
        self.undone += share.undone
        self._undone_size += share.undone_size
        self.send(FrameType.RESUME, share.number)

    def uncount(self, share: "Share") -> None:
        """What is undone of a share counts no longer."""
        if not share.paused:
            self.undone -= share.undone
            self._undone_size -= share.undone_size

    def frame_received(self, frame: Frame) -> None:
        if frame.kind == FrameType.READY:
            if not self.ready.done():
                self.ready.set_result(None)
        elif frame.kind == FrameType.START_FAILED:
            self.stopping = True
            if not self.ready.done():
                text = bytes(frame.messages[0]).decode()
                self.ready.set_exception(StartError(f"worker {self.worker.number}: {text}"))
        else:
            self._on_frame(self, frame)

    def pipe_lost(self) -> None:
        """The worker's exit tells more. One that has closed its pipe and lives on is of no use: it is ended."""
        if not self.child.exited.done():
            asyncio.get_running_loop().call_later(_PIPE_LOST, self.child.kill)
