"""Figures of performance: documents quote one set of them, from one file."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import quotes
from .quotes import QuoteError, as_quoted, rewrite, unmarked

FIGURES: quotes.Figures = {
    "map": {
        "ours sync": {"msg_per_s": 265_183, "cpu_us": 3.52},
        "theirs": {"msg_per_s": 8897.4, "cpu_us": 132.1},
    }
}
PRIMARY = "docs/performance.md"
"""Where figures are told in full, and may be of single runs."""


def name(path: Path) -> str:
    return path.relative_to(quotes.ROOT).as_posix()


@pytest.mark.parametrize("path", quotes.DOCUMENTS, ids=name)
def test_what_documents_quote_is_in_the_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert rewrite(text, quotes.load()) == text, "python tests/docs/quotes.py puts the figures of the file in"


@pytest.mark.parametrize("path", [path for path in quotes.DOCUMENTS if name(path) != PRIMARY], ids=name)
def test_a_measured_number_says_which_figure_it_is(path: Path) -> None:
    assert list(unmarked(path.read_text(encoding="utf-8"))) == []


def test_numbers_in_a_text() -> None:
    text = "1,000<!-- map: ours sync, msg_per_s --> a second, 3x<!-- map: ours sync / theirs, msg_per_s --> as many"
    assert rewrite(text, FIGURES) == text.replace("1,000<", "270,000<").replace("3x", "30x")
    assert rewrite("1.11x<!-- map: theirs / ours sync, cpu_us -->", FIGURES).startswith("37.53x<")


def test_numbers_in_a_table() -> None:
    table = """<!-- figures: 0 msg_per_s, -, 0/1 msg_per_s
map: ours sync, theirs
map: ours sync
-->

| a | b | c | d |
|---|---|---|---|
| x 7 | 1,234 msg/s | 5 | 1.0x |
| y | 10 | | |
"""
    assert rewrite(table, FIGURES) == table.replace("1,234", "265,200").replace("1.0x", "29.8x").replace(
        "| 10", "| 270,000"
    )


def test_what_was_not_measured_yet() -> None:
    table = """<!-- figures: 0 msg_per_s, 1 msg_per_s, 0/1 msg_per_s
map: ours sync, nobody
map: ours sync, theirs
-->

| a | b | c | d |
|---|---|---|---|
| x | 1,000 | ? msg/s | ?x |
| y | ? | ? | ?x |
"""
    assert rewrite(table, FIGURES) == table.replace("1,000", "270,000").replace(
        "| ? | ? | ?x", "| 265,000 | 8,900 | 29.8x"
    )


@pytest.mark.parametrize(
    "text",
    [
        "1<!-- reduce: ours sync, msg_per_s -->",
        "1<!-- map: nobody, msg_per_s -->",
        "1<!-- map: theirs, p50_ms -->",
        "<!-- figures: 0 msg_per_s\nmap: theirs\n-->\n\n| a | b |\n|---|---|\n| x | none |\n",
        "<!-- figures: 0 msg_per_s\nmap: theirs\n-->\n\n| a | b |\n|---|---|\n| x | 1 |\n| y | 1 |\n",
        "<!-- figures: 1 msg_per_s\nmap: theirs\n-->\n\n| a | b |\n|---|---|\n| x | 1 |\n",
    ],
)
def test_what_the_file_has_not_is_an_error(text: str) -> None:
    with pytest.raises(QuoteError):
        rewrite(text, FIGURES)


def test_ratios_are_of_the_rounds_where_there_are_rounds() -> None:
    rounds = {"a": [2, 8, 9], "b": [1, 2, 9]}
    figures: quotes.Figures = {
        "map": {server: {"rate": 1, "rounds": [{"rate": each} for each in runs]} for server, runs in rounds.items()}
    }
    assert rewrite("9.0x<!-- map: a / b, rate -->", figures).startswith("2.0x")


def test_measured_numbers_are_found() -> None:
    for text in ("takes 5 us", "12,000 msg/s", "1.9x", "30 times as many", "| | per second |\n|---|---|\n| a | 1 |\n"):
        assert list(unmarked(text)), text
    for text in ("takes 5<!-- map: theirs, cpu_us --> us", "1.9x<!-- map: a / b, cpu_us -->", "64 MiB", "after 30 s"):
        assert not list(unmarked(text)), text


@given(st.decimals(1, 10_000_000, places=3), st.sampled_from(["1,000", "72.0", "3.5", "0.09"]))
def test_what_was_put_in_stays(value: Decimal, old: str) -> None:
    quoted = as_quoted(value, old)
    assert as_quoted(value, quoted) == quoted
    number = Decimal(quoted.replace(",", ""))
    assert abs(number - value) <= value / 10
