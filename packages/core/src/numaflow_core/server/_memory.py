"""The allocator and the garbage collector, set for a process whose work is to hold messages for a moment and, where a
kind has keys, the state of many keys for long.

With glibc's defaults every message of 128 KiB and more is mapped and unmapped, and the heap shrinks whenever a batch of
them is done: the pages are faulted in anew for the next batch, which took five times as long as everything else done
to a message of 1 MB. So large blocks come from the heap, and the heap keeps some freed memory.
"""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MMAP_THRESHOLD: Final = 32 << 20  # the most that glibc takes
_KEPT: Final = 64 << 20
_USERS_OWN: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")

_PYTHONS_OWN: Final = ((700, 10), (2000, 10))  # until Python 3.12, and since


def tune() -> None:
    """Everything in here that is set once, for a process that is ours. Refused by ``tune_memory=False``."""
    keep_freed_memory()
    collect_in_large_steps()


@contextmanager
def shared_with_forks(*, owns_process: bool) -> Iterator[None]:
    """What exists at the start of the block is shared with the processes that are forked in it, and stays so: their
    garbage collectors do not write to it. Where the process is a larger program's, its own collector looks at it again
    afterwards."""
    ours = gc.get_freeze_count() == 0
    gc.freeze()
    try:
        yield
    finally:
        if ours and not owns_process:
            gc.unfreeze()


def keep_freed_memory() -> None:
    """Let each heap of this process keep up to 64 MiB of freed memory. Does nothing where the user has set the
    allocator in the environment, or where there is no glibc."""
    if any(os.environ.get(name) for name in _USERS_OWN):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)


def give_back_freed_memory() -> None:
    """Return to the system what imports and the start have taken for a moment, nearly a megabyte. Does nothing where
    there is no glibc."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)


def collect_in_large_steps() -> None:
    """Let the garbage collector look for cycles every 10,000 new objects, and through all objects more rarely. With its
    defaults it goes, at 100,000 open keys of async handlers, through a million objects so often that it takes most of
    the time. Does nothing where the user has set it."""
    if gc.isenabled() and gc.get_threshold()[:2] in _PYTHONS_OWN:
        gc.set_threshold(10_000, 20, 20)
