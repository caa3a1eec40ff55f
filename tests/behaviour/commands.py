"""What handlers under test do: what the payload of a message says.

A payload that begins with ``!`` is a command; everything else is echoed, with the user metadata of its message where
results have any.

``!block GATE``     write a line to GATE.log, wait for the file GATE to appear, then write another line. The first
                    begins with +, the second with -; both have the process id. Async handlers await; one that is
                    cancelled meanwhile writes a line that begins with x.
``!stall GATE``     the same with ``time.sleep``, also in async handlers
``!raise TEXT``     raise ValueError(TEXT)
``!raise-later GATE`` as !block, and then raise ValueError("later")
``!raise-huge``     raise an error with 100 KB of non-ASCII text
``!raise-odd NAME`` raise one of ``odd_errors``
``!exit-exception`` raise SystemExit
``!interrupt``      raise KeyboardInterrupt
``!nonsense``       return something that no kind understands
``!big N``          answer with N bytes
``!collector``      answer with the settings of the garbage collector and how many objects it leaves alone
``!chdir FOLDER``   change the working folder
``!exit N``         end the process on the spot
``!fork``           start a process that lives for ever and holds whatever file descriptors this one has; answer with
                    its process id
``!close-all GATE`` write a line to GATE.log, close all file descriptors, and never return

Of async handlers only, about what is there for the next call:

``!set``            leave a context variable and a precision of decimals other than they were
``!cancel``         ask for the cancellation of the handler's own task, and wait for nothing
``!look``           answer with the variable, the precision, and whether a cancellation is pending

Of batches only:

``!skip``           give no response
``!twice``          give two responses
``!stranger``       give a response with another id
``!leave``          give a response, and read no more of the batch

Of map streams only:

``!drip N GATE``    yield N messages, then do as !block, then yield one more; never await in between
``!endless N``      yield messages of N bytes for ever
``!unread GATE``    yield messages for ever; write the second line to GATE.log when the generator is closed

More are in ``endings.py``.
"""

import asyncio
import decimal
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any, NoReturn

import numaflow_core.constants
from behaviour.odd_errors import raise_odd

POLL = 0.01
"""Seconds between two looks at whether a gate is open."""

LONGEST_POLL = 0.05
"""The same for those that have looked a few times: there may be more than a thousand in one process."""

BIG = b"\xa5"
"""What large results are made of: zeros would take no memory before they are sent."""

Act = Callable[[bytes], bytes]
ActAsync = Callable[[bytes], Awaitable[bytes]]


class NonsenseWantedError(Exception):
    """Carries what a handler is to return in place of an answer."""


def report_errors_to(folder: str) -> None:
    """Set what is a constant of the platform's, in all modules that have it by now."""
    for module in [numaflow_core.constants, *sys.modules.values()]:
        if "RUNTIME_ERRORS_DIR" in vars(module):
            vars(module)["RUNTIME_ERRORS_DIR"] = folder


def fail_on_purpose(text: str) -> NoReturn:
    raise ValueError(text)  # a line of the user's


def note(gate: str, mark: str) -> None:
    with open(f"{gate}.log", "ab", buffering=0) as log:
        log.write(f"{mark}{os.getpid()}\n".encode())


def gated(gate: str) -> Iterator[float]:
    """Yields how many seconds to sleep, until the gate is open."""
    note(gate, "+")
    seconds = POLL
    while not os.path.exists(gate):
        yield seconds
        seconds = min(seconds * 1.5, LONGEST_POLL)
    note(gate, "-")


def fork() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads: the new process uses none
        pid = os.fork()
    while not pid:
        signal.pause()
    return b"%d" % pid


def close_all(gate: str) -> NoReturn:
    note(gate, "+")
    os.closerange(0, 4096)
    while True:
        time.sleep(LONGEST_POLL)


def command(name: str, argument: str) -> bytes:
    if name == "!raise":
        fail_on_purpose(argument)
    if name == "!raise-huge":
        fail_on_purpose("ü€😀 " * 10_000)
    if name == "!raise-odd":
        raise_odd(argument)
    if name == "!exit-exception":
        sys.exit(7)
    if name == "!interrupt":
        raise KeyboardInterrupt
    if name == "!nonsense":
        raise NonsenseWantedError
    if name == "!big":
        return BIG * int(argument)
    if name == "!collector":
        return f"{gc.get_threshold()} {gc.get_freeze_count()}".encode()
    if name == "!chdir":
        os.chdir(argument)
        return b"changed"
    if name == "!exit":
        os._exit(int(argument))
    if name == "!fork":
        return fork()
    from behaviour.endings import ENDINGS  # what few servers need

    return ENDINGS[name](argument)


def split(payload: bytes) -> tuple[str, str]:
    name, _, argument = payload.decode().partition(" ")
    return name, argument


def act(payload: bytes) -> bytes:
    if payload[:1] != b"!":
        return payload
    name, argument = split(payload)
    if name == "!close-all":
        close_all(argument)
    if name in ("!block", "!stall", "!raise-later"):
        for seconds in gated(argument):
            time.sleep(seconds)
        return payload if name != "!raise-later" else fail_on_purpose("later")
    return command(name, argument)


MARK: ContextVar[str] = ContextVar("MARK", default="unset")


def look() -> bytes:
    task: Any = asyncio.current_task()
    pending = task.cancelling() > 0 if hasattr(task, "cancelling") else task._must_cancel
    return f"{MARK.get()} {decimal.getcontext().prec} {pending}".encode()


CLEAN = b"unset 28 False"
"""What ``!look`` answers where nobody has left anything."""


async def act_async(payload: bytes) -> bytes:
    if payload == b"!set":
        MARK.set("left behind")
        decimal.getcontext().prec = 5
        return look()
    if payload == b"!cancel":
        task: Any = asyncio.current_task()
        task.cancel()
        return payload
    if payload == b"!look":
        return look()
    if payload.startswith((b"!block", b"!raise-later")):
        name, gate = split(payload)
        try:
            for seconds in gated(gate):
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            note(gate, "x")
            raise
        return payload if name == "!block" else fail_on_purpose("later")
    return act(payload)
