"""How many CPUs this container may use, and how many worker processes that makes."""

import math
import os
from typing import Final

_CGROUP_V2: Final = "/sys/fs/cgroup/cpu.max"
_CGROUP_V1: Final = ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us")


_MOST_UNLIMITED: Final = 8
"""Workers on a node of which the container may use everything, which says nothing about how much it should."""


def default_workers() -> int:
    """A worker for each CPU of the container's limit; without a limit at most 8."""
    cpus = available_cpus()
    return cpus if _is_limited() else min(cpus, _MOST_UNLIMITED)


def available_cpus() -> int:
    """CPUs that the process may run on, no more than its cgroup's quota, rounded up; at least 1."""
    allowed, quota = _affinity(), _cgroup_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _is_limited() -> bool:
    return _cgroup_quota() is not None or _affinity() < (os.cpu_count() or 1)


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _cgroup_quota() -> float | None:
    """The cgroup's limit in CPUs; ``None`` without one."""
    try:
        quota, period = _read(_CGROUP_V2).split()
    except (OSError, ValueError):
        try:
            quota, period = (_read(path).strip() for path in _CGROUP_V1)
        except (OSError, ValueError):
            return None
    if quota in ("max", "-1"):
        return None
    try:
        return int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
