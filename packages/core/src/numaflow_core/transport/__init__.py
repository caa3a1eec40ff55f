"""What a transport is: streams of batches of bytes, and how they end. No kind, no handler, no protobuf.

A transport runs on the event loop of a thread of its own; every method here is called on that thread. ``Stream`` is
one RPC as the server sees it, ``Receiver`` the same RPC as the transport sees it, much like asyncio's transports and
protocols.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ..wire.buffers import Buffer, Outgoing
from ..wire.status import ProtocolError, Status

STREAM_WINDOW = 12 * 1024 * 1024
"""Bytes of a stream's messages that a server holds unanswered; beyond it the peer has to wait. Decoded messages of a
few KiB take twice that in protobuf before 6.31, and all of it has to fit into 32 MB."""

INITIAL_WINDOW = 1 << 20
"""A stream's receive window before its first message was answered: what a flood of streams can make us hold each."""

MESSAGE_COST = 64
"""Bytes that a message takes besides its payload, as far as windows are concerned: what Python needs to hold one.
Without it, empty messages would be held without limit."""

OUTPUT_LIMIT = 4 * 1024 * 1024
"""Bytes of replies that a stream holds for a peer that does not read, before the stream stops taking messages."""


class Stream(Protocol):
    """One RPC: what the server may do with it."""

    def send(self, messages: Sequence[Outgoing], count: int = 0, size: int = 0) -> None:
        """Queue messages for the peer, in order, in one write where possible; and ``release(count, size)``."""

    def finish(self, status: Status) -> None:
        """End the RPC after everything queued. Only the first call counts."""

    def fail(self, error: ProtocolError) -> None:
        """End the RPC because of what the peer did: log it, and finish with the error's status."""

    def release(self, count: int, size: int) -> None:
        """``count`` of the messages that came, ``size`` bytes in all, are done with: the peer may send as much more."""

    @property
    def congested(self) -> bool:
        """Whether more than ``OUTPUT_LIMIT`` waits for the peer. ``Receiver.drained`` follows when it no longer is."""


class Receiver(Protocol):
    """One RPC: what the server wants to hear of it."""

    def received(self, messages: list[Buffer]) -> None:
        """Whole messages, as many as have arrived. Raises ``ProtocolError`` to end the stream with its status."""

    def half_closed(self) -> None:
        """The peer has sent its last message."""

    def cancelled(self) -> None:
        """The RPC is over before the server ended it: reset, deadline or a lost connection. The last call."""

    def drained(self) -> None:
        """The stream is no longer congested."""


Accept = Callable[[Stream], Receiver]


class Transport(Protocol):
    """A listening server. ``listen`` and everything after it runs on the transport's own event loop."""

    async def listen(self, path: str, methods: Mapping[str, Accept]) -> None:
        """Serve the methods (full name to acceptor) on a new unix socket at ``path``.

        Raises:
            OSError: the socket cannot be bound.
        """

    def connected(self) -> int:
        """How many peers are connected."""

    async def close(self, patience: float) -> None:
        """Stop listening, write out what is queued and close every connection. A peer that does not read within
        ``patience`` seconds is cut off."""
