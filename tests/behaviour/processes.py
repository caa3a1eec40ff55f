"""Processes of tests: each is started by a fork server, which is started with the first of them."""

import array
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
_FORK_SERVER: Final = Path(__file__).with_name("fork_server.py")
_PACKAGES: Final = (
    *("numaflow_core", "numaflow_accumulator", "numaflow_mapper", "numaflow_reducer", "numaflow_servingstore"),
    *("numaflow_sessionreducer", "numaflow_sideinput", "numaflow_sinker", "numaflow_sourcer"),
    "numaflow_sourcetransformer",
)
_HANDLERS: Final = ("behaviour.handlers", "behaviour.keyed_handlers", "behaviour.enclosed_handlers")
_WHERE_INSTALLED: Final = ("uvloop",) if find_spec("uvloop") else ()
_MODULES: Final = ("argparse", "multiprocessing", "aiorun", *_WHERE_INSTALLED, *_PACKAGES, *_HANDLERS)


class Process:
    """A process that the fork server has started. Use it in a ``with`` statement, or call ``end()``."""

    def __init__(self, server: "_ForkServer", pid: int, status: int) -> None:
        self.pid: Final = pid
        self.returncode: int | None = None
        """The exit status, once it is known; a negative one is the signal that ended the process."""
        self._server = server
        self._status = status

    def poll(self, timeout: float = 0) -> int | None:
        """The exit status; ``None`` if the process still runs after some seconds."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if poll.poll(timeout * 1000):
                # Nothing is in a pipe of a fork server that was killed: so were its children.
                self.returncode = int(os.read(self._status, 64) or -signal.SIGKILL)
                os.close(self._status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the exit status. Raises: TimeoutError."""
        status = self.poll(timeout)
        if status is None:
            raise TimeoutError(f"process {self.pid} has not ended in {timeout} s")
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """End the process, and all that it and others that have ended have left behind."""
        self._server.end(self.pid)
        self.poll()


class _ForkServer:
    """``fork_server.py``, in a process of its own."""

    def __init__(self, *modules: str) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, _FORK_SERVER, str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environ(),
                start_new_session=True,
            )
        atexit.register(self._close)

    def start(
        self, command: Sequence[str], *, is_program: bool, stdout: int, stderr: int, env: Mapping[str, str], cwd: str
    ) -> Process:
        settings = {"command": [*command], "is_program": is_program, "environ": dict(env), "cwd": cwd}
        status, theirs = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            fds = array.array("i", [null, stdout, stderr, theirs])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
            self._requests.sendmsg([json.dumps({"start": settings}).encode()], ancillary)
        finally:
            os.close(null)
            os.close(theirs)
        pid = json.loads(self._requests.recv(64))
        return Process(self, pid, status)

    def end(self, pid: int) -> None:
        self._requests.send(json.dumps({"end": pid}).encode())
        assert self._requests.recv(64) == b"null"

    def _close(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def _fork_server(*modules: str) -> _ForkServer:
    return _ForkServer(*modules)


def environ(**more: str) -> dict[str, str]:
    """The environment of scripts that import from the folder of the tests."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path, **more}


def start(
    command: Sequence[str],
    *,
    stdout: int,
    stderr: int,
    env: Mapping[str, str],
    cwd: str = ".",
    is_program: bool,
    needs_grpc: bool,
) -> Process:
    """Start a program or, where it is none, a Python script, which is run in a fork of an interpreter that has imported
    what servers need; of another one where it needs gRPC too. Standard input is empty."""
    modules = ("grpc", *_MODULES, "behaviour.talk") if needs_grpc and not is_program else _MODULES
    server = _fork_server(*modules)
    return server.start(command, is_program=is_program, stdout=stdout, stderr=stderr, env=env, cwd=os.path.abspath(cwd))
