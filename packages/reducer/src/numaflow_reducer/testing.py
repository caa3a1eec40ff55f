"""For your own tests: talk to a running reduce server as the platform does.

A handler by itself needs none of this: call it with ``Datum(...)`` and ``Metadata(...)``. Import this module in tests
only: it imports ``grpc``.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from time import monotonic

from numaflow_core.testing import BaseClient, Outcome, RawStream, RpcEndedError
from numaflow_core.values.durations import Duration, seconds

from ._datatypes import Datum, IntervalWindow, Message
from ._proto.reduce_pb2 import ReduceRequest, ReduceResponse
from ._servers import KIND

__all__ = ["OpenWindow", "Outcome", "ReduceClient", "RpcEndedError"]

_MINUTE = timedelta(minutes=1)


class ReduceClient(BaseClient):
    """Sends the messages of windows to a reduce or reduce stream server and gives back what the handler made of them.

    >>> with ReduceClient("/tmp/reduce.sock") as client:  # doctest: +SKIP
    ...     client.reduce([(["a"], b"1"), (["b"], b"2"), (["a"], b"3")])
    [Message(value=b'2', keys=['a'], tags=[]), Message(value=b'1', keys=['b'], tags=[])]

    Its methods block. Beside a server in the same process that runs async handlers (``ReduceAsyncServer.serving()``),
    call them on another thread: ``await asyncio.to_thread(client.reduce, datums)``.
    """

    _kind = KIND

    def reduce(
        self,
        datums: Iterable[Datum | tuple[list[str], bytes]],
        window: IntervalWindow | None = None,
        *,
        timeout: Duration = 30.0,
    ) -> list[Message]:
        """Send the datums of one window, close it, and return the results in the order in which they came.

        Keys and bytes make a datum with the window's start as its event time. ``window`` is the current minute where
        it is not given.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` has the status and, after an error of the handler,
                the traceback.
            TimeoutError: the window was not finished within ``timeout``.
        """
        with self.open(window) as opened:
            opened.send(*datums)
            return opened.close(timeout)

    @contextmanager
    def open(self, window: IntervalWindow | None = None) -> Iterator["OpenWindow"]:
        """Open a window, to send it datums and see results before it is closed. Any number may be open at once. One
        that is still open at the end of the ``with`` block is cancelled, as when the platform's connection ends."""
        opened = OpenWindow(self._client.open(KIND.rpc), window or _this_minute())
        try:
            yield opened
        finally:
            opened.cancel()


class OpenWindow:
    """A window of a ``ReduceClient``: one stream."""

    def __init__(self, stream: RawStream, window: IntervalWindow) -> None:
        self.window = window
        self._stream = stream
        self._event = ReduceRequest.WindowOperation.OPEN

    def send(self, *datums: Datum | tuple[list[str], bytes]) -> None:
        """Send datums; does not wait."""
        self._stream.send(*map(self._request, datums))

    def receive(self, timeout: Duration = 30.0) -> Message:
        """The next result.

        Raises:
            RpcEndedError: the server ended the stream.
            TimeoutError: none came within ``timeout``.
        """
        response = ReduceResponse.FromString(self._stream.receive(timeout))
        if response.EOF:
            raise AssertionError("the server sent its EOF before the window was closed")
        return self._message(response)

    def close(self, timeout: Duration = 30.0) -> list[Message]:
        """Close the window: the results that were not received yet. Raises as ``ReduceClient.reduce``."""
        end = monotonic() + seconds(timeout, "timeout")
        self._stream.half_close()
        replies = [ReduceResponse.FromString(reply) for reply in self._stream.rest(timeout)]
        outcome = self._stream.status(max(0.0, end - monotonic()))
        if outcome.code != "OK":
            raise RpcEndedError(outcome)
        if any(reply.EOF for reply in replies[:-1]) or (replies and not replies[-1].EOF):
            raise AssertionError("the server did not end the window with one EOF")
        return [self._message(reply) for reply in replies[:-1]]

    def cancel(self) -> None:
        """Leave without closing the window; does nothing where it is closed."""
        self._stream.cancel()

    def _request(self, given: Datum | tuple[list[str], bytes]) -> bytes:
        if isinstance(given, Datum):
            datum = given
        else:
            keys, value = given
            datum = Datum(keys, value, event_time=self.window.start, watermark=self.window.start)
        request = ReduceRequest(payload=datum._request)
        request.operation.event = self._event
        self._event = ReduceRequest.WindowOperation.APPEND
        wire = request.operation.windows.add(slot="0")
        for target, ns in ((wire.start, self.window.start_ns), (wire.end, self.window.end_ns)):
            target.seconds, target.nanos = divmod(ns, 1_000_000_000)
            target.SetInParent()
        return request.SerializeToString()

    def _message(self, response: ReduceResponse) -> Message:
        times = (response.window.start, response.window.end)
        window = IntervalWindow.from_ns(*(time.seconds * 1_000_000_000 + time.nanos for time in times))
        if window != self.window:
            raise AssertionError(f"a result is for {window}, the stream is for {self.window}")
        result = response.result
        return Message(result.value, keys=result.keys, tags=result.tags)


def _this_minute() -> IntervalWindow:
    start = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    return IntervalWindow(start, start + _MINUTE)
