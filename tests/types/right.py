"""User code that must pass ``mypy --strict``; never run."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

from typing_extensions import assert_type

from numaflow_mapper import (
    Datum,
    MapAsyncServer,
    MapMultiProcServer,
    MapMultiprocServer,
    Mapper,
    MapServer,
    Message,
    Messages,
    NackOptions,
    UserMetadata,
)


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
