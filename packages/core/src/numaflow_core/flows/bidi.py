"""A stream on which every message is a call of its own, in any order; and the handshake that opens streams."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..kind import Calls, Event, Flow, Release, Reply
from ..wire.buffers import Buffer
from ..wire.status import ProtocolError


@dataclass(frozen=True)
class Handshake:
    """The first message of a stream, in both directions."""

    is_request: Callable[[Buffer], bool]
    """Whether a message is the client's handshake. May raise ``ProtocolError`` for what cannot be parsed."""

    reply: bytes
    """What the server answers."""


def handshake(read: Callable[[Buffer], Any], response: Any) -> Handshake:
    """The handshake of a kind whose messages have a field ``handshake``.

    Args:
        read: reads a request.
        response: the class of responses.
    """
    reply = response()
    reply.handshake.sot = True
    return Handshake(lambda message: bool(read(message).handshake.sot), reply.SerializeToString())


class Opening:
    """The beginning of a stream: takes the handshake off it."""

    __slots__ = ("_handshake", "_method")

    def __init__(self, method: str, handshake: Handshake) -> None:
        self._method = method
        self._handshake: Handshake | None = handshake

    def take(self, messages: list[Buffer], events: list[Event]) -> list[Buffer]:
        """Answer the handshake, if it is due; the messages after it. Raises: ProtocolError."""
        handshake = self._handshake
        if handshake is None:
            return messages
        first = messages[0]
        if not handshake.is_request(first):
            raise ProtocolError(f"{self._method}: expected handshake as the first message")
        self._handshake = None
        events += (Reply((handshake.reply,)), Release(1, len(first)))
        return messages[1:]


class BidiFlow(Flow):
    """After the handshake every message is a call."""

    def __init__(self, method: str, handshake: Handshake) -> None:
        self._opening: Opening | None = Opening(method, handshake)

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        if self._opening is None:
            return (Calls(messages),)
        events: list[Event] = []
        messages = self._opening.take(messages, events)
        self._opening = None
        if messages:
            events.append(Calls(messages))
        return events


class EachFlow(Flow):
    """Every message is a call, from the first on: what a worker process gets of a stream."""

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        return (Calls(messages),)
