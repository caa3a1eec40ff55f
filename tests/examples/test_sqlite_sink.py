"""The database sink: killed at the worst moments, it has every message that it acknowledged, and none twice."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import pytest

from numaflow_core.testing import RpcEndedError, UdfClient
from numaflow_sinker import Datum, Response
from numaflow_sinker._proto.sink_pb2 import SinkRequest
from numaflow_sinker.testing import SinkClient

from .running import Running, example, start

NAME = "sink/sqlite"
NOW = datetime(2024, 7, 1, 12, 0, tzinfo=timezone.utc)
PATIENCE = 60


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "messages.db")


def batch(name: str, size: int = 100) -> list[Datum]:
    return [Datum([name], f"{name} {number}".encode(), NOW, None, id=f"in-{name}-{number}") for number in range(size)]


def rows(database: str) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT id, value FROM message ORDER BY rowid").fetchall()


def expected(*batches: Iterable[Datum]) -> list[tuple[str, bytes]]:
    return [(datum.id, datum.value) for each in batches for datum in each]


def write(running: Running, *batches: list[Datum]) -> None:
    """Write batches, all of which are to be acknowledged."""
    with SinkClient(running.sock) as client:
        for found in client.sink_batches(batches):
            assert found == {each: Response.as_success(each) for each in found}


def wait_for_a_transaction(database: str) -> None:
    """Until somebody else is writing."""
    deadline = monotonic() + PATIENCE
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        while monotonic() < deadline:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    return
                raise
            connection.execute("ROLLBACK")
            sleep(0.01)
    raise AssertionError("nobody is writing")


def begin(client: UdfClient, datums: list[Datum]) -> None:
    """Send a batch, but not its end."""
    handshake = SinkRequest()
    handshake.handshake.sot = True
    stream = client.open("/sink.v1.Sink/SinkFn")
    stream.send(handshake.SerializeToString())
    for datum in datums:
        request = SinkRequest(request=datum._request)
        request.request.id = datum.id
        stream.send(request.SerializeToString())
    stream.receive()


def test_killed_in_the_middle_of_a_batch(tmp_path: Path, database: str) -> None:
    first, second = batch("first"), batch("second")
    running = start(NAME, tmp_path, DATABASE=database)
    try:
        write(running, first)
        with UdfClient(running.sock) as client:
            begin(client, second[:50])
            wait_for_a_transaction(database)
            running.kill()
        assert rows(database) == expected(first), "half of a batch is nothing"
        running = start(NAME, tmp_path, DATABASE=database)
        write(running, second)
        assert rows(database) == expected(first, second)
        write(running, first, second)
        assert rows(database) == expected(first, second), "a redelivery of what was acknowledged changes nothing"
        running.stop()
    finally:
        running.kill()


@pytest.mark.parametrize("answers", [1, 7])
def test_killed_at_any_moment(tmp_path: Path, database: str, answers: int) -> None:
    """The platform's part: batches one after the other, until the sink is gone."""
    batches: list[list[Datum]] = []
    acknowledged = 0
    enough = Event()

    def send() -> None:
        nonlocal acknowledged
        with SinkClient(running.sock) as client:
            try:
                while True:
                    batches.append(batch(str(acknowledged), 200))
                    client.sink(batches[-1])
                    acknowledged += 1
                    if acknowledged == answers:
                        enough.set()
            except RpcEndedError:
                enough.set()

    running = start(NAME, tmp_path, DATABASE=database)
    try:
        sender = Thread(target=send)
        sender.start()
        assert enough.wait(PATIENCE)
        running.kill()
        sender.join(PATIENCE)
        assert answers <= acknowledged == len(batches) - 1
        kept = rows(database)
        assert kept in (expected(*batches[:-1]), expected(*batches)), "a batch is written as a whole, or not"
        running = start(NAME, tmp_path, DATABASE=database)
        write(running, batches[-1])
        assert rows(database) == expected(*batches)
        running.stop()
    finally:
        running.kill()


def test_what_is_written(tmp_path: Path, database: str) -> None:
    odd = Datum(["k", "ü"], b"\x00\xff", datetime(9999, 12, 31, 23, 59, 59, 999_999, timezone.utc), None, id="1")
    with example(NAME, tmp_path, SinkClient, DATABASE=database) as client:
        client.sink([odd, Datum([], b"", datetime(1, 1, 1, tzinfo=timezone.utc), None, id="2")])
        client.sink([Datum([], b"another value", NOW, None, id="1")])
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT id, event_time, keys, value FROM message ORDER BY id").fetchall()
    assert [(name, time, json.loads(keys), value) for name, time, keys, value in found] == [
        ("1", "9999-12-31T23:59:59.999999+00:00", ["k", "ü"], b"\x00\xff"),
        ("2", "0001-01-01T00:00:00+00:00", [], b""),
    ]


def test_batch_that_cannot_be_written_is_to_be_sent_again(tmp_path: Path, database: str) -> None:
    datums = batch("first")
    with example(NAME, tmp_path, SinkClient, DATABASE=database) as client:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("ALTER TABLE message RENAME TO away")
        failed = client.sink(datums)
        assert failed == {each.id: Response.as_failure(each.id, "no such table: message") for each in datums}
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("ALTER TABLE away RENAME TO message")
        assert all(response.success for response in client.sink(datums).values())
    assert rows(database) == expected(datums)


def test_database_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unable to open database file"):
        start(NAME, tmp_path, DATABASE=str(tmp_path / "nowhere" / "messages.db"))
