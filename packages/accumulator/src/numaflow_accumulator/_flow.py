"""The order of messages on an accumulator stream: the lives of keys.

There is one stream for all keys, and it lasts for as long as the platform does. OPEN begins the life of a key, and
CLOSE ends it; its EOF follows when the handler has made its last message. A key may be opened again before that. Its
next life then begins after the EOF: the platform forgets the input of a key by time, not by life, so a message of the
next one would have it forget what the last one has not forwarded yet.
"""

import logging
from collections.abc import Iterable
from typing import Final

from numaflow_core.flows.keyed import KeyedParentFlow, Keys, Shares
from numaflow_core.kind import Begin, Close, Event, Flow, Release, Reply, Wake
from numaflow_core.values.times import NO_TIME_NS, ns_to_datetime
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.protobuf import SIZES, reader, tag
from numaflow_core.wire.status import ProtocolError

from ._datatypes import Datum
from ._proto.accumulator_pb2 import AccumulatorRequest, AccumulatorResponse

METHOD: Final = "AccumulateFn"

SILENCE: Final = 60.0
"""Seconds without progress after which a key that holds the vertex's watermark back is told of; up to twice that, since
keys are only looked at so often."""

_AT_ONCE: Final = 10_000  # keys that are looked at in a row: some milliseconds
_LINES: Final = 10  # warnings for each look

_OPEN: Final = AccumulatorRequest.WindowOperation.OPEN
_CLOSE: Final = AccumulatorRequest.WindowOperation.CLOSE
_APPEND: Final = AccumulatorRequest.WindowOperation.APPEND
_WINDOW: Final = tag(AccumulatorResponse.WINDOW_FIELD_NUMBER)
_EOF: Final = AccumulatorResponse(EOF=True).SerializeToString()

_parse = reader(AccumulatorRequest)
_view = Datum._view

logger = logging.getLogger(__name__)


class Life:
    """One life of a key: what there is a call for. The flow and the handler's side share it; each field is written by
    one of them."""

    __slots__ = (
        "close",
        "close_size",
        "first_ns",
        "held_ns",
        "keys",
        "latest",
        "progress_ns",
        "seen_ns",
        "slot",
        "told",
    )

    def __init__(self, keys: Keys, slot: str, first: Datum) -> None:
        self.keys = keys
        self.slot = slot
        self.close: bytes | None = None
        """The window of the CLOSE request, as it came."""

        self.close_size = 0
        """What the CLOSE request took on the wire."""

        self.latest = first
        """The datum that the handler was given last. Written where the handler runs."""

        self.held_ns = first.event_time_ns
        """The event time of a datum that the platform does not know to be done with."""

        self.first_ns = min(first.watermark_ns, self.held_ns)
        """The watermark of the first datum: all that is older belongs to lives before this one, which are over."""

        self.progress_ns = NO_TIME_NS
        """The latest watermark that has left with a message. Written where the handler runs."""

        self.seen_ns = NO_TIME_NS
        """The progress when it was last looked at."""

        self.told = False
        """Whether its silence was told of."""


class AccumulatorFlow(Flow):
    """Has a call for each life of a key: in one process, or for a worker's share of the keys."""

    endless = True

    def __init__(self) -> None:
        self._shares = Shares()
        self._open: dict[Keys, Life] = {}
        # Keys whose CLOSE has come and whose EOF has not left, with what has come for them since.
        self._closing: dict[Keys, list[tuple[AccumulatorRequest, int]]] = {}
        self._half_closed = False
        self._watermark_ns = NO_TIME_NS  # the input's
        self._watching = False
        self._to_look_at: list[Life] = []
        self._silent = 0  # keys found silent in this round of looks

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        events: list[Event] = []
        self._take([(_read(message), len(message)) for message in messages], events)
        return events

    def half_closed(self) -> Iterable[Event]:
        """All keys are closed, as far as they have come."""
        self._half_closed = True
        events: list[Event] = []
        for life in list(self._open.values()):
            self._end(life, events)
        return events

    def done(self, call: Life) -> Iterable[Event]:
        """The EOF has left; begin the key's next life, if it has come."""
        events: list[Event] = []
        if call.close is not None:
            events.append(Release(1, call.close_size))
        self._take(self._closing.pop(call.keys), events)
        if self._half_closed and call.keys in self._open:
            self._end(self._open[call.keys], events)
        return events

    def _take(self, requests: Iterable[tuple[AccumulatorRequest, int]], events: list[Event]) -> None:
        opened, closing, add = self._open, self._closing, self._shares.add
        datum: Datum | None = None
        for request, size in requests:
            keys = tuple(request.operation.keyedWindow.keys)
            if keys in closing:
                closing[keys].append((request, size))
                continue
            life = opened.get(keys)
            if request.operation.event == _CLOSE:
                self._close(life, request, size, events)
                continue
            datum = _view(request.payload, request.payload.id)
            if life is None:
                life = self._begin(keys, request, datum, events)
            add(life, datum, size)
        self._shares.flush(events)
        if datum is not None:
            self._watermark_ns = datum.watermark_ns

    def _begin(self, keys: Keys, request: AccumulatorRequest, first: Datum, events: list[Event]) -> Life:
        """Begin a life with OPEN, or with APPEND: a key's message must not be lost to the wrong operation."""
        life = self._open[keys] = Life(keys, request.operation.keyedWindow.slot, first)
        events.append(Begin(life))
        if not self._watching:
            self._watching = True
            events.append(Wake(SILENCE))
        return life

    def _close(self, life: Life | None, request: AccumulatorRequest, size: int, events: list[Event]) -> None:
        window = request.operation.keyedWindow.SerializeToString()
        if life is None:  # it was opened with a process before this one; the platform still waits for the EOF
            events += (Reply((eof(window),)), Release(1, size))
            return
        life.close, life.close_size = window, size
        self._shares.flush(events)
        self._end(life, events)

    def _end(self, life: Life, events: list[Event]) -> None:
        del self._open[life.keys]
        self._closing[life.keys] = []
        events.append(Close((life,)))

    # -- silence

    def wake(self) -> Iterable[Event]:
        """Look at some of the keys, and at the others when the loop has had its turn."""
        if not self._to_look_at:
            self._to_look_at = list(self._open.values())
            self._silent = 0
        for life in self._to_look_at[-_AT_ONCE:]:
            if life.progress_ns != life.seen_ns:
                life.seen_ns = life.progress_ns
                life.held_ns = life.latest.event_time_ns
            elif life.held_ns < self._watermark_ns and not life.told:
                life.told = True
                self._silent += 1
                if self._silent <= _LINES:
                    self._tell(life)
        del self._to_look_at[-_AT_ONCE:]
        if self._to_look_at:
            return (Wake(0),)
        if self._silent > _LINES:
            logger.warning("accumulator: so do %d other keys", self._silent - _LINES)
        self._watching = bool(self._open)
        return (Wake(SILENCE),) if self._watching else ()

    def _tell(self, life: Life) -> None:
        held, watermark = (ns_to_datetime(ns).isoformat() for ns in (life.held_ns, self._watermark_ns))
        logger.warning(
            "accumulator: the key %r holds the watermark of the vertex at %s, the input's is %s: for %d s its handler "
            "has forwarded no message with a later watermark. It will until the handler does, or drops what it does "
            "not forward with Message.to_drop(datum), or the key has had no input for the timeout of the vertex",
            list(life.keys),
            held,
            watermark,
            SILENCE,
        )


def new_parent_flow() -> KeyedParentFlow:
    """In front of workers: each has the lives of its keys."""
    return KeyedParentFlow(lambda message: _read(message).operation.keyedWindow.keys)


def eof(window: bytes) -> bytes:
    """The response that ends the life of a key."""
    return with_window(window) + _EOF


def with_window(window: bytes) -> bytes:
    """What responses begin with."""
    return b"%b%b%b" % (_WINDOW, SIZES[len(window)], window)


def _read(message: Buffer) -> AccumulatorRequest:
    """A request that makes sense: what the parent of worker processes lets through, they can take. Raises
    ``ProtocolError`` for any other."""
    request = _parse(message)
    operation = request.operation
    if operation.event == _CLOSE:
        window = operation.keyedWindow
        if not window.HasField("start") or not window.HasField("end"):
            raise ProtocolError(f"{METHOD}: expected a window with a start and an end")
    elif operation.event not in (_OPEN, _APPEND):
        raise ProtocolError(f"{METHOD}: expected one of the events OPEN, APPEND and CLOSE, got {operation.event}")
    elif not request.HasField("payload"):
        raise ProtocolError(f"{METHOD}: expected a message with a payload")
    elif not operation.HasField("keyedWindow"):
        raise ProtocolError(f"{METHOD}: expected a message with a window")
    return request
