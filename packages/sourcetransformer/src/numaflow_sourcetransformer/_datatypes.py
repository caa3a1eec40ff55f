"""What a source transform handler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn, Protocol

from numaflow_core.constants import DROP, FAIL, NACK
from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.messages import BaseMessages, TaggedMessage, check_user_metadata
from numaflow_core.values.times import datetime_to_ns, ns_to_datetime
from numaflow_core.values.validate import check_bytes, check_strings

if TYPE_CHECKING:
    from numaflow_core.values.metadata import UserMetadata
    from numaflow_core.values.nack import NackOptions

    from ._proto.sourcetransform_pb2 import SourceTransformRequest


class Datum(BaseDatum):
    """One message to be transformed. It has no watermark: that is made from the event times that the transformer
    returns."""

    __slots__ = ()

    @staticmethod
    def _new_request() -> SourceTransformRequest.Request:
        from ._proto.sourcetransform_pb2 import SourceTransformRequest

        return SourceTransformRequest.Request()


class Message(TaggedMessage):
    """One result of a source transform handler, with its event time."""

    __slots__ = ("_event_time_ns",)

    def __init__(
        self,
        value: bytes | bytearray | memoryview,
        event_time: datetime,
        keys: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        user_metadata: UserMetadata | None = None,
    ) -> None:
        """
        Args:
            value: the payload; any bytes-like object.
            event_time: when the event happened. A naive one is local time, as in ``datetime.timestamp()``.
            keys: the new keys; those of the input are not inherited.
            tags: for conditional forwarding.
            user_metadata: kept, not copied; that of the input is not inherited.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
        """
        # Not by the base's constructor, which would cost half as much again.
        self._value = value if type(value) is bytes else check_bytes(value, "Message value")
        self._event_time_ns = datetime_to_ns(event_time) if isinstance(event_time, datetime) else _refuse(event_time)
        self._keys = check_strings(keys, "Message keys") if keys is not None else []
        self._tags = check_strings(tags, "Message tags") if tags is not None else []
        self._user_metadata = check_user_metadata(user_metadata) if user_metadata is not None else None
        self._nack_options = None

    @property
    def event_time(self) -> datetime:
        """When the event happened: aware, UTC."""
        return ns_to_datetime(self._event_time_ns)

    @classmethod
    def to_drop(cls, event_time: datetime) -> Message:
        """Acknowledge the input and forward nothing. The event time counts for the watermark all the same: pass
        ``datum.event_time``, because an old one would hold back the watermark."""
        return cls(b"", event_time, tags=[DROP])

    @classmethod
    def to_nack(cls, event_time: datetime, options: NackOptions | None = None) -> Message:
        """Negatively acknowledge the whole input: the source is to deliver it again, as ``options`` say. Other
        messages of the same result are forwarded all the same."""
        return cls(b"", event_time, tags=[NACK])._as_nack(options)

    @classmethod
    def to_fail(cls, event_time: datetime) -> Message:
        """Ask the platform to discard the whole result and to call the handler again with the same message, as the
        ``retryStrategy`` of the transformer says; without one, at once and for ever."""
        return cls(b"", event_time, tags=[FAIL])

    def _parts(self) -> tuple[object, ...]:
        return *super()._parts(), self._event_time_ns

    def _shown(self) -> str:
        return f"{super()._shown()}, event_time={self.event_time.isoformat()}"


class Messages(BaseMessages[Message]):
    """The results of one call, in the order in which they are forwarded. An empty one forwards nothing."""

    __slots__ = ()

    _message_type = Message


SourceTransformResult = Messages | Iterable[Message] | Message | None
"""What a handler may return: any number of messages, one, or ``None`` to forward nothing."""


class SourceTransformHandler(Protocol):
    """A sync handler: a function, a method or a callable object. It is called once per message, on one of the server's
    threads; several calls may run at the same time."""

    def __call__(self, keys: list[str], datum: Datum, /) -> SourceTransformResult: ...


class SourceTransformAsyncHandler(Protocol):
    """An async handler. It is called once per message, on the event loop; several calls may run at the same time."""

    def __call__(self, keys: list[str], datum: Datum, /) -> Awaitable[SourceTransformResult]: ...


class SourceTransformHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync handler."""

    def handler(self, keys: list[str], datum: Datum, /) -> SourceTransformResult: ...


class SourceTransformAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async handler."""

    def handler(self, keys: list[str], datum: Datum, /) -> Awaitable[SourceTransformResult]: ...


class SourceTransformer(ABC):
    """Base of handlers that are classes. Override ``handler`` with ``def``, or with ``async def`` for
    ``SourceTransformAsyncServer``; one instance gets all messages, several at the same time."""

    @abstractmethod
    def handler(self, keys: list[str], datum: Datum, /) -> SourceTransformResult | Awaitable[SourceTransformResult]:
        """Transform one message. ``keys`` are ``datum.keys``."""

    if not TYPE_CHECKING:  # a type checker is to see whether ``handler`` is async, which this would hide

        def __call__(self, keys, datum):
            return self.handler(keys, datum)


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"Message event_time must be a datetime, got {type(value).__name__}: {value!r:.80}")
