"""A server of ours for one kind, as ``compare.py`` starts it.

usage: python benchmarks/server.py KIND MODE SOCK
KIND   map | mapstream | batchmap | transform | sink | reduce | sessionreduce | accumulator | source | sideinput |
       servingstore
MODE   sync | async | multiproc

BURN_US=N   every message burns N microseconds of CPU first
WORKERS=N   worker processes of multiproc (default: the CPUs available)
"""

import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from time import perf_counter
from typing import Any

BURN_SECONDS = float(os.environ.get("BURN_US", "0")) / 1e6
WORKERS = int(os.environ["WORKERS"]) if "WORKERS" in os.environ else None

Servers = tuple[Any, Any, Any, Any, Any]
"""The three classes of a kind, then the sync and the async handler."""


def burn() -> None:
    if BURN_SECONDS:
        end = perf_counter() + BURN_SECONDS
        while perf_counter() < end:
            pass


def map_() -> Servers:
    from numaflow_mapper import Datum, MapAsyncServer, MapMultiProcServer, MapServer, Message, Messages

    def handle(keys: list[str], datum: Datum) -> Messages:
        burn()
        return Messages(Message(datum.value, keys=keys))

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        burn()
        return Messages(Message(datum.value, keys=keys))

    return MapServer, MapAsyncServer, MapMultiProcServer, handle, handle_async


def mapstream() -> Servers:
    from numaflow_mapper import Datum, MapStreamAsyncServer, MapStreamMultiProcServer, MapStreamServer, Message

    def handle(keys: list[str], datum: Datum) -> Iterator[Message]:
        burn()
        yield Message(datum.value, keys=keys)

    async def handle_async(keys: list[str], datum: Datum) -> AsyncIterator[Message]:
        burn()
        yield Message(datum.value, keys=keys)

    return MapStreamServer, MapStreamAsyncServer, MapStreamMultiProcServer, handle, handle_async


def batchmap() -> Servers:
    from numaflow_mapper import (
        BatchMapAsyncServer,
        BatchMapMultiProcServer,
        BatchMapServer,
        BatchResponse,
        BatchResponses,
        Datum,
        Message,
    )

    def respond(datum: Datum) -> BatchResponse:
        burn()
        response = BatchResponse.from_id(datum.id)
        response.append(Message(datum.value, keys=datum.keys))
        return response

    def handle(datums: Iterator[Datum]) -> BatchResponses:
        responses = BatchResponses()
        for datum in datums:
            responses.append(respond(datum))
        return responses

    async def handle_async(datums: AsyncIterator[Datum]) -> BatchResponses:
        responses = BatchResponses()
        async for datum in datums:
            responses.append(respond(datum))
        return responses

    return BatchMapServer, BatchMapAsyncServer, BatchMapMultiProcServer, handle, handle_async


def transform() -> Servers:
    from numaflow_sourcetransformer import (
        Datum,
        Message,
        Messages,
        SourceTransformAsyncServer,
        SourceTransformMultiProcServer,
        SourceTransformServer,
    )

    def handle(keys: list[str], datum: Datum) -> Messages:
        burn()
        return Messages(Message(datum.value, event_time=datum.event_time, keys=keys))

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        burn()
        return Messages(Message(datum.value, event_time=datum.event_time, keys=keys))

    return SourceTransformServer, SourceTransformAsyncServer, SourceTransformMultiProcServer, handle, handle_async


def sink() -> Servers:
    from numaflow_sinker import Datum, Response, Responses, SinkAsyncServer, SinkMultiProcServer, SinkServer

    def handle(datums: Iterator[Datum]) -> Responses:
        responses = Responses()
        for datum in datums:
            burn()
            responses.append(Response.as_success(datum.id))
        return responses

    async def handle_async(datums: AsyncIterator[Datum]) -> Responses:
        responses = Responses()
        async for datum in datums:
            burn()
            responses.append(Response.as_success(datum.id))
        return responses

    return SinkServer, SinkAsyncServer, SinkMultiProcServer, handle, handle_async


def reduce() -> Servers:
    from numaflow_reducer import (
        Datum,
        Message,
        Messages,
        Metadata,
        ReduceAsyncServer,
        ReduceMultiProcServer,
        ReduceServer,
        SyncReducer,
    )

    class Count(SyncReducer):
        def __init__(self) -> None:
            self.count = 0

        def add(self, datum: Datum) -> None:
            burn()
            self.count += 1

        def finish(self) -> Message:
            return Message(str(self.count).encode(), keys=self.keys)

    async def handle_async(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
        count = 0
        async for _ in datums:
            burn()
            count += 1
        return Messages(Message(str(count).encode(), keys=keys))

    return ReduceServer, ReduceAsyncServer, ReduceMultiProcServer, Count, handle_async


def sessionreduce() -> Servers:
    from numaflow_sessionreducer import (
        Datum,
        Message,
        SessionReduceAsyncServer,
        SessionReduceMultiProcServer,
        SessionReducer,
        SessionReduceServer,
        SyncSessionReducer,
    )

    class Count(SyncSessionReducer):
        def __init__(self) -> None:
            self.count = 0

        def add(self, datum: Datum) -> None:
            burn()
            self.count += 1

        def finish(self) -> Message:
            return Message(str(self.count).encode(), keys=self.keys)

        def accumulator(self) -> bytes:
            return str(self.count).encode()

        def merge_accumulator(self, accumulator: bytes) -> None:
            self.count += int(accumulator)

    class AsyncCount(SessionReducer):
        def __init__(self) -> None:
            self.count = 0

        async def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
            async for _ in datums:
                burn()
                self.count += 1
            yield Message(str(self.count).encode(), keys=keys)

        async def accumulator(self) -> bytes:
            return str(self.count).encode()

        async def merge_accumulator(self, accumulator: bytes) -> None:
            self.count += int(accumulator)

    return SessionReduceServer, SessionReduceAsyncServer, SessionReduceMultiProcServer, Count, AsyncCount


def accumulator() -> Servers:
    from numaflow_accumulator import (
        AccumulatorAsyncServer,
        AccumulatorMultiProcServer,
        AccumulatorServer,
        Datum,
        Message,
        SyncAccumulator,
    )

    class Forward(SyncAccumulator):
        def add(self, datum: Datum) -> Message:
            burn()
            return Message.from_datum(datum)

        def finish(self) -> None: ...

    async def handle_async(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        async for datum in datums:
            burn()
            yield Message.from_datum(datum)

    return AccumulatorServer, AccumulatorAsyncServer, AccumulatorMultiProcServer, Forward, handle_async


def source() -> Servers:
    from datetime import datetime, timezone

    from numaflow_sourcer import (
        AckRequest,
        AsyncOutput,
        Message,
        NackRequest,
        Offset,
        PendingResponse,
        ReadRequest,
        SourceAsyncServer,
        Sourcer,
        SourceServer,
    )

    payload = bytes(100)

    class Numbers:
        def __init__(self) -> None:
            self.number = 0

        def next(self) -> Message:
            burn()
            self.number += 1
            now = datetime.now(timezone.utc)
            return Message(payload, Offset(b"%d" % self.number, 0), now, keys=["key"])

    class Source(Numbers, Sourcer):
        def read_handler(self, datum: ReadRequest) -> Iterator[Message]:
            for _ in range(datum.num_records):
                yield self.next()

        def ack_handler(self, ack_request: AckRequest) -> None:
            for _ in ack_request.offsets:
                pass

        def nack_handler(self, nack_request: NackRequest) -> None: ...

        def pending_handler(self) -> PendingResponse:
            return PendingResponse(0)

    class AsyncSource(Numbers, Sourcer):
        async def read_handler(self, datum: ReadRequest, output: AsyncOutput) -> None:
            for _ in range(datum.num_records):
                await output.put(self.next())

        async def ack_handler(self, ack_request: AckRequest) -> None:
            for _ in ack_request.offsets:
                pass

        async def nack_handler(self, nack_request: NackRequest) -> None: ...

        async def pending_handler(self) -> PendingResponse:
            return PendingResponse(0)

    return SourceServer, SourceAsyncServer, None, Source(), AsyncSource()


def sideinput() -> Servers:
    from numaflow_sideinput import Response, SideInputAsyncServer, SideInputMultiProcServer, SideInputServer

    value = bytes(100)

    def handle() -> Response:
        burn()
        return Response.broadcast_message(value)

    async def handle_async() -> Response:
        return handle()

    return SideInputServer, SideInputAsyncServer, SideInputMultiProcServer, handle, handle_async


def servingstore() -> Servers:
    from numaflow_servingstore import (
        Payload,
        ServingStore,
        ServingStoreAsyncServer,
        ServingStoreMultiProcServer,
        ServingStoreServer,
    )

    class Store(ServingStore):
        def put(self, id: str, payloads: list[Payload]) -> None:
            burn()

        def get(self, id: str) -> list[Payload]:
            return [Payload("in", b"done")]

    class AsyncStore(ServingStore):
        async def put(self, id: str, payloads: list[Payload]) -> None:
            burn()

        async def get(self, id: str) -> list[Payload]:
            return [Payload("in", b"done")]

    return ServingStoreServer, ServingStoreAsyncServer, ServingStoreMultiProcServer, Store(), AsyncStore()


KINDS = {
    "map": map_,
    "mapstream": mapstream,
    "batchmap": batchmap,
    "transform": transform,
    "sink": sink,
    "reduce": reduce,
    "sessionreduce": sessionreduce,
    "accumulator": accumulator,
    "source": source,
    "sideinput": sideinput,
    "servingstore": servingstore,
}


def main() -> None:
    if len(sys.argv) != 4 or sys.argv[1] not in KINDS or sys.argv[2] not in ("sync", "async", "multiproc"):
        raise SystemExit(__doc__)
    kind, mode, sock = sys.argv[1:]
    sync, async_, multiproc, handle, handle_async = KINDS[kind]()
    settings: dict[str, Any] = {"sock_path": sock, "server_info_file": sock + ".info"}
    if mode == "sync":
        sync(handle, **settings).start()
    elif mode == "async":
        async_(handle_async, **settings).start()
    elif multiproc is None:
        raise SystemExit(f"server.py: there is no multiproc for {kind}")
    else:
        multiproc(handle, server_count=WORKERS, **settings).start()


if __name__ == "__main__":
    main()
