"""The server's side of the socket: connections, from the first to the last."""

import asyncio
from collections.abc import Mapping

from ...transport import Accept
from ._connection import H2Protocol


class H2Transport:
    """Implements ``transport.Transport``."""

    def __init__(self, max_message_size: int) -> None:
        self._max_message_size = max_message_size
        self._connections: set[H2Protocol] = set()
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, path: str, methods: Mapping[str, Accept]) -> None:
        def connect() -> H2Protocol:
            return H2Protocol(methods, self._max_message_size, self._connections)

        self._server = await asyncio.get_running_loop().create_unix_server(connect, path)

    def connected(self) -> int:
        return len(self._connections)

    async def close(self, patience: float) -> None:
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.leave()
        if connections:
            _, late = await asyncio.wait([c.closed for c in connections], timeout=patience)
            if late:
                for connection in connections:
                    connection.abort()
                await asyncio.wait(late, timeout=patience)
