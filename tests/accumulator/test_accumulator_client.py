"""The client that users have for their tests, and servers inside of a program."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from numaflow_accumulator import (
    DROP,
    AccumulatorAsyncServer,
    AccumulatorServer,
    Datum,
    HandlerError,
    KeyedWindow,
    Message,
    SyncAccumulator,
)
from numaflow_accumulator.testing import AccumulatorClient, RpcEndedError

TIME = datetime(2024, 5, 6, tzinfo=timezone.utc)


class Pairs(SyncAccumulator):
    def __init__(self, joint: bytes) -> None:
        self.joint = joint
        self.first: Datum | None = None

    def add(self, datum: Datum) -> Iterator[Message]:
        if datum.value == b"fail":
            raise ValueError("on purpose")
        if self.first is None:
            self.first = datum
            return
        yield Message.from_datum(datum, value=self.first.value + self.joint + datum.value)
        self.first = None

    def finish(self) -> Message | None:
        return None if self.first is None else Message.to_drop(self.first)


async def generator(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
    async for datum in datums:
        yield Message.from_datum(datum)


def server(folder: Path) -> AccumulatorServer:
    return AccumulatorServer(Pairs, (b"-",), sock_path=str(folder / "sock"), server_info_file=str(folder / "info"))


def test_all_at_once(tmp_path: Path) -> None:
    def talk() -> list[Message]:
        with AccumulatorClient(str(tmp_path / "sock")) as client:
            client.wait_ready()
            assert client.is_ready()
            return client.accumulate([(["a"], b"1"), (["b"], b"2"), (["a"], b"3")])

    async def run() -> list[Message]:
        async with server(tmp_path).serving():
            return await asyncio.to_thread(talk)

    first, second = sorted(asyncio.run(run()), key=lambda message: message.id)
    assert (first.value, first.tags, first.id) == (b"", [DROP], "datum-1")
    assert (second.value, second.keys, second.id) == (b"1-3", ["a"], "datum-2")


def test_step_by_step(tmp_path: Path) -> None:
    datums = [
        Datum(["k"], b"%d" % number, TIME + timedelta(seconds=number), TIME, f"id-{number}", {"h": "1"})
        for number in range(3)
    ]

    def talk() -> None:
        with AccumulatorClient(str(tmp_path / "sock")) as client, client.open(timedelta(seconds=10)) as keys:
            keys.send(*datums[:2])
            assert keys.receive() == Message.from_datum(datums[1], value=b"0-1")
            epoch = datetime.fromtimestamp(0, timezone.utc)
            assert keys.window("k") == KeyedWindow(epoch, TIME, "slot-0", ["k"])
            assert keys.window("other") is None
            keys.send(datums[2])
            assert keys.close(["k"]) == [Message.to_drop(datums[2])]
            assert keys.window("k") == KeyedWindow(TIME, TIME + timedelta(seconds=12), "slot-0", ["k"])
            with pytest.raises(ValueError, match="are not open"):
                keys.close(["k"])
            with pytest.raises(TimeoutError):
                keys.receive(0.05)

    async def run() -> None:
        async with server(tmp_path).serving():
            await asyncio.to_thread(talk)

    asyncio.run(run())


def test_an_error_of_the_handler(tmp_path: Path) -> None:
    def talk() -> None:
        with AccumulatorClient(str(tmp_path / "sock")) as client:
            client.accumulate([(["a"], b"fail")])

    async def run() -> None:
        async with server(tmp_path).serving():
            with pytest.raises(RpcEndedError, match="on purpose") as caught:
                await asyncio.to_thread(talk)
            assert "on purpose" in caught.value.outcome.traceback

    with pytest.raises(HandlerError):
        asyncio.run(run())


def test_an_async_server_in_the_same_loop(tmp_path: Path) -> None:
    def talk() -> list[Message]:
        with AccumulatorClient(str(tmp_path / "sock")) as client:
            return client.accumulate([(["a"], b"1"), (["a"], b"2")])

    async def run() -> list[Message]:
        server = AccumulatorAsyncServer(
            generator, sock_path=str(tmp_path / "sock"), server_info_file=str(tmp_path / "info")
        )
        async with server.serving():
            return await asyncio.to_thread(talk)

    assert [message.value for message in asyncio.run(run())] == [b"1", b"2"]
