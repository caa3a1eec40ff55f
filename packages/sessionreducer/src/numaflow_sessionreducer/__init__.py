"""Session reduce UDFs for Numaflow: from the messages of one key that follow each other closely to their results.

>>> from numaflow_sessionreducer import Datum, Message, SessionReduceServer, SyncSessionReducer
>>> class Counter(SyncSessionReducer):
...     def __init__(self) -> None:
...         self.count = 0
...
...     def add(self, datum: Datum) -> None:
...         self.count += 1
...
...     def finish(self) -> Message:
...         return Message(str(self.count).encode(), keys=self.keys)
...
...     def accumulator(self) -> bytes:
...         return str(self.count).encode()
...
...     def merge_accumulator(self, accumulator: bytes) -> None:
...         self.count += int(accumulator)
>>> server = SessionReduceServer(Counter)  # server.start() serves it
"""

from numaflow_core.constants import DROP
from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import SystemMetadata, UserMetadata

from ._datatypes import (
    Datum,
    Message,
    Messages,
    SessionReduceHandler,
    SessionReduceHandlerObject,
    SessionReducer,
    SessionReduceResult,
    SyncSessionReducer,
)
from ._servers import SessionReduceAsyncServer, SessionReduceMultiProcServer, SessionReduceServer
from ._version import __version__

__all__ = [
    "DROP",
    "Datum",
    "GracePeriodError",
    "HandlerError",
    "Message",
    "Messages",
    "ServerError",
    "SessionReduceAsyncServer",
    "SessionReduceHandler",
    "SessionReduceHandlerObject",
    "SessionReduceMultiProcServer",
    "SessionReduceResult",
    "SessionReduceServer",
    "SessionReducer",
    "StartError",
    "SyncSessionReducer",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
]
