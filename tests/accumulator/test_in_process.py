"""What async handlers may do, in a server in this process."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from numaflow_accumulator import (
    Accumulator,
    AccumulatorAsyncServer,
    AccumulatorServer,
    Datum,
    HandlerError,
    Message,
    Output,
    SyncAccumulator,
)
from numaflow_accumulator.testing import AccumulatorClient, RpcEndedError

PATIENCE = 60.0


def serve(
    server_class: Callable[..., Any], handler: object, folder: Path, talk: Callable[[AccumulatorClient], None]
) -> None:
    """Run a server while ``talk`` runs on another thread."""
    server = server_class(handler, sock_path=str(folder / "sock"), server_info_file=str(folder / "info"))

    def converse() -> None:
        with AccumulatorClient(server.sock_path) as client:
            talk(client)

    async def run() -> None:
        async with server.serving():
            await asyncio.to_thread(converse)

    asyncio.run(run())


def test_the_rest_is_passed_over_when_a_handler_returns_early(tmp_path: Path) -> None:
    async def first(datums: AsyncIterable[Datum], output: Output) -> None:
        async for datum in datums:
            await output.put(Message.from_datum(datum))
            return

    def talk(client: AccumulatorClient) -> None:
        with client.open() as keys:
            keys.send((["a"], b"1"))
            assert keys.receive().value == b"1"
            keys.send(*((["a"], bytes(1000)) for _ in range(5000)))
            assert keys.close(["a"]) == []
            keys.send((["a"], b"2"))
            assert keys.receive().value == b"2"

    serve(AccumulatorAsyncServer, first, tmp_path, talk)


def test_a_cancelled_stream_closes_no_key(tmp_path: Path) -> None:
    """Not even for a handler that does not let itself be cancelled."""
    ends: list[str] = []
    seen, over = threading.Event(), threading.Event()

    async def stubborn(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        try:
            async for datum in datums:
                seen.set()
                try:
                    await asyncio.sleep(PATIENCE)
                except asyncio.CancelledError:
                    ends.append("cancelled")
                yield Message.from_datum(datum)
            ends.append("closed")
        finally:
            over.set()

    def talk(client: AccumulatorClient) -> None:
        with client.open() as keys:
            keys.send((["a"], b"1"))
            assert seen.wait(PATIENCE)
        assert over.wait(PATIENCE)

    serve(AccumulatorAsyncServer, stubborn, tmp_path, talk)
    assert ends == ["cancelled"]


def test_messages_of_a_handler_that_never_waits_for_anything_else(tmp_path: Path) -> None:
    """They leave while it runs, also within one received batch, which it goes through without giving up the loop."""
    done = threading.Event()

    async def busy(datums: AsyncIterable[Datum], output: Output) -> None:
        async for datum in datums:
            await output.put(Message.from_datum(datum))
            while not done.is_set():  # the loop is blocked until the client has its message
                done.wait(0.01)

    def talk(client: AccumulatorClient) -> None:
        with client.open() as keys:
            keys.send((["a"], b"1"), (["a"], b"2"))
            assert keys.receive(PATIENCE).value == b"1"
            done.set()
            assert [message.value for message in keys.close()] == [b"2"]

    serve(AccumulatorAsyncServer, busy, tmp_path, talk)


def test_a_message_before_the_first_datum_is_read(tmp_path: Path) -> None:
    async def eager(datums: AsyncIterable[Datum], output: Output) -> None:
        await output.put(Message(b"eager"))
        async for datum in datums:
            await output.put(Message.from_datum(datum))

    def talk(client: AccumulatorClient) -> None:
        time = datetime(2024, 5, 6, tzinfo=timezone.utc)
        first, second = client.accumulate([Datum(["a"], b"x", time, time, "in-0-0")])
        assert (first.value, first.event_time, first.id) == (b"eager", time, "in-0-0")
        assert (second.value, second.id) == (b"x", "in-0-0.1")

    serve(AccumulatorAsyncServer, eager, tmp_path, talk)


def test_more_open_keys_than_any_limit(tmp_path: Path) -> None:
    async def last(datums: AsyncIterable[Datum]) -> AsyncIterator[Message]:
        held = [datum async for datum in datums]
        yield Message.from_datum(held[-1], value=b"%d" % len(held))

    def talk(client: AccumulatorClient) -> None:
        datums = [([str(number)], b"x") for number in range(3000)]
        assert [message.value for message in client.accumulate(datums * 2)] == [b"2"] * 3000

    serve(AccumulatorAsyncServer, last, tmp_path, talk)


@pytest.mark.parametrize("wrong", ["EOF", None, b"x"])
def test_output_only_takes_messages(tmp_path: Path, wrong: Any) -> None:
    async def handler(datums: AsyncIterable[Datum], output: Output) -> None:
        await output.put(wrong)

    def talk(client: AccumulatorClient) -> None:
        with pytest.raises(RpcEndedError, match="an accumulator handler must make Message objects, got"):
            client.accumulate([(["a"], b"1")])

    with pytest.raises(HandlerError):
        serve(AccumulatorAsyncServer, handler, tmp_path, talk)


class Broken(Accumulator):
    def __init__(self) -> None:
        raise LookupError("no such model")

    async def handler(self, datums: AsyncIterable[Datum], output: Output) -> None: ...


class BrokenPush(SyncAccumulator):
    def __init__(self) -> None:
        raise LookupError("no such model")

    def add(self, datum: Datum) -> None: ...

    def finish(self) -> None: ...


@pytest.mark.parametrize(("server", "handler"), [(AccumulatorAsyncServer, Broken), (AccumulatorServer, BrokenPush)])
def test_an_error_of_the_constructor_is_told_at_once(server: Any, handler: Any, tmp_path: Path) -> None:
    def talk(client: AccumulatorClient) -> None:
        with client.open() as keys:
            keys.send((["a"], b"1"))
            with pytest.raises(RpcEndedError, match="no such model"):
                keys.receive(PATIENCE)

    with pytest.raises(HandlerError, match="no such model"):
        serve(server, handler, tmp_path, talk)


def test_a_push_knows_its_keys_when_it_is_made(tmp_path: Path) -> None:
    class Named(SyncAccumulator):
        def __init__(self) -> None:
            self.name = "+".join(self.keys)

        def add(self, datum: Datum) -> Message:
            return Message.from_datum(datum, value=self.name.encode())

        def finish(self) -> None: ...

    def talk(client: AccumulatorClient) -> None:
        (message,) = client.accumulate([(["a", "b"], b"1")])
        assert message.value == b"a+b"

    serve(AccumulatorServer, Named, tmp_path, talk)
