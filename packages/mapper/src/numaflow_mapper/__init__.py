"""Map UDFs for Numaflow: a function from one message to any number of messages.

>>> from numaflow_mapper import Datum, MapServer, Message, Messages
>>> def handler(keys: list[str], datum: Datum) -> Messages:
...     return Messages(*(Message(part) for part in datum.value.split(b",")))
>>> server = MapServer(mapper_instance=handler)  # server.start() serves it
"""

from numaflow_core.constants import DROP
from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.metadata import SystemMetadata, UserMetadata
from numaflow_core.nack import NackOptions

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
from ._servers import MapAsyncServer, MapMultiProcServer, MapMultiprocServer, MapServer
from ._version import __version__

__all__ = [
    "DROP",
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
