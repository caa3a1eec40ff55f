"""Messages of each key in the order of their event times: each leaves when none can overtake it any more."""

import heapq
from collections.abc import Iterator
from typing import Any

from numaflow_accumulator import AccumulatorServer, Datum, Message, SyncAccumulator


class Sorter(SyncAccumulator):
    """One object per key: what has come and may still be overtaken."""

    def __init__(self) -> None:
        self.held: list[tuple[int, int, Datum]] = []
        self.arrived = 0

    def add(self, datum: Datum) -> Iterator[Message]:
        self.arrived += 1  # messages of the same time stay in the order in which they came
        heapq.heappush(self.held, (datum.event_time_ns, self.arrived, datum))
        while self.held and self.held[0][0] < datum.watermark_ns:
            yield self.next()

    def finish(self) -> Iterator[Message]:
        while self.held:
            yield self.next()

    def next(self) -> Message:
        _, _, datum = heapq.heappop(self.held)
        return Message.from_datum(datum)


def make_server(**options: Any) -> AccumulatorServer:
    return AccumulatorServer(Sorter, **options)


if __name__ == "__main__":
    make_server().start()
