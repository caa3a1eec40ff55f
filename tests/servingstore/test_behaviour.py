"""Serving store servers as processes: two RPCs on one object."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from behaviour.harness import wait_until
from behaviour.kinds import THREADS, WORKERS
from numaflow_servingstore import Payload
from numaflow_servingstore._version import __version__
from numaflow_servingstore.testing import RpcEndedError, ServingStoreClient
from own_suites import Launch, Way, case, launcher, ways

SERVICE = "serving.v1.ServingStore"
KIND = case("servingstore", SERVICE, "Put", f"numaflow-servingstore {__version__}")


@pytest.fixture(params=ways("sync", "async", "multiproc"), ids=lambda way: way.id)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture
def launch(way: Way, tmp_path: Path) -> Iterator[Launch]:
    for start in launcher(KIND, Path(__file__).with_name("stores.py"), way, tmp_path):
        yield partial(start, "--folder", tmp_path)


def test_puts_add_up(launch: Launch) -> None:
    server = launch()
    with ServingStoreClient(str(server.sock)) as client:
        assert client.is_ready()
        assert client.get("a") == []
        client.put("a", [Payload("out", b"1")])
        client.put("b", [Payload("out", b"\x00\xff")])
        client.put("a", [Payload("other", b"2"), Payload("out", b"")])
        assert client.get("a") == [Payload("out", b"1"), Payload("other", b"2"), Payload("out", b"")]
        assert client.get("b") == [Payload("out", b"\x00\xff")]
    info = json.loads(server.info.read_text().removesuffix("U+005C__END__"))
    assert info["minimum_numaflow_version"] == "1.5.0-z"


def test_calls_are_concurrent(launch: Launch) -> None:
    server = launch()
    with ServingStoreClient(str(server.sock)) as client, ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda number: client.put("many", [Payload("v", b"%d" % number)]), range(200)):
            pass
        assert sorted(int(payload.value) for payload in client.get("many")) == list(range(200))


def test_blocked_puts_do_not_hold_up_gets(launch: Launch, way: Way, tmp_path: Path) -> None:
    server = launch()
    blocked = THREADS * (WORKERS if way.type == "multiproc" else 1)
    if way.type == "multiproc":
        blocked = 1  # workers are given calls by how many they have unanswered, whichever RPC they are of
    with ServingStoreClient(str(server.sock)) as client, ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(client.put, "slow", [Payload("v", b"x")], timeout=30) for _ in range(blocked)]
        wait_until(lambda: server.stdout().count("slow") == blocked, "all puts to be in the handler")
        for _ in range(3):
            assert client.get("a", timeout=5) == []
            assert client.is_ready()
        (tmp_path / "go").touch()
        for call in calls:
            call.result()
        assert len(client.get("slow")) == blocked


@pytest.mark.parametrize(
    ("method", "id", "text"),
    [
        ("put", "fail-put", "ValueError('no put')"),
        ("get", "fail-get", "ValueError('no get')"),
        ("get", "nonsense", "must return an iterable of Payload, got bytes in it"),
        ("get", "nothing", "must return an iterable of Payload, got NoneType"),
    ],
)
def test_errors_end_the_server(launch: Launch, method: str, id: str, text: str) -> None:
    server = launch()
    with ServingStoreClient(str(server.sock)) as client, pytest.raises(RpcEndedError) as caught:
        if method == "put":
            client.put(id, [])
        else:
            client.get(id)
    assert caught.value.outcome.code == "INTERNAL"
    assert text in caught.value.outcome.message
    assert server.wait() == 1


@pytest.mark.parametrize(("message", "code"), [(b"\xff\xff", "INTERNAL"), (b"", "OK")])
def test_messages(launch: Launch, message: bytes, code: str) -> None:
    server = launch()
    with ServingStoreClient(str(server.sock)) as client:
        stream = client._client.open(f"/{SERVICE}/Get")
        stream.send(message)
        stream.half_close()
        assert stream.status().code == code
        assert client.get("a") == []


def test_put_of_two_messages_puts_nothing(launch: Launch) -> None:
    server = launch()
    with ServingStoreClient(str(server.sock)) as client:
        stream = client._client.open(f"/{SERVICE}/Put")
        stream.send(b"\x0a\x01a\x12\x03\x0a\x01v", b"\x0a\x01a\x12\x03\x0a\x01v")
        stream.half_close()
        assert stream.status().code == "UNIMPLEMENTED"
        assert client.get("a") == []


def test_large_payloads(launch: Launch) -> None:
    with ServingStoreClient(str(launch().sock)) as client:
        value = bytes(range(256)) * 40_000
        client.put("large", [Payload("v", value)])
        client.put("large", [Payload("v", value)])
        assert client.get("large", timeout=30) == [Payload("v", value)] * 2


def test_sigterm_lets_a_put_finish(launch: Launch, tmp_path: Path) -> None:
    server = launch()
    with ServingStoreClient(str(server.sock)) as client, ThreadPoolExecutor() as pool:
        call = pool.submit(client.put, "slow", [Payload("v", b"x")])
        server.wait_said("slow")
        server.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        call.result()
    assert server.wait() == 0
