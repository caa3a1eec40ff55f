"""What a side input server does beside what servers of all kinds do."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from numaflow_sideinput import Response, SideInputServer
from numaflow_sideinput.testing import RpcEndedError, SideInputClient


async def retrieve(handler: Callable[[], Response], folder: Path) -> Response:
    """What the platform gets of a handler."""
    sock = str(folder / "sock")

    def ask() -> Response:
        with SideInputClient(sock) as client:
            return client.retrieve()

    server = SideInputServer(handler, sock_path=sock, server_info_file=str(folder / "info"))
    async with server.serving():
        return await asyncio.to_thread(ask)


@pytest.mark.parametrize("response", [Response.broadcast_message(b"new"), Response.no_broadcast_message()])
def test_value_or_none(tmp_path: Path, response: Response) -> None:
    assert asyncio.run(retrieve(lambda: response, tmp_path)) == response


def test_value_that_is_too_large_for_the_platform(tmp_path: Path) -> None:
    """Its client takes less than those of other kinds, so the error has to come from here."""
    fits = Response.broadcast_message(bytes(4_000_000))
    assert asyncio.run(retrieve(lambda: fits, tmp_path)) == fits
    with pytest.raises(RpcEndedError, match="max_message_size"):
        asyncio.run(retrieve(lambda: Response.broadcast_message(bytes(5_000_000)), tmp_path))
