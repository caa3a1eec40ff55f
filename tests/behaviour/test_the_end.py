"""The end of a server does not depend on what is told of it, nor on what else goes on in its process."""

import signal
from functools import partial
from pathlib import Path

import pytest

from .conftest import Launch, only
from .harness import Gate, ServerProcess, wait_until
from .talk import Talk

only_map = only(lambda each: each.kind.name == "map")
only_map_in_process = only(lambda each: each.kind.name == "map" and each.type != "multiproc")


def ask_and_close(server: ServerProcess, payload: bytes) -> bytes:
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        reply = talk.ask(payload)
        assert talk.finish() == []
        return reply


def assert_fails(server: ServerProcess, payload: bytes) -> str:
    """The handler's error reaches the client and ends the process, for good; what the client is told."""
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        talk.send([("bad", payload)])
        outcome = talk.stream.status()
        assert outcome.code == "INTERNAL"
        assert outcome.message.startswith("UDF_EXECUTION_ERROR(")
        assert server.wait() == 1
    assert not server.sock.exists()
    assert not server.info.exists()
    return outcome.message


# -- a handler's error


@only_map
def test_error_while_nobody_reads_the_output(launch: Launch) -> None:
    assert "ValueError: oh" in assert_fails(launch("--stuck-output").wait_listening(), b"!raise oh")


@only_map
def test_error_that_cannot_be_described(launch: Launch) -> None:
    assert_fails(launch().wait_listening(), b"!raise-stuck")


@only_map
def test_error_where_no_thread_can_be_started(launch: Launch) -> None:
    server = launch().wait_listening()
    assert "the last thread" in assert_fails(server, b"!raise-threadless")
    assert "ValueError: the last thread" in server.stderr()


@only_map
def test_error_where_c_code_holds_the_main_thread(launch: Launch, gate: Gate) -> None:
    server = launch("--log").wait_listening()
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        talk.send([("stuck", b"!stall-c %s" % str(gate.path).encode())])
        gate.wait_entered(1)
        if server.combination.type == "async":
            server.send_signal(signal.SIGTERM)  # there is no way left to raise anything
            server.wait_logged("stopping: up to")
            server.send_signal(signal.SIGINT)
            assert server.wait() == 128 + signal.SIGINT
        else:
            assert_fails(server, b"!raise oh")


@only_map_in_process
def test_serving_raises_although_the_error_cannot_be_described(launch: Launch, gate: Gate) -> None:
    server = launch("--embed", "serving", "--gate", gate.path)
    server.wait_said("serving")
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        talk.send([("bad", b"!raise-stuck")])
        assert talk.stream.status().code == "INTERNAL"
    gate.open()
    assert server.wait() == 0
    assert "ended with HandlerError: " in server.stdout()


@only_map
def test_error_ends_a_process_whose_threads_and_children_live_on(launch: Launch, gate: Gate) -> None:
    server = launch(anew=True).wait_listening()
    for command in (b"!thread", b"!executor", b"!daemon %s" % str(gate.path).encode()):
        ask_and_close(server, command)
    gate.wait_entered(1)
    assert_fails(server, b"!raise oh")


# -- signals


@only_map
@pytest.mark.parametrize("command", ["!thread", "!executor", "!queue", "!daemon"])
def test_grace_period_bounds_the_process(launch: Launch, gate: Gate, command: str) -> None:
    server = launch("--grace", 1, anew=True).wait_listening()
    ask_and_close(server, f"{command} {gate.path}".encode())
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0, server.stderr()
    assert not server.sock.exists()


@only_map
def test_grace_period_bounds_what_comes_after_start(launch: Launch) -> None:
    server = launch("--grace", 1, "--afterwards").wait_listening()
    server.send_signal(signal.SIGTERM)
    server.wait_said("start returned")
    assert server.wait() == 0
    assert "the grace period is over: ending what still runs" in server.stderr()


@only_map
def test_grace_period_bounds_output_that_nobody_reads(launch: Launch) -> None:
    server = launch("--grace", 1, "--stuck-output").wait_listening()
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0


@only_map
def test_signal_is_heard_while_c_code_holds_the_main_thread(launch: Launch, gate: Gate) -> None:
    server = launch("--log").wait_listening()
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        talk.send([("stuck", b"!stall-c %s" % str(gate.path).encode())])
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        server.wait_logged("stopping: up to")
        gate.open()
        assert len(talk.finish()) == 1
    assert server.wait() == 0


@only_map
def test_signal_is_heard_while_c_code_holds_the_start(launch: Launch, gate: Gate) -> None:
    server = launch("--hooks", "gated-c", "--gate", gate.path)
    gate.wait_entered(1)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM
    assert not server.sock.exists()
    assert not server.info.exists()


@only_map_in_process
def test_signals_of_the_user_are_told_to_the_event_loop(launch: Launch) -> None:
    """The server hears of signals in its place, and passes them on."""
    server = launch("--hooks", "signals").wait_listening()

    def heard(times: int) -> bool:
        return server.stdout().count("a signal of the user's") == times

    for times in range(1, 4):
        server.send_signal(signal.SIGUSR1)
        wait_until(partial(heard, times), "the signal")
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0


# -- hooks


@only_map
@pytest.mark.parametrize("hooks", ["exit-at-end", "interrupt-at-end"])
def test_shutdown_hook_that_leaves_changes_nothing(launch: Launch, hooks: str) -> None:
    server = launch("--hooks", hooks).wait_listening()
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.stdout().endswith("start returned\n")
    assert "on_shutdown raised" in server.stderr()
    assert not server.sock.exists()
    assert not server.info.exists()


@only_map
def test_startup_hook_that_leaves_is_an_error(launch: Launch) -> None:
    server = launch("--hooks", "exit-at-start")
    assert server.wait() == 1
    assert "on_startup raised SystemExit(7)" in server.stderr().splitlines()[-1]


# -- the start


@only_map
def test_closed_standard_streams(launch: Launch, tmp_path: Path) -> None:
    server = launch(prefix=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")).wait_listening()
    for number in (0, 1, 2):
        assert Path(f"/proc/{server.pid}/fd/{number}").readlink() == Path("/dev/null")
    assert ask_and_close(server, b"closed") == b"closed"
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0


@only_map
@pytest.mark.parametrize("descriptors", [15, 20])
def test_few_file_descriptors(launch: Launch, descriptors: int) -> None:
    command = f'ulimit -n {descriptors}; exec "$@"'
    server = launch("--workers", 4, prefix=("sh", "-c", command, "sh"))
    wait_until(lambda: server.info.exists() or not server.is_alive(), "the start, or its end")
    if server.is_alive():
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    else:
        assert server.wait() == 1, server.stderr()
        assert server.stderr().splitlines()[-1].startswith("numaflow: "), server.stderr()
        assert "Traceback" not in server.stderr()
    assert not server.sock.exists()
    assert not server.info.exists()


@only_map
def test_signal_at_any_moment_of_the_start(launch: Launch, tmp_path: Path) -> None:
    """It ends the process at once, or, where the server listens, well; nothing stays behind."""
    counting = launch("--signal-at", 0, name="counting")
    counting.wait_said("calls: ")
    calls = int(counting.stdout().partition("calls: ")[2].split()[0])
    counting.kill()
    (tmp_path / "counting.sock").unlink()
    (tmp_path / "counting-info").unlink()
    moments = range(1, calls, max(1, calls // 16))  # what comes after that, an idle server may never do
    for moment in moments:
        server = launch("--signal-at", moment, name=f"at-{moment}")
        assert server.wait() in (0, 128 + signal.SIGTERM, -signal.SIGTERM), server.stderr()
        assert "Traceback" not in server.stderr(), server.stderr()
    left = [path.name for path in tmp_path.iterdir() if path.suffix not in (".stdout", ".stderr")]
    assert left == [], f"of {calls} calls"
