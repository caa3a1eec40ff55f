"""User code that must pass ``mypy --strict``; never run."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import partial

from typing_extensions import assert_type

import numaflow_sinker as sinker
import numaflow_sourcetransformer as transformer
from numaflow_mapper import (
    BatchMapAsyncServer,
    BatchMapMultiProcServer,
    BatchMapper,
    BatchMapServer,
    BatchResponse,
    BatchResponses,
    Datum,
    MapAsyncServer,
    MapMultiProcServer,
    MapMultiprocServer,
    Mapper,
    MapServer,
    MapStreamAsyncServer,
    MapStreamer,
    MapStreamMultiProcServer,
    MapStreamServer,
    Message,
    Messages,
    NackOptions,
    UserMetadata,
)
from numaflow_mapper.testing import BatchMapClient, MapClient, MapStreamClient
from numaflow_sinker.testing import SinkClient
from numaflow_sourcetransformer.testing import SourceTransformClient


def function(keys: list[str], datum: Datum) -> Messages:
    return Messages(Message(datum.value, keys=keys))


def other_names(k: list[str], d: Datum) -> Message:
    return Message(d.value)


def listed(keys: list[str], datum: Datum) -> list[Message]:
    return [Message(b"a"), Message(bytearray(b"b"))]


def generated(keys: list[str], datum: Datum) -> Iterator[Message]:
    yield Message(b"a", ["key"], ["tag"])


def nothing(keys: list[str], datum: Datum) -> None:
    return None


def maybe(keys: list[str], datum: Datum) -> Message | None:
    return None


async def coroutine(keys: list[str], datum: Datum) -> Messages:
    return Messages()


async def coroutine_of_one(keys: list[str], datum: Datum) -> Message:
    return Message.to_drop()


class SyncMapper(Mapper):
    def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class AsyncMapper(Mapper):
    async def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class Callable:
    def __call__(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class WithMethod:
    def method(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


def with_option(option: int, keys: list[str], datum: Datum) -> Messages:
    return Messages()


MapServer(function)
MapServer(mapper_instance=function)
MapServer(other_names)
MapServer(listed)
MapServer(generated)
MapServer(nothing)
MapServer(maybe)
MapServer(SyncMapper())
MapServer(Callable())
MapServer(WithMethod().method)
MapServer(partial(with_option, 1))
MapServer(lambda keys, datum: Message(datum.value))
MapServer(function, "/tmp/sock", 1024, 8, "/tmp/info", transport="grpcio", grace_period=3, on_startup=lambda: None)
MapAsyncServer(coroutine)
MapAsyncServer(coroutine_of_one)
MapAsyncServer(AsyncMapper(), max_concurrency=10)
MapMultiProcServer(function, 2)
MapMultiProcServer(coroutine, server_count=2)
MapMultiProcServer(SyncMapper())
assert_type(MapMultiprocServer(function), MapMultiProcServer)


def looks(datum: Datum) -> None:
    assert_type(datum.id, str)
    assert_type(datum.keys, list[str])
    assert_type(datum.value, bytes)
    assert_type(datum.event_time_ns, int)
    assert_type(datum.has_watermark, bool)
    assert_type(datum.headers, dict[str, str])
    assert_type(datum.user_metadata, UserMetadata)
    assert_type(datum.user_metadata.value("group", "key"), bytes | None)


def makes(messages: Messages) -> None:
    assert_type(Message.to_drop(), Message)
    assert_type(Message.to_nack(NackOptions(reason="later")), Message)
    assert_type(Message.to_fail(), Message)
    assert_type(messages[0], Message)
    assert_type(messages[1:], list[Message])
    for message in messages:
        assert_type(message, Message)


async def embeds(server: MapAsyncServer) -> AsyncIterator[str]:
    async with server.serving() as running:
        yield running.sock_path
        running.stop()


# -- batch map


def batch(datums: Iterator[Datum]) -> BatchResponses:
    return BatchResponses(*(BatchResponse(datum.id, [Message(datum.value)]) for datum in datums))


def batch_generated(datums: Iterator[Datum]) -> Iterator[BatchResponse]:
    for datum in datums:
        response = BatchResponse.from_id(datum.id)
        response.append(Message(datum.value))
        yield response


async def batch_coroutine(datums: AsyncIterator[Datum]) -> list[BatchResponse]:
    return [BatchResponse.with_msgs(datum.id, Messages()) async for datum in datums]


class SyncBatchMapper(BatchMapper):
    def handler(self, datums: Iterator[Datum]) -> BatchResponses:
        return BatchResponses()


class AsyncBatchMapper(BatchMapper):
    async def handler(self, datums: AsyncIterator[Datum]) -> BatchResponses:
        return BatchResponses()


BatchMapServer(batch)
BatchMapServer(batch_generated, "/tmp/sock", 1024, 8, "/tmp/info")
BatchMapServer(SyncBatchMapper())
BatchMapServer(SyncBatchMapper().handler)
BatchMapAsyncServer(batch_coroutine, max_concurrency=10)
BatchMapAsyncServer(AsyncBatchMapper())
BatchMapMultiProcServer(batch, 2)
BatchMapMultiProcServer(batch_coroutine)
BatchMapMultiProcServer(AsyncBatchMapper())


# -- map stream


def stream(keys: list[str], datum: Datum) -> Iterator[Message]:
    yield Message(datum.value)


async def stream_async(keys: list[str], datum: Datum) -> AsyncIterator[Message]:
    yield Message(datum.value)


class SyncMapStreamer(MapStreamer):
    def handler(self, keys: list[str], datum: Datum) -> Iterator[Message]:
        yield Message(datum.value)


class AsyncMapStreamer(MapStreamer):
    async def handler(self, keys: list[str], datum: Datum) -> AsyncIterator[Message]:
        yield Message(datum.value)


MapStreamServer(stream)
MapStreamServer(listed)
MapStreamServer(SyncMapStreamer())
MapStreamAsyncServer(stream_async)
MapStreamAsyncServer(AsyncMapStreamer(), shutdown_callback=lambda loop: None)
MapStreamMultiProcServer(stream, 2)
MapStreamMultiProcServer(stream_async)
MapStreamMultiProcServer(AsyncMapStreamer())


# -- source transform


def transform(keys: list[str], datum: transformer.Datum) -> transformer.Messages:
    return transformer.Messages(transformer.Message(datum.value, datum.event_time, keys, ["tag"]))


async def transform_async(keys: list[str], datum: transformer.Datum) -> transformer.Message:
    return transformer.Message.to_drop(datum.event_time)


class SyncTransformer(transformer.SourceTransformer):
    def handler(self, keys: list[str], datum: transformer.Datum) -> transformer.Message | None:
        return None


class AsyncTransformer(transformer.SourceTransformer):
    async def handler(self, keys: list[str], datum: transformer.Datum) -> list[transformer.Message]:
        return []


transformer.SourceTransformServer(transform)
transformer.SourceTransformServer(SyncTransformer())
transformer.SourceTransformAsyncServer(transform_async)
transformer.SourceTransformAsyncServer(AsyncTransformer())
transformer.SourceTransformMultiProcServer(transform, server_count=2)
transformer.SourceTransformMultiProcServer(AsyncTransformer())
assert_type(transformer.Message(b"", datetime.now()).event_time, datetime)
assert_type(transformer.Message.to_nack(datetime.now(), NackOptions()), transformer.Message)


# -- sink


def sink(datums: Iterator[sinker.Datum]) -> sinker.Responses:
    return sinker.Responses(*(sinker.Response.as_success(datum.id) for datum in datums))


def sink_generated(datums: Iterator[sinker.Datum]) -> Iterator[sinker.Response]:
    for datum in datums:
        assert_type(datum.retry_count, int)
        yield sinker.Response.as_failure(datum.id, "why")


async def sink_async(datums: AsyncIterator[sinker.Datum]) -> list[sinker.Response]:
    return [sinker.Response.as_on_success(datum.id, sinker.Message(datum.value)) async for datum in datums]


class SyncSinker(sinker.Sinker):
    def handler(self, datums: Iterator[sinker.Datum]) -> sinker.Responses:
        return sinker.Responses()


class AsyncSinker(sinker.Sinker):
    async def handler(self, datums: AsyncIterator[sinker.Datum]) -> sinker.Responses:
        return sinker.Responses()


sinker.SinkServer(sink)
sinker.SinkServer(sink_generated, max_threads=2)
sinker.SinkServer(SyncSinker())
sinker.SinkAsyncServer(sink_async)
sinker.SinkAsyncServer(AsyncSinker())
sinker.SinkMultiProcServer(sink, 2)
sinker.SinkMultiProcServer(AsyncSinker())


def responds(response: sinker.Response) -> None:
    assert_type(response.status, sinker.Status)
    assert_type(response.success, bool)
    assert_type(response.on_success_msg, sinker.Message | None)
    assert_type(sinker.Response.as_serve("1", b""), sinker.Response)
    assert_type(sinker.Message(b"").with_keys(["k"]), sinker.Message)
    assert_type(sinker.Message(b"").user_metadata, UserMetadata | None)


# -- clients


def talks(datum: Datum, transformed: transformer.Datum, sunk: sinker.Datum) -> None:
    with MapClient() as client:
        assert_type(client, MapClient)
        assert_type(client.map([b"v", datum]), list[Messages])
    with BatchMapClient("/tmp/sock") as batches:
        assert_type(batches.map([b"v", datum]), list[Messages])
        assert_type(batches.map_batches([[b"v"], [datum]]), list[list[Messages]])
    with MapStreamClient("/tmp/sock") as streams:
        assert_type(streams.map([b"v", datum], timeout=1), list[Messages])
        assert_type(streams.stream(datum), Iterator[Message])
    with SourceTransformClient("/tmp/sock") as transforms:
        assert_type(transforms.transform([b"v", transformed]), list[transformer.Messages])
    with SinkClient("/tmp/sock") as sinks:
        assert_type(sinks, SinkClient)
        assert_type(sinks.sink([b"v", sunk]), dict[str, sinker.Response])
        assert_type(sinks.sink_batches([[b"v"], [sunk]]), list[dict[str, sinker.Response]])
