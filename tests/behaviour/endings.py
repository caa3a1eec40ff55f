"""What handlers under test do that a server may not survive, or that has to survive the server. Commands as in
``commands.py``:

``!raise-stuck``        raise an error whose ``repr`` never returns
``!raise-threadless``   let no more threads begin in this process, and raise an error
``!terminate``          start a process, terminate it and wait for it; answer with its exit code
``!pool``               have a pool of processes do something; answer with it
``!fork-noting GATE``   fork; the child writes its process id to GATE.log and sleeps for ever
``!daemon GATE``        the same with a daemonic process of ``multiprocessing``
``!thread``             start a thread that never ends and that the process waits for
``!executor``           the same with the thread of an executor
``!queue``              put into a queue of ``multiprocessing`` what nobody reads
``!stall-c GATE``       as !stall, in C code that no signal interrupts
"""

import ctypes
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

FOREVER = 3600

KEPT: list[object] = []
"""What would end, or wait, if nobody referred to it."""


class StuckError(Exception):
    """Cannot be described."""

    def __repr__(self) -> str:
        time.sleep(FOREVER)
        return ""

    __str__ = __repr__


def raise_stuck(argument: str) -> bytes:
    raise StuckError


def raise_threadless(argument: str) -> bytes:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise RuntimeError("can't start new thread")

    vars(threading)["_start_new_thread"] = refuse
    vars(threading)["_start_joinable_thread"] = refuse
    raise ValueError("the last thread")


def context() -> Any:
    return multiprocessing.get_context("fork")


def note(gate: str) -> None:
    with open(f"{gate}.log", "ab", buffering=0) as log:
        log.write(f"+{os.getpid()}\n".encode())


def note_and_sleep(gate: str) -> None:
    note(gate)
    time.sleep(FOREVER)


def terminate(argument: str) -> bytes:
    process = context().Process(target=time.sleep, args=(FOREVER,))
    process.start()
    process.terminate()
    process.join()
    return str(process.exitcode).encode()


def pool(argument: str) -> bytes:
    with context().Pool(2) as workers:
        return str(workers.map(abs, [-1, -2])).encode()


def fork(argument: str) -> bytes:
    if os.fork() == 0:
        note_and_sleep(argument)
    return b"forked"


def daemon(argument: str) -> bytes:
    process = context().Process(target=note_and_sleep, args=(argument,), daemon=True)
    process.start()
    KEPT.append(process)
    return b"started"


def thread(argument: str) -> bytes:
    threading.Thread(target=time.sleep, args=(FOREVER,), daemon=False).start()
    return b"started"


def executor(argument: str) -> bytes:
    KEPT.append(threads := ThreadPoolExecutor(1))
    threads.submit(time.sleep, FOREVER)
    return b"started"


def queue(argument: str) -> bytes:
    KEPT.append(unread := context().Queue())
    unread.put(bytes(1 << 20))
    return b"put"


def stall_c(argument: str) -> bytes:
    """Wait for a mutex of C's, which only returns once it is had."""
    library = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)

    def unlock() -> None:
        while not os.path.exists(argument):
            time.sleep(0.01)
        library.pthread_mutex_unlock(mutex)

    threading.Thread(target=unlock, daemon=True).start()
    note(argument)
    library.pthread_mutex_lock(mutex)
    return f"!stall-c {argument}".encode()


ENDINGS: dict[str, Callable[[str], bytes]] = {
    "!raise-stuck": raise_stuck,
    "!raise-threadless": raise_threadless,
    "!terminate": terminate,
    "!pool": pool,
    "!fork-noting": fork,
    "!daemon": daemon,
    "!thread": thread,
    "!executor": executor,
    "!queue": queue,
    "!stall-c": stall_c,
}
