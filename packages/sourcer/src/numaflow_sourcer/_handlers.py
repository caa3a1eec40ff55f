"""What a source has to do: one object, whose methods are the handlers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Iterable
from typing import TYPE_CHECKING, Protocol

from ._datatypes import (
    AckRequest,
    Message,
    NackRequest,
    PartitionsResponse,
    PendingResponse,
    ReadRequest,
    get_default_partitions,
)


class Output(Protocol):
    """Where a sync read handler may put messages, instead of yielding them."""

    def put(self, message: Message, /) -> None:
        """Deliver a message. Returns at once for the first ``num_records`` messages of a call; with more, it waits for
        the next read. May be called on any thread.

        Raises:
            TypeError: not a Message.
        """


class AsyncOutput(Protocol):
    """Where an async read handler may put messages, instead of yielding them."""

    async def put(self, message: Message, /) -> None:
        """As ``Output.put``. On the server's event loop."""


class _SyncRest(Protocol):
    def ack_handler(self, ack_request: AckRequest, /) -> None: ...

    def nack_handler(self, nack_request: NackRequest, /) -> None: ...

    def pending_handler(self) -> PendingResponse: ...


class _AsyncRest(Protocol):
    def ack_handler(self, ack_request: AckRequest, /) -> Awaitable[None]: ...

    def nack_handler(self, nack_request: NackRequest, /) -> Awaitable[None]: ...

    def pending_handler(self) -> Awaitable[PendingResponse]: ...


class YieldingSource(_SyncRest, Protocol):
    """A sync source whose read handler yields messages, or returns some."""

    def read_handler(self, datum: ReadRequest, /) -> Iterable[Message]: ...


class PuttingSource(_SyncRest, Protocol):
    """A sync source whose read handler puts messages into an output."""

    def read_handler(self, datum: ReadRequest, output: Output, /) -> None: ...


class YieldingAsyncSource(_AsyncRest, Protocol):
    """An async source whose read handler is an async generator."""

    def read_handler(self, datum: ReadRequest, /) -> AsyncIterable[Message]: ...


class ReturningAsyncSource(_AsyncRest, Protocol):
    """An async source whose read handler returns messages."""

    def read_handler(self, datum: ReadRequest, /) -> Awaitable[Iterable[Message]]: ...


class PuttingAsyncSource(_AsyncRest, Protocol):
    """An async source whose read handler puts messages into an output."""

    def read_handler(self, datum: ReadRequest, output: AsyncOutput, /) -> Awaitable[None]: ...


SyncSource = YieldingSource | PuttingSource
"""What ``SourceServer`` takes."""

AsyncSource = YieldingAsyncSource | ReturningAsyncSource | PuttingAsyncSource
"""What ``SourceAsyncServer`` takes."""


class Sourcer(ABC):
    """Base of sources that are classes. Override the handlers with ``def``, or all with ``async def`` for
    ``SourceAsyncServer``.

    Two calls of the same handler never run at the same time. Different handlers do: sync ones each on a thread of its
    own.

    ``read_handler(self, datum)`` yields messages: a generator, or an async generator. ``read_handler(self, datum,
    output)`` puts them into ``output``. It is called for a read when the call before has ended. It may run for any
    time: the server ends the read in time, and keeps later messages for the next read.
    """

    if not TYPE_CHECKING:  # either signature is right, which no signature here could say

        @abstractmethod
        def read_handler(self, datum, output=None): ...

    @abstractmethod
    def ack_handler(self, ack_request: AckRequest, /) -> Awaitable[None] | None:
        """The platform has processed these messages. Some may be unknown or acknowledged already, because the platform
        repeats a request whose answer was lost. It sends the next read only when this has returned."""

    @abstractmethod
    def nack_handler(self, nack_request: NackRequest, /) -> Awaitable[None] | None:
        """Deliver these messages again, as their options say: the platform does not ask for them. The server itself
        calls this for messages whose connection was lost, before the next read, with a reason that says so."""

    @abstractmethod
    def pending_handler(self) -> PendingResponse | Awaitable[PendingResponse]:
        """How many messages wait to be read. The platform uses it for autoscaling. Called every 5 seconds."""

    def active_partitions_handler(self) -> PartitionsResponse | Awaitable[PartitionsResponse]:
        """The partitions that this replica reads; by default, the one with the replica's number. A method
        ``partitions_handler`` is taken instead, for compatibility with pynumaflow. Called every 10 seconds or so."""
        return PartitionsResponse(get_default_partitions())

    def total_partitions_handler(self) -> int | Awaitable[int | None] | None:
        """How many partitions all replicas read together, so that partitions which no replica reads do not hold back
        the watermark; ``None`` if that is not known."""
        return None
