"""A serving store in a sqlite3 database: results are rows, and several puts for one id add up."""

import os
import sqlite3
import threading
from typing import Any

from numaflow_servingstore import Payload, ServingStore, ServingStoreServer

SCHEMA = "CREATE TABLE IF NOT EXISTS results (number INTEGER PRIMARY KEY, id TEXT, origin TEXT, value BLOB)"
INDEX = "CREATE INDEX IF NOT EXISTS results_by_id ON results (id)"


class SqliteStore(ServingStore):
    """Each thread has a connection of its own; sqlite3 has them wait for each other, up to ``timeout`` seconds."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.local = threading.local()
        with self.connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(SCHEMA)
            connection.execute(INDEX)

    def connection(self) -> sqlite3.Connection:
        if not hasattr(self.local, "connection"):
            self.local.connection = sqlite3.connect(self.path, timeout=30.0)
        connection: sqlite3.Connection = self.local.connection
        return connection

    def put(self, id: str, payloads: list[Payload]) -> None:
        rows = [(id, payload.origin, payload.value) for payload in payloads]
        with self.connection() as connection:  # a transaction: all of the rows, or an exception and none
            connection.executemany("INSERT INTO results (id, origin, value) VALUES (?, ?, ?)", rows)

    def get(self, id: str) -> list[Payload]:
        found = self.connection().execute("SELECT origin, value FROM results WHERE id = ? ORDER BY number", (id,))
        return [Payload(origin, value) for origin, value in found]


def make_server(**options: Any) -> ServingStoreServer:
    return ServingStoreServer(SqliteStore(os.environ["STORE_FILE"]), **options)


if __name__ == "__main__":
    make_server().start()
