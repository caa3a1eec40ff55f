"""glibc's allocator, set for a process whose work is to hold messages for a moment.

With its defaults every message of 128 KiB and more is mapped and unmapped, and the heap shrinks whenever a batch of
them is done: the pages are faulted in anew for the next batch, which took five times as long as everything else done
to a message of 1 MB. So large blocks come from the heap, and the heap keeps some freed memory.
"""

import ctypes
import os
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MMAP_THRESHOLD: Final = 32 << 20  # the most that glibc takes
_KEPT: Final = 64 << 20
_USERS_OWN: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


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
