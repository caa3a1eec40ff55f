"""Accumulator servers of every type, and their streams."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from behaviour.fixtures import Launch, each_combination, gate, launch, server, shared_server
from behaviour.harness import PATIENCE, ServerProcess
from behaviour.kinds import ACCUMULATOR, KindCase
from numaflow_core.testing import RawStream, UdfClient

from .wire import APPEND, CLOSE, MAX_UTC, OPEN, SECOND, Reply, keyed_window, parse, payload, request

__all__ = ["Launch", "combination", "gate", "launch", "pytest_generate_tests", "server", "shared_server"]

SERVERS: Final = Path(__file__).with_name("servers.py")
RPC: Final = ACCUMULATOR.rpc
TIMEOUT: Final = 30 * SECOND


def kind(handler: str) -> KindCase:
    """With one of the handlers in ``handlers.py``."""
    return replace(ACCUMULATOR, name=handler, script=SERVERS)


combination, pytest_generate_tests = each_combination(kind("echo"))


@pytest.fixture
def client(server: ServerProcess) -> Iterator[UdfClient]:
    with server.client() as client:
        yield client


class Stream:
    """The stream, as the platform has it: it knows which keys are open. Times are in seconds."""

    def __init__(self, client: UdfClient) -> None:
        self.raw: RawStream = client.open(RPC)
        self._open: dict[tuple[str, ...], tuple[float, float]] = {}  # the first and the latest event time
        self._sent = 0

    def send(self, keys: Sequence[str], value: bytes, time: float = 1, watermark: float | None = None) -> str:
        """Send a datum; return its id."""
        known = self._open.get(tuple(keys))
        first, latest = known or (time, time)
        self._open[tuple(keys)] = first, max(latest, time)
        name = f"in-{self._sent}-0"
        self._sent += 1
        body = payload(keys, value, ns(time), ns(time if watermark is None else watermark), name)
        self.raw.send(request(OPEN if known is None else APPEND, keyed_window(ns(first), MAX_UTC, keys), body))
        return name

    def close(self, keys: Sequence[str]) -> bytes:
        """Close a key; return the window."""
        first, latest = self._open.pop(tuple(keys))
        window = keyed_window(ns(first), ns(latest) + TIMEOUT, keys)
        self.raw.send(request(CLOSE, window))
        return window

    def receive(self, timeout: float = PATIENCE) -> Reply:
        return checked(parse(self.raw.receive(timeout)))

    def take(self, count: int) -> list[Reply]:
        return [self.receive() for _ in range(count)]

    def until_eof(self, keys: Sequence[str]) -> list[Reply]:
        """Replies up to the EOF of a key, which comes last."""
        replies = [self.receive()]
        while not (replies[-1].eof and replies[-1].window_keys == tuple(keys)):
            replies.append(self.receive())
        return replies

    def finish(self, timeout: float = PATIENCE) -> list[Reply]:
        """Half-close, and expect the stream to end well; what still came."""
        self.raw.half_close()
        replies = [checked(parse(reply)) for reply in self.raw.rest(timeout)]
        outcome = self.raw.status()
        assert outcome.code == "OK", str(outcome)
        return replies


def ns(seconds: float) -> int:
    return round(seconds * SECOND)


def checked(reply: Reply) -> Reply:
    """What holds for every response."""
    if reply.eof:
        assert not reply.has_payload
    else:
        assert reply.event_time is not None
        assert reply.watermark is not None
        assert reply.id
        assert reply.window == keyed_window(0, reply.end, reply.window_keys)
        assert reply.end <= reply.event_time
    return reply


def closed(server: ServerProcess) -> int:
    """How many handlers were told that their key has closed."""
    path = Path(f"{server.sock}.closed.log")
    return path.read_text().count("closed") if path.exists() else 0
