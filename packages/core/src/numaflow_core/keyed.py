"""What flows of keyed kinds have in common: a call for each open key, of which there may be very many."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from .flow import Desk
from .strategy import OpenCall
from .strategy._line import Line

Keys = tuple[str, ...]
"""A message's keys. Never joined to one string: ``("a:b",)`` is another key than ``("a", "b")``."""


class Feed:
    """Gathers what a batch brings to each call, so that each is fed, and woken, once."""

    __slots__ = ("_desk", "_shares", "_sizes")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shares: dict[OpenCall, list[Any]] = {}
        self._sizes: dict[OpenCall, int] = {}

    def add(self, call: OpenCall, message: Any, size: int) -> None:
        """A message of the call's, which took ``size`` bytes."""
        share = self._shares.get(call)
        if share is None:
            self._shares[call] = [message]
            self._sizes[call] = size
        else:
            share.append(message)
            self._sizes[call] += size

    def flush(self) -> None:
        """Feed the calls: at the end of a batch, and before something else happens to one of them."""
        shares, sizes = self._shares, self._sizes
        if shares:
            self._shares, self._sizes = {}, {}
            feed = self._desk.feed
            for call, share in shares.items():
                feed(call, share, sizes[call])


def close_together(desk: Desk, calls: Sequence[OpenCall]) -> None:
    """Complete calls whose last results are to leave in the order of ``calls``: ``finished`` is to return what
    ``leaving`` says."""
    if len(calls) > 1:
        line = Line(desk.later, calls)
        for call in calls:
            call.line = line
    for call in calls:
        desk.complete(call)


def leaving(call: OpenCall) -> Sequence[Any]:
    """A call has finished: the results that may leave with that, its own and those that waited for it."""
    return () if call.line is None else call.line.done(call)


def keys_number(keys: Iterable[str]) -> int:
    """A number for the worker that keys belong to: the same in every process and every run."""
    number = 0
    for key in keys:
        data = key.encode()
        number = zlib.crc32(data, zlib.crc32(len(data).to_bytes(8, "little"), number))
    return number
