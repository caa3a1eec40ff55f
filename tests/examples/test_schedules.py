"""Schedules of side inputs, in examples and documents, are ones that the platform reads.

Its dialect has six fields, with seconds first, or a seventh for the year. Days of the week are numbered from 1, which
is Sunday. There are five names; ``@every`` is none of them, and ends the platform's manager of side inputs.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import ROOT

NAMES = ("@yearly", "@monthly", "@weekly", "@daily", "@hourly")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("seconds", 0, 59, ()),
    ("minutes", 0, 59, ()),
    ("hours", 0, 23, ()),
    ("days of the month", 1, 31, ()),
    ("months", 1, 12, MONTHS),
    ("days of the week", 1, 7, DAYS),
    ("years", 1970, 2100, ()),
)
_PART = re.compile(r"(\*|\?|\w+(?:-\w+)?)(?:/(\d+))?")
_SCHEDULE = re.compile(r"^[^#\n]*\bschedule:[ \t]*(.+?)[ \t]*$", re.MULTILINE)

FILES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "packages/*/*.md", "examples/**/*.md", "examples/**/*.yaml")
    for path in ROOT.glob(pattern)
)


def check(schedule: str) -> None:
    """Raises: ValueError, for what the platform does not read."""
    if schedule.startswith("@"):
        if schedule not in NAMES:
            raise ValueError(f"{schedule}: none of {', '.join(NAMES)}")
        return
    fields = schedule.split()
    if len(fields) not in (6, 7):
        raise ValueError(f"{schedule}: {len(fields)} fields, and not six or seven with seconds first")
    for text, (name, lowest, highest, words) in zip(fields, FIELDS, strict=False):
        for part in text.split(","):
            match = _PART.fullmatch(part)
            numbers = [] if match is None or match[1] in "*?" else match[1].split("-")
            values = [words.index(each.upper()) + 1 if each.upper() in words else _number(each) for each in numbers]
            if match is None or values != sorted(values) or not all(lowest <= each <= highest for each in values):
                raise ValueError(f"{schedule}: {part!r} are no {name} between {lowest} and {highest}")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def schedules() -> Iterator[tuple[Path, str]]:
    for path in FILES:
        for match in _SCHEDULE.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT), match[1].strip("\"'")


def test_schedules_of_examples_and_documents() -> None:
    found = list(schedules())
    assert len(found) >= 2
    for path, schedule in found:
        try:
            check(schedule)
        except ValueError as error:
            raise AssertionError(f"{path}: {error}") from None


@pytest.mark.parametrize(
    "schedule",
    ["*/15 * * * * *", "0 0 9 * * MON-FRI", "0 0 9 * * 2-6", "0 0,30 * * * ? 2027", "@daily", "0 5/10 8-18 1 jan *"],
)
def test_what_the_platform_reads(schedule: str) -> None:
    check(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "@every 15s",
        "*/15 * * * *",
        "0 9 * * 1-5",
        "0 0 9 * * 0",
        "0 0 9 L * *",
        "61 * * * * *",
        "0 0 0 1 13 *",
        "15s",
        "",
    ],
)
def test_what_the_platform_refuses(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        check(schedule)
