"""For your own tests: talk to a running side input server as the platform does. Import this module in tests only: it
imports ``grpc``."""

from numaflow_core.testing import BaseClient, Outcome, RpcEndedError
from numaflow_core.values.durations import Duration

from ._datatypes import Response
from ._proto.sideinput_pb2 import SideInputResponse
from ._servers import KIND

__all__ = ["Outcome", "RpcEndedError", "SideInputClient"]


class SideInputClient(BaseClient):
    """Asks a side input server for its value. Its methods block; beside a server in the same process that runs async
    handlers, call them on another thread."""

    _kind = KIND

    def retrieve(self, *, timeout: Duration = 30.0) -> Response:
        """What the handler returns now.

        Raises:
            RpcEndedError: the server did not answer, or its handler raised; ``outcome`` has the details.
        """
        reply = SideInputResponse.FromString(self._client.call(KIND.rpc, b"", timeout=timeout))
        return Response(reply.value, reply.no_broadcast)
