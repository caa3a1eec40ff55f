"""Options of a negative acknowledgement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._proto.nack_options_pb2 import NackOptions as WireNackOptions


@dataclass(frozen=True)
class NackOptions:
    """How a negatively acknowledged message is to be delivered again. What is ``None`` is left to the platform.

    With a user-defined source all options reach its nack handler. A message that came from the inter-step buffer
    (JetStream) is delayed by ``delay``; the platform ignores the other options there.
    """

    reason: str | None = None
    """Why, for logs and for the source."""

    max_deliveries: int | None = None
    """How many deliveries in all, at most."""

    delay: timedelta | None = None
    """How long to wait before the next delivery; sent in whole milliseconds."""

    nack_map: Mapping[str, str] | None = None
    """Free-form values for a user-defined source."""

    def __post_init__(self) -> None:
        if self.max_deliveries is not None and not 0 <= self.max_deliveries < 2**32:
            raise ValueError(f"max_deliveries must be between 0 and 2**32 - 1, got {self.max_deliveries}")
        if self.delay is not None and self.delay < timedelta(0):
            raise ValueError(f"delay must not be negative, got {self.delay}")

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
