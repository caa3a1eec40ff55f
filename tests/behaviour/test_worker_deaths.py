"""The death of a worker process is noticed by its pid: whatever else holds its pipe, and whatever it does with it."""

import os
import signal
from collections.abc import Iterator

import pytest

from .conftest import Launch, only
from .harness import Gate, ServerProcess, children, is_alive, wait_until
from .kinds import WORKERS, Combination
from .talk import Talk

pytestmark = only(lambda each: each.type == "multiproc")

LONG = 600.0
"""Seconds of a grace period that no test waits for."""


@pytest.fixture
def server(launch: Launch) -> ServerProcess:
    """A server of the test's own."""
    return launch("--grace", LONG).wait_listening()


@pytest.fixture
def worker(server: ServerProcess, combination: Combination) -> Iterator[int]:
    """The process id of a worker that has a child, which holds all its file descriptors and outlives it. The client
    has gone."""
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("one", b"!fork")])
        if combination.kind.calls_are_rpcs or not combination.kind.is_keyed:
            ((_, answer),) = talk.finish()
        else:
            ((_, answer),) = talk.answers(1)
            talk.cancel()
    grandchild = int(answer)
    (parent,) = [each for each in children(server.pid) if grandchild in children(each)]
    yield parent
    assert is_alive(grandchild), "it is the user's process"
    wait_until(lambda: not is_alive(parent), "the worker is gone")


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (40, "signal 40")])
def test_killed_worker_whose_pipe_is_held_by_its_child(
    server: ServerProcess, worker: int, combination: Combination, number: int, name: str
) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        os.kill(worker, number)
        outcome = talk.stream.status()
        assert outcome.code == "INTERNAL", str(outcome)
        assert f"(pid {worker}) was killed by {name}" in outcome.message
        assert server.wait() == 1
    assert server.stderr().count(f"(pid {worker}) was killed by {name}") == 1
    assert not server.sock.exists()


def test_idle_server_ends_at_once_although_a_pipe_is_held(server: ServerProcess, worker: int) -> None:
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0


def test_worker_that_closes_its_pipe_and_lives_on(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([("one", f"!close-all {gate.path}".encode())])
        gate.wait_entered(1)
        (worker,) = gate.workers()
        assert server.wait() == 1
    assert f"(pid {worker}) " in server.stderr()
    assert not is_alive(worker)


def test_worker_that_cannot_start_is_reported_while_others_take_long(launch: Launch, gate: Gate) -> None:
    server = launch("--hooks", "one-raising", "--gate", gate.path)
    assert server.wait() == 1
    assert len(gate.workers()) == WORKERS - 1
    assert "no such model" in server.stderr()
    assert not any(map(is_alive, gate.workers()))
    assert not server.sock.exists()
