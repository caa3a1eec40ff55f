"""The servers under test, each a process of its own: ``python servers.py --kind reduce --type sync ...``.

A handler returns for each key and window one message whose value tells of all its datums, in order, with their
nanoseconds and the window's. A reduce stream handler sends each datum back at once too. A value that begins with ``!``
is a command, as in ``behaviour/commands.py``; ``!at-close COMMAND`` is one for when the window has closed.
"""

import argparse
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from behaviour.commands import act, act_async, report_errors_to
from numaflow_reducer import (
    Datum,
    Message,
    Metadata,
    Output,
    ReduceAsyncServer,
    ReduceMultiProcServer,
    Reducer,
    ReduceServer,
    ReduceStreamAsyncServer,
    ReduceStreamer,
    ReduceStreamMultiProcServer,
    ReduceStreamServer,
    SyncReducer,
    SyncReduceStreamer,
)

LATER = b"!at-close "


def tell(keys: list[str], datums: list[Datum], md: Metadata) -> Message:
    window = md.interval_window
    told = {
        "keys": keys,
        "window": [window.start_ns, window.end_ns],
        "datums": [[datum.value.decode(), datum.event_time_ns] for datum in datums],
    }
    assert all(datum.keys == keys for datum in datums)
    return Message(json.dumps(told).encode(), keys=keys)


class Seen:
    """What a key and window has been given."""

    def __init__(self) -> None:
        self.datums: list[Datum] = []

    def now(self, datum: Datum) -> bytes:
        self.datums.append(datum)
        return b"" if datum.value.startswith(LATER) else datum.value

    def later(self) -> list[bytes]:
        return [datum.value.removeprefix(LATER) for datum in self.datums if datum.value.startswith(LATER)]


def reduce_class(options: argparse.Namespace) -> type[SyncReducer]:
    class Pushed(SyncReducer):
        def __init__(self) -> None:
            self.seen = Seen()

        def add(self, datum: Datum) -> None:
            act(self.seen.now(datum))

        def finish(self) -> Message:
            for command in self.seen.later():
                act(command)
            return tell(self.keys, self.seen.datums, self.metadata)

    return Pushed


def stream_class(options: argparse.Namespace) -> type[SyncReduceStreamer]:
    class Pushed(SyncReduceStreamer):
        def __init__(self) -> None:
            self.seen = Seen()

        def add(self, datum: Datum) -> Iterator[Message]:
            yield Message(act(self.seen.now(datum)), keys=self.keys, tags=["early"])

        def finish(self) -> Message:
            for command in self.seen.later():
                act(command)
            return tell(self.keys, self.seen.datums, self.metadata)

    return Pushed


class Async(Reducer):
    def __init__(self) -> None:
        self.seen = Seen()

    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata, /) -> Message:
        async for datum in datums:
            await act_async(self.seen.now(datum))
        for command in self.seen.later():
            await act_async(command)
        return tell(keys, self.seen.datums, md)


class AsyncStream(ReduceStreamer):
    def __init__(self) -> None:
        self.seen = Seen()

    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata, /) -> AsyncIterator[Message]:
        async for datum in datums:
            yield Message(await act_async(self.seen.now(datum)), keys=keys, tags=["early"])
        for command in self.seen.later():
            await act_async(command)
        yield tell(keys, self.seen.datums, md)


def functions() -> dict[tuple[str, str], Any]:
    """Handlers that are functions, by kind and colour."""

    def plain(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Message:
        seen = Seen()
        for datum in datums:
            act(seen.now(datum))
        for command in seen.later():
            act(command)
        return tell(keys, seen.datums, md)

    def generator(keys: list[str], datums: Iterable[Datum], md: Metadata) -> Iterator[Message]:
        seen = Seen()
        for datum in datums:
            yield Message(act(seen.now(datum)), keys=keys, tags=["early"])
        for command in seen.later():
            act(command)
        yield tell(keys, seen.datums, md)

    async def plain_async(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
        return await Async().handler(keys, datums, md)

    async def puts(keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None:
        async for message in AsyncStream().handler(keys, datums, md):
            await output.put(message)

    return {
        ("reduce", "sync"): plain,
        ("reduce stream", "sync"): generator,
        ("reduce", "async"): plain_async,
        ("reduce stream", "async"): puts,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True, choices=["reduce", "reduce stream"])
    parser.add_argument("--type", required=True, choices=["sync", "async", "multiproc"])
    parser.add_argument("--colour", choices=["sync", "async"], default="sync", help="of a multiproc server's handler")
    parser.add_argument("--style", choices=["class", "function"], default="class")
    parser.add_argument("--transport")
    parser.add_argument("--sock", required=True)
    parser.add_argument("--info", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--concurrency")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--grace", type=float)
    options = parser.parse_args()
    report_errors_to("/nonexistent/errors")
    streams = options.kind == "reduce stream"
    colour = options.colour if options.type == "multiproc" else options.type
    handler: Any
    if options.style == "function":
        handler = functions()[options.kind, colour]
    elif colour == "sync":
        handler = stream_class(options) if streams else reduce_class(options)
    else:
        handler = AsyncStream if streams else Async
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": options.grace,
    }
    server: Any
    if options.type == "sync":
        server = (ReduceStreamServer if streams else ReduceServer)(handler, max_threads=options.threads, **settings)
    elif options.type == "async":
        server = (ReduceStreamAsyncServer if streams else ReduceAsyncServer)(handler, **settings)
    else:
        multiproc = ReduceStreamMultiProcServer if streams else ReduceMultiProcServer
        server = multiproc(handler, server_count=options.workers, max_threads=options.threads, **settings)
    server.start()
    print("start returned", flush=True)


if __name__ == "__main__":
    main()
