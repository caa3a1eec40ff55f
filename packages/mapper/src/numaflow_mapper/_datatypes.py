"""What a map handler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Protocol

from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.messages import BaseMessages, ReservedMessages

if TYPE_CHECKING:
    from ._proto.map_pb2 import MapRequest


class Datum(BaseDatum):
    """One message to be mapped."""

    __slots__ = ()

    @staticmethod
    def _new_request() -> MapRequest.Request:
        from ._proto.map_pb2 import MapRequest

        return MapRequest.Request()


class Message(ReservedMessages):
    """One result of a map handler."""

    __slots__ = ()


class Messages(BaseMessages[Message]):
    """The results of one call, in the order in which they are forwarded. An empty one forwards nothing."""

    __slots__ = ()

    _message_type = Message


MapResult = Messages | Iterable[Message] | Message | None
"""What a handler may return: any number of messages, one, or ``None`` to forward nothing."""


class MapHandler(Protocol):
    """A sync handler: a function, a method or a callable object. It is called once per message, on one of the server's
    threads; several calls may run at the same time."""

    def __call__(self, keys: list[str], datum: Datum, /) -> MapResult: ...


class MapAsyncHandler(Protocol):
    """An async handler. It is called once per message, on the event loop; several calls may run at the same time."""

    def __call__(self, keys: list[str], datum: Datum, /) -> Awaitable[MapResult]: ...


class MapHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync handler."""

    def handler(self, keys: list[str], datum: Datum, /) -> MapResult: ...


class MapAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async handler."""

    def handler(self, keys: list[str], datum: Datum, /) -> Awaitable[MapResult]: ...


class Mapper(ABC):
    """Base of handlers that are classes. Override ``handler`` with ``def``, or with ``async def`` for
    ``MapAsyncServer``; one instance gets all messages, several at the same time."""

    @abstractmethod
    def handler(self, keys: list[str], datum: Datum, /) -> MapResult | Awaitable[MapResult]:
        """Map one message. ``keys`` are ``datum.keys``."""

    if not TYPE_CHECKING:  # a type checker is to see whether ``handler`` is async, which this would hide

        def __call__(self, keys, datum):
            return self.handler(keys, datum)
