"""User code of sources, side inputs and serving stores that ``mypy --strict`` must refuse; never run."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone

from numaflow_servingstore import Payload, ServingStore, ServingStoreServer
from numaflow_sideinput import Response, SideInputFile, SideInputServer
from numaflow_sourcer import (
    AckRequest,
    Message,
    NackRequest,
    Offset,
    OffsetLedger,
    PendingResponse,
    ReadRequest,
    SourceAsyncServer,
    Sourcer,
    SourceServer,
)

NOW = datetime.now(timezone.utc)


class Source(Sourcer):
    def read_handler(self, datum: ReadRequest) -> Iterator[Message]:
        yield Message(b"", Offset(b"o", 0), NOW)

    def ack_handler(self, ack_request: AckRequest) -> None: ...

    def nack_handler(self, nack_request: NackRequest) -> None: ...

    def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class AsyncSource(Sourcer):
    async def read_handler(self, datum: ReadRequest) -> AsyncIterator[Message]:
        yield Message(b"", Offset(b"o", 0), NOW)

    async def ack_handler(self, ack_request: AckRequest) -> None: ...

    async def nack_handler(self, nack_request: NackRequest) -> None: ...

    async def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class WrongPending(Source):
    def pending_handler(self) -> int:  # E: Return type "int" of "pending_handler" incompatible with return type
        return 1


class NoNack(Sourcer):
    def ack_handler(self, ack_request: AckRequest) -> None: ...

    def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class YieldsBytes(Source):
    def read_handler(self, datum: ReadRequest) -> Iterator[bytes]:  # E: Return type "Iterator[bytes]"
        yield b""


SourceServer(AsyncSource())  # E: Argument 1 to "SourceServer" has incompatible type
SourceAsyncServer(Source())  # E: Argument 1 to "SourceAsyncServer" has incompatible type
SourceServer(Source)  # E: Argument 1 to "SourceServer" has incompatible type
SourceServer(YieldsBytes())  # E: Argument 1 to "SourceServer" has incompatible type
NoNack()  # E: Cannot instantiate abstract class "NoNack"
Message(b"", b"o", NOW)  # E: Argument 2 to "Message" has incompatible type
Message(b"", Offset(b"o", 0), None)  # E: Argument 3 to "Message" has incompatible type
Message(b"", Offset(b"o", 0))  # E: Missing positional argument "event_time"
OffsetLedger(ack_timeout="30")  # E: Argument "ack_timeout" to "OffsetLedger" has incompatible type
OffsetLedger[int]().delivered(Message(b"", Offset(b"o", 0), NOW), "1")  # E: Argument 2 to "delivered"

SideInputFile("n", int, interval="5")  # E: Argument "interval" to "SideInputFile" has incompatible type
SideInputServer(lambda: b"value")  # E: Argument 1 to "SideInputServer" has incompatible type
Response.broadcast_message("text")  # E: Argument 1 to "broadcast_message" of "Response" has incompatible type
number: str = SideInputFile("n", int).value  # E: Incompatible types in assignment


class Half(ServingStore):
    def put(self, id: str, payloads: list[Payload]) -> None: ...


ServingStoreServer(Half())  # E: Cannot instantiate abstract class "Half"
