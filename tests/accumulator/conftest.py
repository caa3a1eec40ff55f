"""Accumulator servers of every type, and their streams."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from behaviour.harness import PATIENCE, Gate, ServerProcess
from behaviour.kinds import Combination, KindCase, combinations
from numaflow_accumulator._version import __version__
from numaflow_core.testing import RawStream, UdfClient

from .wire import APPEND, CLOSE, MAX_UTC, OPEN, SECOND, Reply, keyed_window, parse, payload, request

SERVERS: Final = Path(__file__).with_name("servers.py")
RPC: Final = "/accumulator.v1.Accumulator/AccumulateFn"
TIMEOUT: Final = 30 * SECOND


def kind(handler: str) -> KindCase:
    return KindCase(
        name=handler,
        service="accumulator.v1.Accumulator",
        method="AccumulateFn",
        sdk=f"numaflow-accumulator {__version__}",
        minimum_numaflow_version="1.5.0-z",
        opening=(),
        is_opening_reply=lambda reply: False,
        request=lambda key, value: request(
            OPEN, keyed_window(SECOND, MAX_UTC, [key]), payload([key], value, SECOND, SECOND, key)
        ),
        answers=lambda reply: [],
    )


COMBINATIONS: Final = combinations(kind("echo"))
Launch = Callable[..., ServerProcess]


def launcher(combination: Combination, folder: Path) -> tuple[Launch, list[ServerProcess]]:
    servers: list[ServerProcess] = []

    def launch(*options: str | Path | int | float) -> ServerProcess:
        server = ServerProcess(
            combination,
            folder,
            *options,
            command=(sys.executable, SERVERS),
            name=f"server{len(servers)}",
            env={"PYTHONPATH": str(SERVERS.parents[1])},
        )
        servers.append(server)
        return server.wait_listening()

    return launch, servers


@pytest.fixture(params=COMBINATIONS, ids=lambda combination: combination.id, scope="module")
def combination(request: pytest.FixtureRequest) -> Combination:
    chosen: Combination = request.param
    return chosen


@pytest.fixture
def launch(combination: Combination, tmp_path: Path) -> Iterator[Launch]:
    """Starts servers of the test's own."""
    launch, servers = launcher(combination, tmp_path)
    yield launch
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def shared(combination: Combination, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    launch, _ = launcher(combination, tmp_path_factory.mktemp("shared"))
    server = launch()
    yield server
    server.kill()


@pytest.fixture
def server(shared: ServerProcess) -> Iterator[ServerProcess]:
    """A running server that tests share: it must live on after each."""
    yield shared
    assert shared.is_alive(), shared.stderr()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[UdfClient]:
    with server.client() as client:
        yield client


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


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
