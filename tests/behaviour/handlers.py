"""The handlers under test of kinds whose calls are messages or batches."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple, NoReturn, cast

from behaviour.commands import NonsenseWantedError, act, act_async, note, split


class Kind(NamedTuple):
    """The parts of a kind that the servers under test are made of."""

    sync: Any
    asynchronous: Any
    multiproc: Any
    handlers: Mapping[str, Any]
    """By form: ``async`` for async servers, the others for sync ones, and all for multiprocess ones. None can be
    pickled."""

    has_max_concurrency: bool = True


NONSENSE: NoReturn = cast(Any, 42)
"""What no handler may return; the type checker is told that none does."""


def forms(
    handle: Callable[..., Any], handle_async: Callable[..., Any], base: type, parameters: int
) -> Mapping[str, Any]:
    """The forms of a handler that is called with one or two arguments."""
    return {
        "closure": handle,
        "async": handle_async,
        "lambda": (lambda it: handle(iter(it))) if parameters == 1 else (lambda keys, it: handle(list(keys), it)),
        "class": type("Handler", (base,), {"handler": staticmethod(handle)})(),
        "partial": partial(lambda extra, *arguments: handle(*arguments), object()),
    }


def ids_of(id: str, payload: bytes) -> list[str]:
    """The ids of the responses that a batch handler is to give."""
    return {b"!skip": [], b"!twice": [id, id], b"!stranger": ["stranger"]}.get(payload, [id])


def plain(payload: bytes) -> bytes:
    """What is left to do when the ids are taken care of."""
    return b"" if payload in (b"!skip", b"!twice", b"!stranger", b"!leave") else payload


def drip(payload: bytes) -> Generator[bytes, None, None]:
    """The results of a map stream."""
    name, argument = split(payload) if payload[:1] == b"!" else ("", "")
    if name == "!drip":
        count, gate = argument.split()
        for number in range(int(count)):
            yield b"%d" % number
        yield act(f"!block {gate}".encode())
    elif name == "!endless":
        while True:
            yield bytes(int(argument))
    elif name == "!unread":
        note(argument, "+")
        try:
            while True:
                yield bytes(100_000)
        finally:
            note(argument, "-")
    else:
        yield act(payload)


def kind_map() -> Kind:
    from numaflow_mapper import Datum, MapAsyncServer, MapMultiProcServer, Mapper, MapServer, Message, Messages

    def handle(keys: list[str], datum: Datum) -> Messages:
        try:
            return Messages(Message(act(datum.value), keys=keys, user_metadata=datum.user_metadata))
        except NonsenseWantedError:
            return NONSENSE

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        try:
            return Messages(Message(await act_async(datum.value), keys=keys, user_metadata=datum.user_metadata))
        except NonsenseWantedError:
            return NONSENSE

    return Kind(MapServer, MapAsyncServer, MapMultiProcServer, forms(handle, handle_async, Mapper, 2))


def kind_map_stream() -> Kind:
    from numaflow_mapper import (
        Datum,
        MapStreamAsyncServer,
        MapStreamer,
        MapStreamMultiProcServer,
        MapStreamServer,
        Message,
    )

    def handle(keys: list[str], datum: Datum) -> Iterator[Message]:
        try:
            for result in drip(datum.value):
                yield Message(result, keys=keys, user_metadata=datum.user_metadata)
        except NonsenseWantedError:
            yield NONSENSE

    async def handle_async(keys: list[str], datum: Datum) -> AsyncIterator[Message]:
        try:
            if datum.value.startswith((b"!block", b"!set", b"!cancel", b"!look")):
                yield Message(await act_async(datum.value), keys=keys)
                return
            with closing(drip(datum.value)) as results:
                for result in results:
                    yield Message(result, keys=keys, user_metadata=datum.user_metadata)
        except NonsenseWantedError:
            yield NONSENSE

    return Kind(
        MapStreamServer, MapStreamAsyncServer, MapStreamMultiProcServer, forms(handle, handle_async, MapStreamer, 2)
    )


def kind_batch_map() -> Kind:
    from numaflow_mapper import (
        BatchMapAsyncServer,
        BatchMapMultiProcServer,
        BatchMapper,
        BatchMapServer,
        BatchResponse,
        BatchResponses,
        Datum,
        Message,
    )

    def handle(datums: Iterator[Datum]) -> Iterator[BatchResponse]:
        for datum in datums:
            try:
                for each in ids_of(datum.id, datum.value):
                    result = act(plain(datum.value))
                    yield BatchResponse(each, [Message(result, keys=datum.keys, user_metadata=datum.user_metadata)])
            except NonsenseWantedError:
                yield NONSENSE
            if datum.value == b"!leave":
                return

    async def handle_async(datums: AsyncIterator[Datum]) -> BatchResponses:
        responses = BatchResponses()
        async for datum in datums:
            try:
                for each in ids_of(datum.id, datum.value):
                    result = await act_async(plain(datum.value))
                    message = Message(result, keys=datum.keys, user_metadata=datum.user_metadata)
                    responses.append(BatchResponse(each, [message]))
            except NonsenseWantedError:
                return NONSENSE
            if datum.value == b"!leave":
                break
        return responses

    return Kind(
        BatchMapServer, BatchMapAsyncServer, BatchMapMultiProcServer, forms(handle, handle_async, BatchMapper, 1)
    )


def kind_transform() -> Kind:
    from numaflow_sourcetransformer import (
        Datum,
        Message,
        Messages,
        SourceTransformAsyncServer,
        SourceTransformer,
        SourceTransformMultiProcServer,
        SourceTransformServer,
    )

    def handle(keys: list[str], datum: Datum) -> Messages:
        try:
            return Messages(Message(act(datum.value), datum.event_time, keys, user_metadata=datum.user_metadata))
        except NonsenseWantedError:
            return NONSENSE

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        try:
            result = await act_async(datum.value)
            return Messages(Message(result, datum.event_time, keys, user_metadata=datum.user_metadata))
        except NonsenseWantedError:
            return NONSENSE

    servers = SourceTransformServer, SourceTransformAsyncServer, SourceTransformMultiProcServer
    return Kind(*servers, forms(handle, handle_async, SourceTransformer, 2))


def kind_sink() -> Kind:
    from numaflow_sinker import (
        Datum,
        Message,
        Response,
        Responses,
        SinkAsyncServer,
        Sinker,
        SinkMultiProcServer,
        SinkServer,
    )

    def answer(id: str, datum: Datum, result: bytes) -> Response:
        if not len(datum.user_metadata):
            return Response.as_serve(id, result)
        return Response.as_on_success(id, Message(result, user_metadata=datum.user_metadata))

    def handle(datums: Iterator[Datum]) -> Iterator[Response]:
        for datum in datums:
            try:
                for each in ids_of(datum.id, datum.value):
                    yield answer(each, datum, act(plain(datum.value)))
            except NonsenseWantedError:
                yield NONSENSE
            if datum.value == b"!leave":
                return

    async def handle_async(datums: AsyncIterator[Datum]) -> Responses:
        responses = Responses()
        async for datum in datums:
            try:
                for each in ids_of(datum.id, datum.value):
                    responses.append(answer(each, datum, await act_async(plain(datum.value))))
            except NonsenseWantedError:
                return NONSENSE
            if datum.value == b"!leave":
                break
        return responses

    return Kind(SinkServer, SinkAsyncServer, SinkMultiProcServer, forms(handle, handle_async, Sinker, 1))


KINDS: dict[str, Callable[[], Kind]] = {
    "map": kind_map,
    "map stream": kind_map_stream,
    "batch map": kind_batch_map,
    "source transform": kind_transform,
    "sink": kind_sink,
}
