"""The readiness probe."""

from typing import Final

from .._proto.ready_pb2 import ReadyResponse
from ..transport import Stream
from ..wire.buffers import Buffer, count_bytes
from ..wire.status import OK

_READY: Final = ReadyResponse(ready=True).SerializeToString()


class ReadyRpc:
    """``IsReady``: answered on the transport's own thread, whatever the handlers do. Implements
    ``transport.Receiver``."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def received(self, messages: list[Buffer]) -> None:
        self._stream.release(len(messages), count_bytes(messages))

    def half_closed(self) -> None:
        self._stream.send([_READY])
        self._stream.finish(OK)

    def cancelled(self) -> None:
        """Nothing is left to do."""

    def drained(self) -> None:
        """Nothing waits."""
