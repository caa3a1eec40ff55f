"""A signal that comes just before the event loop is aiorun's must not be lost: the process would never end."""

import subprocess
import sys
from pathlib import Path

SERVER = """
import os
import signal
import sys

import aiorun

from numaflow_mapper import MapServer, Message

run = aiorun.run


def run_with_a_signal_waiting(*arguments, **settings):
    os.kill(os.getpid(), signal.SIGTERM)
    run(*arguments, **settings)


aiorun.run = run_with_a_signal_waiting
folder = sys.argv[1]
MapServer(lambda keys, datum: Message(b""), f"{folder}/sock", server_info_file=f"{folder}/info").start()
"""


def test_signal_just_before_the_loop_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 128 + 15
    assert done.stderr == "numaflow: SIGTERM, ending at once\n"
    assert list(tmp_path.iterdir()) == []
