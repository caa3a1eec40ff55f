"""What a session has taken is free when it is closed, without the garbage collector."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from numaflow_sessionreducer import (
    Datum,
    Message,
    SessionReduceAsyncServer,
    SessionReducer,
    SessionReduceServer,
    SyncSessionReducer,
)
from numaflow_sessionreducer.testing import Session, SessionReduceClient

from .conftest import op, span

SESSIONS = 300


class Pushed(SyncSessionReducer):
    def add(self, datum: Datum) -> None: ...

    def finish(self) -> Message:
        return Message(b"")

    def accumulator(self) -> bytes:
        return b""

    def merge_accumulator(self, accumulator: bytes) -> None: ...


class Async(SessionReducer):
    async def session_reduce(self, keys: list[str], datums: AsyncIterator[Datum]) -> AsyncIterator[Message]:
        async for _ in datums:
            pass
        yield Message(b"")

    async def accumulator(self) -> bytes:
        return b""

    async def merge_accumulator(self, accumulator: bytes) -> None: ...


def use(sock_path: str) -> int:
    """Open, merge and close sessions; how many objects only the garbage collector finds."""
    keys = [str(number) for number in range(SESSIONS)]
    merged: list[Session] = [span(0, 15, key) for key in keys]
    with SessionReduceClient(sock_path) as client, client.open() as stream:
        gc.collect()
        for key in keys:
            stream.send(op("OPEN", span(0, 10, key), value=b"1"), op("OPEN", span(5, 15, key), value=b"2"))
            stream.send(op("MERGE", span(5, 15, key), span(0, 10, key)))
        stream.send(*(op("CLOSE", each) for each in merged))
        assert len(stream.receive_closed(merged)) == SESSIONS
        return gc.collect()


@pytest.mark.parametrize(
    ("server", "handler"), [(SessionReduceServer, Pushed), (SessionReduceAsyncServer, Async)], ids=["sync", "async"]
)
def test_closed_sessions_are_no_garbage(server: Any, handler: Any, tmp_path: Path) -> None:
    async def serve() -> int:
        made = server(handler, sock_path=f"{tmp_path}/sock", server_info_file=f"{tmp_path}/info")
        async with made.serving():
            return await asyncio.to_thread(use, made.sock_path)

    gc.disable()
    try:
        found = asyncio.run(serve())
    finally:
        gc.enable()
    assert found < SESSIONS
