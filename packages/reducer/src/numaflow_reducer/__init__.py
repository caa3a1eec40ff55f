"""Reduce UDFs for Numaflow: a function from the messages of one key and window to their results, all at once when the
window closes (``ReduceServer``) or as they are made (``ReduceStreamServer``).

>>> from numaflow_reducer import Datum, Message, ReduceServer, SyncReducer
>>> class Counter(SyncReducer):
...     def __init__(self) -> None:
...         self.count = 0
...
...     def add(self, datum: Datum) -> None:
...         self.count += 1
...
...     def finish(self) -> Message:
...         return Message(str(self.count).encode(), keys=self.keys)
>>> server = ReduceServer(Counter)  # server.start() serves it
"""

from numaflow_core.constants import DROP
from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import SystemMetadata, UserMetadata
from numaflow_core.values.windows import IntervalWindow, Metadata

from ._datatypes import (
    Datum,
    Message,
    Messages,
    ReduceAsyncHandler,
    ReduceAsyncHandlerObject,
    ReduceHandler,
    ReduceHandlerObject,
    Reducer,
    ReduceResult,
    SyncReducer,
)
from ._servers import (
    ReduceAsyncServer,
    ReduceMultiProcServer,
    ReduceServer,
    ReduceStreamAsyncServer,
    ReduceStreamMultiProcServer,
    ReduceStreamServer,
)
from ._stream import (
    Output,
    ReduceStreamAsyncHandler,
    ReduceStreamAsyncHandlerObject,
    ReduceStreamer,
    ReduceStreamHandler,
    ReduceStreamHandlerObject,
    ReduceStreamOutputHandler,
    ReduceStreamResult,
    SyncReduceStreamer,
)
from ._version import __version__

__all__ = [
    "DROP",
    "Datum",
    "GracePeriodError",
    "HandlerError",
    "IntervalWindow",
    "Message",
    "Messages",
    "Metadata",
    "Output",
    "ReduceAsyncHandler",
    "ReduceAsyncHandlerObject",
    "ReduceAsyncServer",
    "ReduceHandler",
    "ReduceHandlerObject",
    "ReduceMultiProcServer",
    "ReduceResult",
    "ReduceServer",
    "ReduceStreamAsyncHandler",
    "ReduceStreamAsyncHandlerObject",
    "ReduceStreamAsyncServer",
    "ReduceStreamHandler",
    "ReduceStreamHandlerObject",
    "ReduceStreamMultiProcServer",
    "ReduceStreamOutputHandler",
    "ReduceStreamResult",
    "ReduceStreamServer",
    "ReduceStreamer",
    "Reducer",
    "ServerError",
    "StartError",
    "SyncReduceStreamer",
    "SyncReducer",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
]
