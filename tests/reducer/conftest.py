"""Reduce servers of every type, and the streams of their windows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from behaviour.fixtures import Launch, each_combination, gate, launch, server, shared_server
from behaviour.harness import PATIENCE, ServerProcess
from behaviour.kinds import REDUCE, REDUCE_STREAM
from numaflow_core.testing import RawStream, UdfClient

from .wire import APPEND, OPEN, SECOND, Reply, message, parse, window

__all__ = ["Launch", "combination", "gate", "launch", "pytest_generate_tests", "server", "shared_server"]

SERVERS: Final = Path(__file__).with_name("servers.py")
RPC: Final = REDUCE.rpc


KINDS: Final = (replace(REDUCE, script=SERVERS), replace(REDUCE_STREAM, script=SERVERS))
combination, pytest_generate_tests = each_combination(*KINDS)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[UdfClient]:
    with server.client() as client:
        yield client


class Stream:
    """One window's stream."""

    def __init__(self, client: UdfClient, in_window: bytes | None = None) -> None:
        self.window = window(60 * SECOND, 120 * SECOND) if in_window is None else in_window
        self.raw: RawStream = client.open(RPC)
        self._event = OPEN

    def send(self, *datums: tuple[Sequence[str], bytes]) -> None:
        for keys, value in datums:
            self.raw.send(message(self._event, self.window, keys, value, 60 * SECOND))
            self._event = APPEND

    def receive(self, timeout: float = PATIENCE) -> Reply:
        reply = parse(self.raw.receive(timeout))
        assert reply.window == self.window
        return reply

    def close(self, timeout: float = PATIENCE) -> list[Reply]:
        """Half-close, and expect the stream to end well, with one EOF; the replies before that."""
        self.raw.half_close()
        replies = [parse(reply) for reply in self.raw.rest(timeout)]
        outcome = self.raw.status()
        assert outcome.code == "OK", str(outcome)
        assert replies[-1:] == [Reply((), b"", (), self.window, False, True)]
        assert all(reply.has_result and not reply.eof for reply in replies[:-1])
        assert {reply.window for reply in replies} == {self.window}
        return replies[:-1]


def results(replies: Sequence[Reply]) -> list[Reply]:
    """Without what a reduce stream handler has sent back at once."""
    return [reply for reply in replies if "early" not in reply.tags]
