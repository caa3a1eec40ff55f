"""What a worker process does with what comes through its pipe."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from numaflow_core.flow import PipedFlow
from numaflow_core.server._rpcs import PipedCallsRpc
from numaflow_core.strategy._pipe import Frame, FrameType

from numaflow_core.server._workers import _ParentLink
from numaflow_core.wire.buffers import Buffer, Outgoing
from numaflow_core.wire.status import ProtocolError, StatusCode


class Refusing(PipedFlow):
    """A flow that makes no sense of a message."""

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        raise ProtocolError("no sense in it")


def test_message_that_makes_no_sense_ends_its_stream_and_not_the_worker() -> None:
    sent: list[tuple[FrameType, int, list[bytes]]] = []
    left: list[object] = []

    class Link(_ParentLink):
        def send(self, kind: FrameType, stream: int = 0, messages: Sequence[Outgoing] = (), number: int = 0) -> None:
            sent.append((kind, stream, [bytes(message) for message in messages]))

    strategy: Any = SimpleNamespace(left=left.append)
    service: Any = SimpleNamespace(
        new_piped_rpc=lambda stream, context: PipedCallsRpc(stream, context, Refusing(), strategy, reply_each=True)
    )
    runtime: Any = SimpleNamespace(options=SimpleNamespace(max_message_size=100), fail=None)
    loop = asyncio.new_event_loop()
    try:
        link = Link(runtime, [service], loop)
        link.frame_received(Frame(FrameType.CALLS, 7, 0, [b"garbage"]))
    finally:
        loop.close()
    ((kind, stream, (text,)),) = sent
    assert (kind, stream) == (FrameType.BROKEN, 7)
    assert json.loads(text) == [StatusCode.INVALID_ARGUMENT, "no sense in it"]
    assert len(left) == 1
