"""Accumulator requests and responses, between the wire and the user's types."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from numaflow_core.kind import Push, RpcSpec, StreamCodec
from numaflow_core.rpc import Inbox
from numaflow_core.values.messages import iterable
from numaflow_core.values.times import ns_to_datetime
from numaflow_core.wire.buffers import Outgoing
from numaflow_core.wire.protobuf import SIZES, results_encoder, string_field, tag, timestamp

from ._datatypes import Datum, Message
from ._flow import AccumulatorFlow, Life, eof, new_parent_flow, with_window
from ._proto.accumulator_pb2 import AccumulatorResponse, KeyedWindow, Payload

logger = logging.getLogger(__name__)

_EVENT_TIME: Final = tag(Payload.EVENT_TIME_FIELD_NUMBER)
_WATERMARK: Final = tag(Payload.WATERMARK_FIELD_NUMBER)
_EPOCH_TO: Final = tag(KeyedWindow.START_FIELD_NUMBER) + b"\x00" + tag(KeyedWindow.END_FIELD_NUMBER)


def _time(ns: int) -> bytes:
    """A timestamp and its size."""
    content = timestamp(ns)
    return SIZES[len(content)] + content


def _more(message: Message) -> bytes:
    """What a settled message has besides its keys and its value."""
    assert message._event_time_ns is not None
    assert message._watermark_ns is not None
    more = b"%b%b%b%b%b" % (
        _EVENT_TIME,
        _time(message._event_time_ns),
        _WATERMARK,
        _time(message._watermark_ns),
        string_field(Payload.ID_FIELD_NUMBER, message._id),
    )
    return more + Payload(headers=message._headers).SerializeToString() if message._headers else more


_encode = results_encoder(
    AccumulatorResponse.PAYLOAD_FIELD_NUMBER, Payload.KEYS_FIELD_NUMBER, Payload.VALUE_FIELD_NUMBER, _more
)


class _Encoder:
    """Implements ``Encoder`` for one life of a key.

    What leaves with each message is the progress of the key: the platform forgets input that is older. It never passes
    input that the handler has not been given yet, because that is never older than the watermark of what it was given;
    a watermark of the user's own that is ahead of it does not count. Nor does it pass what the handler holds, if it
    does as ``Message`` says.
    """

    __slots__ = ("_beginning", "_late", "_life", "_rest", "_written_ns")

    def __init__(self, life: Life) -> None:
        self._life = life
        self._rest = KeyedWindow(slot=life.slot, keys=life.keys).SerializeToString()  # of windows, after their end
        self._beginning = b""
        self._written_ns: int | None = None  # the progress that the beginning tells of
        self._late = False

    def add(self, result: Any, /) -> Outgoing:
        if not isinstance(result, Message):
            raise TypeError(
                f"an accumulator handler must make Message objects, got {type(result).__name__}: {result!r:.80}"
            )
        life = self._life
        latest = life.latest
        event_time_ns = latest.event_time_ns if result._event_time_ns is None else result._event_time_ns
        if event_time_ns < life.progress_ns and not self._late:
            self._tell_late(event_time_ns)
        watermark_ns = self._advance(result._watermark_ns)
        datum = result._datum or (None if result._id else latest)
        message = result._settled(event_time_ns, watermark_ns, datum._next_id() if datum is not None else result._id)
        if life.progress_ns != self._written_ns:
            self._written_ns = life.progress_ns
            self._beginning = with_window(self._window())
        beginning = self._beginning
        if message._tags:
            beginning += AccumulatorResponse(tags=message._tags).SerializeToString()
        return _encode(beginning, (message,))

    def finish(self) -> Sequence[Outgoing]:
        close = self._life.close
        return (eof(self._window() if close is None else close),)

    def _advance(self, watermark_ns: int | None) -> int:
        """Note the watermark of a message, and return it; without one, the message has the key's."""
        life = self._life
        progress = max(life.progress_ns, life.first_ns)
        if watermark_ns is not None and watermark_ns > progress:
            progress = max(progress, min(watermark_ns, life.latest.watermark_ns))
        life.progress_ns = progress
        return progress if watermark_ns is None else watermark_ns

    def _window(self) -> bytes:
        """From the epoch to the key's progress."""
        return b"%b%b%b" % (_EPOCH_TO, _time(self._life.progress_ns), self._rest)

    def _tell_late(self, event_time_ns: int) -> None:
        self._late = True
        life = self._life
        logger.warning(
            "accumulator: for the key %r, a message with the event time %s was made after one with the watermark %s. "
            "The platform has forgotten its input by then, and would have lost it in a crash: forward or drop what is "
            "older than the watermark of a datum before the datum",
            list(life.keys),
            *(ns_to_datetime(ns).isoformat() for ns in (event_time_ns, life.progress_ns)),
        )


class _Noting:
    """Implements ``Push``: notes each datum before it is pushed on."""

    __slots__ = ("_life", "_push")

    def __init__(self, life: Life, push: Push) -> None:
        self._life = life
        self._push = push

    def add(self, message: Datum, /) -> Any:
        self._life.latest = message
        return self._push.add(message)

    def finish(self) -> Any:
        return self._push.finish()


def _call(handler: Callable[..., Any], inbox: Inbox) -> tuple[Life, Any]:
    life: Life = inbox.call

    def note(datum: Datum) -> Datum:
        life.latest = datum
        return datum

    return life, handler(inbox.inputs(note))


def _make_push(handler: Callable[..., Push], inbox: Inbox) -> tuple[Life, Push]:
    life: Life = inbox.call
    return life, _Noting(life, handler(list(life.keys)))


def _items(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    if isinstance(result, Message):
        return (result,)
    return iterable(result, "add and finish must return a Message, an iterable of Message or None")


SPEC: Final = RpcSpec(
    new_flow=AccumulatorFlow,
    new_parent_flow=new_parent_flow,
    new_worker_flow=AccumulatorFlow,
    codec=StreamCodec(_call, _items, _Encoder),
    make_push=_make_push,
)
