"""Every example runs as a process of its own, answers as its README says, and ends well."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from numaflow_mapper import DROP, Datum, Message
from numaflow_mapper.testing import MapClient

from .running import EXAMPLES, running


@contextmanager
def example(name: str, folder: Path) -> Iterator[MapClient]:
    """A client of a running example."""
    with running(f"map/{name}", folder) as sock, MapClient(sock) as client:
        assert client.is_ready()
        yield client


def datum(value: bytes, *keys: str) -> Datum:
    now = datetime.now(timezone.utc)
    return Datum(keys, value, event_time=now, watermark=now)


def test_flatmap_forwards_the_parts_that_are_not_empty(tmp_path: Path) -> None:
    with example("flatmap", tmp_path) as client:
        parts, nothing = client.map([datum(b"apple, banana,,cherry", "fruit"), b",,"])
    assert list(parts) == [Message(value, keys=["fruit"]) for value in (b"apple", b"banana", b"cherry")]
    assert list(nothing) == []


def test_even_odd_tags_numbers_and_drops_the_rest(tmp_path: Path) -> None:
    with example("even_odd", tmp_path) as client:
        results = client.map([datum(b"4", "k"), b"7", b"-3", b"0", b"seven", b""])
    assert [(m.value, m.tags) for result in results for m in result] == [
        (b"4", ["even"]),
        (b"7", ["odd"]),
        (b"-3", ["odd"]),
        (b"0", ["even"]),
        (b"", [DROP]),
        (b"", [DROP]),
    ]
    assert results[0][0].keys == ["k"]


def test_cpu_heavy_counts_primes_in_its_workers(tmp_path: Path) -> None:
    numbers = {0: 0, 2: 0, 3: 1, 10: 4, 100: 25, 1_000_000: 78_498}
    with example("cpu_heavy", tmp_path) as client:
        results = client.map([*(str(number).encode() for number in numbers), b"many", b"-5", b"10000001"])
    assert [result[0] for result in results] == [
        *(Message(str(count).encode(), keys=[str(number)]) for number, count in numbers.items()),
        Message.to_drop(),
        Message(b"0", keys=["-5"]),
        Message.to_drop(),
    ]


def test_word_count_forwards_words_in_lower_case_as_keys(tmp_path: Path) -> None:
    with example("word_count", tmp_path) as client:
        results = client.map(["The cat's away; the\tCAT - été 1776".encode(), b"", b"\xff\xfe"])
    assert list(results[0]) == [
        Message(word.encode(), keys=[word]) for word in ("the", "cat's", "away", "the", "cat", "été")
    ]
    assert list(results[1]) == []
    assert list(results[2]) == []


def test_every_example_is_tested() -> None:
    names = {path.parent.name for path in EXAMPLES.glob("map/*/udf.py")}
    assert names == {"flatmap", "even_odd", "cpu_heavy", "word_count"}


@pytest.mark.parametrize("arguments", [["nowhere.py"], [__file__, "--sock"]])
def test_runner_refuses_with_one_line(arguments: list[str]) -> None:
    command = [sys.executable, str(EXAMPLES / "run.py"), *arguments]
    done = subprocess.run(
        [*command, "--sock", "s", "--info", "i"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "run.py: " in done.stderr
