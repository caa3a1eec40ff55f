"""Servers under test, each a process of its own: ``python sources.py --type sync --source numbers ...``.

Messages are numbered from 1 on; a number is payload and offset.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from typing import Any

from behaviour.commands import gated, report_errors_to
from numaflow_sourcer import (
    AckRequest,
    AsyncOutput,
    Message,
    NackRequest,
    Offset,
    OffsetLedger,
    Output,
    PartitionsResponse,
    PendingResponse,
    ReadRequest,
    SourceAsyncServer,
    Sourcer,
    SourceServer,
)

EVENT_TIME = datetime(2023, 11, 14, tzinfo=timezone.utc)


def say(text: str) -> None:
    print(text, flush=True)


class Numbers(Sourcer):
    """As many as are asked for."""

    def __init__(self, fail: str, nonsense: str, gate: str) -> None:
        self.fail = fail
        self.nonsense = nonsense
        self.gate = gate
        self.number = 0
        self.inside = threading.Lock()

    def check(self, handler: str) -> Any:
        if self.fail == handler:
            raise ValueError(f"no {handler}")
        return 42 if self.nonsense == handler else None

    def next(self) -> Message:
        self.number += 1
        name = b"%d" % self.number
        return Message(name, Offset(name, 0), EVENT_TIME)

    def read_handler(self, datum: ReadRequest) -> Any:
        say(f"read {datum.num_records} {datum.timeout_in_ms}")
        assert self.inside.acquire(blocking=False), "a read beside another"
        try:
            yield from self.messages(datum)
        finally:
            self.inside.release()

    def messages(self, datum: ReadRequest) -> Iterator[Message]:
        for _ in range(datum.num_records):
            yield self.next()

    def ack_handler(self, ack_request: AckRequest) -> None:
        self.check("ack")
        say(f"acked {b' '.join(offset.offset for offset in ack_request.offsets).decode()}")

    def nack_handler(self, nack_request: NackRequest) -> None:
        self.check("nack")
        say(f"nacked {[(nack.offset.offset, nack.options and nack.options.delay_ms) for nack in nack_request.nacks]}")

    def pending_handler(self) -> PendingResponse:
        return self.check("pending") or PendingResponse(7)

    def active_partitions_handler(self) -> PartitionsResponse:
        return self.check("partitions") or PartitionsResponse([0, 5])

    def total_partitions_handler(self) -> int | None:
        return "9" if self.check("total") else 9  # type: ignore[return-value]


class Endless(Numbers):
    def messages(self, datum: ReadRequest) -> Iterator[Message]:
        while True:
            yield self.next()


class Putting(Numbers):
    def read_handler(self, datum: ReadRequest, output: Output) -> None:  # type: ignore[override]
        for _ in range(datum.num_records + 3):
            output.put(self.next())


class Late(Numbers):
    def messages(self, datum: ReadRequest) -> Iterator[Message]:
        yield self.next()
        for seconds in gated(self.gate):
            time.sleep(seconds)
        if self.check("late"):
            return
        for _ in range(4):
            yield self.next()


class Blocked(Numbers):
    def messages(self, datum: ReadRequest) -> Iterator[Message]:
        yield self.next()
        yield self.next()
        say("blocked")
        time.sleep(3600)


class Ledger(Numbers):
    """What is due again comes first."""

    def __init__(self, fail: str, nonsense: str, gate: str) -> None:
        super().__init__(fail, nonsense, gate)
        self.ledger = OffsetLedger[int]()

    def messages(self, datum: ReadRequest) -> Iterator[Message]:
        again = self.ledger.due(datum.num_records)
        yield from again
        for _ in range(datum.num_records - len(again)):
            message = self.next()
            self.ledger.delivered(message, self.number)
            yield message

    def ack_handler(self, ack_request: AckRequest) -> None:
        self.ledger.ack(ack_request.offsets)

    def nack_handler(self, nack_request: NackRequest) -> None:
        self.check("nack")
        self.ledger.nack(nack_request.nacks)
        reasons = {nack.options.reason for nack in nack_request.nacks if nack.options is not None}
        say(f"{len(nack_request.nacks)} again: {' '.join(map(str, reasons))}")


class AsyncNumbers(Numbers):
    async def read_handler(self, datum: ReadRequest) -> Any:
        say(f"read {datum.num_records} {datum.timeout_in_ms}")
        assert self.inside.acquire(blocking=False), "a read beside another"
        try:
            async for message in self.messages_async(datum):
                yield message
        finally:
            self.inside.release()

    async def messages_async(self, datum: ReadRequest) -> AsyncIterator[Message]:
        for message in self.messages(datum):
            yield message

    async def ack_handler(self, ack_request: AckRequest) -> None:  # type: ignore[override]
        super().ack_handler(ack_request)

    async def nack_handler(self, nack_request: NackRequest) -> None:  # type: ignore[override]
        super().nack_handler(nack_request)

    async def pending_handler(self) -> PendingResponse:  # type: ignore[override]
        return super().pending_handler()

    async def active_partitions_handler(self) -> PartitionsResponse:  # type: ignore[override]
        return super().active_partitions_handler()

    async def total_partitions_handler(self) -> int | None:  # type: ignore[override]
        return super().total_partitions_handler()


class AsyncEndless(AsyncNumbers):
    async def messages_async(self, datum: ReadRequest) -> AsyncIterator[Message]:
        while True:
            yield self.next()


class AsyncPutting(AsyncNumbers):
    async def read_handler(self, datum: ReadRequest, output: AsyncOutput) -> None:  # type: ignore[override]
        for _ in range(datum.num_records + 3):
            await output.put(self.next())


class AsyncLate(AsyncNumbers):
    async def messages_async(self, datum: ReadRequest) -> AsyncIterator[Message]:
        yield self.next()
        for seconds in gated(self.gate):
            await asyncio.sleep(seconds)
        if self.check("late"):
            return
        for _ in range(4):
            yield self.next()


class AsyncBlocked(AsyncNumbers):
    async def messages_async(self, datum: ReadRequest) -> AsyncIterator[Message]:
        yield self.next()
        yield self.next()
        say("blocked")
        await asyncio.sleep(3600)


class AsyncLedger(AsyncNumbers, Ledger):  # type: ignore[misc]
    """The ledger's methods, called by async handlers."""


SYNC = {"numbers": Numbers, "endless": Endless, "putting": Putting, "late": Late, "blocked": Blocked, "ledger": Ledger}
ASYNC = {
    "numbers": AsyncNumbers,
    "endless": AsyncEndless,
    "putting": AsyncPutting,
    "late": AsyncLate,
    "blocked": AsyncBlocked,
    "ledger": AsyncLedger,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("kind", "type", "transport", "sock", "info", "threads", "concurrency", "workers"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--source", default="numbers")
    parser.add_argument("--fail", default="")
    parser.add_argument("--nonsense", default="")
    parser.add_argument("--gate", default="", help="the file that the late source waits for")
    parser.add_argument("--grace", type=float, default=10.0)
    options = parser.parse_args()
    report_errors_to("/nonexistent/errors")
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": options.grace,
    }
    sourcer: Any = (SYNC if options.type == "sync" else ASYNC)[options.source](
        options.fail, options.nonsense, options.gate
    )
    server = (SourceServer if options.type == "sync" else SourceAsyncServer)(sourcer, **settings)
    server.start()
    say("start returned")


if __name__ == "__main__":
    main()
