"""Which messages are in flight, which are to be delivered again, and where to read on after a restart."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import timedelta
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import Final, Generic, TypeVar

from numaflow_core.values.durations import positive_seconds

from ._datatypes import Message, Nack, Offset

_Position = TypeVar("_Position")

_SLACK: Final = 1000
"""How many outdated alarms are kept, beside those that count, before they are removed."""


class LedgerFullError(Exception):
    """More messages are in flight than the ledger is to keep: read ``OffsetLedger.room`` before delivering."""


class _Entry(Generic[_Position]):
    """One message that was delivered. Settled ones stay until all before them are settled."""

    __slots__ = ("alarm", "deliveries", "message", "position", "settled")

    def __init__(self, message: Message, position: _Position) -> None:
        self.message: Message | None = message
        self.position = position
        self.deliveries = 1
        self.settled = False
        self.alarm = 0  # number of the alarm that counts


class OffsetLedger(Generic[_Position]):
    """Keeps account of a source's messages: which are delivered and neither acknowledged nor given up.

    A position is where the source would have to read on if nothing after it had been delivered: a byte of a file, the
    number of a row, a broker's cursor; it may be of any type. A message is settled when it is acknowledged or given up.
    For each partition the ledger knows the position up to which all messages are settled. Store it outside of the
    process, and read on from there after a restart: then nothing is lost, and messages that were settled behind a gap
    are delivered again.

    Repeated acknowledgements and unknown offsets are ignored. All methods may be called on any thread, and take about a
    microsecond for each message.

    >>> from datetime import datetime, timezone
    >>> ledger = OffsetLedger[int]()
    >>> for number in range(3):
    ...     offset = Offset(str(number).encode(), 0)
    ...     ledger.delivered(Message(b"x", offset, datetime.now(timezone.utc)), number + 1)
    >>> ledger.ack([Offset(b"0", 0), Offset(b"2", 0), Offset(b"2", 0)])
    2
    >>> ledger.resume_from(0)  # 1 is still out
    1
    """

    def __init__(
        self,
        *,
        max_in_flight: int = 100_000,
        max_deliveries: int | None = None,
        ack_timeout: timedelta | float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """
        Args:
            max_in_flight: how many messages the ledger keeps: those in flight, and those behind them that are settled.
            max_deliveries: how often a message is delivered, in all, before it is given up, unless the options of a
                nack say; ``None``: without a limit.
            ack_timeout: after which a message that was neither acknowledged nor refused is delivered again. A plain
                number is seconds. ``None``: never. It must be longer than a message takes through the pipeline. A lost
                connection does not need it: the server refuses what was on its way.
            clock: seconds that only grow. Tests give ``numaflow_sourcer.testing.ManualClock``.

        Raises:
            TypeError: ``ack_timeout`` is neither a ``timedelta`` nor a number.
            ValueError: a number is below one, or a time is not above zero.
        """
        for name, number in (("max_in_flight", max_in_flight), ("max_deliveries", max_deliveries)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        self._max_in_flight = max_in_flight
        self._max_deliveries = max_deliveries
        self._ack_timeout = None if ack_timeout is None else positive_seconds(ack_timeout, "ack_timeout")
        self._clock = clock
        self._lock = threading.Lock()
        self._partitions: dict[int, OrderedDict[bytes, _Entry[_Position]]] = {}
        self._resume: dict[int, _Position] = {}
        self._kept = 0
        self._out = 0
        self._alarms: list[tuple[float, int, _Entry[_Position]]] = []
        self._next_alarm = 0

    @property
    def in_flight(self) -> int:
        """How many messages are neither acknowledged nor given up."""
        return self._out

    @property
    def room(self) -> int:
        """How many more messages may be delivered for the first time."""
        return self._max_in_flight - self._kept

    def delivered(self, message: Message, position: _Position) -> None:
        """Note a message that is about to be delivered, in the order of its partition. A message that is in flight
        already, for instance after the source has reconnected to its broker, counts as delivered once more.

        Args:
            message: kept until it is settled.
            position: where to read on after it.

        Raises:
            LedgerFullError: there is no room.
        """
        offset = message.offset
        with self._lock:
            entries = self._partitions.setdefault(offset.partition_id, OrderedDict())
            entry = entries.get(offset.offset)
            if entry is not None and not entry.settled:
                entry.deliveries += 1
            else:
                if entry is not None:  # settled behind a gap, and read again: it is the same message
                    return
                if self._kept >= self._max_in_flight:
                    raise LedgerFullError(f"{self._kept} messages are out or behind one that is, which is the limit")
                entry = entries[offset.offset] = _Entry(message, position)
                self._kept += 1
                self._out += 1
            self._expect_answer(entry)

    def ack(self, offsets: Iterable[Offset]) -> int:
        """Note acknowledgements; return how many of the messages were in flight."""
        settled = 0
        with self._lock:
            touched = set()
            for offset in offsets:
                entry = self._find(offset)
                if entry is not None:
                    self._settle(entry)
                    settled += 1
                    touched.add(offset.partition_id)
            for partition in touched:
                self._advance(partition)
        return settled

    def nack(self, nacks: Iterable[Nack]) -> list[Message]:
        """Note messages that are to be delivered again, each when its options say. Return those that have been
        delivered ``max_deliveries`` times: they are given up, as if they were acknowledged, and the caller may store
        them elsewhere."""
        given_up = []
        with self._lock:
            for offset, options in nacks:
                entry = self._find(offset)
                if entry is None:
                    continue
                limit = self._max_deliveries
                if options is not None and options.max_deliveries is not None:
                    limit = options.max_deliveries
                if limit is not None and entry.deliveries >= limit:
                    assert entry.message is not None, "it is not settled"
                    given_up.append(entry.message)
                    self._settle(entry)
                    self._advance(offset.partition_id)
                else:
                    delay = options.delay.total_seconds() if options is not None and options.delay is not None else 0.0
                    self._set_alarm(entry, delay)
        return given_up

    def due(self, limit: int) -> list[Message]:
        """Messages that are to be delivered again by now, ``limit`` at most, those that are due longest first. They
        count as delivered with this call."""
        found: list[Message] = []
        with self._lock:
            now = self._clock()
            while len(found) < limit and self._alarms and self._alarms[0][0] <= now:
                _, number, entry = heappop(self._alarms)
                if number == entry.alarm and entry.message is not None:
                    entry.deliveries += 1
                    entry.alarm = 0
                    found.append(entry.message)
                    self._expect_answer(entry)
        return found

    def seconds_to_due(self) -> float | None:
        """Seconds until ``due`` returns something: 0 for now, ``None`` if nothing is to be delivered again."""
        with self._lock:
            while self._alarms and self._alarms[0][1] != self._alarms[0][2].alarm:
                heappop(self._alarms)
            return max(0.0, self._alarms[0][0] - self._clock()) if self._alarms else None

    def resume_from(self, partition_id: int) -> _Position | None:
        """Where to read on in a partition after a restart; ``None`` while that is the beginning."""
        return self._resume.get(partition_id)

    def resume_points(self) -> dict[int, _Position]:
        """``resume_from`` of all partitions that have one, as a new dict."""
        with self._lock:
            return dict(self._resume)

    # -- inside; the lock is held

    def _find(self, offset: Offset) -> _Entry[_Position] | None:
        """A message that is out."""
        entries = self._partitions.get(offset.partition_id)
        entry = entries.get(offset.offset) if entries is not None else None
        return None if entry is None or entry.settled else entry

    def _settle(self, entry: _Entry[_Position]) -> None:
        entry.settled = True
        entry.alarm = 0
        entry.message = None
        self._out -= 1

    def _advance(self, partition: int) -> None:
        """Forget what is settled and has nothing before it that is out."""
        entries = self._partitions[partition]
        while entries:
            offset, entry = next(iter(entries.items()))
            if not entry.settled:
                break
            self._resume[partition] = entry.position
            del entries[offset]
            self._kept -= 1

    def _expect_answer(self, entry: _Entry[_Position]) -> None:
        if self._ack_timeout is not None:
            self._set_alarm(entry, self._ack_timeout)

    def _set_alarm(self, entry: _Entry[_Position], seconds: float) -> None:
        """Have the message delivered again by then. Only the latest alarm of a message counts."""
        self._next_alarm += 1
        entry.alarm = self._next_alarm
        heappush(self._alarms, (self._clock() + seconds, self._next_alarm, entry))
        if len(self._alarms) > 2 * self._out + _SLACK:
            self._alarms = [alarm for alarm in self._alarms if alarm[1] == alarm[2].alarm]
            heapify(self._alarms)
