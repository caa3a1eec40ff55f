"""Examples that run as processes of their own."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final, TypeVar

from behaviour import processes
from behaviour.harness import PATIENCE
from behaviour.processes import Process
from numaflow_core.testing import BaseClient

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "examples"
FOLDERS: Final = sorted(path.parent for path in EXAMPLES.glob("*/*/udf.py"))

_C = TypeVar("_C", bound=BaseClient)


class Running:
    """An example's process."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.sock = str(folder / "sock")
        self._log = folder / "log"

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return self._log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """End it at once, as the kernel does when memory runs out."""
        self.process.end()

    def stop(self) -> None:
        """End it as Kubernetes does; it is to end well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log


def start(name: str, folder: Path, **environ: str) -> Running:
    """Start ``examples/<name>/udf.py`` with its files in ``folder``, and wait until it serves. End it with ``kill`` or
    ``stop``."""
    sock, info, log = folder / "sock", folder / "info", folder / "log"
    info.unlink(missing_ok=True)  # of one that was killed
    with log.open("ab") as output:
        process = processes.start(
            [str(EXAMPLES / "run.py"), str(EXAMPLES / name / "udf.py"), "--sock", str(sock), "--info", str(info)],
            is_program=False,
            needs_grpc=False,
            stdout=2,
            stderr=output.fileno(),
            env=processes.environ(**environ),
            cwd=str(ROOT),
        )
    running = Running(process, folder)
    try:
        deadline = monotonic() + PATIENCE
        while not info.exists():
            assert process.poll() is None, running.log
            assert monotonic() < deadline, running.log
            sleep(0.02)
    except BaseException:
        running.kill()
        raise
    return running


def run(code: str, folder: Path) -> str:
    """What a client's script says; it is to end well."""
    script, said, log = folder / "client.py", folder / "client.said", folder / "client.log"
    script.write_text(code, encoding="utf-8")
    with said.open("wb") as stdout, log.open("wb") as stderr:
        process = processes.start(
            [str(script)],
            is_program=False,
            needs_grpc=True,
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
            env=processes.environ(),
        )
    try:
        assert process.wait(PATIENCE) == 0, log.read_text()
    finally:
        process.end()
    return said.read_text(encoding="utf-8")


@contextmanager
def example(name: str, folder: Path, client: Callable[[str], _C], **environ: str) -> Iterator[_C]:
    """A client of a running example, which then is stopped and is to leave nothing behind."""
    running = start(name, folder, **environ)
    try:
        with client(running.sock) as it:
            assert it.is_ready()
            yield it
        running.stop()
        assert not Path(running.sock).exists()
        assert not (folder / "info").exists()
    finally:
        running.kill()
