"""A database that has every message exactly once, whatever is killed when: a transaction for each batch, and the
platform's ids as primary keys."""

import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from numaflow_sinker import Datum, Response, Responses, Sinker, SinkServer

CREATE = """
    CREATE TABLE IF NOT EXISTS message (
        id TEXT PRIMARY KEY, event_time TEXT NOT NULL, keys TEXT NOT NULL, value BLOB NOT NULL
    )
"""
INSERT = "INSERT INTO message VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"

logger = logging.getLogger(__name__)


class Database(Sinker):
    """Batches of several streams write side by side, as far as SQLite has them: it lets in one writer at a time."""

    def __init__(self, path: str) -> None:
        self.path = path

    def connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=20)
        database.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        return database

    def create(self) -> None:
        with closing(self.connect()) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(CREATE)

    def handler(self, datums: Iterator[Datum]) -> Responses:
        ids = []

        def rows() -> Iterator[tuple[str, str, str, bytes]]:
            for datum in datums:
                ids.append(datum.id)
                yield datum.id, datum.event_time.isoformat(), json.dumps(datum.keys), datum.value

        try:
            # What is inserted while the batch arrives is there for good at the end of the block, or not at all.
            with closing(self.connect()) as database, database:
                database.executemany(INSERT, rows())
        except sqlite3.OperationalError as error:  # locked, full, unreadable: it may work later
            logger.warning("batch not written: %s", error)
            ids += [datum.id for datum in datums]
            return Responses(*(Response.as_failure(each, str(error)) for each in ids))
        return Responses(*map(Response.as_success, ids))


def make_server(**options: Any) -> SinkServer:
    database = Database(os.environ.get("DATABASE", "/data/messages.db"))
    return SinkServer(database, **{"on_startup": database.create, **options})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    make_server().start()
