"""Examples as processes of their own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@contextmanager
def running(name: str, folder: Path) -> Iterator[str]:
    """The socket of a running example, which then is sent SIGTERM and has to end well."""
    sock, info, log = folder / "udf.sock", folder / "info", folder / "log"
    command = [sys.executable, str(EXAMPLES / "run.py"), str(EXAMPLES / name / "udf.py")]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--sock", str(sock), "--info", str(info)], stderr=output)
    try:
        deadline = monotonic() + 30
        while not info.exists():
            assert process.poll() is None, log.read_text()
            assert monotonic() < deadline, log.read_text()
            sleep(0.02)
        yield str(sock)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
        assert not sock.exists()
        assert not info.exists()
    finally:
        process.kill()
        process.wait()
