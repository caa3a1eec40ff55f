"""SIGTERM and SIGINT: what was accepted is answered, then the process ends well."""

import os
import shutil
import signal
import subprocess
from functools import cache

import pytest

from .conftest import Launch
from .harness import PATIENCE, Gate, ServerProcess, children, is_alive, wait_until
from .kinds import WORKERS, Combination
from .talk import Talk

STOPPING = "stopping: up to"

full_run = pytest.mark.full_run
each_signal = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


def assert_clean_end(server: ServerProcess) -> None:
    assert server.wait() == 0, server.stderr()
    assert server.stdout().endswith("start returned\n")
    assert not server.sock.exists()
    assert not server.info.exists()
    assert [path.name for path in server.folder.iterdir() if path.name.endswith(".new")] == []
    assert "Traceback" not in server.stderr()


@each_signal
def test_idle_server_ends_at_once(launch: Launch, combination: Combination, number: signal.Signals) -> None:
    server = launch().wait_listening()
    server.send_signal(number)
    assert_clean_end(server)
    assert server.stderr() == ""


@each_signal
def test_everything_sent_before_the_signal_is_answered(
    launch: Launch, combination: Combination, gate: Gate, number: signal.Signals, thorough: bool
) -> None:
    server = launch().wait_listening()
    with server.client() as client, server.client() as other:
        clients = [client] if combination.kind.is_serial else [client, other]
        talks = [Talk(each, combination.kind) for each in clients]
        slow = [(str(each), gate.block()) for each in range(3 * combination.concurrency)]
        quick = [(f"quick-{each}", b"quick") for each in range(combination.kind.count(2000 if thorough else 200))]
        for talk in talks:
            talk.spread(slow)
            talk.send(quick)
        gate.wait_entered(combination.concurrency)
        server.send_signal(number)
        gate.open()
        for talk in talks:
            assert sorted(talk.finish()) == sorted(slow + quick)
    assert_clean_end(server)


def test_handler_that_is_in_the_middle_of_it_may_finish(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--log").wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("long", gate.stall())])
        talk.stream.half_close()
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        assert client.is_ready(combination.kind.service)
        gate.open()
        assert talk.finish() == [("long", gate.stall())]
    assert server.wait() == 0
    assert len(gate.marks()) == 2


def test_dataplane_may_drain_through_a_stopping_server(launch: Launch, combination: Combination, gate: Gate) -> None:
    """The platform may send both SIGTERM at the same time: messages and streams still come for a while."""
    if combination.kind.is_serial:
        pytest.skip("nothing is answered beside what keeps the server from ending")
    server = launch("--log").wait_listening()
    with server.client() as client, server.client() as other:
        talk = Talk(client, combination.kind)
        talk.spread([("first", gate.block())])
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        talk.send([("second", b"existing stream")])
        assert talk.answers(1) == [("second", b"existing stream")]
        late = Talk(other, combination.kind)
        assert late.ask(b"new connection and stream") == b"new connection and stream"
        assert late.finish() == []
        gate.open()
        assert talk.finish() == [("first", gate.block())]
    assert server.wait() == 0


def test_stream_that_stays_open_does_not_hold_up_the_end(launch: Launch, combination: Combination) -> None:
    """A client that neither sends nor half-closes is told that the stream is over before the grace period is."""
    server = launch("--grace", 4).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        if not combination.kind.calls_are_rpcs:
            assert talk.ask(b"before") == b"before"
        idle = Talk(client, combination.kind, opened=False)
        assert client.is_ready(combination.kind.service)
        server.send_signal(signal.SIGTERM)
        assert talk.stream.status().code == "UNAVAILABLE"
        assert idle.stream.status().code == "UNAVAILABLE"
        assert_clean_end(server)


@each_signal
def test_second_signal_ends_at_once(
    launch: Launch, combination: Combination, gate: Gate, number: signal.Signals
) -> None:
    server = launch("--log", "--grace", 60).wait_listening()
    workers = children(server.pid)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(each), gate.stall()) for each in range(combination.stalls)])
        gate.wait_entered(combination.stalls)
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        server.send_signal(number)
        # An event loop that a handler blocks cannot be told: the exit status is the signal's all the same.
        assert server.wait() == 128 + number
    assert f"{number.name}, ending at once" in server.stderr()
    assert not server.sock.exists()
    assert not server.info.exists()
    wait_until(lambda: not any(map(is_alive, workers)), "the workers are gone")


def test_signal_while_the_loop_is_blocked_is_heard(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--log").wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(each), gate.stall()) for each in range(combination.stalls)]
        talk.spread(sent)
        gate.wait_entered(combination.stalls)
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)
    assert server.wait() == 0


def test_grace_period_over(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--grace", 4).wait_listening()  # a tenth of it is for the end itself
    workers = children(server.pid)
    # In front of workers, nobody knows which messages only end a request.
    ends = len(combination.kind.end_of_request("0")) if combination.type == "multiproc" else 0
    unanswered = combination.stalls * (1 + ends)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(each), gate.stall()) for each in range(combination.stalls)])
        gate.wait_entered(combination.stalls)
        server.send_signal(signal.SIGTERM)
        outcomes = talk.statuses(owing=True)
        assert outcomes
        for outcome in outcomes:
            assert outcome.code == "UNAVAILABLE"
            assert "grace period" in outcome.message
            assert f"{unanswered} messages unanswered" in outcome.message
        assert server.wait() == 1
    assert "grace period" in server.stderr()
    assert not server.sock.exists()
    assert not server.info.exists()
    wait_until(lambda: not any(map(is_alive, workers)), "the workers are gone")


def test_intake_ends_before_the_grace_period_does(launch: Launch, combination: Combination) -> None:
    """A client that never stops sending cannot keep the server from ending well."""
    server = launch("--grace", 4).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.ask(b"first")
        stream = talk.stream
        if combination.kind.calls_are_rpcs:  # one that lasts, for the server not to be left alone between two others
            stream = Talk(client, combination.kind).stream
            assert client.is_ready(combination.kind.service)
        server.send_signal(signal.SIGTERM)
        sent = answered = 0
        while server.is_alive(0.02):
            talk.send([(str(sent), b"more")])
            sent += 1
            try:
                answered += len(talk.answers(1, PATIENCE))
            except Exception:
                break
        assert answered > 0
        assert stream.status().code == "UNAVAILABLE"
    assert_clean_end(server)


def test_handler_error_while_stopping(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch().wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", f"!raise-later {gate.path}".encode())])
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        gate.open()
        assert talk.stream.status().code == "INTERNAL"
    assert server.wait() == 1
    assert server.stderr().count("raised ValueError: later") == 1


def test_signal_to_the_whole_group(launch: Launch, combination: Combination, gate: Gate) -> None:
    """Ctrl-C reaches worker processes too; they leave it to their parent."""
    server = launch().wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(each), gate.block()) for each in range(2 * combination.concurrency)]
        talk.spread(sent)
        gate.wait_entered(combination.concurrency)
        os.killpg(server.pid, signal.SIGINT)
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)
    assert_clean_end(server)


NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@cache
def namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGINT, id="SIGINT", marks=full_run)]
)
def test_as_the_first_process_of_a_container(
    launch: Launch, combination: Combination, gate: Gate, number: signal.Signals
) -> None:
    """The kernel drops signals to a process 1 that has no handler for them."""
    if not namespaces_work():
        pytest.skip("a PID namespace takes unshare(1) and the right to use it")
    server = launch(prefix=NAMESPACE).wait_listening()
    (inside,) = children(server.pid)
    assert len(children(inside)) == (WORKERS if combination.type == "multiproc" else 0)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(each), gate.block()) for each in range(2 * combination.concurrency)]
        talk.spread(sent)
        gate.wait_entered(combination.concurrency)
        os.kill(inside, number)
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)
    assert_clean_end(server)
