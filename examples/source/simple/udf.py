"""A source of numbers, as they come: what is acknowledged is forgotten, what is refused comes again."""

from collections.abc import AsyncIterator
from datetime import datetime, timezone
from itertools import count
from typing import Any

from numaflow_sourcer import (
    AckRequest,
    Message,
    NackRequest,
    Offset,
    OffsetLedger,
    PendingResponse,
    ReadRequest,
    SourceAsyncServer,
    Sourcer,
)


class Numbers(Sourcer):
    """All handlers run on one event loop, so that they may share what they like."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.ledger = OffsetLedger[int](max_in_flight=10_000, max_deliveries=5)

    async def read_handler(self, datum: ReadRequest) -> AsyncIterator[Message]:
        """Nothing here looks at the clock, nor counts: the server ends the read when it has enough, or in time."""
        while True:
            for message in self.ledger.due(datum.num_records):
                yield message
            if not self.ledger.room:
                return
            number = next(self.numbers)
            offset = Offset.offset_with_default_partition_id(b"%d" % number)
            message = Message(b"%d" % number, offset, event_time=datetime.now(timezone.utc))
            self.ledger.delivered(message, number)
            yield message

    async def ack_handler(self, ack_request: AckRequest) -> None:
        self.ledger.ack(ack_request.offsets)

    async def nack_handler(self, nack_request: NackRequest) -> None:
        for message in self.ledger.nack(nack_request.nacks):
            print("given up after five deliveries:", message)

    async def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)  # there is no end to numbers


def make_server(**options: Any) -> SourceAsyncServer:
    return SourceAsyncServer(Numbers(), **options)


if __name__ == "__main__":
    make_server().start()
