"""The client that users test with, against servers in this process: an example of such tests, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from numaflow_mapper import (
    Datum,
    HandlerError,
    MapAsyncServer,
    MapServer,
    Message,
    Messages,
    NackOptions,
    StartError,
    SystemMetadata,
    UserMetadata,
)
from numaflow_mapper.testing import MapClient, RpcEndedError

NOW = datetime(2024, 7, 1, 12, 0, tzinfo=timezone.utc)
OPTIONS = NackOptions(reason="busy", max_deliveries=2, delay=timedelta(seconds=1), nack_map={"k": "v"})


def handler(keys: list[str], datum: Datum) -> Messages:
    if datum.value == b"fail":
        raise LookupError("no such thing")
    if datum.value == b"nack":
        return Messages(Message.to_nack(OPTIONS))
    if datum.value == b"tell":
        text = "|".join([datum.id, *keys, datum.event_time.isoformat(), datum.headers["h"], datum.previous_vertex])
        return Messages(Message(text.encode(), user_metadata=datum.user_metadata))
    return Messages(*(Message(part, keys=[part.decode()], tags=["part"]) for part in datum.value.split(b",") if part))


async def async_handler(keys: list[str], datum: Datum) -> Messages:
    await asyncio.sleep(0)
    return handler(keys, datum)


class Served:
    """A server that runs, and a client of it whose calls leave the event loop alone."""

    def __init__(self, server: MapServer | MapAsyncServer, client: MapClient) -> None:
        self.server = server
        self.client = client

    async def map(self, *requests: bytes | Datum) -> list[Messages]:
        return await asyncio.to_thread(self.client.map, requests)


@asynccontextmanager
async def served(folder: Path, colour: str = "sync") -> AsyncIterator[Served]:
    sock, info = str(folder / "map.sock"), str(folder / "info")
    server: MapServer | MapAsyncServer
    if colour == "sync":
        server = MapServer(handler, sock_path=sock, server_info_file=info)
    else:
        server = MapAsyncServer(async_handler, sock_path=sock, server_info_file=info)
    async with server.serving():
        with MapClient(sock) as client:
            await asyncio.to_thread(client.wait_ready)
            yield Served(server, client)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_results_come_in_the_order_of_the_requests(tmp_path: Path, colour: str) -> None:
    async def main() -> None:
        async with served(tmp_path, colour) as it:
            assert await asyncio.to_thread(it.client.is_ready)
            results = await it.map(b"a,b", b"", b"c")
            assert results == [
                Messages(Message(b"a", keys=["a"], tags=["part"]), Message(b"b", keys=["b"], tags=["part"])),
                Messages(),
                Messages(Message(b"c", keys=["c"], tags=["part"])),
            ]
            numbers = [str(number).encode() for number in range(500)]
            assert [result[0].value for result in await it.map(*numbers)] == numbers
            assert await it.map() == []

    asyncio.run(main())


def test_datum_is_sent_as_it_is(tmp_path: Path) -> None:
    metadata = UserMetadata({"g": {"k": b"v"}})
    datum = Datum(
        ["k1", "k2"], b"tell", NOW, NOW, {"h": "header"}, metadata, SystemMetadata(), id="in-7", previous_vertex="cat"
    )

    async def main() -> None:
        async with served(tmp_path) as it:
            ((result,),) = await it.map(datum)
            assert result.value == b"in-7|k1|k2|2024-07-01T12:00:00+00:00|header|cat"
            assert result.user_metadata == metadata

    asyncio.run(main())


def test_nack_options_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            assert await it.map(b"nack") == [Messages(Message.to_nack(OPTIONS))]

    asyncio.run(main())


def test_same_id_twice_is_refused(tmp_path: Path) -> None:
    datum = Datum([], b"x", NOW, NOW, id="same")
    with (
        MapClient(str(tmp_path / "sock")) as client,
        pytest.raises(ValueError, match="two requests have the id 'same'"),
    ):
        client.map([datum, datum])


def test_error_of_the_handler_reaches_client_and_program(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            with pytest.raises(RpcEndedError, match="LookupError") as caught:
                await it.map(b"fine", b"fail")
            outcome = caught.value.outcome
            assert outcome.code == "INTERNAL"
            assert outcome.message == "UDF_EXECUTION_ERROR(unknown-container): LookupError('no such thing')"
            assert 'raise LookupError("no such thing")' in outcome.traceback
            assert outcome.traceback.strip() in str(caught.value)

    with pytest.raises(HandlerError, match="LookupError") as raised:
        asyncio.run(main())
    assert isinstance(raised.value.__cause__, LookupError)


def test_stop_ends_serving(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            it.server.stop()
            it.server.stop()
        it.server.stop()

    asyncio.run(main())


def test_no_server_is_said_clearly(tmp_path: Path) -> None:
    path = str(tmp_path / "nobody.sock")
    with MapClient(path) as client:
        assert not client.is_ready(0.1)
        with pytest.raises(TimeoutError, match=path):
            client.wait_ready(0.1)
        with pytest.raises(RpcEndedError, match="UNAVAILABLE"):
            client.map([b"x"], timeout=5)


def test_second_server_on_the_same_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            with pytest.raises(StartError, match="another server is listening there"):
                async with served(tmp_path):
                    raise AssertionError("two servers on one socket")
            assert len(await it.map(b"a")) == 1

    asyncio.run(main())
