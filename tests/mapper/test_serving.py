"""A server inside of a program: it ends when it is told to, and is alone on its socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from numaflow_mapper import Datum, MapAsyncServer, MapServer, Message, StartError
from numaflow_mapper.testing import MapClient


def handler(keys: list[str], datum: Datum) -> Message:
    return Message(datum.value)


async def async_handler(keys: list[str], datum: Datum) -> Message:
    return Message(datum.value)


@asynccontextmanager
async def served(folder: Path, colour: str = "sync") -> AsyncIterator[MapServer | MapAsyncServer]:
    sock, info = str(folder / "map.sock"), str(folder / "info")
    server: MapServer | MapAsyncServer
    if colour == "sync":
        server = MapServer(handler, sock_path=sock, server_info_file=info)
    else:
        server = MapAsyncServer(async_handler, sock_path=sock, server_info_file=info)
    async with server.serving():
        yield server


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_stop_ends_serving(tmp_path: Path, colour: str) -> None:
    async def main() -> None:
        async with served(tmp_path, colour) as server:
            server.stop()
            server.stop()
        server.stop()

    asyncio.run(main())


def test_second_server_on_the_same_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as server:
            with pytest.raises(StartError, match="another server is listening there"):
                async with served(tmp_path):
                    raise AssertionError("two servers on one socket")
            with MapClient(server.sock_path) as client:
                assert len(await asyncio.to_thread(client.map, [b"a"])) == 1

    asyncio.run(main())
