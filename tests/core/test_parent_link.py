"""What a worker process does with what comes through its pipe."""

import asyncio
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from numaflow_core.kind import Event, Flow
from numaflow_core.rpc import Rpc, RpcContext
from numaflow_core.runners.parent import ParentLink, PipedStream
from numaflow_core.wire.buffers import Buffer, Outgoing
from numaflow_core.wire.frames import Frame, FrameType
from numaflow_core.wire.status import ProtocolError, StatusCode

from .served import HandLoop


class Refusing(Flow):
    """A flow that makes no sense of a message."""

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        raise ProtocolError("no sense in it")


def test_message_that_makes_no_sense_ends_its_stream_and_not_the_worker() -> None:
    sent: list[tuple[FrameType, int, list[bytes], int]] = []
    left: list[Rpc] = []

    class Link(ParentLink):
        def send(
            self, kind: FrameType, share: int = 0, messages: Sequence[Outgoing] = (), number: int = 0, size: int = 0
        ) -> None:
            sent.append((kind, share, [bytes(message) for message in messages], number))

    runner: Any = SimpleNamespace(leave=left.append, kick=lambda: None)
    loop: Any = HandLoop()
    context = RpcContext(loop, 100, lambda rpc: None, lambda error, about: None)

    def new_rpc(stream: PipedStream, method: int) -> Rpc:
        assert method == 3
        return Rpc(stream, context, Refusing(), runner)

    async def run() -> None:
        link = Link(new_rpc)
        link.frame_received(Frame(FrameType.CALLS, 7, 3, 0, [b"garbage"]))
        assert not link.stopped.done()

    asyncio.run(run())
    assert sent == [(FrameType.BROKEN, 7, [b"no sense in it"], StatusCode.INVALID_ARGUMENT)]
    assert [rpc.gone for rpc in left] == [True]
