"""User code of sources, side inputs and serving stores that must pass ``mypy --strict``; never run."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime, timedelta, timezone

from typing_extensions import assert_type

from numaflow_servingstore import Payload, ServingStore, ServingStoreAsyncServer, ServingStoreMultiProcServer
from numaflow_servingstore import ServingStoreServer as StoreServer
from numaflow_sideinput import Response, SideInput, SideInputAsyncServer, SideInputFile, SideInputServer
from numaflow_sourcer import (
    AckRequest,
    AsyncOutput,
    Message,
    Nack,
    NackOptions,
    NackRequest,
    Offset,
    OffsetLedger,
    Output,
    PartitionsResponse,
    PendingResponse,
    ReadRequest,
    SourceAsyncServer,
    Sourcer,
    SourceServer,
)

NOW = datetime.now(timezone.utc)


class Rest(Sourcer):
    def ack_handler(self, request: AckRequest) -> None:
        assert_type(list(request.offsets), list[Offset])

    def nack_handler(self, request: NackRequest) -> None:
        assert_type(request.offsets, list[Offset])
        assert_type(request.nacks, list[Nack])
        assert_type(request.nacks[0].options, NackOptions | None)

    def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class Yielding(Rest):
    def read_handler(self, datum: ReadRequest) -> Iterator[Message]:
        assert_type(datum.num_records, int)
        yield from ()

    def active_partitions_handler(self) -> PartitionsResponse:
        return PartitionsResponse([0])

    def total_partitions_handler(self) -> int:
        return 3


class Returning(Rest):
    def read_handler(self, datum: ReadRequest) -> list[Message]:
        return []


class Putting(Rest):
    def read_handler(self, datum: ReadRequest, output: Output) -> None: ...


class AsyncRest(Sourcer):
    async def ack_handler(self, ack_request: AckRequest) -> None: ...

    async def nack_handler(self, nack_request: NackRequest) -> None: ...

    async def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class AsyncYielding(AsyncRest):
    async def read_handler(self, datum: ReadRequest) -> AsyncIterator[Message]:
        yield Message(b"", Offset(b"", 0), NOW)

    async def total_partitions_handler(self) -> int | None:
        return None


class AsyncReturning(AsyncRest):
    async def read_handler(self, datum: ReadRequest) -> list[Message]:
        return []


class AsyncPutting(AsyncRest):
    async def read_handler(self, datum: ReadRequest, output: AsyncOutput) -> None:
        await output.put(Message(b"", Offset(b"", 0), NOW))


ledger = OffsetLedger[int](max_deliveries=3, ack_timeout=timedelta(minutes=5))
OffsetLedger[int](ack_timeout=300)
assert_type(ledger.resume_from(0), int | None)
assert_type(ledger.due(5), list[Message])

SourceServer(Yielding())
SourceServer(Returning(), transport="grpcio", grace_period=timedelta(seconds=3))
SourceServer(sourcer_instance=Putting())
SourceAsyncServer(AsyncYielding())
SourceAsyncServer(AsyncReturning())
SourceAsyncServer(sourcer_instance=AsyncPutting(), shutdown_callback=None)


def retrieve() -> Response:
    return Response.broadcast_message(b"")


class AsyncInput(SideInput):
    async def retrieve_handler(self) -> Response:
        return Response.no_broadcast_message()


SideInputServer(retrieve)
SideInputServer(side_input_instance=Response.no_broadcast_message)
SideInputAsyncServer(AsyncInput())
assert_type(SideInputFile("n", int).value, int)


def parse(data: bytes) -> dict[str, int]:
    return {str(key): int(value) for key, value in json.loads(data).items()}


assert_type(SideInputFile("n", parse).value, dict[str, int])


class Store(ServingStore):
    def put(self, id: str, payloads: list[Payload]) -> None: ...

    def get(self, id: str) -> Iterable[Payload]:
        return ()


class AsyncStore(ServingStore):
    async def put(self, id: str, payloads: list[Payload]) -> None: ...

    async def get(self, id: str) -> list[Payload]:
        return []


StoreServer(Store())
ServingStoreAsyncServer(AsyncStore(), max_concurrency=5)
ServingStoreMultiProcServer(Store(), 2)
ServingStoreMultiProcServer(AsyncStore(), server_count=2)
