"""Session reduce servers of every type, and their streams."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import pytest

from behaviour.fixtures import Launch, each_combination, gate, launch, server, shared_server
from behaviour.harness import PATIENCE, ServerProcess
from behaviour.kinds import SESSION_REDUCE
from numaflow_core.values.windows import IntervalWindow
from numaflow_sessionreducer import Datum
from numaflow_sessionreducer.testing import (
    Operation,
    Session,
    SessionReduceClient,
    SessionResult,
    SessionStream,
)

__all__ = ["Launch", "combination", "gate", "launch", "pytest_generate_tests", "server", "shared_server"]

SERVERS: Final = Path(__file__).with_name("servers.py")
KIND: Final = replace(SESSION_REDUCE, script=SERVERS)
combination, pytest_generate_tests = each_combination(KIND)

T: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def stream(server: ServerProcess) -> Iterator[SessionStream]:
    with SessionReduceClient(str(server.sock)) as client, client.open() as stream:
        yield stream


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
