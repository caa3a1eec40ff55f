"""Source UDFs for Numaflow: an object that reads messages from somewhere, and is told which of them are done with.

>>> from collections.abc import Iterator
>>> from datetime import datetime, timezone
>>> from numaflow_sourcer import AckRequest, Message, NackRequest, Offset, PendingResponse, ReadRequest
>>> from numaflow_sourcer import Sourcer, SourceServer
>>> class Ticks(Sourcer):
...     ticks = 0
...     def read_handler(self, datum: ReadRequest) -> Iterator[Message]:
...         for _ in range(datum.num_records):
...             self.ticks += 1
...             offset = Offset.offset_with_default_partition_id(b"%d" % self.ticks)
...             yield Message(b"tick", offset, event_time=datetime.now(timezone.utc))
...     def ack_handler(self, ack_request: AckRequest) -> None: ...
...     def nack_handler(self, nack_request: NackRequest) -> None: ...
...     def pending_handler(self) -> PendingResponse:
...         return PendingResponse(-1)
>>> server = SourceServer(Ticks())  # server.start() serves it
"""

from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import UserMetadata
from numaflow_core.values.nack import NackOptions

from ._datatypes import (
    AckRequest,
    Message,
    Nack,
    NackRequest,
    Offset,
    PartitionsResponse,
    PendingResponse,
    ReadRequest,
    get_default_partitions,
)
from ._handlers import (
    AsyncOutput,
    AsyncSource,
    Output,
    PuttingAsyncSource,
    PuttingSource,
    ReturningAsyncSource,
    Sourcer,
    SyncSource,
    YieldingAsyncSource,
    YieldingSource,
)
from ._ledger import LedgerFullError, OffsetLedger
from ._servers import SourceAsyncServer, SourceServer
from ._version import __version__

__all__ = [
    "AckRequest",
    "AsyncOutput",
    "AsyncSource",
    "GracePeriodError",
    "HandlerError",
    "LedgerFullError",
    "Message",
    "Nack",
    "NackOptions",
    "NackRequest",
    "Offset",
    "OffsetLedger",
    "Output",
    "PartitionsResponse",
    "PendingResponse",
    "PuttingAsyncSource",
    "PuttingSource",
    "ReadRequest",
    "ReturningAsyncSource",
    "ServerError",
    "SourceAsyncServer",
    "SourceServer",
    "Sourcer",
    "StartError",
    "SyncSource",
    "UserMetadata",
    "YieldingAsyncSource",
    "YieldingSource",
    "__version__",
    "get_default_partitions",
]
