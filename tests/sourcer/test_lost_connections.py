"""What was delivered and not acknowledged comes again when its connection is gone: no ``ack_timeout`` is needed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from behaviour.fixtures import Launch, each_combination, launch
from behaviour.harness import PATIENCE, ServerProcess
from behaviour.kinds import SOURCE
from behaviour.processes import TESTS
from numaflow_core.testing import RawStream
from numaflow_sourcer.testing import RpcEndedError, SourceClient

from .requests import open_reads, read_request, received

__all__ = ["combination", "launch", "pytest_generate_tests"]

combination, pytest_generate_tests = each_combination(replace(SOURCE, script=Path(__file__).with_name("sources.py")))

LONG = 60_000
"""Milliseconds for reads that end because they have all they ask for."""


def start(launch: Launch, *arguments: str) -> ServerProcess:
    return launch("--source", "ledger", *arguments).wait_listening()


def client_of(server: ServerProcess) -> SourceClient:
    return SourceClient(str(server.sock))


def numbers(client: SourceClient, count: int) -> list[int]:
    return [int(message.payload) for message in client.read(count, LONG)]


@contextmanager
def killed_client(server: ServerProcess, count: int, acked: int) -> Iterator[None]:
    """A client that has read and acknowledged so many messages, and is killed when the block begins."""
    command = [sys.executable, "-m", "sourcer.killed_client", str(server.sock), str(count), str(acked)]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
        finally:
            process.send_signal(signal.SIGKILL)
    yield


def test_after_kill_the_next_client_gets_what_was_not_acknowledged(launch: Launch) -> None:
    server = start(launch)
    with killed_client(server, 100, 40), client_of(server) as client:
        assert client.is_ready()
        assert numbers(client, 80) == list(range(41, 121))
        server.wait_said("60 again: the connection was lost before the message was acknowledged")
        assert numbers(client, 2) == [121, 122]


def test_after_kill_in_a_read_nothing_is_missing(launch: Launch) -> None:
    server = start(launch)
    with killed_client(server, 1000, -1), client_of(server) as client:
        found: set[int] = set()
        while len(found) < max(found, default=1000):
            found.update(numbers(client, 5000))
        assert found == set(range(1, len(found) + 1))


def test_each_of_several_kills(launch: Launch) -> None:
    server = start(launch)
    with killed_client(server, 10, 0), killed_client(server, 20, 5), client_of(server) as client:
        assert client.is_ready()
        assert numbers(client, 16) == list(range(6, 22))


def test_answers_count_while_the_read_stream_is_away(launch: Launch) -> None:
    """A platform that has only lost its stream acknowledges what it holds."""
    server = start(launch)
    with client_of(server) as client, client_of(server) as holder:
        offsets = [message.offset for message in holder.read(5, LONG)]
        holder.ack(offsets[:1])
        assert holder._reads is not None
        holder._reads.half_close()
        assert holder._reads.status().code == "OK"
        holder.ack(offsets[1:3])
        holder.nack(offsets[3:4])
        assert numbers(client, 3) == [4, 5, 6]
        holder.ack(offsets[3:])
        assert numbers(client, 1) == [7]


def test_another_stream_beside_takes_nothing_away(launch: Launch) -> None:
    server = start(launch)
    with client_of(server) as client, client_of(server) as other:
        assert numbers(client, 3) == [1, 2, 3]
        assert numbers(other, 3) == [4, 5, 6]
        assert numbers(client, 1) == [7]
        other.close()
        later = until(client, 4)
        assert later == [*range(8, 8 + len(later) - 1), 4]
        assert numbers(client, 2) == [5, 6]


def until(client: SourceClient, wanted: int) -> list[int]:
    """Numbers read one by one, up to one that is to come soon: a server may take a moment to see who has gone."""
    found = numbers(client, 1)
    end = monotonic() + PATIENCE
    while found[-1] != wanted:
        assert monotonic() < end, found[-10:]
        found += numbers(client, 1)
    return found


def stream_of(client: SourceClient) -> RawStream:
    stream = open_reads(client)
    stream.send(read_request(3, LONG))
    assert [received(stream) for _ in range(4)] == [b"1", b"2", b"3", None]
    return stream


def test_error_of_the_nack_handler_ends_the_server(launch: Launch) -> None:
    server = start(launch, "--fail", "nack")
    with client_of(server) as client:
        stream_of(client).cancel()
        with pytest.raises(RpcEndedError, match=r"nack_handler \(sources\.py:\d+\) raised ValueError: no nack"):
            for _ in range(1000):
                client.read(1, LONG)
        assert server.wait() == 1
