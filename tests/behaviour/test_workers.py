"""Worker processes: one socket in front of them, and no worker outlives the server."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from numaflow_core.server._cpus import default_workers

from .conftest import Launch, only
from .harness import Gate, ServerProcess, children, is_alive, wait_until
from .kinds import WORKERS, Combination
from .talk import Talk, assert_serves

pytestmark = only(lambda each: each.type == "multiproc")


@pytest.fixture
def running(launch: Launch) -> Iterator[tuple[ServerProcess, list[int]]]:
    """A server of the test's own, and its workers; none of them may be left at the end."""
    server = launch().wait_listening()
    workers = children(server.pid)
    assert len(workers) == WORKERS
    yield server, workers
    server.wait()
    wait_until(lambda: not any(map(is_alive, workers)), "the workers are gone")


def test_as_many_workers_as_asked_for(launch: Launch) -> None:
    server = launch("--workers", 5).wait_listening()
    assert len(children(server.pid)) == 5


def test_a_worker_for_every_cpu(launch: Launch) -> None:
    server = launch("--workers", "unset").wait_listening()
    assert len(children(server.pid)) == default_workers()


def test_one_socket_is_all_there_is(server: ServerProcess) -> None:
    sockets = [path for path in server.folder.iterdir() if path.is_socket()]
    assert sockets == [server.sock]


def test_one_stream_uses_all_workers(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([(str(number), gate.block()) for number in range(combination.concurrency)])
        gate.wait_entered(combination.concurrency_of_a_stream)
        assert gate.workers() == set(children(server.pid))
        gate.open()
        assert len(talk.finish()) == combination.concurrency


def workers_of_keys(talk: Talk, folder: Path, count: int) -> dict[str, int]:
    """The process ids of the workers that have the keys "0", "1" ..."""
    found = {}
    for key in map(str, range(count)):
        gate = Gate(folder / f"gate of {key}")
        gate.open()
        talk.ask(gate.block(), id=key)
        (found[key],) = gate.workers()
    return found


def test_worker_that_is_stuck_does_not_hold_up_the_other(
    launch: Launch, combination: Combination, gate: Gate, tmp_path: Path
) -> None:
    kind = combination.kind
    server = launch("--threads", 1).wait_listening()
    with server.client() as client:
        talk = Talk(client, kind)
        if kind.is_keyed:
            workers = workers_of_keys(talk, tmp_path, 20)
            assert set(workers.values()) == set(children(server.pid))
            sent = [(key, b"quick") for key, worker in workers.items() if worker != workers["0"]]
            at_least = len(sent)
        else:
            # A batch is divided between all workers, however long it is; so there one message is all that can get past.
            # Those of unary RPCs are read in the order of their requests: the first may be the one that waits.
            sent = [(str(number), b"quick") for number in range(1 if kind.closing or kind.is_unary else 500)]
            at_least = max(1, len(sent) - 1)
        talk.spread([("0", gate.stall())])
        gate.wait_entered(1)
        talk.send(sent)
        answers = talk.answers(at_least)
        assert set(answers) <= set(sent)
        gate.open()
        assert sorted([*answers, *talk.finish()]) == sorted([*sent, ("0", gate.stall())])


def test_killed_worker_ends_the_server(
    running: tuple[ServerProcess, list[int]], combination: Combination, gate: Gate
) -> None:
    server, workers = running
    with server.client() as client:
        talks = [Talk(client, combination.kind), Talk(client, combination.kind)]
        talks[0].spread([(str(number), gate.stall()) for number in range(combination.concurrency)])
        gate.wait_entered(combination.concurrency)
        os.kill(workers[0], signal.SIGKILL)
        for talk in talks:
            outcome = talk.stream.status()
            assert outcome.code == "INTERNAL"
            assert outcome.message.startswith("UDF_EXECUTION_ERROR(unknown-container): worker ")
            assert f"(pid {workers[0]}) was killed by SIGKILL" in outcome.message
    assert server.wait() == 1
    assert server.stderr().count("was killed by SIGKILL") == 1
    assert not server.sock.exists()
    assert not server.info.exists()


def test_worker_killed_while_nobody_is_connected(running: tuple[ServerProcess, list[int]]) -> None:
    server, workers = running
    os.kill(workers[-1], signal.SIGSEGV)
    assert server.wait() == 1
    assert f"(pid {workers[-1]}) was killed by SIGSEGV" in server.stderr()


def test_worker_that_ends_itself(running: tuple[ServerProcess, list[int]], combination: Combination) -> None:
    server, _ = running
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", b"!exit 3")])
        outcome = talk.stream.status()
        assert outcome.code == "INTERNAL"
        assert "exited with status 3" in outcome.message
    assert server.wait() == 1


def test_workers_end_with_a_parent_that_is_killed(
    running: tuple[ServerProcess, list[int]], combination: Combination, gate: Gate
) -> None:
    server, workers = running
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.stall()) for number in range(combination.concurrency)])
        gate.wait_entered(combination.concurrency)
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, workers)), "the workers are gone")


def test_workers_end_with_a_parent_that_fails(
    running: tuple[ServerProcess, list[int]], combination: Combination, gate: Gate
) -> None:
    server, _ = running
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.stall()) for number in range(combination.concurrency - 1)])
        gate.wait_entered(combination.concurrency - 1)
        talk.send([("bad", b"!raise fatal")])
        assert talk.stream.status().code == "INTERNAL"
    assert server.wait() == 1


def test_workers_leave_signals_to_their_parent(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), gate.block()) for number in range(combination.concurrency)]
        talk.spread(sent)
        gate.wait_entered(combination.concurrency)
        for worker in children(server.pid):
            os.kill(worker, signal.SIGTERM)
            os.kill(worker, signal.SIGINT)
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)


def test_garbage_ends_its_stream_and_no_worker(server: ServerProcess, combination: Combination) -> None:
    workers = children(server.pid)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send_as_it_is(b"\xff\xff\xff garbage")
        assert talk.stream.status().code == ("INTERNAL" if combination.kind.reads_requests else "OK")
    assert_serves(server)
    assert children(server.pid) == workers


@pytest.mark.parametrize("handler", ["closure", "lambda", "class", "partial", "async"])
def test_handlers_that_cannot_be_pickled(launch: Launch, handler: str) -> None:
    assert_serves(launch("--handler", handler).wait_listening())


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_start_method_of_multiprocessing_does_not_matter(launch: Launch, method: str) -> None:
    server = launch("--start-method", method, "--handler", "lambda").wait_listening()
    assert len(children(server.pid)) == WORKERS
    assert_serves(server)


def test_run_as_a_module(launch: Launch) -> None:
    server = launch("--handler", "lambda", command=(sys.executable, "-m", "behaviour.servers"))
    assert_serves(server.wait_listening())


def test_hooks_run_in_every_worker(launch: Launch) -> None:
    server = launch("--hooks", "async").wait_listening()
    assert server.stdout().count("on_startup True") == WORKERS
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.stdout().count("on_shutdown") == WORKERS


def test_large_messages_through_workers(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), bytes([number]) * 3_000_000) for number in range(6)]
        talk.send(sent)
        assert sorted(talk.finish()) == sorted(sent)
