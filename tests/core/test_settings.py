"""Settings that come from the environment, files that are written, and the allocator."""

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from numaflow_core.server import _memory as memory
from numaflow_core.server._files import make_open_folder, write_new
from numaflow_core.server._options import Options, make_options


def options(**settings: bool | None) -> Options:
    return make_options("a.sock", 1, "info", {"tune_memory": settings.get("tune_memory")})


@pytest.mark.parametrize(
    ("text", "expected"), [(None, True), ("", True), ("1", True), ("true", True), ("0", False), ("False", False)]
)
def test_tune_memory_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str | None, expected: bool) -> None:
    monkeypatch.delenv("NUMAFLOW_TUNE_MEMORY", raising=False)
    if text is not None:
        monkeypatch.setenv("NUMAFLOW_TUNE_MEMORY", text)
    assert options().tune_memory is expected
    assert options(tune_memory=True).tune_memory is True
    assert options(tune_memory=False).tune_memory is False


def test_tune_memory_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMAFLOW_TUNE_MEMORY", "perhaps")
    with pytest.raises(ValueError, match="variable NUMAFLOW_TUNE_MEMORY must be 0 or 1, got 'perhaps'"):
        options()
    assert options(tune_memory=False).tune_memory is False


def test_payload_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMAFLOW_LOG_PAYLOAD", raising=False)
    assert options().log_payload == 0
    monkeypatch.setenv("NUMAFLOW_LOG_PAYLOAD", "100")
    assert options().log_payload == 100
    for text in ("-1", "4097"):
        monkeypatch.setenv("NUMAFLOW_LOG_PAYLOAD", text)
        with pytest.raises(ValueError, match=f"NUMAFLOW_LOG_PAYLOAD must be between 0 and 4096, got {text}"):
            options()
    monkeypatch.setenv("NUMAFLOW_LOG_PAYLOAD", "all")
    with pytest.raises(ValueError, match="NUMAFLOW_LOG_PAYLOAD must be a whole number, got 'all'"):
        options()


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    made = options()
    assert made.sock_path == str(tmp_path / "a.sock")
    assert made.server_info_file == str(tmp_path / "info")


@pytest.fixture
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_was_frozen_for_forks_is_thawed_in_a_larger_program(collector: None) -> None:
    gc.unfreeze()
    with memory.shared_with_forks(owns_process=False):
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    with memory.shared_with_forks(owns_process=True):
        pass
    frozen = gc.get_freeze_count()
    assert frozen > 0
    with memory.shared_with_forks(owns_process=False):
        pass
    assert gc.get_freeze_count() >= frozen, "somebody else has frozen it"


def test_users_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch, collector: None) -> None:
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)
    gc.set_threshold(123, 4, 5)
    memory.tune()
    assert len(calls) == 2
    assert gc.get_threshold() == (123, 4, 5)
    monkeypatch.setenv("GLIBC_TUNABLES", "x")
    memory.tune()
    assert len(calls) == 2


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_new_files_and_folders(umask: None, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_open_folder(str(folder))
    make_open_folder(str(folder))
    path = folder / "file"
    write_new(str(path), b"first")
    path.chmod(0o600)
    write_new(str(path), b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o644
    assert {each.stat().st_mode & 0o777 for each in (folder, folder.parent)} == {0o777}


def test_link_in_the_way_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    for target in ("precious", "nothing"):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / target)
        write_new(str(link), b"new")
        assert not link.is_symlink()
        link.unlink()
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def test_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            make_open_folder(str(tmp_path / path))
