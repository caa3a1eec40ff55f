"""What an accumulator handler is given and what it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from numaflow_core.constants import DROP
from numaflow_core.server import PushObject
from numaflow_core.values import messages
from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.messages import RoutedMessage
from numaflow_core.values.times import datetime_to_ns, ns_to_datetime
from numaflow_core.values.validate import check_bytes, check_strings
from numaflow_core.values.windows import IntervalWindow, KeyedWindow

if TYPE_CHECKING:
    from numaflow_core.values.metadata import SystemMetadata, UserMetadata

    from ._proto.accumulator_pb2 import Payload

__all__ = ["Datum", "IntervalWindow", "KeyedWindow", "Message"]


class Datum(BaseDatum):
    """One message of a key."""

    __slots__ = ("_outputs",)

    _outputs: int  # messages that were made of it so far; unset before the first

    def __init__(
        self,
        keys: Sequence[str],
        value: bytes | bytearray | memoryview,
        event_time: datetime,
        watermark: datetime | None,
        id_: str,
        headers: Mapping[str, str] | None = None,
        user_metadata: UserMetadata | None = None,
        system_metadata: SystemMetadata | None = None,
        *,
        previous_vertex: str = "",
    ) -> None:
        """Make a datum by hand, to test a handler with. Naive datetimes are local time.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
        """
        super().__init__(
            keys,
            value,
            event_time,
            watermark,
            headers,
            user_metadata,
            system_metadata,
            id=id_,
            previous_vertex=previous_vertex,
        )
        self._request.id = id_

    @staticmethod
    def _new_request() -> Payload:
        from ._proto.accumulator_pb2 import Payload

        return Payload()

    def _next_id(self) -> str:
        """The id of the next message that is made of this datum: its own, and then numbered ones. They are no other
        datum's: the platform's ids end with ``-`` and a whole number (``rust/numaflow-core/src/message.rs``)."""
        number = getattr(self, "_outputs", 0)
        self._outputs = number + 1
        return f"{self._id}.{number}" if number else self._id


class Message(RoutedMessage):
    """One message to be forwarded; read-only.

    Three things besides the value matter to the platform. ``Message.from_datum`` sets them correctly; in a message that
    you make by hand, you have to.

    - ``watermark`` says how far the output of the key has come. Once a message is sent, the platform forgets all input
      of the key with an *earlier* event time, and does not send it again after a crash. So before you forward a datum,
      forward or drop all earlier input that is older than its watermark. A watermark that is ahead of the input's is
      replaced by the input's.
    - ``event_time`` must not be earlier than the watermark of a message that was sent before, or the next vertex takes
      the message for late.
    - ``id`` must be different for each message: of two with the same id, the platform forwards only one.
    """

    __slots__ = ("_datum", "_event_time_ns", "_headers", "_id", "_watermark_ns")

    _datum: Datum | None
    """The datum that the message was made of, which numbers the ids of such messages."""

    def __init__(
        self,
        value: bytes | bytearray | memoryview,
        keys: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        watermark: datetime | None = None,
        event_time: datetime | None = None,
        headers: Mapping[str, str] | None = None,
        id: str | None = None,
    ) -> None:
        """Naive datetimes are local time.

        Args:
            value: the payload; any bytes-like object.
            keys: keys of the message; they are not inherited from the input.
            tags: for the conditions on the edges of the pipeline.
            watermark: see the class; default: the message reports no progress.
            event_time: when it happened; default: that of the latest datum that the handler was given.
            headers: they are not inherited from the input.
            id: default: made from the id of the latest datum that the handler was given, distinct.

        Raises:
            TypeError: saying which argument was given what.
        """
        for name, time in (("watermark", watermark), ("event_time", event_time)):
            if time is not None and not isinstance(time, datetime):
                raise TypeError(f"Message {name} must be a datetime, got {type(time).__name__}: {time!r:.80}")
        if id is not None and not isinstance(id, str):
            raise TypeError(f"Message id must be a str, got {type(id).__name__}: {id!r:.80}")
        self._value = check_bytes(value, "Message value")
        self._keys = check_strings(keys, "Message keys")
        self._tags = check_strings(tags, "Message tags")
        self._watermark_ns = None if watermark is None else datetime_to_ns(watermark)
        self._event_time_ns = None if event_time is None else datetime_to_ns(event_time)
        self._headers = _check_headers(headers) if headers is not None else {}
        self._id = id or ""
        self._datum = None

    @classmethod
    def from_datum(
        cls,
        datum: Datum,
        *,
        value: bytes | bytearray | memoryview | None = None,
        keys: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> Message:
        """The datum as a message: value, keys, headers, id, and the times to the nanosecond.

        Any number may be made of one datum, with other values: when they are sent, the first has the datum's id and the
        others a numbered one, ``<id>.1``, ``<id>.2`` and so on.

        Args:
            datum: as the handler was given it.
            value: instead of the datum's; any bytes-like object.
            keys: instead of the datum's.
            tags: as in the constructor.

        Raises:
            TypeError: saying which argument was given what.
        """
        if not isinstance(datum, Datum):
            raise TypeError(f"Message.from_datum takes a Datum, got {type(datum).__name__}: {datum!r:.80}")
        self = cls.__new__(cls)
        self._value = datum.value if value is None else check_bytes(value, "Message value")
        self._keys = datum.keys if keys is None else check_strings(keys, "Message keys")
        self._tags = [] if tags is None else check_strings(tags, "Message tags")
        self._watermark_ns = datum.watermark_ns if datum.has_watermark else None
        self._event_time_ns = datum.event_time_ns
        self._headers = datum.headers
        self._id = datum._id
        self._datum = datum
        return self

    @classmethod
    def to_drop(cls, datum: Datum | None = None) -> Message:
        """A message that is not forwarded. With the datum that it is made for, it tells the platform that the datum is
        finished, and the platform forgets older input. Without a datum, the platform keeps all input until the next
        message."""
        return cls(b"", tags=[DROP]) if datum is None else cls.from_datum(datum, value=b"", tags=[DROP])

    @property
    def watermark(self) -> datetime | None:
        """How far the output has come: aware, UTC, rounded down to the microsecond, clamped to the years 1 to 9999.
        ``None`` if the message does not say."""
        return None if self._watermark_ns is None else ns_to_datetime(self._watermark_ns)

    @property
    def event_time(self) -> datetime | None:
        """When it happened: as ``watermark``. ``None`` where none was given."""
        return None if self._event_time_ns is None else ns_to_datetime(self._event_time_ns)

    @property
    def headers(self) -> dict[str, str]:
        """The headers, as a new dict."""
        return dict(self._headers)

    @property
    def id(self) -> str:
        """The id as it was given, or the datum's; empty where there is none."""
        return self._id

    def _settled(self, event_time_ns: int, watermark_ns: int, id: str) -> Message:
        """The same message with nothing left open."""
        if event_time_ns == self._event_time_ns and watermark_ns == self._watermark_ns and id == self._id:
            return self
        settled = Message.__new__(Message)
        settled._value, settled._keys, settled._tags = self._value, self._keys, self._tags
        settled._headers, settled._datum = self._headers, self._datum
        settled._event_time_ns, settled._watermark_ns, settled._id = event_time_ns, watermark_ns, id
        return settled

    def _parts(self) -> tuple[object, ...]:
        times = self._watermark_ns, self._event_time_ns
        return self._value, self._keys, self._tags, *times, self._headers, self._id

    def _shown(self) -> str:
        time = self.event_time
        return f"{super()._shown()}, id={self._id!r}, event_time={None if time is None else time.isoformat()}"


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"Message headers must be a mapping, got {type(headers).__name__}: {headers!r:.80}")
    checked = dict(headers)
    for pair in checked.items():
        for each in pair:
            if not isinstance(each, str):
                raise TypeError(f"Message headers must be str to str, got {type(each).__name__}: {each!r:.80}")
    return checked


Output = messages.Output[Message]
"""Where an async handler may put its messages: ``await output.put(message)``."""

AccumulatorResult = Message | Iterable[Message] | None
"""What the methods of a ``SyncAccumulator`` may return: a message, messages, or a generator of them, each of which is
forwarded when it is yielded."""


class AccumulatorAsyncHandler(Protocol):
    """An async generator function, called on the event loop once per key, when its first datum has come. Each message
    is forwarded when it is yielded.

    The iterable yields while datums arrive, and ends when the platform closes the key: when no datum has come for it
    for the vertex's timeout. What the handler yields after that still belongs to the key. When the key's next datum
    comes, there is another call. A call whose key will never close, because the platform's connection has ended, is
    cancelled.
    """

    def __call__(self, datums: AsyncIterable[Datum], /) -> AsyncIterable[Message]: ...


class AccumulatorOutputHandler(Protocol):
    """An async function, as ``AccumulatorAsyncHandler``, that puts its messages into an output."""

    def __call__(self, datums: AsyncIterable[Datum], output: Output, /) -> Awaitable[None]: ...


class AccumulatorAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async generator function, for all keys."""

    def handler(self, datums: AsyncIterable[Datum], /) -> AsyncIterable[Message]: ...


class AccumulatorOutputHandlerObject(Protocol):
    """An object whose ``handler`` method is an async function that puts its messages into an output, for all keys."""

    def handler(self, datums: AsyncIterable[Datum], output: Output, /) -> Awaitable[None]: ...


class Accumulator(ABC):  # noqa: B024 - `handler` is abstract where it runs
    """Base of async handlers that are classes: an instance is made for each key when its first datum has come. Override
    ``handler`` with an ``async def`` that has an ``output``, or with an async generator ``(datums)``."""

    if TYPE_CHECKING:  # handlers with and without an output have no signature in common

        @property
        def handler(self) -> Callable[..., AsyncIterable[Message] | Awaitable[None]]:
            """Accumulate the datums of one key. See the protocols of functions for the signatures."""

    else:

        @abstractmethod
        def handler(self, datums, output):
            """Accumulate the datums of one key. See the protocols of functions for the signatures."""


class SyncAccumulator(PushObject, ABC):
    """Base of sync handlers whose ``add`` is called with each datum: an instance is made for each key when its first
    datum has come, and costs no more than its own state while it waits for the next one.

    ``__init__`` gets the server's ``init_args`` and ``init_kwargs``; ``keys`` is set before. All methods are called on
    the server's threads, never two of them at once on one instance. A key that will never close, because the platform's
    connection has ended, is not finished.
    """

    __slots__ = ("keys",)

    _told = ("keys",)

    keys: list[str]
    """The keys of the datums."""

    @abstractmethod
    def add(self, datum: Datum, /) -> AccumulatorResult:
        """The next datum: the messages that may be forwarded now."""

    @abstractmethod
    def finish(self) -> AccumulatorResult:
        """The platform has closed the key: return what is left to be forwarded. The next datum of the key gets a new
        instance."""
