"""The handlers under test of kinds whose requests carry no payload: they are told what is enclosed in them."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from weakref import WeakValueDictionary

from behaviour.commands import NonsenseWantedError, act, act_async
from behaviour.enclosures import enclosed, enclosure
from behaviour.handlers import NONSENSE, Kind
from behaviour.messages import EVENT_TIME_SECONDS, RECORDS_OF_A_READ
from numaflow_core.constants import MAX_MESSAGE_SIZE
from numaflow_core.flows.serial import SerialFlow
from numaflow_core.kind import RpcSpec
from numaflow_core.wire.buffers import Buffer


class _Told(threading.local):
    """What was enclosed in the request that a thread has decoded last: the one that its handler is called with."""

    now: tuple[str, bytes] = ("", b"")


TOLD: Final = _Told()


def tell(codecs: ModuleType, name: str) -> None:
    """Have a kind's handler told, with each call, what is enclosed in the request."""
    spec: RpcSpec = vars(codecs)[name]
    codec: Any = spec.codec

    def decode(message: Buffer) -> tuple[Any, tuple[Any, ...]]:
        TOLD.now = enclosed(message)
        decoded: tuple[Any, tuple[Any, ...]] = codec.decode(message)
        return decoded

    vars(codecs)[name] = replace(spec, codec=replace(codec, decode=decode))


def kind_side_input() -> Kind:
    from numaflow_sideinput import (
        Response,
        SideInput,
        SideInputAsyncServer,
        SideInputMultiProcServer,
        SideInputServer,
        _codec,
    )

    tell(_codec, "RETRIEVE")

    def handle() -> Response:
        name, payload = TOLD.now
        try:
            return Response.broadcast_message(enclosure(name, act(payload)))
        except NonsenseWantedError:
            return NONSENSE

    async def handle_async() -> Response:
        name, payload = TOLD.now
        try:
            return Response.broadcast_message(enclosure(name, await act_async(payload)))
        except NonsenseWantedError:
            return NONSENSE

    # Its own limit is that of the platform's client for this kind; the suite's is that of the others.
    servers = (
        partial(SideInputServer, max_message_size=MAX_MESSAGE_SIZE),
        partial(SideInputAsyncServer, max_message_size=MAX_MESSAGE_SIZE),
        partial(SideInputMultiProcServer, max_message_size=MAX_MESSAGE_SIZE),
    )
    handlers = {
        "closure": handle,
        "async": handle_async,
        "lambda": lambda nothing=None: handle(),
        "class": type("Handler", (SideInput,), {"retrieve_handler": staticmethod(handle)})(),
        "partial": partial(lambda extra: handle(), object()),
    }
    return Kind(*servers, handlers)


def kind_serving_store() -> Kind:
    from numaflow_servingstore import (
        Payload,
        ServingStore,
        ServingStoreAsyncServer,
        ServingStoreMultiProcServer,
        ServingStoreServer,
        _codec,
    )

    tell(_codec, "GET")

    def handle(id: str) -> list[Payload]:
        try:
            return [Payload("", act(TOLD.now[1]))]
        except NonsenseWantedError:
            return NONSENSE

    async def handle_async(id: str) -> list[Payload]:
        try:
            return [Payload("", await act_async(TOLD.now[1]))]
        except NonsenseWantedError:
            return NONSENSE

    def put(id: str, payloads: list[Payload]) -> None: ...

    async def put_async(id: str, payloads: list[Payload]) -> None: ...

    handlers = {
        "closure": SimpleNamespace(put=put, get=handle),
        "async": SimpleNamespace(put=put_async, get=handle_async),
        "lambda": SimpleNamespace(put=put, get=lambda name: handle(str(name))),
        "class": type("Handler", (ServingStore,), {"put": staticmethod(put), "get": staticmethod(handle)})(),
        "partial": SimpleNamespace(put=put, get=partial(lambda extra, name: handle(name), object())),
    }
    return Kind(ServingStoreServer, ServingStoreAsyncServer, ServingStoreMultiProcServer, handlers)


def kind_source() -> Kind:
    from numaflow_sourcer import (
        AckRequest,
        Message,
        NackRequest,
        Offset,
        PendingResponse,
        ReadRequest,
        SourceAsyncServer,
        Sourcer,
        SourceServer,
        _codec,
    )

    class CommandedRead(ReadRequest):
        """A read that remembers what was enclosed in its request."""

        told: tuple[str, bytes]

    reads: WeakValueDictionary[int, CommandedRead] = WeakValueDictionary()
    read_request = _codec.read_request

    def remember(message: Buffer) -> ReadRequest:
        request = read_request(message)
        read = CommandedRead(request.num_records, request.timeout_in_ms)
        read.told = enclosed(message)
        reads[request.num_records // RECORDS_OF_A_READ] = read
        return read

    new_flow = partial(SerialFlow, _codec.READ, _codec._READ_SHAKE, remember)
    vars(_codec)["SPECS"] = {**_codec.SPECS, _codec.READ: replace(_codec.SPECS[_codec.READ], new_flow=new_flow)}

    def told(datum: ReadRequest) -> tuple[str, bytes] | None:
        """What was enclosed in the request of a read; ``None`` when its client has gone. The handler is asked for fewer
        records than the client has asked for, where some were kept from the read of a client that has gone."""
        read = reads.get(-(-datum.num_records // RECORDS_OF_A_READ))
        return read.told if read is not None else None

    event_time = datetime.fromtimestamp(EVENT_TIME_SECONDS, timezone.utc)

    def message(id: str, payload: bytes) -> Message:
        return Message(payload, Offset(id.encode(), 0), event_time)

    class Source(Sourcer):
        def read_handler(self, datum: ReadRequest) -> Iterator[Message]:
            found = told(datum)
            if found is not None:
                name, payload = found
                try:
                    yield message(name, act(payload))
                except NonsenseWantedError:
                    yield NONSENSE

        def ack_handler(self, ack_request: AckRequest) -> None: ...

        def nack_handler(self, nack_request: NackRequest) -> None: ...

        def pending_handler(self) -> PendingResponse:
            return PendingResponse(-1)

    class AsyncSource(Sourcer):
        async def read_handler(self, datum: ReadRequest) -> AsyncIterator[Message]:
            found = told(datum)
            if found is not None:
                name, payload = found
                try:
                    yield message(name, await act_async(payload))
                except NonsenseWantedError:
                    yield NONSENSE

        async def ack_handler(self, ack_request: AckRequest) -> None: ...

        async def nack_handler(self, nack_request: NackRequest) -> None: ...

        async def pending_handler(self) -> PendingResponse:
            return PendingResponse(-1)

    handlers = {"closure": Source(), "async": AsyncSource()}
    return Kind(SourceServer, SourceAsyncServer, None, handlers, has_max_concurrency=False)


KINDS: dict[str, Callable[[], Kind]] = {
    "source": kind_source,
    "side input": kind_side_input,
    "serving store": kind_serving_store,
}
