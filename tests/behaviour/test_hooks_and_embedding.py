"""Hooks, environment variables, and servers inside of a larger program."""

import signal

import pytest

from .conftest import Launch
from .harness import Gate, ServerProcess, wait_steady
from .kinds import WORKERS, Combination
from .talk import Talk, assert_serves


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_hooks_are_called_once(launch: Launch, combination: Combination, colour: str) -> None:
    server = launch("--hooks", colour).wait_listening()
    processes = WORKERS if combination.type == "multiproc" else 1
    assert server.stdout().count("on_startup True") == processes, "on the main thread, before the socket listens"
    assert "on_shutdown" not in server.stdout()
    assert_serves(server)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.stdout().count("on_startup") == processes
    assert server.stdout().count("on_shutdown") == processes


def test_shutdown_hook_comes_after_the_answers(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--hooks", "sync", "--log").wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("slow", gate.block())])
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        server.wait_logged("stopping: up to")
        assert "on_shutdown" not in server.stdout()
        gate.open()
        assert talk.finish() == [("slow", gate.block())]
    assert server.wait() == 0
    assert "on_shutdown" in server.stdout()


def test_shutdown_callback_gets_the_loop(launch: Launch, combination: Combination) -> None:
    if combination.type != "async":
        pytest.skip("only async servers have it")
    server = launch("--shutdown-callback").wait_listening()
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.stdout().count("shutdown_callback: True") == 1


def test_max_threads_and_concurrency_from_the_environment(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch(
        *("--threads", "unset", "--concurrency", "unset", "--workers", 1),
        env={"MAX_THREADS": "3", "MAX_CONCURRENCY": "7"},
    ).wait_listening()
    bound = combination.at_once(20, 7 if combination.type == "async" else 3)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.block()) for number in range(20)])
        gate.wait_entered(bound)
        assert wait_steady(gate.entered, seconds=0.2) == bound
        gate.open()
        assert len(talk.finish()) == 20


def test_arguments_go_before_the_environment(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch(
        *("--threads", 2, "--concurrency", 2, "--workers", 1), env={"MAX_THREADS": "9", "MAX_CONCURRENCY": "9"}
    ).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        bound = combination.at_once(20, 2)
        talk.spread([(str(number), gate.block()) for number in range(20)])
        gate.wait_entered(bound)
        assert wait_steady(gate.entered, seconds=0.2) == bound
        gate.open()
        assert len(talk.finish()) == 20


def test_grace_period_from_the_environment(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch(env={"NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS": "0.3"}).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("never", gate.block())])
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        assert talk.stream.status().code == "UNAVAILABLE"
        assert server.wait() == 1


def loads_grpc(server: ServerProcess) -> bool:
    with open(f"/proc/{server.pid}/maps") as maps:
        return any("grpc/_cython" in line for line in maps)


def test_transport_from_the_environment(launch: Launch, combination: Combination) -> None:
    server = launch("--transport", "unset", env={"NUMAFLOW_TRANSPORT": combination.transport}).wait_listening()
    assert loads_grpc(server) == (combination.transport == "grpcio")
    assert_serves(server)


def test_h2_is_the_default_and_loads_no_grpc(launch: Launch) -> None:
    server = launch("--transport", "unset").wait_listening()
    assert_serves(server)
    assert not loads_grpc(server)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUMAFLOW_TRANSPORT", "pigeon"),
        ("MAX_THREADS", "many"),
        ("MAX_THREADS", "0"),
        ("MAX_CONCURRENCY", "-1"),
        ("NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS", "a while"),
        ("NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS", "0"),
        ("NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS", "nan"),
    ],
)
def test_wrong_environment_is_named(launch: Launch, combination: Combination, variable: str, value: str) -> None:
    if {"MAX_THREADS": "async", "MAX_CONCURRENCY": "sync"}.get(variable) == combination.type:
        pytest.skip("this server type does not read it")
    server = launch(*("--transport", "unset", "--threads", "unset", "--concurrency", "unset"), env={variable: value})
    assert server.wait() == 1
    last = server.stderr().splitlines()[-1]
    assert last.startswith("ValueError: ")
    assert variable in last or "grace_period" in last
    assert value in last


# -- serving()


def test_served_while_the_block_runs(launch: Launch, gate: Gate) -> None:
    server = launch("--embed", "serving", "--gate", gate.path)
    server.wait_said("serving")
    assert_serves(server)
    gate.open()
    assert server.wait() == 0
    assert server.stdout().endswith("ended well\n")
    assert not server.sock.exists()
    assert not server.info.exists()


def test_end_of_the_block_waits_for_the_answers(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--embed", "serving", "--gate", gate.path)
    server.wait_said("serving")
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), gate.block()) for number in range(combination.concurrency)]
        talk.spread(sent)
        gate.wait_entered(combination.concurrency)
        # The gate is what both the block and the handlers wait for; the block removes it, so keep it open for them.
        gate.open()
        while server.is_alive(0.01):
            gate.open()
        assert sorted(talk.answers(len(sent))) == sorted(sent)
    assert server.stdout().endswith("ended well\n")


def test_stop_from_another_thread(launch: Launch, gate: Gate) -> None:
    server = launch("--embed", "stop", "--gate", gate.path)
    server.wait_said("serving")
    assert_serves(server)
    gate.open()
    assert server.wait() == 0
    assert server.stdout().endswith("ended well\n")


def test_served_twice(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--embed", "twice", "--gate", gate.path)
    server.wait_said("serving")
    assert_serves(server)
    gate.open()
    server.wait_said("ended well\nserving")
    assert_serves(server)
    gate.open()
    assert server.wait() == 0
    assert server.stdout().count("ended well") == 2


def test_error_of_the_block_goes_through(launch: Launch, gate: Gate) -> None:
    server = launch("--embed", "raise", "--gate", gate.path)
    server.wait_said("serving")
    gate.open()
    assert server.wait() == 0
    assert server.stdout().endswith("ended with LookupError: from the block\n")
    assert not server.sock.exists()


def test_handler_error_is_raised_at_the_end_of_the_block(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--embed", "serving", "--gate", gate.path)
    server.wait_said("serving")
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", b"!raise embedded")])
        outcome = talk.stream.status()
        assert outcome.code == "INTERNAL"
        assert " raised ValueError: embedded" in outcome.message
    assert server.is_alive(), "the program that embeds the server decides what becomes of it"
    gate.open()
    assert server.wait() == 0
    told = outcome.message.removeprefix("UDF_EXECUTION_ERROR(unknown-container): ")
    assert f"ended with HandlerError: {told}\n" in server.stdout(), "the program is told the same"


def test_start_failure_is_raised_where_serving_begins(launch: Launch, gate: Gate) -> None:
    server = launch("--embed", "serving", "--gate", gate.path, "--sock", "/nonexistent/folder/sock")
    assert server.wait() == 0
    assert "ended with StartError: cannot listen on /nonexistent/folder/sock" in server.stdout()


def test_signals_are_not_touched_by_serving(launch: Launch, gate: Gate) -> None:
    server = launch("--embed", "serving", "--gate", gate.path)
    server.wait_said("serving")
    server.send_signal(signal.SIGTERM)
    assert server.wait() == -signal.SIGTERM
