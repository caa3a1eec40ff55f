"""What async handlers may do, in a server in this process."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from numaflow_reducer import (
    Datum,
    HandlerError,
    Message,
    Messages,
    Metadata,
    Output,
    ReduceAsyncServer,
    Reducer,
    ReduceServer,
    ReduceStreamAsyncServer,
    SyncReducer,
)
from numaflow_reducer.testing import ReduceClient, RpcEndedError

PATIENCE = 60.0


def serve(
    server_class: Callable[..., Any], handler: object, folder: Path, talk: Callable[[ReduceClient], None]
) -> None:
    """Run a server while ``talk`` runs on another thread."""
    server = server_class(handler, sock_path=str(folder / "sock"), server_info_file=str(folder / "info"))

    def converse() -> None:
        with ReduceClient(server.sock_path) as client:
            talk(client)

    async def run() -> None:
        async with server.serving():
            await asyncio.to_thread(converse)

    asyncio.run(run())


def test_the_rest_is_passed_over_when_a_handler_returns_early(tmp_path: Path) -> None:
    async def first(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
        async for datum in datums:
            return Message(datum.value, keys=keys)
        return Message(b"none")

    async def none(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> None:
        return None

    def talk(client: ReduceClient) -> None:
        with client.open() as window:
            window.send((["a"], b"1"))
            assert window.receive() == Message(b"1", ["a"])
            window.send(*((["a"], bytes(1000)) for _ in range(5000)), (["b"], b"2"))
            assert window.close() == [Message(b"2", ["b"])]

    serve(ReduceAsyncServer, first, tmp_path, talk)
    serve(ReduceAsyncServer, none, tmp_path, lambda client: assert_nothing(client.reduce([(["a"], b"1")] * 1000)))


def assert_nothing(messages: list[Message]) -> None:
    assert messages == []


def test_a_cancelled_window_is_no_closed_one(tmp_path: Path) -> None:
    """Not even for a handler that does not let itself be cancelled."""
    ends: list[str] = []
    seen, over = threading.Event(), threading.Event()

    async def stubborn(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
        try:
            async for _ in datums:
                seen.set()
                try:
                    await asyncio.sleep(PATIENCE)
                except asyncio.CancelledError:
                    ends.append("cancelled")
            ends.append("closed")
            return Messages()
        finally:
            over.set()

    def talk(client: ReduceClient) -> None:
        with client.open() as window:
            window.send((["a"], b"1"))
            assert seen.wait(PATIENCE)
        assert over.wait(PATIENCE)

    serve(ReduceAsyncServer, stubborn, tmp_path, talk)
    assert ends == ["cancelled"]


def test_early_results_of_a_handler_that_never_waits_for_anything_else(tmp_path: Path) -> None:
    """Also within one received batch, which it goes through without giving up the loop."""
    done = threading.Event()

    async def busy(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
        async for datum in datums:
            yield Message(datum.value, keys=keys)
            while not done.is_set():  # the loop is blocked until the client has its result
                done.wait(0.01)

    def talk(client: ReduceClient) -> None:
        with client.open() as window:
            window.send((["a"], b"1"), (["a"], b"2"))
            assert window.receive(PATIENCE) == Message(b"1", ["a"])
            done.set()
            assert window.close() == [Message(b"2", ["a"])]

    serve(ReduceStreamAsyncServer, busy, tmp_path, talk)


def test_more_open_keys_than_any_limit(tmp_path: Path) -> None:
    async def count(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
        return Message(str(len([datum async for datum in datums])).encode(), keys=keys)

    def talk(client: ReduceClient) -> None:
        datums = [([str(number)], b"x") for number in range(3000)]
        assert {message.value for message in client.reduce(datums * 2)} == {b"2"}

    serve(ReduceAsyncServer, count, tmp_path, talk)


def test_handler_that_waits_for_a_limited_time_misses_nothing(tmp_path: Path) -> None:
    gave_up = threading.Event()

    async def impatient(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
        found: list[bytes] = []
        iterator = aiter(datums)
        while True:
            try:
                found.append((await asyncio.wait_for(anext(iterator), 0.001)).value)
            except asyncio.TimeoutError:
                gave_up.set()
            except StopAsyncIteration:
                return Message(b" ".join(found), keys=keys)

    def talk(client: ReduceClient) -> None:
        with client.open() as window:
            for number in range(100):
                window.send((["a"], b"%d" % number), (["b"], b"x"))
                if number % 10 == 0:
                    gave_up.clear()
                    assert gave_up.wait(PATIENCE)
            results = window.close()
        numbers = b" ".join(b"%d" % number for number in range(100))
        assert results == [Message(numbers, ["a"]), Message(b" ".join([b"x"] * 100), ["b"])]

    serve(ReduceAsyncServer, impatient, tmp_path, talk)


def test_output_only_takes_messages(tmp_path: Path) -> None:
    async def wrong(keys: list[str], datums: AsyncIterable[Datum], output: Output, md: Metadata) -> None:
        await output.put("EOF")  # type: ignore[arg-type]

    def talk(client: ReduceClient) -> None:
        with pytest.raises(RpcEndedError, match="a reduce stream handler must make Message objects, got str"):
            client.reduce([(["a"], b"1")])

    with pytest.raises(HandlerError):
        serve(ReduceStreamAsyncServer, wrong, tmp_path, talk)


@pytest.mark.parametrize("server", [ReduceAsyncServer, ReduceServer])
def test_an_error_of_the_constructor_is_told_at_once(server: Callable[..., Any], tmp_path: Path) -> None:
    class Broken(Reducer):
        def __init__(self) -> None:
            raise LookupError("no such model")

        async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
            return Messages()

    class BrokenPush(SyncReducer):
        def __init__(self) -> None:
            raise LookupError("no such model")

        def add(self, datum: Datum) -> None: ...

        def finish(self) -> None: ...

    def talk(client: ReduceClient) -> None:
        with client.open() as window:
            window.send((["a"], b"1"))
            with pytest.raises(RpcEndedError, match="no such model"):
                window.receive(PATIENCE)

    with pytest.raises(HandlerError, match="no such model"):
        serve(server, Broken if server is ReduceAsyncServer else BrokenPush, tmp_path, talk)
