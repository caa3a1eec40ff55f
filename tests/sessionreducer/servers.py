"""The servers under test, each a process of its own: ``python servers.py --kind "session reduce" --type sync ...``.

A handler returns for each session one message whose value tells of all its datums, in order, with their nanoseconds. A
value that begins with ``+`` is sent back at once too, with the tag "early". A value that begins with ``!`` is a
command, as in ``behaviour/commands.py``; ``!at-close COMMAND`` is one for when the session has closed,
``!at-leave COMMAND`` for ``accumulator``, ``!at-join COMMAND`` for ``merge_accumulator``.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from behaviour.commands import act, act_async, note, report_errors_to
from numaflow_sessionreducer import (
    Datum,
    Message,
    SessionReduceAsyncServer,
    SessionReduceMultiProcServer,
    SessionReducer,
    SessionReduceServer,
    SyncSessionReducer,
)

WHEN = (b"!at-close ", b"!at-leave ", b"!at-join ")


class Seen:
    """What a session has been given."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.datums: list[tuple[str, int]] = []

    def now(self, datum: Datum) -> bytes:
        """The command to run now."""
        self.datums.append((datum.value.decode(), datum.event_time_ns))
        return b"" if datum.value.startswith(WHEN) else datum.value

    def later(self, when: bytes) -> list[bytes]:
        note(self.path, f"{when[4:].decode()}")
        values = [value.encode() for value, _ in self.datums]
        return [value.removeprefix(when) for value in values if value.startswith(when)]

    def save(self) -> bytes:
        return json.dumps(self.datums).encode()

    def load(self, accumulator: bytes) -> None:
        self.datums += [(value, ns) for value, ns in json.loads(accumulator)]

    def tell(self, keys: list[str]) -> Message:
        return Message(json.dumps(self.datums).encode(), keys=keys)


def early(keys: list[str], value: bytes) -> list[Message]:
    return [Message(value, keys=keys, tags=["early"])] if value.startswith(b"+") else []


class Pushed(SyncSessionReducer):
    def __init__(self, path: str, pause: float) -> None:
        self.seen = Seen(path)
        self.pause = pause

    def add(self, datum: Datum) -> list[Message]:
        if self.pause and datum.event_time_ns % 3 == 0:
            time.sleep(self.pause)
        return early(self.keys, act(self.seen.now(datum)))

    def finish(self) -> Message:
        for command in self.seen.later(WHEN[0]):
            act(command)
        return self.seen.tell(self.keys)

    def accumulator(self) -> bytes:
        for command in self.seen.later(WHEN[1]):
            act(command)
        return self.seen.save()

    def merge_accumulator(self, accumulator: bytes) -> None:
        self.seen.load(accumulator)
        for command in self.seen.later(WHEN[2]):
            act(command)


class Async(SessionReducer):
    def __init__(self, path: str, pause: float) -> None:
        self.seen = Seen(path)
        self.pause = pause

    async def session_reduce(self, keys: list[str], datums: AsyncIterable[Datum], /) -> AsyncIterator[Message]:
        async for datum in datums:
            if self.pause and datum.event_time_ns % 3 == 0:
                await asyncio.sleep(self.pause)
            for message in early(keys, await act_async(self.seen.now(datum))):
                yield message
        for command in self.seen.later(WHEN[0]):
            await act_async(command)
        yield self.seen.tell(keys)

    async def accumulator(self) -> bytes:
        for command in self.seen.later(WHEN[1]):
            await act_async(command)
        return self.seen.save()

    async def merge_accumulator(self, accumulator: bytes, /) -> None:
        self.seen.load(accumulator)
        for command in self.seen.later(WHEN[2]):
            await act_async(command)


def function(keys: list[str], datums: Iterable[Datum]) -> Message:
    seen = Seen("/dev/null")
    for datum in datums:
        act(seen.now(datum))
    return seen.tell(keys)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True)
    parser.add_argument("--type", required=True, choices=["sync", "async", "multiproc"])
    parser.add_argument("--style", choices=["push", "function", "async"], help="of a sync or multiproc handler")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds that some datums take")
    parser.add_argument("--transport")
    parser.add_argument("--sock", required=True)
    parser.add_argument("--info", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--concurrency")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--grace", type=float)
    options = parser.parse_args()
    report_errors_to("/nonexistent/errors")
    style = options.style or ("async" if options.type == "async" else "push")
    handlers: dict[str, Any] = {"push": Pushed, "function": function, "async": Async}
    settings: dict[str, Any] = {
        "init_args": () if style == "function" else (f"{options.sock}.calls", options.pause),
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": options.grace,
    }
    handler = handlers[style]
    server: Any
    if options.type == "sync":
        server = SessionReduceServer(handler, max_threads=options.threads, **settings)
    elif options.type == "async":
        server = SessionReduceAsyncServer(handler, **settings)
    else:
        server = SessionReduceMultiProcServer(
            handler, server_count=options.workers, max_threads=options.threads, **settings
        )
    server.start()
    print("start returned", flush=True)


if __name__ == "__main__":
    main()
