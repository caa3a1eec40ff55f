"""Worker processes as children of this one: whether they live, how they ended, and that they end."""

import asyncio
import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import Final

logger = logging.getLogger(__name__)

_POLL: Final = 0.1
"""Seconds between two looks at a child, where the system has no file descriptors for processes."""


@dataclass(frozen=True)
class Worker:
    """A forked process and our end of its pipe."""

    number: int
    pid: int
    pipe: socket.socket


class Child:
    """Watches one worker by its process id: its pipe may be held open by a process that the worker has started."""

    def __init__(self, worker: Worker) -> None:
        """On the event loop that watches."""
        self._pid = worker.pid
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int | None] = self._loop.create_future()
        """The exit code as ``subprocess`` has it, negative for a signal; ``None`` where somebody else has taken it."""

        self._fd = _open_pidfd(worker.pid)
        self._timer: asyncio.TimerHandle | None = None
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._look)
        else:
            self._look()

    def kill(self) -> None:
        """End the process, whatever it does. Its exit follows."""
        if not self.exited.done():
            try:
                os.kill(self._pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _look(self) -> None:
        code: int | None = None
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            pass
        else:
            if pid == 0:
                if self._fd is None:
                    self._timer = self._loop.call_later(_POLL, self._look)
                return
            code = os.waitstatus_to_exitcode(status)
        self.close()
        if not self.exited.done():
            self.exited.set_result(code)


def how_it_ended(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "has ended"
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal between the first and the last, which have names
        return f"was killed by signal {-code}"


def _open_pidfd(pid: int) -> int | None:
    """A file descriptor that is readable once the process has ended; ``None`` where there are none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
