"""One query for a whole batch: looks up the names of airports by their codes."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from numaflow_mapper import BatchMapper, BatchMapServer, BatchResponse, BatchResponses, Datum, Message

AIRPORTS = {"AMS": "Amsterdam Schiphol", "BER": "Berlin Brandenburg", "LIS": "Lisbon Humberto Delgado", "OSL": "Oslo"}

QUERY = "SELECT code, name FROM airport WHERE code IN (SELECT value FROM json_each(?))"


class Lookup(BatchMapper):
    """Asks a database in memory, which stands for one that is far away: a round trip a message would be too slow."""

    def __init__(self, airports: Mapping[str, str]) -> None:
        self.lock = threading.Lock()  # batches of several streams meet here, on several threads
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.execute("CREATE TABLE airport (code TEXT PRIMARY KEY, name TEXT)")
        self.database.executemany("INSERT INTO airport VALUES (?, ?)", airports.items())

    def handler(self, datums: Iterator[Datum]) -> BatchResponses:
        batch = [(datum.id, datum.keys, datum.value.decode(errors="replace").strip().upper()) for datum in datums]
        codes = json.dumps(sorted({code for _, _, code in batch}))
        with self.lock:
            names = dict(self.database.execute(QUERY, (codes,)))
        responses = BatchResponses()
        for datum_id, keys, code in batch:
            response = BatchResponse(datum_id)  # every datum gets one; without messages, nothing is forwarded
            if code in names:
                response.append(Message(f"{code} {names[code]}".encode(), keys=keys))
            responses.append(response)
        return responses


def make_server(**options: Any) -> BatchMapServer:
    return BatchMapServer(Lookup(AIRPORTS), **options)


if __name__ == "__main__":
    make_server().start()
