"""What a map stream handler is given and what it yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Protocol

from ._datatypes import Datum, Message


class MapStreamHandler(Protocol):
    """A sync handler: a generator function, as a rule. It is called once per message, on the server's threads; several
    calls may run at the same time; each message is forwarded when it is yielded."""

    def __call__(self, keys: list[str], datum: Datum, /) -> Iterable[Message]: ...


class MapStreamAsyncHandler(Protocol):
    """An async handler: an async generator function. It is called once per message, on the event loop; several calls
    may run at the same time; each message is forwarded when it is yielded."""

    def __call__(self, keys: list[str], datum: Datum, /) -> AsyncIterable[Message]: ...


class MapStreamHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync handler."""

    def handler(self, keys: list[str], datum: Datum, /) -> Iterable[Message]: ...


class MapStreamAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async handler."""

    def handler(self, keys: list[str], datum: Datum, /) -> AsyncIterable[Message]: ...


class MapStreamer(ABC):
    """Base of handlers that are classes. Override ``handler`` with a generator, ``def`` or ``async def``; one instance
    gets all messages, several at the same time."""

    @abstractmethod
    def handler(self, keys: list[str], datum: Datum, /) -> Iterable[Message] | AsyncIterable[Message]:
        """Map one message, and yield the results one by one. ``keys`` are ``datum.keys``."""

    if not TYPE_CHECKING:  # a type checker is to see whether ``handler`` is async, which this would hide

        def __call__(self, keys, datum):
            return self.handler(keys, datum)
