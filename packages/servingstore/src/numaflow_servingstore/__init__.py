"""Serving stores for Numaflow: where the results of a serving pipeline are kept until they are asked for.

>>> from collections.abc import Iterable
>>> from numaflow_servingstore import Payload, ServingStore, ServingStoreServer
>>> class Store(ServingStore):
...     def put(self, id: str, payloads: list[Payload]) -> None:
...         ...  # add them to those that the id has
...     def get(self, id: str) -> Iterable[Payload]:
...         return []
>>> server = ServingStoreServer(Store())  # server.start() serves it
"""

from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError

from ._datatypes import Payload, ServingStore, ServingStoreAsyncObject, ServingStoreObject
from ._servers import ServingStoreAsyncServer, ServingStoreMultiProcServer, ServingStoreServer
from ._version import __version__

__all__ = [
    "GracePeriodError",
    "HandlerError",
    "Payload",
    "ServerError",
    "ServingStore",
    "ServingStoreAsyncObject",
    "ServingStoreAsyncServer",
    "ServingStoreMultiProcServer",
    "ServingStoreObject",
    "ServingStoreServer",
    "StartError",
    "__version__",
]
