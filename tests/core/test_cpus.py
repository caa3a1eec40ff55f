"""How many CPUs the container may use, as its cgroup says."""

import os
from pathlib import Path

import pytest

from numaflow_core.server import _cpus as cpus


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /sys/fs/cgroup, on a machine with 8 CPUs."""
    monkeypatch.setattr(cpus, "_CGROUP_V2", str(tmp_path / "cpu.max"))
    monkeypatch.setattr(cpus, "_CGROUP_V1", (str(tmp_path / "quota"), str(tmp_path / "period")))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000\n", 8),
        ("100000 100000\n", 1),
        ("250000 100000\n", 3),
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("200000 100000\n", 2),
        ("nonsense\n", 8),
        ("a b\n", 8),
        ("100000 0\n", 8),
        ("", 8),
    ],
)
def test_version_2(cgroup: Path, content: str, expected: int) -> None:
    (cgroup / "cpu.max").write_text(content)
    assert cpus.available_cpus() == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [
        ("-1\n", "100000\n", 8),
        ("150000\n", "100000\n", 2),
        ("50000\n", "100000\n", 1),
        ("x\n", "100000\n", 8),
        ("1\n", "0\n", 8),
    ],
)
def test_version_1(cgroup: Path, quota: str, period: str, expected: int) -> None:
    (cgroup / "quota").write_text(quota)
    (cgroup / "period").write_text(period)
    assert cpus.available_cpus() == expected


def test_without_cgroups(cgroup: Path) -> None:
    assert cpus.available_cpus() == 8


def test_affinity_counts(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    (cgroup / "cpu.max").write_text("600000 100000\n")
    assert cpus.available_cpus() == 2


def test_where_there_is_no_affinity(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cpus.available_cpus() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpus.available_cpus() == 1


@pytest.mark.parametrize(
    ("cpus_of_node", "affinity", "quota", "expected"),
    [(4, 4, "max", 4), (64, 64, "max", 8), (64, 64, "1600000", 16), (64, 12, "max", 12), (64, 64, "200000", 2)],
)
def test_default_workers(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch, cpus_of_node: int, affinity: int, quota: str, expected: int
) -> None:
    """As many as a limit allows; a node of which all may be used says nothing."""
    monkeypatch.setattr(os, "cpu_count", lambda: cpus_of_node)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    (cgroup / "cpu.max").write_text(f"{quota} 100000\n")
    assert cpus.default_workers() == expected
