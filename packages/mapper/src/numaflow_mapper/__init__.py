"""Map UDFs for Numaflow: a function from one message to any number of messages, all at once (``MapServer``) or one by
one as they are made (``MapStreamServer``), or from a batch of messages to the results of each (``BatchMapServer``).

>>> from numaflow_mapper import Datum, MapServer, Message, Messages
>>> def handler(keys: list[str], datum: Datum) -> Messages:
...     return Messages(*(Message(part) for part in datum.value.split(b",")))
>>> server = MapServer(mapper_instance=handler)  # server.start() serves it
"""

from numaflow_core.constants import DROP
from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import SystemMetadata, UserMetadata
from numaflow_core.values.nack import NackOptions

from ._batch import (
    BatchMapAsyncHandler,
    BatchMapAsyncHandlerObject,
    BatchMapHandler,
    BatchMapHandlerObject,
    BatchMapper,
    BatchMapResult,
    BatchResponse,
    BatchResponses,
)
from ._datatypes import (
    Datum,
    MapAsyncHandler,
    MapAsyncHandlerObject,
    MapHandler,
    MapHandlerObject,
    Mapper,
    MapResult,
    Message,
    Messages,
)
from ._servers import (
    BatchMapAsyncServer,
    BatchMapMultiProcServer,
    BatchMapServer,
    MapAsyncServer,
    MapMultiProcServer,
    MapMultiprocServer,
    MapServer,
    MapStreamAsyncServer,
    MapStreamMultiProcServer,
    MapStreamServer,
)
from ._stream import (
    MapStreamAsyncHandler,
    MapStreamAsyncHandlerObject,
    MapStreamer,
    MapStreamHandler,
    MapStreamHandlerObject,
)
from ._version import __version__

__all__ = [
    "DROP",
    "BatchMapAsyncHandler",
    "BatchMapAsyncHandlerObject",
    "BatchMapAsyncServer",
    "BatchMapHandler",
    "BatchMapHandlerObject",
    "BatchMapMultiProcServer",
    "BatchMapResult",
    "BatchMapServer",
    "BatchMapper",
    "BatchResponse",
    "BatchResponses",
    "Datum",
    "GracePeriodError",
    "HandlerError",
    "MapAsyncHandler",
    "MapAsyncHandlerObject",
    "MapAsyncServer",
    "MapHandler",
    "MapHandlerObject",
    "MapMultiProcServer",
    "MapMultiprocServer",
    "MapResult",
    "MapServer",
    "MapStreamAsyncHandler",
    "MapStreamAsyncHandlerObject",
    "MapStreamAsyncServer",
    "MapStreamHandler",
    "MapStreamHandlerObject",
    "MapStreamMultiProcServer",
    "MapStreamServer",
    "MapStreamer",
    "Mapper",
    "Message",
    "Messages",
    "NackOptions",
    "ServerError",
    "StartError",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
]
