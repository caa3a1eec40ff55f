"""The order of messages on a reduce stream: which window and key each belongs to, and when that is complete.

The platform opens a stream for each window and ends its side of it to close the window. What the flow does does not
depend on that: a stream may carry several windows, and CLOSE may end one of them; the EOF comes once, when the stream
is closed and everything on it is finished.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from numaflow_core.flows.keyed import Keys, Shares, keys_number
from numaflow_core.kind import Begin, Close, Event, Flow, Release, Reply
from numaflow_core.values.times import timestamp_to_ns
from numaflow_core.values.windows import IntervalWindow, Metadata
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.protobuf import SIZES, first_field, reader, tag
from numaflow_core.wire.status import ProtocolError

from ._datatypes import Datum
from ._proto.reduce_pb2 import ReduceRequest, ReduceResponse
from ._proto.reduce_pb2 import Window as WireWindow

METHOD: Final = "ReduceFn"

_OPEN: Final = ReduceRequest.WindowOperation.OPEN
_CLOSE: Final = ReduceRequest.WindowOperation.CLOSE
_APPEND: Final = ReduceRequest.WindowOperation.APPEND
_WINDOW: Final = tag(ReduceResponse.WINDOW_FIELD_NUMBER)
_EOF: Final = ReduceResponse(EOF=True).SerializeToString()

_PAYLOAD: Final = tag(ReduceRequest.PAYLOAD_FIELD_NUMBER)[0]
_OPERATION: Final = tag(ReduceRequest.OPERATION_FIELD_NUMBER)

_read = reader(ReduceRequest)
_read_payload = reader(ReduceRequest.Payload)
_view = Datum._view


class Window:
    """One window of a stream."""

    __slots__ = ("calls", "metadata", "operations", "response")

    def __init__(self, wire: WireWindow, data: bytes) -> None:
        """``data`` is the window as it came, which is how it is sent back."""
        self.calls: dict[str | Keys, Key] = {}
        self.operations: list[bytes] = []
        self.metadata = Metadata(IntervalWindow.from_ns(timestamp_to_ns(wire.start), timestamp_to_ns(wire.end)))
        self.response = b"%b%b%b" % (_WINDOW, SIZES[len(data)], data)
        """What responses begin with."""


class Key:
    """A key of a window: what there is a call for."""

    __slots__ = ("keys", "window")

    def __init__(self, window: Window, keys: Keys) -> None:
        self.window = window
        self.keys = keys


def _keys(name: str | Keys) -> Keys:
    return (name,) if isinstance(name, str) else name


class _WindowsFlow(Flow, ABC):
    """Messages by their windows."""

    endless = True

    def __init__(self) -> None:
        self._shares = Shares()
        # By the field of an operation, OPEN or APPEND, and its window, in bytes: exact, whatever the units are, and
        # quicker to look up than what the bytes say.
        self._windows: dict[bytes, Window] = {}
        self._open: dict[bytes, Window] = {}
        self._undone = 0  # calls
        self._half_closed = False
        self._eof = b""  # no message, no window, nothing to end

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        windows, add = self._windows, self._add
        events: list[Event] = []
        for message in messages:
            # The platform writes the payload, then the operation, and that is the same in all messages of a window.
            payload, operation = first_field(message, _PAYLOAD)
            window = windows.get(operation)
            if window is not None:
                add(window, _read_payload(payload), message, events)
            else:
                self._receive(message, events)
        self._shares.flush(events)
        return events

    def half_closed(self) -> Iterable[Event]:
        """All windows are closed."""
        self._half_closed = True
        events: list[Event] = []
        for data in list(self._open):
            self._close(data, events)
        self._end(events)
        return events

    def done(self, call: Key) -> Iterable[Event]:
        self._undone -= 1
        events: list[Event] = []
        self._end(events)
        return events

    def _end(self, events: list[Event]) -> None:
        """The EOF, in the name of the first window, when everything has been said."""
        if self._half_closed and not self._undone and self._eof:
            events.append(Reply((self._eof,)))

    def _receive(self, message: Buffer, events: list[Event]) -> None:
        request = _read(message)
        operation = request.operation.SerializeToString()
        name = b"%b%b%b" % (_OPERATION, SIZES[len(operation)], operation)
        window = self._windows.get(name) or self._look_up(name, request, len(message), events)
        if window is not None:
            if not request.HasField("payload"):
                raise ProtocolError(f"{METHOD}: expected a message with a payload")
            self._add(window, request.payload, message, events)

    @abstractmethod
    def _add(self, window: Window, payload: ReduceRequest.Payload, message: Buffer, events: list[Event]) -> None:
        """A message of an open window."""

    def _begin(self, window: Window, name: str | Keys, keys: Keys, events: list[Event]) -> Key:
        call = window.calls[name] = Key(window, keys)
        self._undone += 1
        events.append(Begin(call))
        return call

    def _look_up(self, name: bytes, request: ReduceRequest, size: int, events: list[Event]) -> Window | None:
        """The window of an operation that is not known yet; ``None`` where that closes it. Raises ``ProtocolError`` for
        a message that makes no sense."""
        operation = request.operation
        count = len(operation.windows)
        if count != 1:
            raise ProtocolError(f"{METHOD}: expected a message with one window, got {count}")
        wire, event = operation.windows[0], operation.event
        data = wire.SerializeToString()
        if event == _CLOSE:
            self._shares.flush(events)
            events.append(Release(1, size))
            self._close(data, events)
            return None
        if event not in (_OPEN, _APPEND):
            raise ProtocolError(f"{METHOD}: expected one of the events OPEN, APPEND and CLOSE, got {event}")
        window = self._open.get(data)
        if window is None:
            if not wire.HasField("start") or not wire.HasField("end"):
                raise ProtocolError(f"{METHOD}: expected a window with a start and an end")
            window = self._open[data] = Window(wire, data)
            self._eof = self._eof or window.response + _EOF
        window.operations.append(name)
        self._windows[name] = window
        return window

    def _close(self, data: bytes, events: list[Event]) -> None:
        window = self._open.pop(data, None)
        if window is not None:
            for name in window.operations:
                del self._windows[name]
            events.append(Close([window.calls[name] for name in sorted(window.calls, key=_keys)]))
            window.calls.clear()


class WindowFlow(_WindowsFlow):
    """Has a call for each key of each window."""

    def _add(self, window: Window, payload: ReduceRequest.Payload, message: Buffer, events: list[Event]) -> None:
        keys = payload.keys[:]
        name = keys[0] if len(keys) == 1 else tuple(keys)  # which is quicker to find, and never equals a tuple
        call = window.calls.get(name) or self._begin(window, name, tuple(keys), events)
        self._shares.add(call, _view(payload, ""), len(message))


class WindowWorkerFlow(WindowFlow):
    """The same for a worker's share of a window, whose EOF the server sends."""

    def _end(self, events: list[Event]) -> None:
        """Nothing."""


class WindowParentFlow(_WindowsFlow):
    """Has a call for each window, in front of workers: each of its shares has calls for the keys."""

    def _add(self, window: Window, payload: ReduceRequest.Payload, message: Buffer, events: list[Event]) -> None:
        call = window.calls.get(()) or self._begin(window, (), (), events)
        self._shares.add(call, (keys_number(payload.keys), message), len(message))
