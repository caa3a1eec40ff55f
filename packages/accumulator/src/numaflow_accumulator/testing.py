"""For your own tests: talk to a running accumulator server as the platform does.

A handler by itself needs none of this: call it with ``Datum(...)``. Import this module in tests only: it imports
``grpc``.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from time import monotonic

from numaflow_core.testing import BaseClient, Outcome, RawStream, RpcEndedError
from numaflow_core.values.durations import Duration, seconds
from numaflow_core.values.times import timestamp_to_ns

from ._datatypes import Datum, KeyedWindow, Message
from ._proto.accumulator_pb2 import AccumulatorRequest, AccumulatorResponse
from ._proto.accumulator_pb2 import KeyedWindow as WireWindow
from ._servers import KIND

__all__ = ["Accumulation", "AccumulatorClient", "Outcome", "RpcEndedError"]

_MINUTE = timedelta(minutes=1)
_FOR_EVER = 8210266876799  # seconds: the end of windows that are open (`windower/accumulator.rs`)
_SLOT = "slot-0"

Keys = tuple[str, ...]
_Event = AccumulatorRequest.WindowOperation


class AccumulatorClient(BaseClient):
    """Sends messages to an accumulator server and gives back what the handler made of them.

    >>> with AccumulatorClient("/tmp/accumulator.sock") as client:  # doctest: +SKIP
    ...     client.accumulate([(["a"], b"1"), (["b"], b"2")])
    [Message(value=b'1', keys=['a'], tags=[], ...), Message(value=b'2', keys=['b'], tags=[], ...)]

    Its methods block. Beside a server in the same process that runs async handlers
    (``AccumulatorAsyncServer.serving()``), call them on another thread:
    ``await asyncio.to_thread(client.accumulate, datums)``.
    """

    _kind = KIND

    def accumulate(
        self, datums: Iterable[Datum | tuple[list[str], bytes]], *, timeout: Duration = 30.0
    ) -> list[Message]:
        """Send datums, close all keys, and return the messages in the order in which they came.

        Keys and bytes make a datum whose event time and watermark are the current time.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` has the status and, after an error of the handler,
                the traceback.
            TimeoutError: not all keys were finished within ``timeout``.
        """
        with self.open() as accumulation:
            accumulation.send(*datums)
            return accumulation.close(timeout=timeout)

    @contextmanager
    def open(self, timeout_of_keys: Duration = _MINUTE) -> Iterator["Accumulation"]:
        """Open a stream, to see messages before keys are closed. It is cancelled at the end of the ``with`` block, as
        when the platform's connection ends.

        ``timeout_of_keys`` is what the vertex would have as its ``timeout``: windows are closed with it.
        """
        accumulation = Accumulation(self._client.open(KIND.rpc), timeout_of_keys)
        try:
            yield accumulation
        finally:
            accumulation.cancel()


class _Open:
    """A key that is open, as the platform knows it."""

    def __init__(self, keys: Keys, start_ns: int) -> None:
        self.keys = keys
        self.start_ns = start_ns
        self.latest_ns = start_ns


class Accumulation:
    """A stream of an ``AccumulatorClient``, with all keys."""

    def __init__(self, stream: RawStream, timeout_of_keys: Duration) -> None:
        self._stream = stream
        self._timeout_ns = round(seconds(timeout_of_keys, "timeout_of_keys") * 1_000_000) * 1000
        self._open: dict[Keys, _Open] = {}
        self._windows: dict[Keys, KeyedWindow] = {}
        self._sent = 0

    def send(self, *datums: Datum | tuple[list[str], bytes]) -> None:
        """Send datums, which open their keys where they are not open; does not wait."""
        self._stream.send(*map(self._request, datums))

    def receive(self, timeout: Duration = 30.0) -> Message:
        """The next message.

        Raises:
            RpcEndedError: the server ended the stream.
            TimeoutError: none came within ``timeout``.
        """
        response = self._response(timeout)
        if response.EOF:
            raise AssertionError(f"the server ended the keys {list(response.window.keys)} before they were closed")
        return _message(response)

    def close(self, *keys: Sequence[str], timeout: Duration = 30.0) -> list[Message]:
        """Close keys, or all that are open where none are given, and wait until they are finished: the messages that
        were not received yet, also those of other keys. Raises as ``AccumulatorClient.accumulate``."""
        end = monotonic() + seconds(timeout, "timeout")
        waiting: dict[Keys, bytes] = {}
        for each in [tuple(each) for each in keys] or list(self._open):
            closed = self._open.pop(each, None)
            if closed is None:
                raise ValueError(f"the keys {list(each)} are not open")
            window = _wire_window(closed, closed.latest_ns + self._timeout_ns)
            request = AccumulatorRequest()
            request.operation.event = _Event.CLOSE
            request.operation.keyedWindow.CopyFrom(window)
            self._stream.send(request.SerializeToString())
            waiting[each] = window.SerializeToString()
        messages = []
        while waiting:
            response = self._response(max(0.0, end - monotonic()))
            if not response.EOF:
                messages.append(_message(response))
            elif waiting.pop(tuple(response.window.keys), None) != response.window.SerializeToString():
                raise AssertionError(f"the server ended {response.window}, which is no window that was closed")
        return messages

    def window(self, *keys: str) -> KeyedWindow | None:
        """What the last response for the keys said: once it was received, the platform forgets their input that is
        earlier than its end. ``None`` where there was no response."""
        return self._windows.get(keys)

    def cancel(self) -> None:
        """Leave without closing the keys that are open."""
        self._stream.cancel()

    def _request(self, given: Datum | tuple[list[str], bytes]) -> bytes:
        if isinstance(given, Datum):
            datum = given
        else:
            now = datetime.now(timezone.utc)
            datum = Datum(*given, now, now, f"datum-{self._sent}")
        self._sent += 1
        request = AccumulatorRequest(payload=datum._request)
        keys = tuple(datum._request.keys)
        known = self._open.get(keys)
        if known is None:
            request.operation.event = _Event.OPEN
            known = self._open[keys] = _Open(keys, datum.event_time_ns)
        else:
            request.operation.event = _Event.APPEND
            known.latest_ns = max(known.latest_ns, datum.event_time_ns)
        request.operation.keyedWindow.CopyFrom(_wire_window(known, _FOR_EVER * 1_000_000_000))
        return request.SerializeToString()

    def _response(self, timeout: Duration) -> AccumulatorResponse:
        response = AccumulatorResponse.FromString(self._stream.receive(timeout))
        window = response.window
        if not window.HasField("start") or not window.HasField("end"):
            raise AssertionError(f"a response has no window with a start and an end: {response}")
        bounds = timestamp_to_ns(window.start), timestamp_to_ns(window.end)
        self._windows[tuple(window.keys)] = KeyedWindow.from_ns(*bounds, window.slot, window.keys)
        return response


def _wire_window(known: _Open, end_ns: int) -> WireWindow:
    window = WireWindow(slot=_SLOT, keys=known.keys)
    for target, ns in ((window.start, known.start_ns), (window.end, end_ns)):
        target.seconds, target.nanos = divmod(ns, 1_000_000_000)
        target.SetInParent()
    return window


def _message(response: AccumulatorResponse) -> Message:
    payload = response.payload
    message = Message(payload.value, payload.keys, response.tags, headers=dict(payload.headers), id=payload.id)
    return message._settled(timestamp_to_ns(payload.event_time), timestamp_to_ns(payload.watermark), payload.id)
