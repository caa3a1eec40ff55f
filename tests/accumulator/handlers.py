"""Handlers under test, in one shape for all servers: what to do with a datum, and what at the end."""

import heapq
import os
import weakref
from collections.abc import Iterable, Iterator

from numaflow_accumulator import Datum, Message

LATER = b"!at-close "

LIVE: "weakref.WeakSet[Body]" = weakref.WeakSet()


class Body:
    """The state of one key."""

    def __init__(self) -> None:
        LIVE.add(self)

    def command(self, datum: Datum) -> bytes:
        """What is to be done before the datum is taken, as in ``behaviour/commands.py``."""
        return b""

    def take(self, datum: Datum, done: bytes) -> Iterable[Message]:
        raise NotImplementedError

    def commands_at_end(self) -> list[bytes]:
        return []

    def end(self) -> Iterable[Message]:
        raise NotImplementedError


class Echo(Body):
    """Forwards each datum at once, and at the end a message that tells how many there were.

    ``!live`` is answered with the number of keys that have any state, ``!silent`` with nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.later: list[bytes] = []

    def command(self, datum: Datum) -> bytes:
        self.count += 1
        if datum.value.startswith(LATER):
            self.later.append(datum.value.removeprefix(LATER))
        if datum.value.startswith(LATER) or datum.value in (b"!live", b"!silent"):
            return b""
        return datum.value

    def take(self, datum: Datum, done: bytes) -> Iterable[Message]:
        if datum.value == b"!silent":
            return
        value = str(len(LIVE)).encode() if datum.value == b"!live" else done
        yield Message.from_datum(datum, value=value, tags=[f"pid-{os.getpid()}"])

    def commands_at_end(self) -> list[bytes]:
        return self.later

    def end(self) -> Iterable[Message]:
        return [Message(b"closed after %d" % self.count, ["closed"])] if self.count else []


class Sorter(Body):
    """Forwards datums in the order of their event times, once the watermark has passed them. The value says how often:
    ``0`` drops the datum."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = 0
        self.held: list[tuple[int, int, Datum]] = []

    def take(self, datum: Datum, done: bytes) -> Iterator[Message]:
        self.arrived += 1
        heapq.heappush(self.held, (datum.event_time_ns, self.arrived, datum))
        return self._until(datum.watermark_ns)

    def end(self) -> Iterator[Message]:
        return self._until(None)

    def _until(self, watermark_ns: int | None) -> Iterator[Message]:
        while self.held and (watermark_ns is None or self.held[0][0] < watermark_ns):
            _, _, datum = heapq.heappop(self.held)
            times = int(datum.value)
            for number in range(times):
                yield Message.from_datum(datum, value=b"%d of %d" % (number, times))
            if times == 0:
                yield Message.to_drop(datum)


BODIES = {"echo": Echo, "sorter": Sorter}
