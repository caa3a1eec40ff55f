"""A server of every kind whose handler tells what it sees, and its client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import numaflow_mapper as mapper
import numaflow_sinker as sinker
import numaflow_sourcetransformer as transformer
from numaflow_core.values.nack import NackOptions
from numaflow_mapper.testing import BatchMapClient, MapClient, MapStreamClient
from numaflow_sinker.testing import SinkClient
from numaflow_sourcetransformer.testing import SourceTransformClient

OPTIONS = NackOptions(reason="busy", max_deliveries=2, delay=timedelta(seconds=1), nack_map={"k": "v"})


def told(datum: Any) -> bytes:
    """What a handler sees, in one line; raises what it is told to."""
    if datum.value == b"fail":
        raise LookupError("no such thing")
    datum.user_metadata.add_key("seen", "by", b"me")
    times = f"{datum.event_time_ns} {datum.watermark_ns if datum.has_watermark else None}"
    parts = (datum.id, datum.value, datum.keys, datum.headers, datum.previous_vertex, times)
    return "|".join(map(str, parts)).encode()


def mapped(datum: Any) -> mapper.Message:
    if datum.value == b"nack":
        return mapper.Message.to_nack(OPTIONS)
    return mapper.Message(told(datum), datum.keys, ["tag"], datum.user_metadata)


def transformed(datum: Any) -> transformer.Message:
    if datum.value == b"nack":
        return transformer.Message.to_nack(datum.event_time, OPTIONS)
    return transformer.Message(told(datum), datum.event_time, datum.keys, ["tag"], datum.user_metadata)


def sunk(datum: Any) -> sinker.Response:
    if datum.value == b"nack":
        return sinker.Response.as_nack(datum.id, OPTIONS)
    return sinker.Response.as_on_success(datum.id, sinker.Message(told(datum), datum.keys, datum.user_metadata))


def by_message(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """A handler that returns what is made of one message, in both colours."""

    async def coroutine(keys: list[str], datum: Any) -> Any:
        return make(datum)

    return (lambda keys, datum: make(datum)), coroutine


def by_yield(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    def generator(keys: list[str], datum: Any) -> Iterator[Any]:
        yield make(datum)

    async def async_generator(keys: list[str], datum: Any) -> AsyncIterator[Any]:
        yield make(datum)

    return generator, async_generator


def by_batch(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    async def coroutine(datums: AsyncIterator[Any]) -> list[Any]:
        return [make(datum) async for datum in datums][::-1]

    return (lambda datums: [make(datum) for datum in datums][::-1]), coroutine


@dataclass(frozen=True)
class Case:
    """One kind with a handler that tells what it sees."""

    servers: tuple[Callable[..., Any], Callable[..., Any]]
    """For sync and for async handlers."""

    handlers: tuple[Any, Any]
    datum: Any
    client: Callable[[str], Any]
    call: str
    """The client's method."""

    messages: Callable[[Any], list[Any]]
    """What the method returned, as one message for each request."""

    nack: Callable[[Any], NackOptions | None]
    """The options in what it returned for one request."""

    def ask(self, client: Any, requests: Iterable[Any], **more: Any) -> Any:
        return getattr(client, self.call)(requests, **more)


def first_of_each(results: list[Any]) -> list[Any]:
    assert all(len(result) == 1 for result in results)
    return [result[0] for result in results]


def nack_of_message(result: Any) -> NackOptions | None:
    options: NackOptions | None = result[0][0].nack_options
    return options


MESSAGES = (first_of_each, nack_of_message)

CASES = {
    "map": Case(
        (mapper.MapServer, mapper.MapAsyncServer), by_message(mapped), mapper.Datum, MapClient, "map", *MESSAGES
    ),
    "batch map": Case(
        (mapper.BatchMapServer, mapper.BatchMapAsyncServer),
        by_batch(lambda datum: mapper.BatchResponse(datum.id, [mapped(datum)])),
        mapper.Datum,
        BatchMapClient,
        "map",
        *MESSAGES,
    ),
    "map stream": Case(
        (mapper.MapStreamServer, mapper.MapStreamAsyncServer),
        by_yield(mapped),
        mapper.Datum,
        MapStreamClient,
        "map",
        *MESSAGES,
    ),
    "transform": Case(
        (transformer.SourceTransformServer, transformer.SourceTransformAsyncServer),
        by_message(transformed),
        transformer.Datum,
        SourceTransformClient,
        "transform",
        *MESSAGES,
    ),
    "sink": Case(
        (sinker.SinkServer, sinker.SinkAsyncServer),
        by_batch(sunk),
        sinker.Datum,
        SinkClient,
        "sink",
        lambda results: [response.on_success_msg for response in results.values()],
        lambda results: next(iter(results.values())).nack_options,
    ),
}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
both_colours = pytest.mark.parametrize("colour", [0, 1], ids=["sync", "async"])


def with_client(case: Case, folder: Path, talk: Callable[[Any], Any], colour: int = 0) -> Any:
    """Run a server for as long as ``talk`` talks to it; returns what that returns."""

    async def scenario() -> Any:
        server = case.servers[colour](
            case.handlers[colour], sock_path=str(folder / "sock"), server_info_file=str(folder / "info")
        )
        async with server.serving():
            with case.client(server.sock_path) as client:
                return await asyncio.to_thread(talk, client)

    return asyncio.run(scenario())
