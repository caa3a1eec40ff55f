"""The default transport: gRPC over HTTP/2, on the ``h2`` library."""

import asyncio
from collections.abc import Mapping

from ..transport import Accept
from ._h2_protocol import H2Protocol


class H2Transport:
    """Implements ``transport.Transport``."""

    def __init__(self, max_message_size: int) -> None:
        self.max_message_size = max_message_size
        self.methods: Mapping[str, Accept] = {}
        self.connections: set[H2Protocol] = set()
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, path: str, methods: Mapping[str, Accept]) -> None:
        self.methods = methods
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: H2Protocol(self), path)

    async def close(self, patience: float) -> None:
        if self._server is not None:
            self._server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.leave()
        if connections:
            _, late = await asyncio.wait([c.closed for c in connections], timeout=patience)
            if late:
                for connection in connections:
                    connection.abort()
                await asyncio.wait(late, timeout=patience)
