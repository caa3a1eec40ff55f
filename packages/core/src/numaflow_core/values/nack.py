"""Options of a negative acknowledgement."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .._proto.nack_options_pb2 import NackOptions as WireNackOptions

_LONGEST_MS: Final = timedelta.max // timedelta(milliseconds=1)


class NackOptions:
    """How a negatively acknowledged message is to be delivered again. What is ``None`` is left to the platform.

    With a user-defined source all options reach its nack handler. A message that came from the inter-step buffer
    (JetStream) is delayed by ``delay``; the platform ignores the other options there.
    """

    __slots__ = ("delay", "max_deliveries", "nack_map", "reason")

    def __init__(
        self,
        reason: str | None = None,
        max_deliveries: int | None = None,
        delay: timedelta | None = None,
        nack_map: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            reason: why, for logs and for the source.
            max_deliveries: how many deliveries in all, at most.
            delay: how long to wait before the next delivery; sent in whole milliseconds.
            nack_map: free-form values for a user-defined source.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
            ValueError: a number that the wire cannot carry.
        """
        for name, value, wanted, text in (
            ("reason", reason, str, "a str"),
            ("max_deliveries", max_deliveries, int, "an int"),
            ("delay", delay, timedelta, "a timedelta, such as timedelta(milliseconds=1500),"),
            ("nack_map", nack_map, Mapping, "a mapping"),
        ):
            if value is not None and not isinstance(value, wanted):
                raise TypeError(f"{name} must be {text} or None, got {type(value).__name__}: {value!r:.80}")
        if max_deliveries is not None and not 0 <= max_deliveries < 2**32:
            raise ValueError(f"max_deliveries must be between 0 and 2**32 - 1, got {max_deliveries}")
        if delay is not None and delay < timedelta(0):
            raise ValueError(f"delay must not be negative, got {delay}")
        self.reason = reason
        self.max_deliveries = max_deliveries
        self.delay = delay
        self.nack_map = nack_map

    @property
    def delay_ms(self) -> int | None:
        """``delay`` in milliseconds, as on the wire."""
        return None if self.delay is None else self.delay // timedelta(milliseconds=1)

    def write(self, wire: "WireNackOptions") -> None:
        """Set what is given in the protobuf message, and its presence even if nothing is."""
        wire.SetInParent()
        if self.reason is not None:
            wire.reason = self.reason
        if self.max_deliveries is not None:
            wire.max_deliveries = self.max_deliveries
        if self.delay_ms is not None:
            wire.delay = self.delay_ms
        wire.nack_map.update(self.nack_map or {})

    @classmethod
    def read(cls, wire: "WireNackOptions") -> "NackOptions":
        """The options in the protobuf message. A delay that a ``timedelta`` cannot hold is the longest that it can."""
        delay = None
        if wire.HasField("delay"):
            delay = timedelta(milliseconds=wire.delay) if wire.delay <= _LONGEST_MS else timedelta.max
        return cls(
            reason=wire.reason if wire.HasField("reason") else None,
            max_deliveries=wire.max_deliveries if wire.HasField("max_deliveries") else None,
            delay=delay,
            nack_map=dict(wire.nack_map) or None,
        )

    def _parts(self) -> tuple[object, ...]:
        return self.reason, self.max_deliveries, self.delay, dict(self.nack_map or {})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return (
            f"NackOptions(reason={self.reason!r}, max_deliveries={self.max_deliveries!r}, delay={self.delay!r}, "
            f"nack_map={self.nack_map!r})"
        )
