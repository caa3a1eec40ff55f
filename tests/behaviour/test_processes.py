"""The processes that the harness starts are what their tests take them for."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .harness import PATIENCE, is_alive, wait_until
from .processes import Process, environ, start

Run = Callable[..., Process]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a script, forked or anew, whose output goes to the files ``stdout`` and ``stderr``."""
    with ExitStack() as stack:

        def run(code: str, *arguments: str, forked: bool = True, **env: str) -> Process:
            (tmp_path / "script.py").write_text(code)
            stdout, stderr = (stack.enter_context((tmp_path / name).open("wb")) for name in ("stdout", "stderr"))
            command = [str(tmp_path / "script.py"), *arguments]
            process = start(
                command if forked else [sys.executable, *command],
                is_program=not forked,
                needs_grpc=False,
                stdout=stdout.fileno(),
                stderr=stderr.fileno(),
                env=environ(**env),
                cwd=str(tmp_path),
            )
            stack.callback(process.end)
            return process

        yield run


both = pytest.mark.parametrize("forked", [True, False], ids=["forked", "anew"])


@both
def test_script_is_run_as_a_program(run: Run, tmp_path: Path, forked: bool) -> None:
    code = (
        "import os, sys; print(__name__, sys.argv[1:], sys.path[0], os.getcwd(), os.environ['MARK'], sys.stdin.read())"
    )
    assert run(code, "a", "b", forked=forked, MARK="one").wait(PATIENCE) == 0
    assert (tmp_path / "stdout").read_text() == f"__main__ ['a', 'b'] {tmp_path} {tmp_path} one \n"


@both
@pytest.mark.parametrize(
    ("code", "status", "last"),
    [
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(7)", 7, ""),
        ("raise SystemExit('no')", 1, "no"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt"),
        ("import os; os._exit(9)", 9, ""),
        ("import os; os.abort()", -signal.SIGABRT, ""),
        ("import sys; sys.stderr = None; raise SystemExit(3)", 3, ""),
        ("import atexit, os; atexit.register(os.write, 2, b'end'); raise SystemExit(4)", 4, "end"),
    ],
)
def test_exit_status(run: Run, tmp_path: Path, forked: bool, code: str, status: int, last: str) -> None:
    assert run(code, forked=forked).wait(PATIENCE) == status
    assert (tmp_path / "stderr").read_text().splitlines()[-1:] == ([last] if last else [])


@both
def test_threads_are_waited_for(run: Run, tmp_path: Path, forked: bool) -> None:
    code = "import threading, time; threading.Timer(0.1, print, ['late']).start(); print('early')"
    assert run(code, forked=forked).wait(PATIENCE) == 0
    assert (tmp_path / "stdout").read_text() == "early\nlate\n"


@both
def test_signals_are_at_their_defaults(run: Run, tmp_path: Path, forked: bool) -> None:
    code = "import signal; print(*(signal.getsignal(each).__repr__()[:40] for each in (15, 2, 17, 13))); signal.pause()"
    process = run(code, forked=forked)
    wait_until(lambda: (tmp_path / "stdout").read_text().endswith("\n"), "the script has begun")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == -signal.SIGTERM
    said = (tmp_path / "stdout").read_text()
    assert "Handlers.SIG_DFL" in said
    assert said.count("function default_int_handler") == 1


@both
def test_no_file_descriptors_but_the_standard_ones(run: Run, tmp_path: Path, forked: bool) -> None:
    code = (
        "import os; print(*sorted(fd for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')))"
    )
    assert run(code, forked=forked).wait(PATIENCE) == 0
    assert (tmp_path / "stdout").read_text() == "0 1 2\n"


@both
def test_what_is_left_behind_ends_with_it(run: Run, tmp_path: Path, forked: bool) -> None:
    code = "import os, signal; pid = os.fork() or (os.setsid(), signal.pause()); print(pid, flush=True); signal.pause()"
    process = run(code, forked=forked)
    wait_until(lambda: (tmp_path / "stdout").read_text().endswith("\n"), "the script has begun")
    child = int((tmp_path / "stdout").read_text())
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert is_alive(child)
    process.end()
    assert not is_alive(child)
