"""For your own tests: talk to a running serving store server as the platform does. Import this module in tests only:
it imports ``grpc``."""

from collections.abc import Iterable

from numaflow_core.testing import BaseClient, Outcome, RpcEndedError
from numaflow_core.values.durations import Duration

from ._datatypes import Payload
from ._proto.serving_pb2 import GetRequest, GetResponse, PutRequest
from ._proto.serving_pb2 import Payload as WirePayload
from ._servers import KIND

__all__ = ["Outcome", "RpcEndedError", "ServingStoreClient"]


class ServingStoreClient(BaseClient):
    """Puts results into a serving store and gets them. Its methods block; beside a server in the same process that runs
    async handlers, call them on another thread."""

    _kind = KIND

    def put(self, id: str, payloads: Iterable[Payload], *, timeout: Duration = 30.0) -> None:
        """Put results of the request ``id``.

        Raises:
            RpcEndedError: the server did not answer, or its handler raised; ``outcome`` has the details.
        """
        wire = [WirePayload(origin=payload.origin, value=payload.value) for payload in payloads]
        self._client.call(KIND.rpc, PutRequest(id=id, payloads=wire).SerializeToString(), timeout=timeout)

    def get(self, id: str, *, timeout: Duration = 30.0) -> list[Payload]:
        """The results of the request ``id``. Raises: as ``put``."""
        reply = self._client.call(KIND.path("Get"), GetRequest(id=id).SerializeToString(), timeout=timeout)
        return [Payload(each.origin, each.value) for each in GetResponse.FromString(reply).payloads]
