"""Source transform UDFs for Numaflow: a function, run in the source's own vertex, from one message to any number of
messages, that can give them other event times.

>>> from numaflow_sourcetransformer import Datum, Message, Messages, SourceTransformServer
>>> def handler(keys: list[str], datum: Datum) -> Messages:
...     return Messages(Message(datum.value, event_time=datum.event_time, keys=keys))
>>> server = SourceTransformServer(handler)  # server.start() serves it
"""

from numaflow_core.constants import DROP
from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import SystemMetadata, UserMetadata
from numaflow_core.values.nack import NackOptions

from ._datatypes import (
    Datum,
    Message,
    Messages,
    SourceTransformAsyncHandler,
    SourceTransformAsyncHandlerObject,
    SourceTransformer,
    SourceTransformHandler,
    SourceTransformHandlerObject,
    SourceTransformResult,
)
from ._servers import SourceTransformAsyncServer, SourceTransformMultiProcServer, SourceTransformServer
from ._version import __version__

__all__ = [
    "DROP",
    "Datum",
    "GracePeriodError",
    "HandlerError",
    "Message",
    "Messages",
    "NackOptions",
    "ServerError",
    "SourceTransformAsyncHandler",
    "SourceTransformAsyncHandlerObject",
    "SourceTransformAsyncServer",
    "SourceTransformHandler",
    "SourceTransformHandlerObject",
    "SourceTransformMultiProcServer",
    "SourceTransformResult",
    "SourceTransformServer",
    "SourceTransformer",
    "StartError",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
]
