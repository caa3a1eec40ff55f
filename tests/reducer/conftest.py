"""Reduce servers of every type, and the streams of their windows."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from behaviour.harness import PATIENCE, Gate, ServerProcess
from behaviour.kinds import Combination, KindCase, combinations
from numaflow_core.testing import RawStream, UdfClient
from numaflow_reducer._version import __version__

from .wire import APPEND, OPEN, SECOND, Reply, message, parse, window

SERVERS: Final = Path(__file__).with_name("servers.py")
RPC: Final = "/reduce.v1.Reduce/ReduceFn"


def _kind(name: str) -> KindCase:
    return KindCase(
        name=name,
        service="reduce.v1.Reduce",
        method="ReduceFn",
        sdk=f"numaflow-reducer {__version__}",
        opening=(),
        is_opening_reply=lambda reply: False,
        request=lambda key, payload: message(OPEN, window(0, SECOND), [key], payload),
        answers=lambda reply: [],
    )


KINDS: Final = (_kind("reduce"), _kind("reducestream"))
COMBINATIONS: Final = combinations(*KINDS)
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
