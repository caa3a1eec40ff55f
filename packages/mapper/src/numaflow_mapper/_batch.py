"""What a batch map handler is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from numaflow_core.values.messages import BaseMessages

from ._datatypes import Datum, Message, Messages

if TYPE_CHECKING:
    from typing_extensions import Never


class BatchResponse:
    """The results for one datum of a batch: any number of messages; none forwards nothing.

    >>> BatchResponse("7", [Message(b"a")])
    BatchResponse('7', Messages(Message(value=b'a', keys=[], tags=[])))
    """

    __slots__ = ("_id", "_messages")

    def __init__(self, id: str, messages: Iterable[Message] = ()) -> None:
        """
        Args:
            id: ``datum.id`` of the datum that the messages were made of.
            messages: in the order in which they are forwarded.

        Raises:
            TypeError: an argument is of the wrong type.
        """
        if not isinstance(id, str):
            raise TypeError(f"BatchResponse id must be a str, got {type(id).__name__}: {id!r:.80}")
        self._id = id
        self._messages = Messages(*messages)

    @classmethod
    def from_id(cls, id: str) -> BatchResponse:
        """Without messages yet."""
        return cls(id)

    @classmethod
    def with_msgs(cls, id: str, msgs: Iterable[Message]) -> BatchResponse:
        """With messages: the same as calling the class."""
        return cls(id, msgs)

    def append(self, message: Message) -> None:
        """Add a message at the end. Raises: TypeError for anything else."""
        self._messages.append(message)

    @property
    def id(self) -> str:
        """The datum's id."""
        return self._id

    @property
    def messages(self) -> Messages:
        """The messages themselves: appending to it adds one."""
        return self._messages

    def items(self) -> list[Message]:
        """The messages, as a new list."""
        return list(self._messages)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._id == other._id and self._messages == other._messages

    __hash__ = None  # type: ignore[assignment]  # equal by value, and mutable

    def __repr__(self) -> str:
        return f"BatchResponse({self._id!r}, {self._messages!r})"


class BatchResponses(BaseMessages[BatchResponse]):
    """The responses for one batch: exactly one for each datum, in any order."""

    __slots__ = ()

    _message_type = BatchResponse


BatchMapResult = BatchResponses | Iterable[BatchResponse]
"""What a handler may return: exactly one response for each datum. A generator's are sent as it yields them."""


class BatchMapHandler(Protocol):
    """A sync handler, called once per batch on one of the server's threads. The iterator yields while the batch is
    still arriving, and ends with it; it can be iterated once."""

    def __call__(self, datums: Iterator[Datum], /) -> BatchMapResult: ...


class BatchMapAsyncHandler(Protocol):
    """An async handler, called once per batch on the event loop. The iterator yields while the batch is still
    arriving, and ends with it; it can be iterated once."""

    def __call__(self, datums: AsyncIterator[Datum], /) -> Awaitable[BatchMapResult]: ...


class BatchMapHandlerObject(Protocol):
    """An object whose ``handler`` method is a sync handler."""

    def handler(self, datums: Iterator[Datum], /) -> BatchMapResult: ...


class BatchMapAsyncHandlerObject(Protocol):
    """An object whose ``handler`` method is an async handler."""

    def handler(self, datums: AsyncIterator[Datum], /) -> Awaitable[BatchMapResult]: ...


class BatchMapper(ABC):
    """Base of handlers that are classes. Override ``handler`` with ``def``, or with ``async def`` for
    ``BatchMapAsyncServer``; one instance gets all batches, those of different streams at the same time."""

    @abstractmethod
    def handler(self, datums: Never, /) -> BatchMapResult | Awaitable[BatchMapResult]:
        """Map one batch: return a response for each of its datums. ``datums`` is an ``Iterator[Datum]``, or an
        ``AsyncIterator[Datum]`` for an async handler."""

    if not TYPE_CHECKING:  # a type checker is to see whether ``handler`` is async, which this would hide

        def __call__(self, datums):
            return self.handler(datums)
