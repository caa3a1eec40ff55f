"""Servers as real processes."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final

from numaflow_core.testing import UdfClient

from .kinds import CONCURRENCY, THREADS, WORKERS, Combination
from .processes import environ, start

PATIENCE: Final = 60.0
"""Seconds for what should happen at once: long enough for a machine that is slow and busy."""


def wait_until(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Wait for something that another process does."""
    end = monotonic() + timeout
    while not condition():
        if monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        sleep(0.005)


def wait_steady(value: Callable[[], int], seconds: float = 0.5, timeout: float = 60.0) -> int:
    """Wait until ``value`` has not changed for a while: the one way to see that somebody has stopped."""
    end = monotonic() + timeout
    last, since = value(), monotonic()
    while monotonic() - since < seconds:
        sleep(0.02)
        now = value()
        if now != last:
            last, since = now, monotonic()
        if monotonic() > end:
            raise AssertionError(f"still changing after {timeout} s: {last}")
    return last


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def children(pid: int) -> list[int]:
    """The living children of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [child for child in found if is_alive(child)]


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for each in found:
        found += children(each)
    return found


def resident(pid: int) -> int:
    """Bytes of RSS of a process and its descendants."""
    total = 0
    for each in tree(pid):
        try:
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


class Gate:
    """Holds handlers that were sent ``!block`` or ``!stall`` with its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = Path(f"{path}.log")

    def block(self) -> bytes:
        """Payload of a handler that waits for the gate to open."""
        return f"!block {self.path}".encode()

    def stall(self) -> bytes:
        """The same, in ``time.sleep``."""
        return f"!stall {self.path}".encode()

    def tell_close(self) -> bytes:
        """Payload after which the handler tells when its key is closed."""
        return f"!tell-close {self.path}.closed".encode()

    def closed(self) -> int:
        """How many keys were."""
        log = Path(f"{self.path}.closed.log")
        return len(log.read_text().splitlines()) if log.exists() else 0

    def open(self) -> None:
        self.path.touch()

    def marks(self) -> list[str]:
        """Lines of the log, in order: ``+``, ``-`` or ``x``, and a process id."""
        return self._log.read_text().split() if self._log.exists() else []

    def entered(self) -> int:
        return self._count("+")

    def cancelled(self) -> int:
        """How many handlers were cancelled while they waited."""
        return self._count("x")

    def workers(self) -> set[int]:
        """The processes that the handlers ran in."""
        return {int(mark[1:]) for mark in self.marks()}

    def most_at_once(self) -> int:
        now = most = 0
        for mark in self.marks():
            now += 1 if mark[0] == "+" else -1
            most = max(most, now)
        return most

    def _count(self, kind: str) -> int:
        return sum(mark[0] == kind for mark in self.marks())

    def wait_entered(self, count: int) -> None:
        wait_until(lambda: self.entered() >= count, f"{count} handlers waiting at {self.path.name}")


class ServerProcess:
    """A kind's script in a process and a session of its own. Use it in a ``with`` statement.

    The process is a fork of an interpreter that has imported what servers need. With ``anew`` it is an interpreter of
    its own, as with a ``command`` in place of the script's, or a ``prefix`` of the command.
    """

    def __init__(
        self,
        combination: Combination,
        folder: Path,
        *options: str | Path | int | float,
        prefix: Sequence[str] = (),
        command: Sequence[str | Path] = (),
        anew: bool = False,
        env: dict[str, str] | None = None,
        name: str = "server",
    ) -> None:
        self.combination = combination
        self.folder = folder
        self.sock = folder / f"{name}.sock"
        self.info = folder / f"{name}-info"
        self._stdout = folder / f"{name}.stdout"
        self._stderr = folder / f"{name}.stderr"
        defaults: dict[str, object] = {
            "--kind": combination.kind.name,
            "--type": combination.type,
            "--transport": combination.transport,
            "--sock": self.sock,
            "--info": self.info,
            "--threads": THREADS,
            "--concurrency": CONCURRENCY,
            "--workers": WORKERS,
        }
        given = [str(option) for option in options]
        unset = {part for pair in pairwise(given) if pair[1] == "unset" for part in pair}
        arguments = [str(part) for key, value in defaults.items() if key not in given for part in (key, value)]
        arguments += [part for part in given if part not in unset]
        environment = environ(**(env or {}))
        for variable in ("NUMAFLOW_UD_CONTAINER_TYPE", "NUMAFLOW_TRANSPORT", "MAX_THREADS", "MAX_CONCURRENCY"):
            if variable not in (env or {}):
                environment.pop(variable, None)
        is_program = bool(anew or prefix or command)
        script = str(combination.kind.script)
        interpreter = (sys.executable, script) if is_program else (script,)
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = start(
                [*prefix, *map(str, command or interpreter), *arguments],
                is_program=is_program,
                needs_grpc="--transport" not in given and combination.transport == "grpcio",
                stdout=stdout.fileno(),
                stderr=stderr.fileno(),
                env=environment,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_listening(self) -> "ServerProcess":
        """Wait for the server-info file, which comes last."""

        def listening() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.stderr()}")
            return self.info.exists()

        wait_until(listening, f"{self.info} written")
        return self

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """The exit status; a negative one is the signal that ended the process."""
        try:
            return self.process.wait(timeout)
        except TimeoutError:
            raise AssertionError(f"the server has not ended in {timeout} s:\n{self.stderr()}") from None

    def stdout(self) -> str:
        return self._stdout.read_text("utf-8", "replace")

    def stderr(self) -> str:
        return self._stderr.read_text("utf-8", "replace")

    def wait_logged(self, text: str, count: int = 1) -> None:
        wait_until(lambda: self.stderr().count(text) >= count, f"{text!r} {count} times on stderr")

    def wait_said(self, text: str) -> None:
        wait_until(lambda: text in self.stdout(), f"{text!r} on stdout")

    def client(self) -> UdfClient:
        return UdfClient(str(self.sock))

    def is_alive(self, timeout: float = 0) -> bool:
        """Whether the process runs, or runs on for some seconds."""
        return self.process.poll(timeout) is None

    def kill(self) -> None:
        """End the process and whatever it has left behind."""
        self.process.end()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
