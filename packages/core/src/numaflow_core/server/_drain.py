"""The streams of a run, and when the run may end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ..errors import GracePeriodError, ServerError
from ..rpc import Rpc
from ..transport import Stream
from ..wire.status import Status, StatusCode

logger = logging.getLogger(__name__)

SHUTTING_DOWN: Final = Status(StatusCode.UNAVAILABLE, "the server is shutting down")

_INTAKE_SHARE: Final = 0.8
"""How much of the grace period new messages are taken in; the rest is for answering them."""

_END_SHARE: Final = 0.1
_LONGEST_END: Final = 0.7
"""How much of the grace period, and how many seconds at most, are left for the end itself."""

_LOOK: Final = 0.05
"""Seconds between two looks at whether the dataplane is still connected."""


class Drain:
    """Takes streams in, until nothing new is taken, and ends the run when there is nothing left to do.

    A run is *serving*, from ``stop`` on *draining*, which means to serve for as long as a peer is connected, and after
    a part of the grace period *refusing*: nothing new is taken. All methods are called on the transport's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        grace_period: float,
        connections: Callable[[], int],
        finish: Callable[[ServerError | None], None],
        *,
        takes_late: bool,
    ) -> None:
        """
        Args:
            loop: the transport's.
            grace_period: seconds from ``stop`` to the end of the process.
            connections: how many peers are connected.
            finish: called once, when the run is over.
            takes_late: whether the kind has methods that are served to the end.
        """
        self.deadline: float | None = None
        """When the process has to end, as ``loop.time()`` has it; ``None`` before ``stop``."""

        self._loop = loop
        self._grace = grace_period
        self._connections = connections
        self._finish = finish
        self._takes_late = takes_late
        self._rpcs: dict[Rpc, bool] = {}  # and whether each is served to the end
        self._refusal: Status | None = None
        self._over = False
        self._check_due = False

    def accept(self, new_rpc: Callable[[Stream], Rpc], late: bool, stream: Stream) -> Rpc:
        """A new stream. ``late`` says whether its method is served to the end."""
        rpc = new_rpc(stream)
        if self._refusal is not None and (self._over or not late):
            rpc.end(self._refusal)
        else:
            self._rpcs[rpc] = late
        return rpc

    def progress(self, rpc: Rpc) -> None:
        """Messages came in, all were answered, or the stream is over."""
        if rpc.gone:
            self._rpcs.pop(rpc, None)
        if self.deadline is not None:
            self._check_soon()

    def stop(self, *, at_once: bool) -> None:
        """Drain, or refuse at once."""
        if self._over:
            return
        if self.deadline is None:
            grace = self._grace
            self.deadline = self._loop.time() + grace
            logger.info("stopping: up to %.0f s to answer what was accepted", grace)
            self._loop.call_later(grace * _INTAKE_SHARE, self._refuse)
            self._loop.call_later(grace - min(grace * _END_SHARE, _LONGEST_END), self._give_up)
            self._loop.call_soon(self._look)  # a peer that has connected just now is accepted before
        if at_once:
            self._takes_late = False
            self._refuse()

    def end_all(self, status: Status) -> None:
        """End all streams, those to come included. Only the first status counts."""
        if not self._over:
            self._refusal = status
        self._over = True
        for rpc in list(self._rpcs):
            rpc.end(status)

    def _look(self) -> None:
        self._check()
        if not self._over:
            self._loop.call_later(_LOOK, self._look)

    def _check_soon(self) -> None:
        if not self._check_due:
            self._check_due = True
            self._loop.call_soon(self._check)

    def _check(self) -> None:
        """See whether the run is over. Where nothing new is taken, end the streams that are answered."""
        self._check_due = False
        if self._over:
            return
        if self._refusal is not None:
            for rpc, late in list(self._rpcs.items()):
                if not rpc.unanswered and not (late and self._takes_late):
                    rpc.end(self._refusal)
        refuses_all = self._refusal is not None and not self._takes_late
        if not self._rpcs and (refuses_all or not self._connections()):
            self._conclude(None)

    def _refuse(self) -> None:
        """Take in nothing more, but for methods that are served to the end."""
        if self._refusal is None:
            self._refusal = SHUTTING_DOWN
        for rpc, late in self._rpcs.items():
            if not (late and self._takes_late):
                rpc.refuse()
        self._check_soon()

    def _give_up(self) -> None:
        """The grace period is over."""
        if self._over:
            return
        left = sum(rpc.unanswered for rpc in self._rpcs)
        if not left:
            self._conclude(None)
            return
        text = f"the grace period of {self._grace:.0f} s is over with {left} messages unanswered"
        logger.error("%s", text)
        self._conclude(GracePeriodError(text), Status(StatusCode.UNAVAILABLE, text))

    def _conclude(self, outcome: ServerError | None, status: Status = SHUTTING_DOWN) -> None:
        self._finish(outcome)  # before the streams end, whose end would be a clean one
        self.end_all(self._refusal if self._refusal is not None and outcome is None else status)
