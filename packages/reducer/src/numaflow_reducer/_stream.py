"""What a reduce stream handler is given and what it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from numaflow_core.server import PushObject
from numaflow_core.values import messages

from ._datatypes import Datum, Message, Metadata

ReduceStreamResult = Message | Iterable[Message] | None
"""What the methods of a ``SyncReduceStreamer`` may return: a message, or an iterable of them, a generator for example,
each of which is forwarded when it is yielded."""


Output = messages.Output[Message]
"""Where a handler puts its results."""


class ReduceStreamHandler(Protocol):
    """A sync function, a generator as a rule, called on one of the server's threads once per key and window, when the
    window closes, with all their datums; each message is forwarded when it is yielded."""

    def __call__(self, keys: list[str], datums: Iterable[Datum], md: Metadata, /) -> Iterable[Message]: ...


class ReduceStreamAsyncHandler(Protocol):
    """An async generator function, called on the event loop once per key and window, when the first datum has come.
    Each message is forwarded when it is yielded. For ``datums`` see ``ReduceAsyncHandler``."""

    def __call__(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata, /) -> AsyncIterable[Message]: ...


class ReduceStreamOutputHandler(Protocol):
    """An async function, as ``ReduceStreamAsyncHandler``, that puts its messages into an output."""

    def __call__(
        self, keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata, /
    ) -> Awaitable[None]: ...


class ReduceStreamHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync function, for all keys and windows."""

    def handler(self, keys: list[str], datums: Iterable[Datum], md: Metadata, /) -> Iterable[Message]: ...


class ReduceStreamAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async generator function, for all keys and windows."""

    def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata, /) -> AsyncIterable[Message]: ...


class ReduceStreamer(ABC):  # noqa: B024 - `handler` is abstract where it runs
    """Base of handlers that are classes: an instance is made for each key and window. Override ``handler`` with an
    async generator ``(keys, datums, md)``, or with an ``async def`` that has an ``output``; for ``ReduceStreamServer``
    with a sync generator."""

    if TYPE_CHECKING:  # handlers with and without an output have no signature in common

        @property
        def handler(self) -> Callable[..., AsyncIterable[Message] | Iterable[Message] | Awaitable[None]]:
            """Reduce the datums of one key and window. See the protocols of functions for the signatures."""

    else:

        @abstractmethod
        def handler(self, keys, datums, md):
            """Reduce the datums of one key and window. See the protocols of functions for the signatures."""


class SyncReduceStreamer(PushObject, ABC):
    """Base of sync handlers whose ``add`` is called with each datum: as ``SyncReducer``, but results may leave at any
    time."""

    __slots__ = ("keys", "metadata")

    _told = ("keys", "metadata")

    keys: list[str]
    """The keys of the datums."""

    metadata: Metadata
    """The window of the datums."""

    @abstractmethod
    def add(self, datum: Datum, /) -> ReduceStreamResult:
        """The next datum: the results that it leads to."""

    def finish(self) -> ReduceStreamResult:
        """The window has closed: its last results."""
        return None
