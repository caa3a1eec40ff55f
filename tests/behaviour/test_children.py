"""Processes that handlers start are the user's: they get no signal handler, no file descriptor and no file of ours."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from .conftest import Launch, only
from .harness import Gate, ServerProcess, is_alive, wait_until
from .talk import assert_serves
from .test_the_end import ask_and_close

only_map = only(lambda each: each.kind.name == "map")


def forking(launch: Launch, *options: str | int | Path) -> ServerProcess:
    """A server whose handlers fork, in an interpreter of its own: one that has imported grpc before the server begins
    has grpc's own handlers of forks, with which children crash."""
    return launch(*options, anew=True).wait_listening()


def child_of(gate: Gate) -> int:
    gate.wait_entered(1)
    (pid,) = gate.workers()
    return pid


def holds_socket(pid: int, path: Path) -> bool:
    """Whether a process has a socket of the server that listens at ``path``: the one that listens, or a connection."""
    ours = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines() if str(path) in line}
    held = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            held.append(os.readlink(link))
    return any(f"socket:[{inode}]" in held for inode in ours)


@only_map
def test_process_can_be_terminated(launch: Launch) -> None:
    server = forking(launch)
    assert ask_and_close(server, b"!terminate") == b"%d" % -signal.SIGTERM
    assert_serves(server)


@only_map
def test_pool_ends(launch: Launch) -> None:
    server = forking(launch)
    assert ask_and_close(server, b"!pool") == b"[1, 2]"
    assert_serves(server)


@only_map
def test_signal_to_a_child_is_the_childs(launch: Launch, gate: Gate) -> None:
    server = forking(launch)
    ask_and_close(server, b"!fork-noting %s" % str(gate.path).encode())
    child = child_of(gate)
    os.kill(child, signal.SIGTERM)
    wait_until(lambda: not is_alive(child), "the end of the child")
    assert server.sock.exists()
    assert server.info.exists()
    assert_serves(server)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Traceback" not in server.stderr()


@only_map
def test_child_that_lives_on_holds_nothing(launch: Launch, gate: Gate) -> None:
    """Neither the server's end nor that of its connections waits for it."""
    server = forking(launch)
    ask_and_close(server, b"!fork-noting %s" % str(gate.path).encode())
    child = child_of(gate)
    assert holds_socket(server.pid, server.sock)
    assert not holds_socket(child, server.sock)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert is_alive(child)


@only_map
def test_daemonic_child_ends_with_the_server(launch: Launch, gate: Gate) -> None:
    server = forking(launch, "--grace", 60)
    ask_and_close(server, b"!daemon %s" % str(gate.path).encode())
    child = child_of(gate)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    wait_until(lambda: not is_alive(child), "the end of the child")


@only_map
def test_child_of_a_startup_hook(launch: Launch, gate: Gate) -> None:
    server = forking(launch, "--hooks", "forking", "--gate", gate.path)
    child = next(iter(gate.workers()))
    os.kill(child, signal.SIGTERM)
    wait_until(lambda: not is_alive(child), "the end of the child")
    assert_serves(server)
