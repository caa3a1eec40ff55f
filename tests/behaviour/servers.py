"""The servers under test, each a process of its own: ``python servers.py --kind map --type sync ...``.

The handler does what the payload says. A payload that begins with ``!`` is a command; everything else is echoed,
with the user metadata of its message.

``!block GATE``     write a line to GATE.log, wait for the file GATE to appear, then write another line. The first
                    begins with +, the second with -; both have the process id. Async handlers await.
``!stall GATE``     the same with ``time.sleep``, also in async handlers
``!raise TEXT``     raise ValueError(TEXT)
``!raise-later GATE`` as !block, and then raise ValueError("later")
``!raise-huge``     raise an error with 100 KB of non-ASCII text
``!exit-exception`` raise SystemExit
``!interrupt``      raise KeyboardInterrupt
``!nonsense``       return something that no kind understands
``!big N``          answer with N bytes
``!exit N``         end the process on the spot

Of batches only:

``!skip``           give no response
``!twice``          give two responses
``!stranger``       give a response with another id
``!leave``          give a response, and read no more of the batch

Of map streams only:

``!drip N GATE``    yield N messages, then do as !block, then yield one more; never await in between
``!endless N``      yield messages of N bytes for ever
``!unread GATE``    yield messages for ever; write the second line to GATE.log when the generator is closed
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple, NoReturn

import numaflow_core.constants

POLL = 0.01

Act = Callable[[bytes], bytes]
ActAsync = Callable[[bytes], Awaitable[bytes]]


class NonsenseWantedError(Exception):
    """Carries what a handler is to return in place of an answer."""


def fail_on_purpose(text: str) -> NoReturn:
    raise ValueError(text)  # a line of the user's


def note(gate: str, mark: str) -> None:
    with open(f"{gate}.log", "ab", buffering=0) as log:
        log.write(f"{mark}{os.getpid()}\n".encode())


def gated(gate: str) -> Iterator[None]:
    note(gate, "+")
    while not os.path.exists(gate):
        yield
    note(gate, "-")


def command(name: str, argument: str) -> bytes:
    if name == "!raise":
        fail_on_purpose(argument)
    if name == "!raise-huge":
        fail_on_purpose("ü€😀 " * 10_000)
    if name == "!exit-exception":
        sys.exit(7)
    if name == "!interrupt":
        raise KeyboardInterrupt
    if name == "!nonsense":
        raise NonsenseWantedError
    if name == "!big":
        return bytes(int(argument))
    if name == "!exit":
        os._exit(int(argument))
    raise AssertionError(f"no such command: {name}")


def split(payload: bytes) -> tuple[str, str]:
    name, _, argument = payload.decode().partition(" ")
    return name, argument


def act(payload: bytes) -> bytes:
    if payload[:1] != b"!":
        return payload
    name, argument = split(payload)
    if name in ("!block", "!stall", "!raise-later"):
        for _ in gated(argument):
            time.sleep(POLL)
        return payload if name != "!raise-later" else fail_on_purpose("later")
    return command(name, argument)


async def act_async(payload: bytes) -> bytes:
    if payload.startswith(b"!block"):
        for _ in gated(split(payload)[1]):
            await asyncio.sleep(POLL)
        return payload
    return act(payload)


class Kind(NamedTuple):
    """The parts of a kind that the servers under test are made of."""

    sync: Any
    asynchronous: Any
    multiproc: Any
    handle: Callable[..., Any]
    handle_async: Callable[..., Any]
    base: type
    parameters: int


NONSENSE: Any = 42


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
            return NONSENSE  # type: ignore[no-any-return]

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        try:
            return Messages(Message(await act_async(datum.value), keys=keys, user_metadata=datum.user_metadata))
        except NonsenseWantedError:
            return NONSENSE  # type: ignore[no-any-return]

    return Kind(MapServer, MapAsyncServer, MapMultiProcServer, handle, handle_async, Mapper, 2)


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
            if datum.value.startswith(b"!block"):
                yield Message(await act_async(datum.value), keys=keys)
                return
            with closing(drip(datum.value)) as results:
                for result in results:
                    yield Message(result, keys=keys, user_metadata=datum.user_metadata)
        except NonsenseWantedError:
            yield NONSENSE

    return Kind(MapStreamServer, MapStreamAsyncServer, MapStreamMultiProcServer, handle, handle_async, MapStreamer, 2)


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
                return NONSENSE  # type: ignore[no-any-return]
            if datum.value == b"!leave":
                break
        return responses

    return Kind(BatchMapServer, BatchMapAsyncServer, BatchMapMultiProcServer, handle, handle_async, BatchMapper, 1)


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
            return NONSENSE  # type: ignore[no-any-return]

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        try:
            result = await act_async(datum.value)
            return Messages(Message(result, datum.event_time, keys, user_metadata=datum.user_metadata))
        except NonsenseWantedError:
            return NONSENSE  # type: ignore[no-any-return]

    servers = SourceTransformServer, SourceTransformAsyncServer, SourceTransformMultiProcServer
    return Kind(*servers, handle, handle_async, SourceTransformer, 2)


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
                return NONSENSE  # type: ignore[no-any-return]
            if datum.value == b"!leave":
                break
        return responses

    return Kind(SinkServer, SinkAsyncServer, SinkMultiProcServer, handle, handle_async, Sinker, 1)


KINDS: dict[str, Callable[[], Kind]] = {
    "map": kind_map,
    "map stream": kind_map_stream,
    "batch map": kind_batch_map,
    "source transform": kind_transform,
    "sink": kind_sink,
}


def build(options: argparse.Namespace, settings: dict[str, Any]) -> Any:
    kind = KINDS[options.kind]()
    handle = kind.handle
    instance = type("Handler", (kind.base,), {"handler": staticmethod(handle)})()
    one = lambda datums: handle(datums)  # noqa: E731, PLW0108
    two = lambda keys, datum: handle(list(keys), datum)  # noqa: E731
    handlers: dict[str, Any] = {
        "closure": kind.handle_async if options.type == "async" else handle,
        "async": kind.handle_async,
        "lambda": one if kind.parameters == 1 else two,
        "class": instance,
        "partial": partial(lambda extra, *arguments: handle(*arguments), object()),
    }
    handler = handlers[options.handler]
    if options.type == "sync":
        return kind.sync(handler, max_threads=options.threads, **settings)
    if options.type == "async":
        if options.shutdown_callback:
            settings["shutdown_callback"] = lambda loop: say(
                f"shutdown_callback: {isinstance(loop, asyncio.AbstractEventLoop)}"
            )
        return kind.asynchronous(handler, max_concurrency=options.concurrency, **settings)
    return kind.multiproc(
        handler,
        server_count=options.workers,
        max_threads=options.threads,
        max_concurrency=options.concurrency,
        **settings,
    )


def say(text: str) -> None:
    print(text, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--type", required=True, choices=["sync", "async", "multiproc"])
    parser.add_argument("--transport")
    parser.add_argument("--sock", required=True)
    parser.add_argument("--info", required=True)
    parser.add_argument("--handler", default="closure")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--grace", type=float)
    parser.add_argument("--max-message-size", type=int)
    parser.add_argument("--errors-dir", default="/nonexistent/errors")
    parser.add_argument("--slow-errors", action="store_true", help="the folder of --errors-dir is on a slow disk")
    parser.add_argument("--log", action="store_true", help="log everything to stderr")
    parser.add_argument("--hooks", choices=["sync", "async", "raising", "gated"], help="say when hooks are called")
    parser.add_argument("--gate", default="", help="the file that gated hooks and embedded servers wait for")
    parser.add_argument("--shutdown-callback", action="store_true")
    parser.add_argument("--start-method", help="multiprocessing's")
    parser.add_argument("--embed", choices=["serving", "stop", "raise", "twice"])
    parser.add_argument("--watch-order", action="store_true", help="say whether the socket works when the info appears")
    return parser.parse_args()


def hooks(options: argparse.Namespace) -> dict[str, Any]:
    def started() -> None:
        say(f"on_startup {threading.current_thread() is threading.main_thread()}")

    def stopped() -> None:
        say("on_shutdown")

    async def started_async() -> None:
        await asyncio.sleep(0)
        started()

    async def stopped_async() -> None:
        await asyncio.sleep(0)
        stopped()

    def started_gated() -> None:
        note(options.gate, "+")
        while not os.path.exists(options.gate):
            time.sleep(POLL)

    def raising() -> None:
        raise LookupError("no such model")

    if options.hooks == "sync":
        return {"on_startup": started, "on_shutdown": stopped}
    if options.hooks == "async":
        return {"on_startup": started_async, "on_shutdown": stopped_async}
    if options.hooks == "raising":
        return {"on_startup": raising}
    if options.hooks == "gated":
        return {"on_startup": started_gated}
    return {}


def watch_order(sock: str, info: str) -> None:
    """When the server-info file is put in place, say whether a client could connect at that moment."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and os.fspath(arguments[1]) == info:
            with socket.socket(socket.AF_UNIX) as probe:
                say(f"connected before info: {probe.connect_ex(sock) == 0}")

    sys.addaudithook(hook)


def slow_disk(folder: str) -> None:
    """Opening a file in the folder takes a while."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(folder):
            time.sleep(0.3)

    sys.addaudithook(hook)


async def embed(server: Any, options: argparse.Namespace) -> None:
    for _ in range(2 if options.embed == "twice" else 1):
        try:
            async with server.serving() as serving:
                say(f"serving {serving.sock_path}")
                while not os.path.exists(options.gate):
                    await asyncio.sleep(POLL)
                if options.embed == "stop":
                    threading.Thread(target=server.stop).start()
                if options.embed == "raise":
                    raise LookupError("from the block")
                os.unlink(options.gate)
        except Exception as error:
            say(f"ended with {type(error).__name__}: {error}")
        else:
            say("ended well")


def main() -> None:
    options = parse()
    vars(numaflow_core.constants)["RUNTIME_ERRORS_DIR"] = options.errors_dir
    if options.start_method:
        multiprocessing.set_start_method(options.start_method)
    if options.log:
        logging.basicConfig(level=logging.DEBUG)
    if options.watch_order:
        watch_order(options.sock, options.info)
    if options.slow_errors:
        slow_disk(options.errors_dir)
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": options.grace,
        **hooks(options),
    }
    if options.max_message_size:
        settings["max_message_size"] = options.max_message_size
    server = build(options, settings)
    if options.embed:
        asyncio.run(embed(server, options))
    else:
        server.start()
        say("start returned")


if __name__ == "__main__":
    main()
