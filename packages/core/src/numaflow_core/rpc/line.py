"""Results in a deterministic order, where many keys close together.

The platform numbers the results of a window as they arrive and takes the number for their identity: after a restart it
replays the window, and what comes with a number that it has seen is a duplicate to it. So the results that a window's
keys make at its close had better come in the same order each time, however threads and tasks are scheduled. Yet a key
that is slow to finish must not hold up the others for long. Hence a *line*: results leave in the order of its members,
and when its head does not move for ``PATIENCE`` the line dissolves, and everything leaves as it is made.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ..wire.buffers import Outgoing, count_bytes

PATIENCE: Final = 0.5
"""Seconds that the head of a line may hold up what is finished behind it; up to twice that, since the clock is only
looked at so often."""

LIMIT: Final = 4 << 20
"""Bytes that wait in a line; with more, it dissolves."""


class Replier(Protocol):
    """The stream that a member's results go to."""

    def reply(self, message: Outgoing) -> None:
        """A result that waits no longer."""


class Member(Protocol):
    """What stands in a line."""

    held: list[Outgoing] | None
    """Its results that wait; ``None`` where they do not."""

    @property
    def rpc(self) -> Replier:
        """Where they go."""


Later = Callable[[float, Callable[[], None]], None]
"""Calls back in that many seconds on the transport's thread, unless the stream is over."""


class Line:
    """Members, in order, that are to finish. Its methods may be called on any thread."""

    __slots__ = ("_before", "_finished", "_later", "_lock", "_size", "_waiting", "dissolved")

    def __init__(self, later: Later, members: Iterable[Member]) -> None:
        """On the transport's thread. What members reply may be held from ``join`` on."""
        self._later = later
        self._lock = threading.Lock()
        self._waiting = deque(members)
        self._finished: set[Member] = set()  # those of them that only wait for their turn
        self._size = 0
        self._before = len(self._waiting)  # how many waited when the clock was last looked at
        self.dissolved = False
        later(PATIENCE, self._look)

    def join(self, member: Member) -> None:
        """From now on, hold what the member replies. What is held already stays."""
        with self._lock:
            if member.held is None and not self.dissolved:
                member.held = []

    def hold(self, member: Member, message: Outgoing) -> bool:
        """Hold a reply of the member's, or return false: it is to be sent at once."""
        with self._lock:
            if member.held is None:
                return False
            member.held.append(message)
            self._size += len(message)
            if self._size > LIMIT:
                self._dissolve()
        return True

    def step_out(self, member: Member) -> None:
        """The member has too much to say: let it go on out of its turn."""
        with self._lock:
            self._let_go(member)

    def done(self, member: Member) -> list[Outgoing]:
        """The member has made its last result: what may leave now."""
        leaving: list[Outgoing] = []
        with self._lock:
            if not self.dissolved:
                waiting, finished = self._waiting, self._finished
                finished.add(member)
                while waiting and waiting[0] in finished:
                    first = waiting.popleft()
                    finished.discard(first)
                    leaving += first.held or ()
                self._size -= count_bytes(leaving)
        return leaving

    def _look(self) -> None:
        with self._lock:
            left = len(self._waiting)
            if left == self._before:
                self._dissolve()
            self._before = left
        if left and not self.dissolved:
            self._later(PATIENCE, self._look)

    def _dissolve(self) -> None:
        """Let everything go, in order."""
        self.dissolved = True
        for member in self._waiting:
            self._let_go(member)
        self._waiting.clear()
        self._finished.clear()

    def _let_go(self, member: Member) -> None:
        held, member.held = member.held, None
        for message in held or ():
            member.rpc.reply(message)
            self._size -= len(message)


class Discard(Line):
    """Where the last results of a call go that is not to make any. Members need not be told apart: one line will do."""

    __slots__ = ()

    def __init__(self) -> None:
        """Nobody stands in it."""

    def join(self, member: Member) -> None:
        """From now on, drop what the member replies."""
        member.held = []

    def hold(self, member: Member, message: Outgoing) -> bool:
        """Drop a reply, or return false: it was made in time."""
        return member.held is not None

    def step_out(self, member: Member) -> None:
        """There is nothing to let go."""

    def done(self, member: Member) -> list[Outgoing]:
        """The member has made its last result: nothing leaves."""
        return []


DISCARD: Final = Discard()
