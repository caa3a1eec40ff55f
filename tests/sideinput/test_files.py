"""Side inputs as files: swapped as the platform does it, thousands of times."""

import asyncio
import json
import logging
import os
import threading
from itertools import count
from pathlib import Path

import pytest

from numaflow_sideinput import SideInputFile

SWAPS = 1000


class Platform:
    """Keeps a side input as ``rust/numaflow-sideinput/src/synchronize/persistence.rs`` does."""

    def __init__(self, folder: Path, name: str = "input") -> None:
        self._path = folder / name
        self._stamps = count(1_700_000_000_000_000_000)

    def put(self, value: bytes) -> None:
        stamp = next(self._stamps)
        target = self._path.with_name(f"{self._path.name}_{stamp}")
        target.write_bytes(value)
        old = self._path.resolve() if self._path.is_symlink() else None
        link = self._path.with_name(f"{self._path.name}_temp_{stamp}")
        os.symlink(target, link)
        os.rename(link, self._path)
        if old is not None:
            old.unlink()


def body(number: int) -> bytes:
    """A value whose halves must agree, larger than one read of a pipe or a page."""
    return b"%d " % number * 3000


def parse(data: bytes) -> int:
    parts = set(data.split())
    assert len(parts) == 1, "torn"
    assert len(data.split()) == 3000, "cut short"
    return int(parts.pop())


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    platform = Platform(tmp_path)
    platform.put(body(0))
    return platform


def test_each_of_many_swaps_is_seen(platform: Platform, tmp_path: Path) -> None:
    side_input = SideInputFile("input", parse, directory=tmp_path)
    told: list[int] = []
    side_input.on_change(told.append)
    assert side_input.value == 0
    for number in range(1, SWAPS + 1):
        platform.put(body(number))
        assert side_input.value == number
        assert not side_input.refresh()
    assert told == list(range(SWAPS + 1))
    assert len(list(tmp_path.iterdir())) == 2


def test_swaps_while_it_is_read(platform: Platform, tmp_path: Path) -> None:
    side_input = SideInputFile("input", parse, directory=tmp_path)
    done = threading.Event()
    seen: list[list[int]] = [[], []]
    problems: list[BaseException] = []

    def read(found: list[int]) -> None:
        try:
            while not done.is_set():
                found.append(side_input.value)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=read, args=(found,)) for found in seen]
    for thread in threads:
        thread.start()
    for number in range(1, SWAPS + 1):
        platform.put(body(number))
    done.set()
    for thread in threads:
        thread.join()
    assert not problems
    for found in seen:
        assert found == sorted(found), "a value never goes back"
        assert len(set(found)) > 1
    assert side_input.value == SWAPS


def test_watch_tells_of_new_values(platform: Platform, tmp_path: Path) -> None:
    side_input = SideInputFile("input", parse, directory=tmp_path, interval=0.01)
    told: list[int] = []
    news = threading.Event()
    assert side_input.value == 0

    def listen(value: int) -> None:
        told.append(value)
        news.set()

    side_input.on_change(listen)
    with side_input.watch() as watched:
        assert watched is side_input
        for number in range(1, 6):
            news.clear()
            platform.put(body(number))
            assert news.wait(60)
    assert told == [1, 2, 3, 4, 5]
    assert not [thread for thread in threading.enumerate() if thread.name == "numaflow-side-input"]


def test_listener_that_looks_and_finds_a_newer_value(platform: Platform, tmp_path: Path) -> None:
    side_input = SideInputFile("input", parse, directory=tmp_path)
    told: list[tuple[str, int]] = []

    def first(value: int) -> None:
        told.append(("first", value))
        if value == 1:
            platform.put(body(2))
            assert side_input.value == 2

    side_input.on_change(first)
    side_input.on_change(lambda value: told.append(("second", value)))
    platform.put(body(1))
    assert side_input.value == 2
    assert told == [("first", 1), ("first", 2), ("second", 2)]


def test_changes(platform: Platform, tmp_path: Path) -> None:
    side_input = SideInputFile("input", parse, directory=tmp_path, interval=0.005)

    async def follow() -> list[int]:
        found = []
        async for value in side_input.changes():
            found.append(value)
            if value == 5:
                return found
            platform.put(body(value + 1))
        raise AssertionError("changes() ended")

    assert asyncio.run(asyncio.wait_for(follow(), 20)) == [0, 1, 2, 3, 4, 5]


def test_value_that_cannot_be_decoded_leaves_the_last_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    platform = Platform(tmp_path)
    platform.put(b'{"a": 1}')
    side_input = SideInputFile("input", json.loads, directory=tmp_path)
    assert side_input.value == {"a": 1}
    platform.put(b"{broken")
    with caplog.at_level(logging.ERROR):
        assert side_input.value == {"a": 1}
        assert side_input.value == {"a": 1}
    assert len(caplog.records) == 1
    platform.put(b"[2]")
    assert side_input.value == [2]


def test_first_value_that_cannot_be_decoded_raises(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.put(b"{broken")
    side_input = SideInputFile("input", json.loads, directory=tmp_path)
    for _ in range(2):
        with pytest.raises(json.JSONDecodeError):
            _ = side_input.value
    platform.put(b"1")
    assert side_input.value == 1


def test_missing_side_input(tmp_path: Path) -> None:
    side_input = SideInputFile("input", bytes, directory=tmp_path)
    with pytest.raises(FileNotFoundError):
        _ = side_input.value
    os.symlink(tmp_path / "input_1", tmp_path / "input")
    with pytest.raises(FileNotFoundError, match="not there"):
        _ = side_input.value
    (tmp_path / "input_1").write_bytes(b"v")
    assert side_input.value == b"v"


def test_plain_files_will_do(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"one")
    side_input = SideInputFile("input", bytes, directory=str(tmp_path))
    assert side_input.value == b"one"
    (tmp_path / "input").write_bytes(b"three")
    assert side_input.value == b"three"


@pytest.mark.parametrize(
    ("name", "decode", "interval", "error"),
    [
        ("", bytes, 1, ValueError),
        ("a/b", bytes, 1, ValueError),
        ("..", bytes, 1, ValueError),
        (b"a", bytes, 1, TypeError),
        ("a", None, 1, TypeError),
        ("a", bytes, 0, ValueError),
        ("a", bytes, "1", TypeError),
    ],
)
def test_arguments_are_checked(name: object, decode: object, interval: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        SideInputFile(name, decode, interval=interval)  # type: ignore[arg-type]
