"""One class for three roles: the container says which when a server is constructed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from numaflow_sinker import (
    Datum,
    HandlerError,
    Response,
    Responses,
    SinkAsyncServer,
    SinkMultiProcServer,
    SinkServer,
)
from numaflow_sinker.testing import RpcEndedError, SinkClient

ROLE = "NUMAFLOW_UD_CONTAINER_TYPE"
RUN = "/var/run/numaflow"


def handler(datums: Iterator[Datum]) -> Responses:
    return Responses(*(Response.as_fallback(datum.id) for datum in datums))


async def async_handler(datums: AsyncIterator[Datum]) -> Responses:
    return Responses()


every_server = pytest.mark.parametrize(
    ("server", "argument"),
    [(SinkServer, handler), (SinkAsyncServer, async_handler), (SinkMultiProcServer, handler)],
    ids=["sync", "async", "multiproc"],
)
Server = Callable[..., Any]


@every_server
@pytest.mark.parametrize(
    ("role", "sock", "info"),
    [
        ("udsink", "sink.sock", "sinker-server-info"),
        ("fb-udsink", "fb-sink.sock", "fb-sinker-server-info"),
        ("ons-udsink", "ons-sink.sock", "ons-sinker-server-info"),
        ("", "sink.sock", "sinker-server-info"),
        ("udf", "sink.sock", "sinker-server-info"),
    ],
)
def test_role_chooses_the_paths(
    monkeypatch: pytest.MonkeyPatch, server: Server, argument: object, role: str, sock: str, info: str
) -> None:
    monkeypatch.setenv(ROLE, role)
    made = server(argument)
    assert made.sock_path == f"{RUN}/{sock}"
    assert made.server_info_file == f"{RUN}/{info}"


@every_server
def test_role_is_that_of_the_moment_of_construction(
    monkeypatch: pytest.MonkeyPatch, server: Server, argument: object
) -> None:
    monkeypatch.delenv(ROLE, raising=False)
    primary = server(argument)
    monkeypatch.setenv(ROLE, "fb-udsink")
    fallback = server(argument)
    monkeypatch.setenv(ROLE, "ons-udsink")
    assert primary.sock_path == f"{RUN}/sink.sock"
    assert fallback.sock_path == f"{RUN}/fb-sink.sock"


@every_server
@pytest.mark.parametrize("role", ["udsink", "fb-udsink", "ons-udsink"])
def test_explicit_paths_win(monkeypatch: pytest.MonkeyPatch, server: Server, argument: object, role: str) -> None:
    monkeypatch.setenv(ROLE, role)
    made = server(argument, sock_path="/tmp/mine.sock", server_info_file="/tmp/mine.info")
    assert (made.sock_path, made.server_info_file) == ("/tmp/mine.sock", "/tmp/mine.info")
    only_sock = server(argument, sock_path="/tmp/mine.sock")
    assert only_sock.sock_path == "/tmp/mine.sock"
    assert only_sock.server_info_file.startswith(f"{RUN}/")


@pytest.mark.parametrize("role", ["fb-udsink", "ons-udsink"])
def test_refused_status_is_an_error_of_the_handler_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str
) -> None:
    monkeypatch.setenv(ROLE, role)

    async def scenario() -> None:
        server = SinkServer(handler, str(tmp_path / "sock"), server_info_file=str(tmp_path / "info"))
        async with server.serving():
            with SinkClient(server.sock_path) as client, pytest.raises(RpcEndedError) as told:
                await asyncio.to_thread(client.sink, [b"x"])
        outcome = told.value.outcome
        assert outcome.code == "INTERNAL"
        assert outcome.message.startswith(f"UDF_EXECUTION_ERROR({role}): sink handler handler (test_roles.py:")
        assert "): ValueError: a " in outcome.message
        assert "cannot answer as_fallback (id 'request-0'): no sink comes after it" in outcome.message

    with pytest.raises(HandlerError, match="cannot answer as_fallback"):
        asyncio.run(scenario())


def test_primary_sink_may_answer_as_fallback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ROLE, "udsink")

    async def scenario() -> None:
        server = SinkServer(handler, str(tmp_path / "sock"), server_info_file=str(tmp_path / "info"))
        async with server.serving():
            with SinkClient(server.sock_path) as client:
                found = await asyncio.to_thread(client.sink, [b"x"])
        assert found == {"request-0": Response.as_fallback("request-0")}

    asyncio.run(scenario())
