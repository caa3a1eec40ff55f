"""The clients that users test with, against servers of every kind in this process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import numaflow_mapper as mapper
from every_kind.cases import CASES, OPTIONS, Case, both_colours, every_case, with_client
from every_kind.samples import NOW
from numaflow_core.values.metadata import SystemMetadata, UserMetadata
from numaflow_mapper.testing import MapStreamClient
from numaflow_sinker.testing import RpcEndedError


@every_case
@both_colours
def test_results_are_in_the_order_of_the_requests(tmp_path: Path, case: Case, colour: int) -> None:
    def talk(client: Any) -> None:
        client.wait_ready()
        assert client.is_ready()
        values = [str(number).encode() for number in range(300)]
        found = case.messages(case.ask(client, values))
        assert [message.value.split(b"|")[1] for message in found] == [str(value).encode() for value in values]
        assert case.messages(case.ask(client, [])) == []

    with_client(case, tmp_path, talk, colour)


@every_case
@both_colours
def test_datum_is_sent_as_it_is_and_metadata_goes_in_and_out(tmp_path: Path, case: Case, colour: int) -> None:
    metadata = UserMetadata({"g": {"k": b"\x00\xff", "empty": b""}, "empty": {}})
    datum = case.datum(
        ["k1", "k2"],
        b"v",
        NOW,
        NOW - timedelta(seconds=1),
        {"h": "1"},
        metadata,
        SystemMetadata({"s": {}}),
        id="in-7",
        previous_vertex="cat",
    )
    (message,) = with_client(case, tmp_path, lambda client: case.messages(case.ask(client, [datum])), colour)
    assert message.value.decode() == ("in-7|b'v'|['k1', 'k2']|{'h': '1'}|cat|1719837015123456000 1719837014123456000")
    assert message.keys == ["k1", "k2"]
    assert message.user_metadata == UserMetadata({**metadata.as_dict(), "seen": {"by": b"me"}})


@every_case
def test_bytes_get_ids_that_no_other_request_has(tmp_path: Path, case: Case) -> None:
    def talk(client: Any) -> list[Any]:
        named = case.datum([], b"c", NOW, None, id="mine")
        return [*case.messages(case.ask(client, [b"a", named])), *case.messages(case.ask(client, [b"d"]))]

    found = [message.value.split(b"|") for message in with_client(case, tmp_path, talk)]
    assert [parts[0] for parts in found] == [b"request-0", b"mine", b"request-1"]
    assert [parts[-1].split()[1] for parts in found] == [b"None"] * 3


@every_case
def test_nack_options_come_back(tmp_path: Path, case: Case) -> None:
    assert case.nack(with_client(case, tmp_path, lambda client: case.ask(client, [b"nack"]))) == OPTIONS


@every_case
@both_colours
def test_error_of_the_handler_reaches_client_and_program(tmp_path: Path, case: Case, colour: int) -> None:
    def talk(client: Any) -> None:
        with pytest.raises(RpcEndedError, match="LookupError") as caught:
            case.ask(client, [b"fine", b"fail"])
        outcome = caught.value.outcome
        assert outcome.code == "INTERNAL"
        assert outcome.message.startswith("UDF_EXECUTION_ERROR(unknown-container): ")
        assert " raised LookupError: no such thing" in outcome.message
        assert 'raise LookupError("no such thing")' in outcome.traceback

    with pytest.raises(mapper.HandlerError, match="LookupError") as raised:
        with_client(case, tmp_path, talk, colour)
    assert isinstance(raised.value.__cause__, LookupError)


@every_case
def test_what_is_no_request(case: Case) -> None:
    same = case.datum([], b"x", NOW, NOW, id="same")
    with case.client("/nowhere/sock") as client:
        with pytest.raises(ValueError, match="two requests have the id 'same'"):
            case.ask(client, [same, same])
        with pytest.raises(TypeError, match="Datum value must be bytes-like, got str"):
            case.ask(client, ["text"])


@every_case
def test_no_server_is_said_clearly(tmp_path: Path, case: Case) -> None:
    path = str(tmp_path / "nobody.sock")
    with case.client(path) as client:
        assert not client.is_ready(0.1)
        with pytest.raises(TimeoutError, match=path):
            client.wait_ready(0.1)
        with pytest.raises(RpcEndedError, match="UNAVAILABLE"):
            case.ask(client, [b"x"], timeout=60)


@pytest.mark.parametrize("name", ["batch map", "sink"])
def test_batches_go_one_after_the_other_over_one_stream(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    batches = [[b"a", b"b"], [], [b"c"], [case.datum([], b"d", NOW, None, id="again")] * 1, [b"e"]]

    def talk(client: Any) -> Any:
        return (client.map_batches if name == "batch map" else client.sink_batches)(batches)

    found = with_client(case, tmp_path, talk)
    values = [[message.value.split(b"|")[1] for message in case.messages(results)] for results in found]
    assert values == [[b"b'a'", b"b'b'"], [], [b"b'c'"], [b"b'd'"], [b"b'e'"]]


def test_same_id_in_two_batches_is_a_redelivery(tmp_path: Path) -> None:
    case = CASES["sink"]
    datum = case.datum([], b"v", NOW, None, id="in-1-0")
    first, second = with_client(case, tmp_path, lambda client: client.sink_batches([[datum], [datum]]))
    assert list(first) == list(second) == ["in-1-0"]


# -- map stream


def test_messages_of_a_stream_arrive_as_they_are_yielded(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def handler(keys: list[str], datum: mapper.Datum) -> AsyncIterator[mapper.Message]:
        yield mapper.Message(b"first")
        await go_on.wait()
        yield mapper.Message(b"second")

    async def scenario() -> None:
        server = mapper.MapStreamAsyncServer(
            handler, sock_path=str(tmp_path / "sock"), server_info_file=str(tmp_path / "info")
        )
        async with server.serving():
            with MapStreamClient(server.sock_path) as client:
                results = client.stream(b"x")
                assert (await asyncio.to_thread(next, results)).value == b"first"
                go_on.set()
                assert [each.value for each in await asyncio.to_thread(list, results)] == [b"second"]

    asyncio.run(scenario())


def test_closing_a_stream_of_results_cancels_the_call(tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def handler(keys: list[str], datum: mapper.Datum) -> AsyncIterator[mapper.Message]:
        try:
            while True:
                yield mapper.Message(bytes(1000))
        finally:
            closed.set()

    async def scenario() -> None:
        server = mapper.MapStreamAsyncServer(
            handler, sock_path=str(tmp_path / "sock"), server_info_file=str(tmp_path / "info")
        )
        async with server.serving():
            with MapStreamClient(server.sock_path) as client:
                results: Any = client.stream(b"x")
                await asyncio.to_thread(next, results)
                await asyncio.to_thread(results.close)
                await asyncio.wait_for(closed.wait(), 10)

    asyncio.run(scenario())
