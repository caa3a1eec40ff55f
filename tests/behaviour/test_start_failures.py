"""A server that cannot start says so in one line and ends; what a dead one left behind is no obstacle."""

import os
import signal
import socket
from pathlib import Path

import pytest

from .conftest import Launch, only
from .harness import Gate, ServerProcess, children, wait_until
from .kinds import WORKERS, Combination
from .talk import Talk, assert_serves


def assert_refuses(server: ServerProcess, path: Path, *words: str) -> None:
    assert server.wait() == 1
    (line,) = server.stderr().splitlines()
    assert line.startswith("numaflow: ")
    assert str(path) in line
    for word in words:
        assert word in line


def test_folder_of_the_socket_is_missing(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "udf.sock"
    assert_refuses(launch("--sock", path), path, "does not exist")


def test_path_of_the_socket_is_too_long(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    assert_refuses(launch("--sock", path), path)


def test_folder_of_the_socket_is_a_file(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "udf.sock"
    assert_refuses(launch("--sock", path), path)


def test_file_in_the_way_of_the_socket(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("not a socket")
    assert_refuses(launch("--sock", path), path, "not a socket")
    assert path.read_text() == "not a socket"


def test_folder_in_the_way_of_the_socket(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    assert_refuses(launch("--sock", path), path, "not a socket")


def test_folder_of_the_info_file_is_missing(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "info"
    server = launch("--info", path)
    assert_refuses(server, path, "does not exist")
    assert not server.sock.exists()


def test_folder_in_the_way_of_the_info_file(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    server = launch("--info", path)
    assert_refuses(server, path)
    assert not server.sock.exists()


def test_info_file_cannot_be_written(launch: Launch, tmp_path: Path) -> None:
    """The draft of the info file cannot be made: as on a disk that is full, or for a user who may not write."""
    path = tmp_path / "info"
    Path(f"{path}.new").mkdir()
    server = launch("--info", path)
    assert_refuses(server, path)
    assert not server.sock.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_of_the_info_file_is_not_ours(launch: Launch, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    assert_refuses(launch("--info", folder / "info"), folder / "info", "Permission denied")


def test_live_server_is_not_robbed_of_its_socket(launch: Launch, server: ServerProcess) -> None:
    info = server.info.read_text()
    thief = launch("--sock", server.sock, "--info", server.info, name="thief")
    assert_refuses(thief, server.sock, "another server is listening")
    assert server.info.read_text() == info
    assert_serves(server)


def test_busy_server_is_not_robbed_either(
    launch: Launch, combination: Combination, server: ServerProcess, gate: Gate
) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), gate.stall()) for number in range(combination.stalls)]
        talk.spread(sent)
        gate.wait_entered(combination.stalls)
        thief = launch("--sock", server.sock, "--info", server.info, name="thief")
        assert_refuses(thief, server.sock, "another server is listening")
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)


def test_startup_hook_raises(launch: Launch, combination: Combination) -> None:
    server = launch("--hooks", "raising")
    assert server.wait() == 1
    assert "LookupError('no such model')" in server.stderr().splitlines()[-1]
    assert server.stderr().count("numaflow: ") == 1
    assert "the server ends" not in server.stderr()
    assert "exited with status" not in server.stderr()
    processes = WORKERS if combination.type == "multiproc" else 1  # the hook runs in each
    assert 1 <= server.stderr().count("Traceback (most recent call last)") <= processes
    assert not server.sock.exists()
    assert not server.info.exists()


def test_signal_while_starting_ends_at_once(launch: Launch, gate: Gate) -> None:
    server = launch("--hooks", "gated", "--gate", gate.path)
    gate.wait_entered(1)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM
    assert not server.sock.exists()
    assert not server.info.exists()


def test_stale_socket_and_info_file_are_replaced(launch: Launch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "server.sock"))
        dead.listen()
    stale = tmp_path / "server-info"
    stale.write_text('{"protocol": "tcp"}U+005C__END__')
    server = launch()

    def is_replaced() -> bool:
        try:
            return '"uds"' in stale.read_text()
        except FileNotFoundError:  # the stale one is removed first
            return False

    wait_until(is_replaced, "a new server-info file")
    assert_serves(server)


def test_next_server_starts_after_one_was_killed(launch: Launch, combination: Combination) -> None:
    first = launch().wait_listening()
    first.kill()
    assert first.sock.exists()
    assert first.info.exists()
    first.info.unlink()
    assert_serves(launch().wait_listening())


def test_socket_may_be_used_by_other_users(server: ServerProcess) -> None:
    assert server.sock.stat().st_mode & 0o777 == 0o777


def test_files_of_a_successor_are_left_alone(launch: Launch, tmp_path: Path) -> None:
    """A server that ends removes what it made, and nothing that has taken its place."""
    server = launch().wait_listening()
    server.sock.unlink()
    server.info.unlink()
    successor = launch().wait_listening()
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert_serves(successor)


only_map = only(lambda each: each.kind.name == "map")


@only_map
def test_stop_during_the_startup_hook(launch: Launch, combination: Combination, gate: Gate) -> None:
    if combination.type == "multiproc":
        pytest.skip("the hook runs in the workers, where nobody can call stop()")
    server = launch("--hooks", "stopping", "--gate", gate.path)
    assert server.wait() == 0, server.stderr()
    assert server.stdout() == "stopped\non_shutdown\nstart returned\n"
    assert not server.sock.exists()
    assert not server.info.exists()


@only(lambda each: each.kind.name == "map" and each.type == "multiproc")
@pytest.mark.parametrize("what", ["fork", "socketpair"])
def test_workers_that_cannot_be_started(launch: Launch, what: str) -> None:
    """One of several fails: the others, and their pipes, are let go of."""
    server = launch("--workers", 4, "--no-more", what, "--afterwards")
    server.wait_said("start ended: numaflow: cannot start worker")
    assert "Resource temporarily unavailable" in server.stdout()
    assert "descriptors: +0" in server.stdout()
    assert children(server.pid) == []
    assert not server.sock.exists()
    assert not server.info.exists()


@only(lambda each: each.kind.name == "map" and each.type == "sync")
def test_handler_that_outlives_its_stream_and_the_server(launch: Launch, gate: Gate) -> None:
    """Its stream is gone when it ends, and so is the server, but not the process: nothing has failed."""
    server = launch("--afterwards").wait_listening()
    with server.client() as client:
        talk = Talk(client, server.combination.kind)
        talk.send([("late", gate.block())])
        gate.wait_entered(1)
    server.send_signal(signal.SIGTERM)
    server.wait_said("start returned")
    gate.open()
    wait_until(lambda: len(gate.marks()) == 2, "the end of the handler")
    server.send_signal(signal.SIGTERM)
    assert server.wait() == -signal.SIGTERM
    assert server.stderr() == ""
