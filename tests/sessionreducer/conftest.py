"""Session reduce servers of every type, and their streams."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import pytest

from behaviour.harness import PATIENCE, Gate, ServerProcess
from behaviour.kinds import Combination, KindCase, combinations
from numaflow_core.windows import IntervalWindow
from numaflow_sessionreducer import Datum
from numaflow_sessionreducer._version import __version__
from numaflow_sessionreducer.testing import (
    Operation,
    Session,
    SessionReduceClient,
    SessionResult,
    SessionStream,
)

SERVERS: Final = Path(__file__).with_name("servers.py")
KIND: Final = KindCase(
    name="sessionreduce",
    service="sessionreduce.v1.SessionReduce",
    method="SessionReduceFn",
    sdk=f"numaflow-sessionreducer {__version__}",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=lambda key, payload: b"",
    answers=lambda reply: [],
)
COMBINATIONS: Final = combinations(KIND)
Launch = Callable[..., ServerProcess]

T: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)


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
def stream(server: ServerProcess) -> Iterator[SessionStream]:
    with SessionReduceClient(str(server.sock)) as client, client.open() as stream:
        yield stream


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def span(start: float, end: float, *keys: str) -> Session:
    """A session between two seconds."""
    return Session(IntervalWindow(T + timedelta(seconds=start), T + timedelta(seconds=end)), keys or ("k",))


def op(event: str, *sessions: Session, value: bytes | None = None, at: float = 0) -> Operation:
    datum = None
    if value is not None:
        datum = Datum(sessions[0].keys, value, event_time=T + timedelta(seconds=at), watermark=T)
    return Operation(event, sessions, datum)


def values(result: SessionResult) -> list[str]:
    """What a handler tells at the end of a session."""
    assert result.message is not None
    assert result.message.keys == list(result.session.keys)
    return [value for value, _ in json.loads(result.message.value)]


def closed(stream: SessionStream, sessions: Iterable[Session], timeout: float = PATIENCE) -> dict[Session, list[str]]:
    """The values of sessions that are closing: one result each."""
    results = [each for each in stream.receive_closed(sessions, timeout) if each.message and not each.message.tags]
    found = {result.session: values(result) for result in results}
    assert len(found) == len(results)
    return found
