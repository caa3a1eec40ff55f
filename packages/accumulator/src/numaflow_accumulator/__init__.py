"""Accumulator UDFs for Numaflow: a handler that sees an endless stream of messages, key by key, and forwards them in
another order, or others in their place.

>>> from numaflow_accumulator import AccumulatorServer, Datum, Message, SyncAccumulator
>>> class Latest(SyncAccumulator):
...     def __init__(self) -> None:
...         self.latest: Datum | None = None
...
...     def add(self, datum: Datum) -> Message | None:
...         last, self.latest = self.latest, datum
...         return None if last is None else Message.from_datum(last)
...
...     def finish(self) -> Message | None:
...         return None if self.latest is None else Message.from_datum(self.latest)
>>> server = AccumulatorServer(Latest)  # server.start() serves it
"""

from numaflow_core.constants import DROP
from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import SystemMetadata, UserMetadata
from numaflow_core.values.windows import IntervalWindow, KeyedWindow

from ._datatypes import (
    Accumulator,
    AccumulatorAsyncHandler,
    AccumulatorAsyncHandlerObject,
    AccumulatorOutputHandler,
    AccumulatorOutputHandlerObject,
    AccumulatorResult,
    Datum,
    Message,
    Output,
    SyncAccumulator,
)
from ._servers import AccumulatorAsyncServer, AccumulatorMultiProcServer, AccumulatorServer
from ._version import __version__

__all__ = [
    "DROP",
    "Accumulator",
    "AccumulatorAsyncHandler",
    "AccumulatorAsyncHandlerObject",
    "AccumulatorAsyncServer",
    "AccumulatorMultiProcServer",
    "AccumulatorOutputHandler",
    "AccumulatorOutputHandlerObject",
    "AccumulatorResult",
    "AccumulatorServer",
    "Datum",
    "GracePeriodError",
    "HandlerError",
    "IntervalWindow",
    "KeyedWindow",
    "Message",
    "Output",
    "ServerError",
    "StartError",
    "SyncAccumulator",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
]
