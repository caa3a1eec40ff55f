"""Flows cut a stream of messages into calls. They know the order of messages on a stream and do no IO."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .buffers import Buffer
from .status import ProtocolError


@dataclass(frozen=True)
class Handshake:
    """The first message of a stream, in both directions."""

    is_request: Callable[[Buffer], bool]
    """Whether a message is the client's handshake. May raise ``ProtocolError`` for what cannot be parsed."""

    reply: bytes
    """What the server answers."""


class Flow(Protocol):
    """One stream's state."""

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """Take what has arrived; return the calls in it, and what is to be answered at once.

        Raises:
            ProtocolError: the peer broke the order of messages; the stream ends with the error's status.
        """


class UnaryFlow:
    """After the handshake every message is a call of its own, with one reply, in any order."""

    __slots__ = ("_handshake", "_method")

    def __init__(self, method: str, handshake: Handshake) -> None:
        self._method = method
        self._handshake: Handshake | None = handshake

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """The handshake is answered at once; raises ``ProtocolError`` where it is missing."""
        handshake = self._handshake
        if handshake is None:
            return messages, []
        if not handshake.is_request(messages[0]):
            raise ProtocolError(f"{self._method}: expected handshake as the first message")
        self._handshake = None
        return messages[1:], [handshake.reply]


class PipedFlow:
    """The flow of a worker process: the handshake was answered by its parent, every message is a call."""

    __slots__ = ()

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """All of them are calls."""
        return messages, []
