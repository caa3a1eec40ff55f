"""The servers under test, each a process of its own: ``python servers.py --kind echo --type sync ...``. The kind is a
name of a handler in ``handlers.py``."""

import argparse
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

from accumulator.handlers import BODIES, Body
from behaviour.commands import act, act_async, note, report_errors_to
from numaflow_accumulator import (
    Accumulator,
    AccumulatorAsyncServer,
    AccumulatorMultiProcServer,
    AccumulatorServer,
    Datum,
    Message,
    Output,
    SyncAccumulator,
)


class Pushed(SyncAccumulator):
    def __init__(self, body: type[Body], path: str) -> None:
        self.body = body()
        self.path = path

    def add(self, datum: Datum) -> Iterator[Message]:
        yield from self.body.take(datum, act(self.body.command(datum)))

    def finish(self) -> Iterator[Message]:
        note(self.path, "closed ")
        for command in self.body.commands_at_end():
            act(command)
        yield from self.body.end()


class Putting(Accumulator):
    def __init__(self, body: type[Body], path: str) -> None:
        self.body = body()
        self.path = path

    async def handler(self, datums: AsyncIterable[Datum], output: Output) -> None:
        async for message in messages(self.body, self.path, datums):
            await output.put(message)


async def messages(body: Body, path: str, datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
    async for datum in datums:
        for message in body.take(datum, await act_async(body.command(datum))):
            yield message
    note(path, "closed ")
    for command in body.commands_at_end():
        await act_async(command)
    for message in body.end():
        yield message


def generator(body: type[Body], path: str) -> Any:
    async def handler(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        async for message in messages(body(), path, datums):
            yield message

    return handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True, choices=BODIES)
    parser.add_argument("--type", required=True, choices=["sync", "async", "multiproc"])
    parser.add_argument("--colour", choices=["sync", "async"], default="sync", help="of a multiproc server's handler")
    parser.add_argument("--style", choices=["class", "function"], default="class", help="of an async handler")
    parser.add_argument("--transport")
    parser.add_argument("--sock", required=True)
    parser.add_argument("--info", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--concurrency")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--grace", type=float)
    options = parser.parse_args()
    report_errors_to("/nonexistent/errors")
    made_with = BODIES[options.kind], f"{options.sock}.closed"
    settings: dict[str, Any] = {
        "init_args": made_with,
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": options.grace,
    }
    handler: Any = Pushed
    if (options.colour if options.type == "multiproc" else options.type) == "async":
        handler = Putting
        if options.style == "function":
            handler, settings["init_args"] = generator(*made_with), ()
    server: Any
    if options.type == "sync":
        server = AccumulatorServer(handler, max_threads=options.threads, **settings)
    elif options.type == "async":
        server = AccumulatorAsyncServer(handler, **settings)
    else:
        workers, threads = options.workers, options.threads
        server = AccumulatorMultiProcServer(handler, server_count=workers, max_threads=threads, **settings)
    server.start()
    print("start returned", flush=True)


if __name__ == "__main__":
    main()
