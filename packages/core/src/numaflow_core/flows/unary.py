"""A unary RPC: one message, which is a call as soon as it is known to be the only one. No handshake."""

from collections.abc import Iterable

from ..kind import Calls, Event, Flow
from ..wire.buffers import Buffer
from ..wire.status import ProtocolError, StatusCode


class UnaryFlow(Flow):
    """One message, one call."""

    endless = True  # it ends with its reply; a good end without one is a breach of gRPC

    def __init__(self, method: str) -> None:
        self._method = method
        self._message: Buffer | None = None

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        if self._message is not None or len(messages) > 1:
            raise self._violation("more than one came")
        (self._message,) = messages
        return ()

    def half_closed(self) -> Iterable[Event]:
        if self._message is None:
            raise self._violation("none came")
        return (Calls([self._message]),)

    def _violation(self, what: str) -> ProtocolError:
        """The code is the one that gRPC prescribes (``doc/statuscodes.md`` of grpc: request cardinality)."""
        return ProtocolError(f"{self._method}: expected one message, {what}", StatusCode.UNIMPLEMENTED)
