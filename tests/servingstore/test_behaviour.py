"""What a serving store server does beside what servers of all kinds do: two RPCs on one object."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from behaviour.fixtures import Launch, each_combination, gate, launch, server, shared_server
from behaviour.harness import Gate, ServerProcess
from behaviour.kinds import SERVING_STORE, THREADS, Combination
from numaflow_servingstore import Payload
from numaflow_servingstore.testing import RpcEndedError, ServingStoreClient

__all__ = ["combination", "gate", "launch", "pytest_generate_tests", "server", "shared_server"]

combination, pytest_generate_tests = each_combination(
    replace(SERVING_STORE, script=Path(__file__).with_name("stores.py"))
)


def test_puts_add_up(server: ServerProcess) -> None:
    with ServingStoreClient(str(server.sock)) as client:
        assert client.get("a") == []
        client.put("a", [Payload("out", b"1")])
        client.put("b", [Payload("out", b"\x00\xff")])
        client.put("a", [Payload("other", b"2"), Payload("out", b"")])
        assert client.get("a") == [Payload("out", b"1"), Payload("other", b"2"), Payload("out", b"")]
        assert client.get("b") == [Payload("out", b"\x00\xff")]


def test_blocked_puts_do_not_hold_up_gets(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    # Workers are given calls by how many they have unanswered, whichever RPC they are of.
    blocked = 1 if combination.type == "multiproc" else THREADS
    with ServingStoreClient(str(server.sock)) as client, ThreadPoolExecutor(blocked) as pool:
        calls = [pool.submit(client.put, "slow", [Payload("v", gate.block())], timeout=60) for _ in range(blocked)]
        gate.wait_entered(blocked)
        for _ in range(3):
            assert client.get("unknown") == []
            assert client.is_ready()
        gate.open()
        for call in calls:
            call.result()
        assert client.get("slow") == [Payload("v", gate.block())] * blocked


def test_error_of_a_put_ends_the_server(launch: Launch) -> None:
    server = launch().wait_listening()
    with ServingStoreClient(str(server.sock)) as client, pytest.raises(RpcEndedError) as caught:
        client.put("bad", [Payload("v", b"!raise no put")])
    assert caught.value.outcome.code == "INTERNAL"
    assert ".put (stores.py:" in caught.value.outcome.message
    assert "raised ValueError: no put" in caught.value.outcome.message
    assert server.wait() == 1
