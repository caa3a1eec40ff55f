"""Bytes on their way: what the layers hand to each other."""

from collections.abc import Iterable, Sequence
from typing import Final, cast

from ..values.validate import Buffer

__all__ = ["LARGE", "Buffer", "Outgoing", "Pieces", "coalesce", "count_bytes", "flatten"]

LARGE: Final = 32 * 1024
"""Payloads of this size and more are not copied into the message that carries them."""

_SMALL: Final = 4096


class Pieces:
    """A message in pieces that are one after the other on the wire, so that a large payload is not copied into it."""

    __slots__ = ("_size", "parts")

    def __init__(self, *parts: Buffer) -> None:
        self.parts = parts
        self._size = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


Outgoing = Buffer | Pieces
"""A message to be sent."""


def count_bytes(messages: Iterable[Outgoing]) -> int:
    """Total size of a batch."""
    return sum(map(len, messages))


def flatten(messages: Iterable[Outgoing]) -> list[Buffer]:
    """The pieces of all messages."""
    flat: list[Buffer] = []
    for message in messages:
        if isinstance(message, Pieces):
            flat += message.parts
        else:
            flat.append(message)
    return flat


def coalesce(messages: Sequence[Outgoing], size: int) -> list[Buffer]:
    """What to write for messages of ``size`` bytes in all: one buffer where they are small, so that a write is one
    piece of memory; each from where it is where copying would cost more than writing it apart."""
    if size < _SMALL * len(messages):
        try:
            return [b"".join(cast("Sequence[Buffer]", messages))]
        except TypeError:
            pass  # there are Pieces among them
    return flatten(messages)
