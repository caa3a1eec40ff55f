"""A stream of calls one after the other: what comes while one runs waits its turn."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..kind import Begin, Close, Event, Flow, Release
from ..wire.buffers import Buffer
from .bidi import Handshake, Opening


class SerialFlow(Flow):
    """After the handshake every message is a call, one at a time."""

    def __init__(self, method: str, handshake: Handshake, read: Callable[[Buffer], Any]) -> None:
        """``read`` parses a message to its call, of which there is one at a time. Raises ``ProtocolError``."""
        self._opening = Opening(method, handshake)
        self._read = read
        self._waiting: deque[tuple[Any, int]] = deque()
        self._running = False

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        events: list[Event] = []
        for message in self._opening.take(messages, events):
            self._waiting.append((self._read(message), len(message)))
        self._begin_next(events)
        return events

    def done(self, call: Any) -> Iterable[Event]:
        self._running = False
        events: list[Event] = []
        self._begin_next(events)
        return events

    def _begin_next(self, events: list[Event]) -> None:
        if self._waiting and not self._running:
            self._running = True
            call, size = self._waiting.popleft()
            events += (Release(1, size), Begin(call), Close((call,)))
