"""What a reduce handler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Iterable
from typing import TYPE_CHECKING, Protocol

from numaflow_core.server import PushObject
from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.messages import BaseMessages, WindowMessage
from numaflow_core.values.windows import IntervalWindow, Metadata

if TYPE_CHECKING:
    from typing_extensions import Never

    from ._proto.reduce_pb2 import ReduceRequest

__all__ = ["Datum", "IntervalWindow", "Message", "Messages", "Metadata"]


class Datum(BaseDatum):
    """One message of a key and window."""

    __slots__ = ()

    @staticmethod
    def _new_request() -> ReduceRequest.Payload:
        from ._proto.reduce_pb2 import ReduceRequest

        return ReduceRequest.Payload()


class Message(WindowMessage):
    """One result of a key and window. Its event time is the window's last millisecond."""

    __slots__ = ()


class Messages(BaseMessages[Message]):
    """The results of one key and window, in the order in which they are to be forwarded."""

    __slots__ = ()

    _message_type = Message


ReduceResult = Messages | Message | Iterable[Message] | None
"""What a handler may return. No messages, or ``None``: the key and window have no result."""


class ReduceHandler(Protocol):
    """A sync function, called on one of the server's threads once per key and window, when the window closes, with all
    their datums."""

    def __call__(self, keys: list[str], datums: Iterable[Datum], md: Metadata, /) -> ReduceResult: ...


class ReduceAsyncHandler(Protocol):
    """An async function, called on the event loop once per key and window, when the first datum has come. The iterable
    yields while datums arrive, and ends when the window closes; it can be iterated once. Where the window will
    never close, because the platform's connection has ended, the call is cancelled."""

    def __call__(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata, /) -> Awaitable[ReduceResult]: ...


class ReduceHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync function, for all keys and windows."""

    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata, /) -> ReduceResult: ...


class ReduceAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async function, for all keys and windows."""

    def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata, /) -> Awaitable[ReduceResult]: ...


class Reducer(ABC):
    """Base of handlers that are classes: an instance is made for each key and window. Override ``handler`` with
    ``async def`` for ``ReduceAsyncServer``, with ``def`` for ``ReduceServer``, or with either for
    ``ReduceMultiProcServer``."""

    @abstractmethod
    def handler(self, keys: list[str], datums: Never, md: Metadata, /) -> ReduceResult | Awaitable[ReduceResult]:
        """Reduce the datums of one key and window. ``datums`` is an ``Iterable[Datum]``, or an
        ``AsyncIterable[Datum]`` for an async handler."""


class SyncReducer(PushObject, ABC):
    """Base of sync handlers whose ``add`` is called with each datum: an instance is made for each key and window when
    its first datum has come, and costs no more than its own state while it waits for the next one.

    ``__init__`` gets the server's ``init_args`` and ``init_kwargs``; ``keys`` and ``metadata`` are set before. All
    methods are called on the server's threads, never two of them at once on one instance. A window that will never
    close, because the platform's connection has ended, is not finished.
    """

    __slots__ = ("keys", "metadata")

    _told = ("keys", "metadata")

    keys: list[str]
    """The keys of the datums."""

    metadata: Metadata
    """The window of the datums."""

    @abstractmethod
    def add(self, datum: Datum, /) -> None:
        """The next datum."""

    @abstractmethod
    def finish(self) -> ReduceResult:
        """The window has closed: its results."""
