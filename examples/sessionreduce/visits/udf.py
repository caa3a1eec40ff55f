"""Visits to a site: what a user looks at, with pauses of less than a minute, is one visit."""

import json
from typing import Any

from numaflow_sessionreducer import Datum, Message, SessionReduceServer, SyncSessionReducer


class Visit(SyncSessionReducer):
    """The pages of a visit. Pages that come late may show that two visits have been one: then their states are merged
    into a new object's."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.pages = 0
        self.begin = self.end = 0

    def add(self, datum: Datum) -> None:
        self._extend(1, datum.event_time_ns, datum.event_time_ns)

    def finish(self) -> Message:
        seconds = (self.end - self.begin) // 1_000_000_000
        visit = {"user": ",".join(self.keys), "pages": self.pages, "seconds": seconds}
        return Message(
            json.dumps(visit).encode(), keys=self.keys, tags=["robot" if self.pages > self.most else "human"]
        )

    def accumulator(self) -> bytes:
        return json.dumps([self.pages, self.begin, self.end]).encode()

    def merge_accumulator(self, accumulator: bytes) -> None:
        self._extend(*json.loads(accumulator))

    def _extend(self, pages: int, begin: int, end: int) -> None:
        self.begin = min(self.begin, begin) if self.pages else begin
        self.end = max(self.end, end) if self.pages else end
        self.pages += pages


def make_server(**options: Any) -> SessionReduceServer:
    return SessionReduceServer(Visit, init_args=(100,), **options)


if __name__ == "__main__":
    make_server().start()
