"""What flows of keyed kinds have in common: a call for each open key, of which there may be very many."""

import zlib
from collections.abc import Callable, Iterable
from typing import Any

from ..kind import Begin, Close, Event, Feed, Flow
from ..wire.buffers import Buffer

Keys = tuple[str, ...]
"""A message's keys. Never joined to one string: ``("a:b",)`` is another key than ``("a", "b")``."""


class Shares:
    """Gathers what a batch brings to each call, so that each is fed, and woken, once."""

    __slots__ = ("_inputs", "_sizes")

    def __init__(self) -> None:
        self._inputs: dict[Any, list[Any]] = {}
        self._sizes: dict[Any, int] = {}

    def add(self, call: Any, message: Any, size: int) -> None:
        """An input of the call's, which took ``size`` bytes."""
        inputs = self._inputs.get(call)
        if inputs is None:
            self._inputs[call] = [message]
            self._sizes[call] = size
        else:
            inputs.append(message)
            self._sizes[call] += size

    def flush(self, events: list[Event]) -> None:
        """Feed the calls: at the end of a batch, and before something else happens to one of them."""
        if self._inputs:
            sizes = self._sizes
            events.append(Feed([(call, inputs, sizes[call]) for call, inputs in self._inputs.items()]))
            self._inputs, self._sizes = {}, {}


class KeyedParentFlow(Flow):
    """In front of worker processes, each of which has the keys that its share of the messages has: the stream is one
    call, and all messages are its inputs."""

    endless = True

    def __init__(self, keys_of: Callable[[Buffer], Iterable[str]]) -> None:
        """``keys_of`` tells the keys of a message. Raises ``ProtocolError``."""
        self._keys_of = keys_of
        self._begun = False

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        inputs = [(keys_number(self._keys_of(message)), message) for message in messages]
        feed = Feed([(self, inputs, sum(map(len, messages)))])
        if self._begun:
            return (feed,)
        self._begun = True
        return (Begin(self), feed)

    def half_closed(self) -> Iterable[Event]:
        return (Close((self,)),) if self._begun else ()


def keys_number(keys: Iterable[str]) -> int:
    """A number for the worker that keys belong to: the same in every process and every run."""
    number = 0
    for key in keys:
        data = key.encode()
        number = zlib.crc32(data, zlib.crc32(len(data).to_bytes(8, "little"), number))
    return number
