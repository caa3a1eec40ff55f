"""Clients for tests, on grpcio: an implementation of HTTP/2 and gRPC that shares nothing with the server's.

``UdfClient`` moves undecoded messages. The other names are for a kind's own ``testing`` module, whose client speaks the
kind's messages. Import this module in tests only: it imports ``grpc``.
"""

from ._kinds import BaseClient, KindClient, OpenIds, check_eot, read_result
from ._udf import Outcome, RawStream, RpcEndedError, UdfClient

__all__ = [
    "BaseClient",
    "KindClient",
    "OpenIds",
    "Outcome",
    "RawStream",
    "RpcEndedError",
    "UdfClient",
    "check_eot",
    "read_result",
]
