"""What a call was about, for the report of an error in it."""

from collections.abc import Sequence
from typing import NamedTuple


class About(NamedTuple):
    """The message, or the key, that a handler worked on when it failed."""

    id: str = ""
    """The message's id; empty where the kind has none."""

    keys: Sequence[str] = ()
    """The message's keys, or the keys of the window."""

    value: bytes | None = None
    """The payload. It is shown only where ``NUMAFLOW_LOG_PAYLOAD`` asks for it."""
