"""A server of pynumaflow's for one kind, to compare with: it does what ``server.py`` does.

usage: python -m benchmarks.peer KIND MODE SOCK
KIND   map | mapstream | batchmap | transform | sink | reduce | source | sideinput
MODE   sync | async; the servers of mapstream, batchmap, reduce and source are async, that of sideinput is sync

BURN_US=N   every message burns N microseconds of CPU first
"""

import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from datetime import datetime, timezone
from typing import Any

from benchmarks.server import burn

Server = Callable[..., Any]
PAYLOAD = bytes(100)


def map_() -> tuple[Server, Any, Server, Any]:
    from pynumaflow.mapper import MapAsyncServer, MapServer, Message, Messages

    def handle(keys: list[str], datum: Any) -> Any:
        burn()
        return Messages(Message(datum.value, keys=keys))

    async def handle_async(keys: list[str], datum: Any) -> Any:
        return handle(keys, datum)

    return MapServer, handle, MapAsyncServer, handle_async


def mapstream() -> tuple[Server, Any]:
    from pynumaflow.mapstreamer import MapStreamAsyncServer, Message

    async def handle(keys: list[str], datum: Any) -> AsyncIterator[Any]:
        burn()
        yield Message(datum.value, keys=keys)

    return MapStreamAsyncServer, handle


def batchmap() -> tuple[Server, Any]:
    from pynumaflow.batchmapper import BatchMapAsyncServer, BatchResponse, BatchResponses, Message

    async def handle(datums: AsyncIterable[Any]) -> Any:
        responses = BatchResponses()
        async for datum in datums:
            burn()
            response = BatchResponse.from_id(datum.id)
            response.append(Message(datum.value, keys=datum.keys))
            responses.append(response)
        return responses

    return BatchMapAsyncServer, handle


def transform() -> tuple[Server, Any, Server, Any]:
    from pynumaflow.sourcetransformer import Message, Messages, SourceTransformAsyncServer, SourceTransformServer

    def handle(keys: list[str], datum: Any) -> Any:
        burn()
        return Messages(Message(datum.value, event_time=datum.event_time, keys=keys))

    async def handle_async(keys: list[str], datum: Any) -> Any:
        return handle(keys, datum)

    return SourceTransformServer, handle, SourceTransformAsyncServer, handle_async


def sink() -> tuple[Server, Any, Server, Any]:
    # pynumaflow looks at the annotations of a sink handler
    from pynumaflow.sinker import Datum, Response, Responses, SinkAsyncServer, SinkServer

    def handle(datums: Iterator[Datum]) -> Responses:
        responses = Responses()
        for datum in datums:
            burn()
            responses.append(Response.as_success(datum.id))
        return responses

    async def handle_async(datums: AsyncIterable[Datum]) -> Responses:
        responses = Responses()
        async for datum in datums:
            burn()
            responses.append(Response.as_success(datum.id))
        return responses

    return SinkServer, handle, SinkAsyncServer, handle_async


def reduce() -> tuple[Server, Any]:
    from pynumaflow.reducer import Message, Messages, ReduceAsyncServer

    async def handle(keys: list[str], datums: AsyncIterable[Any], md: Any) -> Any:
        count = 0
        async for _ in datums:
            burn()
            count += 1
        return Messages(Message(str(count).encode(), keys=keys))

    return ReduceAsyncServer, handle


def source() -> tuple[Server, Any]:
    from pynumaflow.sourcer import Message, Offset, PartitionsResponse, PendingResponse, SourceAsyncServer, Sourcer

    class Source(Sourcer):  # type: ignore[misc]  # pynumaflow is not typed
        number = 0

        async def read_handler(self, datum: Any, output: Any) -> None:
            for _ in range(datum.num_records):
                self.number += 1
                now = datetime.now(timezone.utc)
                await output.put(Message(PAYLOAD, Offset(b"%d" % self.number, 0), now, keys=["key"]))

        async def ack_handler(self, ack_request: Any) -> None:
            for _ in ack_request.offsets:
                pass

        async def nack_handler(self, nack_request: Any) -> None: ...

        async def pending_handler(self) -> Any:
            return PendingResponse(count=0)

        async def active_partitions_handler(self) -> Any:
            return PartitionsResponse(partitions=[0])

    return SourceAsyncServer, Source()


def sideinput() -> tuple[Server, Any]:
    from pynumaflow.sideinput import Response, SideInputServer

    return SideInputServer, lambda: Response.broadcast_message(PAYLOAD)


KINDS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "map": map_,
    "mapstream": mapstream,
    "batchmap": batchmap,
    "transform": transform,
    "sink": sink,
    "reduce": reduce,
    "source": source,
    "sideinput": sideinput,
}


def main() -> None:
    if len(sys.argv) != 4 or sys.argv[1] not in KINDS or sys.argv[2] not in ("sync", "async"):
        raise SystemExit(__doc__)
    kind, mode, sock = sys.argv[1:]
    servers = KINDS[kind]()
    server, handle = servers[2:] if mode == "async" and len(servers) == 4 else servers[:2]
    server(handle, sock_path=sock, server_info_file=sock + ".info").start()


if __name__ == "__main__":
    main()
