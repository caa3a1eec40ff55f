"""A source that follows a file, a message for each line, and loses none: not when it is killed, either."""

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from numaflow_sourcer import (
    AckRequest,
    Message,
    NackRequest,
    Offset,
    OffsetLedger,
    PendingResponse,
    ReadRequest,
    Sourcer,
    SourceServer,
)

LINE_SIZE = 80
"""Bytes of a line, for the guess how many of them are left."""


class FileTail(Sourcer):
    """Reads ``path`` from where ``state`` says, and keeps ``state`` at the byte before which all is acknowledged.

    The offset of a message is the byte at which its line begins. A last line without its end is not read yet. The file
    is only ever appended to.
    """

    def __init__(self, path: Path, state: Path) -> None:
        self.file = path.open("rb", buffering=1 << 16)
        self.state = state
        self.begin = int(state.read_text()) if state.exists() else 0
        self.file.seek(self.begin)
        self.position = self.begin
        self.ledger = OffsetLedger[int](max_in_flight=50_000)

    def read_handler(self, datum: ReadRequest) -> Iterator[Message]:
        end = monotonic() + datum.timeout_in_ms / 1000
        read = 0
        while read < datum.num_records:
            again = self.ledger.due(datum.num_records - read)
            yield from again
            read += len(again)
            message = self.next_line() if self.ledger.room else None
            if message is not None:
                self.ledger.delivered(message, self.position)
                yield message
                read += 1
            elif read or monotonic() > end:
                return
            else:
                sleep(0.02)

    def next_line(self) -> Message | None:
        line = self.file.readline()
        if not line.endswith(b"\n"):
            self.file.seek(self.position)
            return None
        offset = Offset.offset_with_default_partition_id(b"%d" % self.position)
        self.position += len(line)
        return Message(line[:-1], offset, event_time=datetime.now(timezone.utc))

    def ack_handler(self, ack_request: AckRequest) -> None:
        self.ledger.ack(ack_request.offsets)
        for position in self.ledger.resume_points().values():
            if position != self.begin:
                self.keep(position)

    def keep(self, position: int) -> None:
        """Write the state beside, then put it in place: it is one or the other, whenever the process ends."""
        draft = self.state.with_suffix(".new")
        with draft.open("w") as file:
            file.write(str(position))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.state)
        self.begin = position

    def nack_handler(self, nack_request: NackRequest) -> None:
        # Lines that the pipeline has refused, or that were on a connection of the platform's that is lost. Nothing is
        # given up: there is no limit to deliveries.
        self.ledger.nack(nack_request.nacks)

    def pending_handler(self) -> PendingResponse:
        left = os.fstat(self.file.fileno()).st_size - self.position
        return PendingResponse(-(-left // LINE_SIZE))


def make_server(**options: Any) -> SourceServer:
    path, state = (Path(os.environ[name]) for name in ("TAIL_FILE", "TAIL_STATE"))
    return SourceServer(FileTail(path, state), **options)


if __name__ == "__main__":
    make_server().start()
