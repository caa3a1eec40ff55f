"""What a connection may cost: memory for all its streams together, and frames that cost work and bring nothing."""

from collections.abc import Callable
from typing import Final

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2ProtocolError

INPUT_POOL: Final = 48 << 20
"""Bytes that all streams of a connection hold of what has come, with what may come. With ``FIRST_WINDOW`` for each of
``MAX_STREAMS`` it is 64 MiB."""

OUTPUT_POOL: Final = 16 << 20
"""Bytes of replies that all streams of a connection hold for a peer that does not read."""

LEAST_OUTPUT: Final = 4096
"""A stream with less to write is not held back, whatever the others hold."""


class Pool:
    """Bytes that the streams of a connection share.

    No stream may hold more than a quarter of what the others leave, nor more than an equal part. So one stream alone
    gets a quarter, many that are busy get equal parts soon, and however many are blocked there is something left for
    the next one.
    """

    __slots__ = ("_least", "_size", "left", "users")

    def __init__(self, size: int, least: int) -> None:
        """``least``: what any stream may hold in any case."""
        self._size = size
        self._least = least
        self.users = 1
        """How many parts are equal."""
        self.left = size
        """What no stream holds. Below zero when each of very many streams holds the least."""

    def share(self, held: int) -> int:
        """How much a stream that holds ``held`` may hold."""
        return max(min((self.left + held) >> 2, self._size // self.users), self._least)


class FloodError(H2ProtocolError):
    """The peer sends frames that bring nothing, faster than any client that means well."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM


class Patience:
    """How many frames without use are taken from a peer: a burst, so many a second, and some for each DATA frame that
    it was sent, because a client answers each of those with a WINDOW_UPDATE or two, and now and then with a PING."""

    CHEAP: Final = 1
    """WINDOW_UPDATE, and DATA for a stream that has ended: looked at and forgotten."""

    COSTLY: Final = 20
    """PING, SETTINGS, RST_STREAM, a refused request, ...: they cost an answer, or work."""

    _BURST: Final = 20_000
    _PER_SECOND: Final = 10_000.0
    _PER_FRAME: Final = 4

    __slots__ = ("_at", "_left", "_time")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._at = time()
        self._left = float(self._BURST)

    def spend(self, cost: int) -> None:
        """Take a frame. Raises: FloodError."""
        self._left -= cost
        if self._left < 0:
            now = self._time()
            self._left = min(self._BURST, self._left + (now - self._at) * self._PER_SECOND)
            self._at = now
            if self._left < 0:
                raise FloodError("a flood of control frames")

    def earn(self, frames: int) -> None:
        """So many DATA frames were sent."""
        self._left = min(self._BURST, self._left + frames * self._PER_FRAME)
