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
    """Where a sync read handler may put messages, in place of yielding them."""

    def put(self, message: Message, /) -> None:
        """Hand a message over. Returns at once as long as no more than ``num_records`` were put in this call; beyond
        that it waits for the next read. Any thread may put.

        Raises:
            TypeError: not a Message.
        """


class AsyncOutput(Protocol):
    """Where an async read handler may put messages, in place of yielding them."""

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

    No handler runs beside itself; different handlers run side by side, each on a thread of its own where they are sync.

    ``read_handler(self, datum)`` yields messages: a generator, or an async generator. ``read_handler(self, datum,
    output)`` puts them into ``output``. It is called for a read when the call before has ended, and may run on for as
    long as it likes: the server ends the read in time, and gives what comes later to the next one.
    """

    if not TYPE_CHECKING:  # either signature is right, which no signature here could say

        @abstractmethod
        def read_handler(self, datum, output=None): ...

    @abstractmethod
    def ack_handler(self, ack_request: AckRequest, /) -> Awaitable[None] | None:
        """Note that messages are done with. They may be unknown, or noted already: the platform repeats what it is not
        sure of. It reads on only when this has returned."""

    @abstractmethod
    def nack_handler(self, nack_request: NackRequest, /) -> Awaitable[None] | None:
        """Have messages read again, as their options say: they are not asked for otherwise. The server itself calls
        this for messages whose connection was lost, before the next read; their reason says so."""

    @abstractmethod
    def pending_handler(self) -> PendingResponse | Awaitable[PendingResponse]:
        """How many messages wait to be read; the platform scales by it. Called every 5 seconds."""

    def active_partitions_handler(self) -> PartitionsResponse | Awaitable[PartitionsResponse]:
        """The partitions that this replica reads; without an override, the one of this replica. A method
        ``partitions_handler`` is taken in its place, for pynumaflow's sake. Called every 10 seconds or so."""
        return PartitionsResponse(get_default_partitions())

    def total_partitions_handler(self) -> int | Awaitable[int | None] | None:
        """How many partitions all replicas read together, so that those which nobody reads do not hold up the
        watermark; ``None`` where that is not known."""
        return None
