"""Sink UDFs for Numaflow: a function that writes a batch of messages somewhere and returns the outcome of each.

>>> from collections.abc import Iterator
>>> from numaflow_sinker import Datum, Response, Responses, SinkServer
>>> def handler(datums: Iterator[Datum]) -> Responses:
...     responses = Responses()
...     for datum in datums:
...         print(datum.value)
...         responses.append(Response.as_success(datum.id))
...     return responses
>>> server = SinkServer(handler)  # server.start() serves it
"""

from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError
from numaflow_core.values.metadata import SystemMetadata, UserMetadata
from numaflow_core.values.nack import NackOptions

from ._datatypes import (
    Datum,
    Message,
    Response,
    Responses,
    SinkAsyncHandler,
    SinkAsyncHandlerObject,
    Sinker,
    SinkHandler,
    SinkHandlerObject,
    SinkResult,
    Status,
)
from ._servers import SinkAsyncServer, SinkMultiProcServer, SinkServer
from ._version import __version__

__all__ = [
    "Datum",
    "GracePeriodError",
    "HandlerError",
    "Message",
    "NackOptions",
    "Response",
    "Responses",
    "ServerError",
    "SinkAsyncHandler",
    "SinkAsyncHandlerObject",
    "SinkAsyncServer",
    "SinkHandler",
    "SinkHandlerObject",
    "SinkMultiProcServer",
    "SinkResult",
    "SinkServer",
    "Sinker",
    "StartError",
    "Status",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
]
