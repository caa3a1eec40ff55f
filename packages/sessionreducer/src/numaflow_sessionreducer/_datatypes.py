"""What a session reduce handler is given and what it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable
from typing import TYPE_CHECKING, Protocol

from numaflow_core.server import PushObject
from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.messages import BaseMessages, WindowMessage

if TYPE_CHECKING:
    from ._proto.sessionreduce_pb2 import SessionReduceRequest


class Datum(BaseDatum):
    """One message of a session."""

    __slots__ = ()

    @staticmethod
    def _new_request() -> SessionReduceRequest.Payload:
        from ._proto.sessionreduce_pb2 import SessionReduceRequest

        return SessionReduceRequest.Payload()


class Message(WindowMessage):
    """One result of a session. Its event time is the session's last millisecond: of the session as it is when the
    message is made, where that is before it closes."""

    __slots__ = ()


class Messages(BaseMessages[Message]):
    """Results of a session, in the order in which they are to be forwarded."""

    __slots__ = ()

    _message_type = Message


SessionReduceResult = Messages | Message | Iterable[Message] | None
"""What a sync handler may return: one message, or many, or a generator of them, each of which is forwarded when it is
yielded. No messages, or ``None``: there is no result."""


class SessionReduceHandler(Protocol):
    """A sync function, called on one of the server's threads once per session, when that closes, with all its datums.
    The datums of merged sessions follow one another, beginning with the session that began first."""

    def __call__(self, keys: list[str], datums: Iterable[Datum], /) -> SessionReduceResult: ...


class SessionReduceHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync function, for all sessions."""

    def handler(self, keys: list[str], datums: Iterable[Datum], /) -> SessionReduceResult: ...


class SessionReducer(ABC):
    """Base of async handlers: an instance is made for each session, with the server's ``init_args`` and
    ``init_kwargs``, when its first datum has come.

    Sessions of one key that grow together are merged: a new instance takes their place. Each of the old ones gets the
    end of its datums, and what ``session_reduce`` yields after that is discarded; when it has ended, ``accumulator`` is
    called. The new one gets what they returned, beginning with the session that began first, and then its
    ``session_reduce`` is called. So the state of a session has to be in ``self``, set up by ``__init__``, and not in
    variables of ``session_reduce``.

    Everything is called on the event loop. Where a session will never close, because the platform's connection has
    ended, the call of ``session_reduce`` is cancelled.
    """

    @abstractmethod
    def session_reduce(self, keys: list[str], datums: AsyncIterator[Datum], /) -> AsyncIterable[Message]:
        """Reduce the datums of one session: an async generator, ``async def`` with ``yield``. ``datums`` yields while
        datums arrive, and ends when the session closes or is merged; it can be iterated once. Each message is
        forwarded when it is yielded."""

    @abstractmethod
    def accumulator(self) -> bytes | Awaitable[bytes]:
        """The state of the session, for the one that it has become part of; once, as the last call of the instance.
        ``def`` or ``async def``."""

    @abstractmethod
    def merge_accumulator(self, accumulator: bytes, /) -> Awaitable[None] | None:
        """Take over the state of a session that has become part of this one: before ``session_reduce`` is called.
        ``def`` or ``async def``."""


class SyncSessionReducer(PushObject, ABC):
    """Base of sync handlers whose ``add`` is called with each datum: an instance is made for each session when its
    first datum has come, and costs no more than its own state while it waits for the next one.

    ``__init__`` gets the server's ``init_args`` and ``init_kwargs``; ``keys`` is set before. All methods are called on
    the server's threads, never two of them at once on one instance. Sessions of one key that grow together are merged:
    a new instance takes their place, and gets their accumulators, beginning with the session that began first.
    A session that will never close, because the platform's connection has ended, is not finished.
    """

    __slots__ = ("keys",)

    _told = ("keys",)

    keys: list[str]
    """The keys of the session."""

    @abstractmethod
    def add(self, datum: Datum, /) -> SessionReduceResult:
        """The next datum: the results that it leads to, if any."""

    @abstractmethod
    def finish(self) -> SessionReduceResult:
        """The session has closed: its last results. Not called for one that has become part of another."""

    @abstractmethod
    def accumulator(self) -> bytes:
        """The state of the session, for the one that it has become part of; once, as the last call of the instance."""

    @abstractmethod
    def merge_accumulator(self, accumulator: bytes, /) -> None:
        """Take over the state of a session that has become part of this one: before the first ``add``."""
