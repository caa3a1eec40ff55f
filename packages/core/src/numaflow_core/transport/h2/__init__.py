"""The default transport: gRPC over HTTP/2, on the ``h2`` library.

One module for each thing: ``_state`` is what ``h2`` keeps, ``_budgets`` and ``_stream`` one RPC and what the RPCs of a
connection share, ``_incoming`` and ``_outgoing`` the frames, ``_connection`` the socket and the end.
"""

from ._transport import H2Transport

__all__ = ["H2Transport"]
