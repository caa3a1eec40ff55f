"""Windows, as handlers of windowed kinds see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from .times import datetime_to_ns, ns_to_datetime
from .validate import check_strings

_W = TypeVar("_W", bound="IntervalWindow")
_K = TypeVar("_K", bound="KeyedWindow")


class IntervalWindow:
    """A span of event time, from ``start``, inclusive, to ``end``, exclusive; read-only."""

    __slots__ = ("_end_ns", "_start_ns")

    def __init__(self, start: datetime, end: datetime) -> None:
        """Make a window by hand, to test a handler with. Naive datetimes are local time.

        Raises:
            TypeError: an argument is no datetime.
        """
        for name, time in (("start", start), ("end", end)):
            if not isinstance(time, datetime):
                raise TypeError(f"IntervalWindow {name} must be a datetime, got {type(time).__name__}: {time!r:.80}")
        self._start_ns = datetime_to_ns(start)
        self._end_ns = datetime_to_ns(end)

    @classmethod
    def from_ns(cls: type[_W], start_ns: int, end_ns: int) -> _W:
        """A window between two times in nanoseconds since the epoch."""
        self = cls.__new__(cls)
        self._start_ns = start_ns
        self._end_ns = end_ns
        return self

    @property
    def start(self) -> datetime:
        """The first moment: aware, UTC, rounded down to the microsecond, clamped to the years 1 to 9999."""
        return ns_to_datetime(self._start_ns)

    @property
    def end(self) -> datetime:
        """The moment after the last: as ``start``."""
        return ns_to_datetime(self._end_ns)

    @property
    def start_ns(self) -> int:
        """``start`` in nanoseconds since the epoch, exactly as the platform has it."""
        return self._start_ns

    @property
    def end_ns(self) -> int:
        """``end`` in nanoseconds since the epoch, exactly as the platform has it."""
        return self._end_ns

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._start_ns == other._start_ns and self._end_ns == other._end_ns

    def __hash__(self) -> int:
        return hash((self._start_ns, self._end_ns))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(start={self.start.isoformat()}, end={self.end.isoformat()})"


class KeyedWindow(IntervalWindow):
    """A window of one key; read-only."""

    __slots__ = ("_keys", "_slot")

    def __init__(self, start: datetime, end: datetime, slot: str = "", keys: Sequence[str] = ()) -> None:
        """Make a window by hand. Naive datetimes are local time.

        Raises:
            TypeError: saying which argument was given what.
        """
        super().__init__(start, end)
        self._slot = slot
        self._keys = check_strings(keys, "KeyedWindow keys")

    @classmethod
    def from_ns(cls: type[_K], start_ns: int, end_ns: int, slot: str = "", keys: Sequence[str] = ()) -> _K:
        """A window between two times in nanoseconds since the epoch."""
        self = super().from_ns(start_ns, end_ns)
        self._slot = slot
        self._keys = list(keys)
        return self

    @property
    def slot(self) -> str:
        """The platform's name for the share of the keys that it belongs to; opaque."""
        return self._slot

    @property
    def keys(self) -> list[str]:
        """The keys, as a new list."""
        return list(self._keys)

    def __eq__(self, other: object) -> bool:
        same = super().__eq__(other)
        if same is not True:
            return same
        assert isinstance(other, KeyedWindow)
        return self._slot == other._slot and self._keys == other._keys

    def __hash__(self) -> int:
        return hash((self._start_ns, self._end_ns, self._slot, *self._keys))

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, slot={self._slot!r}, keys={self._keys!r})"


class Metadata:
    """What a handler is told beside its messages; read-only."""

    __slots__ = ("_interval_window",)

    def __init__(self, interval_window: IntervalWindow) -> None:
        """Make it by hand, to test a handler with.

        Raises:
            TypeError: no IntervalWindow.
        """
        if not isinstance(interval_window, IntervalWindow):
            raise TypeError(
                f"Metadata interval_window must be an IntervalWindow, got {type(interval_window).__name__}: "
                f"{interval_window!r:.80}"
            )
        self._interval_window = interval_window

    @property
    def interval_window(self) -> IntervalWindow:
        """The window that the messages belong to."""
        return self._interval_window

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._interval_window == other._interval_window

    def __hash__(self) -> int:
        return hash(self._interval_window)

    def __repr__(self) -> str:
        return f"Metadata(interval_window={self._interval_window!r})"
