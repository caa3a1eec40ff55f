"""User code that ``mypy --strict`` must refuse, with the error that it must give; never run."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import numaflow_sinker as sinker
import numaflow_sourcetransformer as transformer
from numaflow_mapper import (
    BatchMapAsyncServer,
    BatchMapper,
    BatchMapServer,
    BatchResponse,
    BatchResponses,
    Datum,
    MapAsyncServer,
    Mapper,
    MapServer,
    MapStreamAsyncServer,
    MapStreamer,
    MapStreamServer,
    Message,
    Messages,
)
from numaflow_sinker.testing import SinkClient


def function(keys: list[str], datum: Datum) -> Messages:
    return Messages()


async def coroutine(keys: list[str], datum: Datum) -> Messages:
    return Messages()


def too_few(keys: list[str]) -> Messages:
    return Messages()


def too_many(keys: list[str], datum: Datum, more: int) -> Messages:
    return Messages()


def wrong_result(keys: list[str], datum: Datum) -> str:
    return ""


def wrong_items(keys: list[str], datum: Datum) -> list[bytes]:
    return []


class SyncMapper(Mapper):
    def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class AsyncMapper(Mapper):
    async def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class WrongMapper(Mapper):
    def handler(self, keys: list[str]) -> Messages:  # E: Signature of "handler" incompatible with supertype
        return Messages()


class EmptyMapper(Mapper):
    pass


MapServer(coroutine)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(AsyncMapper())  # E: Argument 1 to "MapServer" has incompatible type
MapAsyncServer(function)  # E: Argument 1 to "MapAsyncServer" has incompatible type
MapAsyncServer(SyncMapper())  # E: Argument 1 to "MapAsyncServer" has incompatible type
MapServer(too_few)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(too_many)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(wrong_result)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(wrong_items)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(SyncMapper)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(function, transport="http")  # E: Argument "transport" to "MapServer" has incompatible type
EmptyMapper()  # E: Cannot instantiate abstract class "EmptyMapper"
Message("text")  # E: Argument 1 to "Message" has incompatible type
Message(b"", keys=[1])  # E: List item 0 has incompatible type
Messages(b"")  # E: Argument 1 to "Messages" has incompatible type
Message.to_nack("why")  # E: Argument 1 to "to_nack" of "ReservedMessages" has incompatible type
Message(b"").value = b"x"  # E: Property "value" defined in "BaseMessage" is read-only


def changes(datum: Datum) -> None:
    datum.value = b""  # E: Property "value" defined in "BaseDatum" is read-only


# -- batch map


def batch(datums: Iterator[Datum]) -> BatchResponses:
    return BatchResponses()


async def batch_coroutine(datums: AsyncIterator[Datum]) -> BatchResponses:
    return BatchResponses()


def batch_of_messages(datums: Iterator[Datum]) -> Messages:
    return Messages()


def batch_of_keys(keys: list[str], datum: Datum) -> BatchResponses:
    return BatchResponses()


def batch_of_a_list(datums: list[Datum]) -> BatchResponses:
    return BatchResponses()


class AsyncBatchMapper(BatchMapper):
    async def handler(self, datums: AsyncIterator[Datum]) -> BatchResponses:
        return BatchResponses()


class WrongBatchMapper(BatchMapper):
    def handler(self, datums: Iterator[Datum]) -> Messages:  # E: Return type "Messages" of "handler" incompatible
        return Messages()


BatchMapServer(batch_coroutine)  # E: Argument 1 to "BatchMapServer" has incompatible type
BatchMapServer(AsyncBatchMapper())  # E: Argument 1 to "BatchMapServer" has incompatible type
BatchMapAsyncServer(batch)  # E: Argument 1 to "BatchMapAsyncServer" has incompatible type
BatchMapServer(batch_of_messages)  # E: Argument 1 to "BatchMapServer" has incompatible type
BatchMapServer(batch_of_keys)  # E: Argument 1 to "BatchMapServer" has incompatible type
BatchMapServer(batch_of_a_list)  # E: Argument 1 to "BatchMapServer" has incompatible type
BatchMapServer(function)  # E: Argument 1 to "BatchMapServer" has incompatible type
BatchResponse(7)  # E: Argument 1 to "BatchResponse" has incompatible type
BatchResponse("7", [b"v"])  # E: List item 0 has incompatible type
BatchResponses(Message(b""))  # E: Argument 1 to "BatchResponses" has incompatible type


# -- map stream


def stream(keys: list[str], datum: Datum) -> Iterator[Message]:
    yield Message(b"")


async def stream_async(keys: list[str], datum: Datum) -> AsyncIterator[Message]:
    yield Message(b"")


def stream_of_bytes(keys: list[str], datum: Datum) -> Iterator[bytes]:
    yield b""


class SyncMapStreamer(MapStreamer):
    def handler(self, keys: list[str], datum: Datum) -> Iterator[Message]:
        yield Message(b"")


MapStreamServer(stream_async)  # E: Argument 1 to "MapStreamServer" has incompatible type
MapStreamServer(coroutine)  # E: Argument 1 to "MapStreamServer" has incompatible type
MapStreamServer(stream_of_bytes)  # E: Argument 1 to "MapStreamServer" has incompatible type
MapStreamAsyncServer(stream)  # E: Argument 1 to "MapStreamAsyncServer" has incompatible type
MapStreamAsyncServer(coroutine)  # E: Argument 1 to "MapStreamAsyncServer" has incompatible type
MapStreamAsyncServer(SyncMapStreamer())  # E: Argument 1 to "MapStreamAsyncServer" has incompatible type


# -- source transform


def transform(keys: list[str], datum: transformer.Datum) -> transformer.Messages:
    return transformer.Messages()


def transform_to_other_messages(keys: list[str], datum: transformer.Datum) -> Messages:
    return Messages()


async def transform_async(keys: list[str], datum: transformer.Datum) -> transformer.Messages:
    return transformer.Messages()


transformer.SourceTransformServer(transform_async)  # E: Argument 1 to "SourceTransformServer" has incompatible type
transformer.SourceTransformAsyncServer(transform)  # E: Argument 1 to "SourceTransformAsyncServer" has incompatible type
transformer.SourceTransformServer(function)  # E: Argument 1 to "SourceTransformServer" has incompatible type
transformer.SourceTransformServer(transform_to_other_messages)  # E: Argument 1 to "SourceTransformServer"
transformer.Message(b"")  # E: Missing positional argument "event_time"
transformer.Message(b"", 1_700_000_000)  # E: Argument 2 to "Message" has incompatible type
transformer.Message.to_drop()  # E: Missing positional argument "event_time"
transformer.Messages(Message(b""))  # E: Argument 1 to "Messages" has incompatible type
transformer.Message(b"", datetime.now()).event_time = datetime.now()  # E: Property "event_time" defined in "Message"


# -- sink


def sink(datums: Iterator[sinker.Datum]) -> sinker.Responses:
    return sinker.Responses()


async def sink_async(datums: AsyncIterator[sinker.Datum]) -> sinker.Responses:
    return sinker.Responses()


def sink_of_other_datums(datums: Iterator[Datum]) -> sinker.Responses:
    return sinker.Responses()


def sink_without_result(datums: Iterator[sinker.Datum]) -> None:
    return None


class SyncSinker(sinker.Sinker):
    def handler(self, datums: Iterator[sinker.Datum]) -> sinker.Responses:
        return sinker.Responses()


sinker.SinkServer(sink_async)  # E: Argument 1 to "SinkServer" has incompatible type
sinker.SinkAsyncServer(sink)  # E: Argument 1 to "SinkAsyncServer" has incompatible type
sinker.SinkAsyncServer(SyncSinker())  # E: Argument 1 to "SinkAsyncServer" has incompatible type
sinker.SinkServer(sink_of_other_datums)  # E: Argument 1 to "SinkServer" has incompatible type
sinker.SinkServer(sink_without_result)  # E: Argument 1 to "SinkServer" has incompatible type
sinker.SinkMultiProcServer(SyncSinker)  # E: Argument 1 to "SinkMultiProcServer" has incompatible type
sinker.Response("1")  # E: Missing positional argument "status"
sinker.Response.as_success(1)  # E: Argument 1 to "as_success" of "Response" has incompatible type
sinker.Response.as_failure("1", ValueError())  # E: Argument 2 to "as_failure" of "Response" has incompatible type
sinker.Response.as_on_success("1", Message(b""))  # E: Argument 2 to "as_on_success" of "Response" has incompatible
sinker.Response.as_success("1").err = ""  # E: Property "err" defined in "Response" is read-only
SinkClient().sink(b"v")  # E: Argument 1 to "sink" of "SinkClient" has incompatible type
