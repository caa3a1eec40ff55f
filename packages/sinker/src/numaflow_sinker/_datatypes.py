"""What a sink handler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol, cast

from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.messages import (
    BaseMessage,
    BaseMessages,
    check_nack_options,
    check_user_metadata,
    shown_bytes,
)
from numaflow_core.values.validate import check_bytes, check_strings

if TYPE_CHECKING:
    from typing_extensions import Never

    from numaflow_core.values.metadata import UserMetadata
    from numaflow_core.values.nack import NackOptions

    from ._proto.sink_pb2 import SinkRequest

_RETRY_GROUP: Final = "sink"
_RETRY_KEY: Final = "retry_count"


class Datum(BaseDatum):
    """One message to be written."""

    __slots__ = ()

    @staticmethod
    def _new_request() -> SinkRequest.Request:
        from ._proto.sink_pb2 import SinkRequest

        return SinkRequest.Request()

    @property
    def retry_count(self) -> int:
        """How often this message was answered with a failure and sent again; 0 the first time. A redelivery after a
        restart counts from 0 again (``rust/numaflow-core/src/metadata.rs``)."""
        count = self.system_metadata.value(_RETRY_GROUP, _RETRY_KEY) or b""
        return int(count) if count.isdigit() else 0


class Message(BaseMessage):
    """What the on-success sink is to get in place of the original message."""

    __slots__ = ()

    def __init__(
        self,
        value: bytes | bytearray | memoryview,
        keys: Sequence[str] | None = None,
        user_metadata: UserMetadata | None = None,
    ) -> None:
        """
        Args:
            value: the payload; any bytes-like object.
            keys: the keys; those of the original message are not inherited.
            user_metadata: kept, not copied. ``None``: that of the original message.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
        """
        self._value = check_bytes(value, "Message value")
        self._keys = check_strings(keys, "Message keys")
        self._user_metadata = check_user_metadata(user_metadata) if user_metadata is not None else None

    @property
    def user_metadata(self) -> UserMetadata | None:
        """The user's metadata; ``None``: that of the original message."""
        return self._user_metadata

    def with_keys(self, keys: Sequence[str] | None) -> Message:
        """Set the keys; returns the message. Raises: TypeError as the constructor."""
        self._keys = check_strings(keys, "Message keys")
        return self

    def with_user_metadata(self, user_metadata: UserMetadata | None) -> Message:
        """Set the metadata; returns the message. Raises: TypeError as the constructor."""
        self._user_metadata = check_user_metadata(user_metadata) if user_metadata is not None else None
        return self


class Status(IntEnum):
    """The outcome of a message, with the protocol's numbers."""

    SUCCESS = 0
    """Written: acknowledged."""

    FAILURE = 1
    """Not written: sent again, as the sink's ``retryStrategy`` says."""

    FALLBACK = 2
    """To be written by the fallback sink."""

    SERVE = 3
    """To be put into the serving store."""

    ON_SUCCESS = 4
    """Written, and to be written by the on-success sink too."""

    NACK = 5
    """Negatively acknowledged: delivered again by the buffer or the source."""


_MORE: Final = {
    Status.FAILURE: "err",
    Status.SERVE: "serve_response",
    Status.ON_SUCCESS: "on_success_msg",
    Status.NACK: "nack_options",
}
"""What a response may have beside its status."""

_SUCCESS: Final = Status.SUCCESS  # looking a member up costs as much as making a response


class Response:
    """The outcome of one datum; read-only. Made by the class's methods; ``id`` is ``datum.id``."""

    __slots__ = ("_id", "_more", "_status")

    def __init__(self, id: str, status: Status) -> None:
        """Use ``as_success`` and the like instead.

        Raises:
            TypeError: an argument is of the wrong type.
        """
        if not isinstance(id, str):
            raise TypeError(f"Response id must be a str, got {type(id).__name__}: {id!r:.80}")
        if not isinstance(status, Status):
            raise TypeError(f"Response status must be a Status, got {type(status).__name__}: {status!r:.80}")
        self._id = id
        self._status = status
        self._more: str | bytes | Message | NackOptions | None = None  # what the status needs beside it

    @classmethod
    def as_success(cls, id: str) -> Response:
        """The message is written."""
        return cls(id, _SUCCESS)

    @classmethod
    def as_failure(cls, id: str, err_msg: str = "") -> Response:
        """The message is not written and is to be sent again, as the sink's ``retryStrategy`` says. ``err_msg`` goes
        to the platform's log."""
        if not isinstance(err_msg, str):
            raise TypeError(f"as_failure err_msg must be a str, got {type(err_msg).__name__}: {err_msg!r:.80}")
        return cls(id, Status.FAILURE)._with(err_msg or None)

    @classmethod
    def as_fallback(cls, id: str) -> Response:
        """The message is to be written by the fallback sink, which the vertex has to have. Primary sinks only."""
        return cls(id, Status.FALLBACK)

    @classmethod
    def as_serve(cls, id: str, payload: bytes | bytearray | memoryview | None = None) -> Response:
        """A result for the serving store of a serving pipeline: ``payload``, or ``None`` for the original value.
        Primary sinks only."""
        return cls(id, Status.SERVE)._with(check_bytes(payload, "as_serve payload") if payload is not None else None)

    @classmethod
    def as_on_success(cls, id: str, on_success: Message | None = None) -> Response:
        """The message is written, and the on-success sink, which the vertex has to have, is to write ``on_success``,
        or ``None`` for the original message. Primary sinks only."""
        if on_success is not None and not isinstance(on_success, Message):
            raise TypeError(
                f"as_on_success takes a Message or None, got {type(on_success).__name__}: {on_success!r:.80}"
            )
        return cls(id, Status.ON_SUCCESS)._with(on_success)

    @classmethod
    def as_nack(cls, id: str, options: NackOptions | None = None) -> Response:
        """The message is negatively acknowledged: the buffer or the source is to deliver it again, as ``options``
        say."""
        return cls(id, Status.NACK)._with(check_nack_options(options, "as_nack"))

    @property
    def id(self) -> str:
        """The datum's id."""
        return self._id

    @property
    def status(self) -> Status:
        """The outcome of the message."""
        return self._status

    @property
    def success(self) -> bool:
        """Whether the status is ``SUCCESS``."""
        return self._status is Status.SUCCESS

    @property
    def fallback(self) -> bool:
        """Whether the status is ``FALLBACK``."""
        return self._status is Status.FALLBACK

    @property
    def on_success(self) -> bool:
        """Whether the status is ``ON_SUCCESS``."""
        return self._status is Status.ON_SUCCESS

    @property
    def err(self) -> str:
        """Why the message was not written; empty for other statuses."""
        return self._more if isinstance(self._more, str) else ""

    @property
    def serve_response(self) -> bytes | None:
        """What the serving store is to get; ``None``: the original value."""
        return self._more if isinstance(self._more, bytes) else None

    @property
    def on_success_msg(self) -> Message | None:
        """What the on-success sink is to get; ``None``: the original message."""
        return self._more if isinstance(self._more, Message) else None

    @property
    def nack_options(self) -> NackOptions | None:
        """How a negative acknowledgement is to be handled."""
        return None if self._more is None or self._status is not Status.NACK else cast("NackOptions", self._more)

    def _with(self, more: str | bytes | Message | NackOptions | None) -> Response:
        self._more = more
        return self

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self._id, self._status, self._more) == (other._id, other._status, other._more)

    __hash__ = None  # type: ignore[assignment]  # equal by value, and messages are mutable

    def __repr__(self) -> str:
        more = self._more
        shown = shown_bytes(more) if isinstance(more, bytes) else repr(more)
        more_shown = "" if more is None else f", {_MORE[self._status]}={shown}"
        return f"Response({self._id!r}, {self._status.name}{more_shown})"


class Responses(BaseMessages[Response]):
    """The responses for one batch: exactly one for each datum, in any order."""

    __slots__ = ()

    _message_type = Response


SinkResult = Responses | Iterable[Response]
"""What a handler may return: exactly one response for each datum. A generator's are sent as it yields them."""


class SinkHandler(Protocol):
    """A sync handler, called once per batch on one of the server's threads. The iterator yields while the batch is
    still arriving, and ends with it; it can be iterated once."""

    def __call__(self, datums: Iterator[Datum], /) -> SinkResult: ...


class SinkAsyncHandler(Protocol):
    """An async handler, called once per batch on the event loop. The iterator yields while the batch is still
    arriving, and ends with it; it can be iterated once."""

    def __call__(self, datums: AsyncIterator[Datum], /) -> Awaitable[SinkResult]: ...


class SinkHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync handler."""

    def handler(self, datums: Iterator[Datum], /) -> SinkResult: ...


class SinkAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async handler."""

    def handler(self, datums: AsyncIterator[Datum], /) -> Awaitable[SinkResult]: ...


class Sinker(ABC):
    """Base of handlers that are classes. Override ``handler`` with ``def``, or with ``async def`` for
    ``SinkAsyncServer``; one instance gets all batches, those of different streams at the same time."""

    @abstractmethod
    def handler(self, datums: Never, /) -> SinkResult | Awaitable[SinkResult]:
        """Write one batch: return a response for each of its datums. ``datums`` is an ``Iterator[Datum]``, or an
        ``AsyncIterator[Datum]`` for an async handler."""

    if not TYPE_CHECKING:  # a type checker is to see whether ``handler`` is async, which this would hide

        def __call__(self, datums):
            return self.handler(datums)
