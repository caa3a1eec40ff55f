"""The pipe from a worker process to the server: its shares of streams, served as the server serves streams."""

import asyncio
import os
from collections.abc import Callable, Sequence

from ..rpc import Rpc
from ..wire.buffers import Outgoing
from ..wire.frames import Frame, FrameType
from ..wire.status import ProtocolError, Status
from .pipe import Pipe


class ParentLink(Pipe):
    """The worker's end of the pipe."""

    def __init__(self, new_rpc: Callable[["PipedStream", int], Rpc]) -> None:
        """``new_rpc`` makes what serves a share, of the share's stream and the number of its RPC."""
        super().__init__()
        self._new_rpc = new_rpc
        self._rpcs: dict[int, Rpc] = {}
        self._paused: set[int] = set()
        self.stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the server has asked for the end."""

    def frame_received(self, frame: Frame) -> None:
        kind, share = frame.kind, frame.share
        if kind == FrameType.STOP:
            if not self.stopped.done():
                self.stopped.set_result(None)
            return
        rpc = self._rpcs.get(share)
        if rpc is None and kind == FrameType.CALLS:
            rpc = self._rpcs[share] = self._new_rpc(PipedStream(self, share), frame.number)
            if self.pauses(share):
                rpc.pause()
        if rpc is None:
            return  # the share is done, or had no messages
        if kind in (FrameType.CALLS, FrameType.HALF_CLOSE):
            try:
                rpc.received(frame.messages) if kind == FrameType.CALLS else rpc.half_closed()
            except ProtocolError as error:
                rpc.break_off(error)
        elif kind == FrameType.PAUSE:
            self._paused.add(share)
            rpc.pause()
        elif kind == FrameType.RESUME:
            self._paused.discard(share)
            if not self.pauses(share):
                rpc.drained()
        elif kind == FrameType.LEFT:
            self.forget(share)
            rpc.cancelled()

    def pauses(self, share: int) -> bool:
        """Whether a share takes no replies for now."""
        return self.congested or share in self._paused

    def forget(self, share: int) -> None:
        """The share is over."""
        self._rpcs.pop(share, None)
        self._paused.discard(share)

    def drained(self) -> None:
        for share, rpc in list(self._rpcs.items()):
            if not self.pauses(share):
                rpc.drained()

    def pipe_lost(self) -> None:
        if not self.stopped.done():
            os._exit(1)  # the server is gone; there is nobody to answer


class PipedStream:
    """A share, as ``Rpc`` sees it. Implements ``transport.Stream``. ``finish`` tells that a half-closed share has all
    its replies; the server ends its streams by itself."""

    def __init__(self, link: ParentLink, share: int) -> None:
        self._link = link
        self._share = share

    @property
    def congested(self) -> bool:
        return self._link.pauses(self._share)

    def send(self, messages: Sequence[Outgoing], count: int = 0, size: int = 0) -> None:
        self._link.send(FrameType.REPLIES, self._share, messages, count, size)

    def release(self, count: int, size: int) -> None:
        self.send((), count, size)

    def finish(self, status: Status) -> None:
        self._link.forget(self._share)
        self._link.send(FrameType.DONE, self._share)

    def fail(self, error: ProtocolError) -> None:
        status = error.status
        self._link.send(FrameType.BROKEN, self._share, [status.message.encode()], int(status.code))
