"""Starts the servers under test: ``python fork_server.py FD MODULE...``, where FD is a socket that requests come on.

It imports the modules once. A server is a fork of it that runs its script as ``__main__``, with an environment,
standard streams and a session of its own: a new interpreter would spend ten times as much on its imports. A request may
also be for a program, which is executed. No thread runs here, and nothing of gRPC is in use.

Requests and replies are JSON, one each per datagram:

``{"start": {...}}``   with the file descriptors of stdin, stdout, stderr and of a pipe for the status; replied to with
                       the process id. The exit status is written to the pipe when the process has ended, as ``Popen``
                       has it.
``{"end": PID}``       the process is killed, if it still runs, and with it whatever servers that have ended have left
                       behind: their orphans are adopted by this process. Replied to with ``null`` when all are gone.

The end of the socket ends everything that was started here.
"""

import array
import atexit
import ctypes
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import types
from pathlib import Path
from typing import Any, Final, NoReturn

_PR_SET_CHILD_SUBREAPER: Final = 36
_LARGEST_REQUEST: Final = 1 << 20
_FDS: Final = 4


def preload(name: str) -> None:
    """Import a module, and what is in a package of ours; gRPC only where it is there already."""
    module = importlib.import_module(name)
    if not name.startswith("numaflow_"):
        return
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        if "grpc" in sys.modules or found.name.rpartition(".")[2] not in ("testing", "_grpcio"):
            preload(found.name)


class ForkServer:
    """The loop of this process. ``serve`` returns in a child only, with what it has to run."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._scripts: dict[str, types.CodeType] = {}
        self._status_pipes: dict[int, int] = {}
        self._wakeup, wakeup = os.pipe()
        self._fds = [self._wakeup, wakeup, requests.fileno()]
        for fd in (self._wakeup, wakeup):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wakeup)

    def serve(self) -> tuple[list[str], types.CodeType]:
        """Carry out requests. Returns in a child: its command line, and the script to run."""
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._requests.fileno() not in ready:
                continue
            try:
                data, ancillary, _, _ = self._requests.recvmsg(_LARGEST_REQUEST, socket.CMSG_SPACE(_FDS * 4))
            except ConnectionResetError:  # nobody has read the last reply
                data, ancillary = b"", []
            if not data:
                self._end_all()
            request = json.loads(data)
            if "end" in request:
                self._end(request["end"])
                self._reply(None)
            else:
                fds = array.array("i")
                for _, _, part in ancillary:
                    fds.frombytes(part)
                settings = request["start"]
                if self._start(settings, [*fds]):
                    command: list[str] = settings["command"]
                    return command, self._scripts[command[0]]

    def _reply(self, reply: object) -> None:
        try:
            self._requests.send(json.dumps(reply).encode())
        except (BrokenPipeError, ConnectionResetError):
            self._end_all()

    def _end_all(self) -> NoReturn:
        for pid in [*self._status_pipes]:
            self._end(pid)
        os._exit(0)

    def _start(self, settings: dict[str, Any], fds: list[int]) -> bool:
        """Whether this is the child."""
        *streams, status = fds
        path = settings["command"][0]
        if not settings["is_program"] and path not in self._scripts:
            self._scripts[path] = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
        pid = os.fork()
        if pid == 0:
            self._become_server(settings, streams, status)
            return True
        for fd in streams:
            os.close(fd)
        self._status_pipes[pid] = status
        self._reply(pid)
        return False

    def _become_server(self, settings: dict[str, Any], streams: list[int], status: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        for fd in {*streams, status, *self._fds, *self._status_pipes.values()}:
            os.close(fd)
        os.chdir(settings["cwd"])
        os.environ.clear()
        os.environ.update(settings["environ"])
        if settings["is_program"]:
            _execute(settings["command"])

    def _reap(self) -> None:
        """Collect the processes that have ended, orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        pipe = self._status_pipes.pop(pid, None)
        if pipe is not None:
            try:
                os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
            except BrokenPipeError:
                pass  # nobody wants to know any more
            os.close(pipe)

    def _end(self, pid: int) -> None:
        self._reap()
        if pid in self._status_pipes:
            self._kill(pid)
        # Those that are killed here may have children, which are adopted then.
        while orphans := [each for each in _children() if each not in self._status_pipes]:
            for each in orphans:
                self._kill(each)

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._ended(*os.waitpid(pid, 0))


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _execute(command: list[str]) -> NoReturn:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(127)


def run(command: list[str], script: types.CodeType) -> NoReturn:
    """What ``python SCRIPT ARGUMENT...`` does once the interpreter is up, to its exit. Only the objects that are left
    are not taken apart, which would cost more than all the rest: as in children of ``multiprocessing``."""
    path = command[0]
    sys.argv[:] = command
    sys.path[0] = os.path.dirname(path)
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    status = 1
    try:
        exec(script, vars(module))
        status = 0
    except SystemExit as error:
        status = _exit_status(error.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    finally:
        os._exit(status)


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        for name in sys.argv[2:]:
            preload(name)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        command, script = ForkServer(requests).serve()
        requests.detach()  # it is closed
    run(command, script)


if __name__ == "__main__":
    main()
