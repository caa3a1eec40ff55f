"""Examples as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"


class Example:
    """A running example."""

    def __init__(self, name: str, folder: Path, env: Mapping[str, str | Path]) -> None:
        """``name`` is the path below ``examples``: ``map/flatmap``."""
        self.sock, self.info, self._log = folder / "udf.sock", folder / "info", folder / "log"
        command = [sys.executable, str(EXAMPLES / "run.py"), str(EXAMPLES / name / "udf.py")]
        environment = {**os.environ, **{key: str(value) for key, value in env.items()}}
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--sock", str(self.sock), "--info", str(self.info)], stderr=output, env=environment
            )

    def log(self) -> str:
        return self._log.read_text()

    def wait_listening(self) -> None:
        deadline = monotonic() + 30
        while not self.info.exists():
            assert self.process.poll() is None, self.log()
            assert monotonic() < deadline, self.log()
            sleep(0.02)

    def kill(self) -> None:
        """What ``kill -9`` does. The files that it leaves behind are the next server's to remove."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """What a container gets."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log()
        assert not self.sock.exists()
        assert not self.info.exists()


@contextmanager
def running(name: str, folder: Path, **env: str | Path) -> Iterator[Example]:
    """An example that is sent SIGTERM at the end, unless something went wrong."""
    example = Example(name, folder, env)
    try:
        example.wait_listening()
        yield example
        example.end()
    finally:
        example.kill()
