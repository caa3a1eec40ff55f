"""Figures of performance that documents quote: all come from ``benchmarks/figures.json``.

    python tests/docs/quotes.py        put the figures of the file into the documents

The file has what ``benchmarks/compare.py --json`` writes: a case, in it each server that ran, and its figures. A
document says in a comment which of them it quotes. After a number in the text:

    265,200<!-- map: ours sync, msg_per_s --> messages a second
    29.8<!-- map: ours sync / pynumaflow sync, msg_per_s --> times as many

Before a table, with the columns behind the first one (``0`` is the first server of the row, ``-`` is no figure), and a
line for each row:

    <!-- figures: 0 msg_per_s, 0 cpu_us, 1 msg_per_s, 0/1 msg_per_s
    map: ours sync, pynumaflow sync
    map: ours async, pynumaflow async
    -->

A quote may be rounded. New figures are rounded as the old ones were, those that come in place of a ``?`` to three
digits. A ``?`` in a table stays where the file does not have the figure: it was not measured yet.
"""

import json
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from statistics import median
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FIGURES: Final = ROOT / "benchmarks" / "figures.json"
DOCUMENTS: Final = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("packages/*/README.md"), *ROOT.glob("examples/**/*.md")]
)

_NUMBER: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_QUOTED: Final = re.compile(rf"{_NUMBER.pattern}|\?")
_INLINE: Final = re.compile(r"(\d[\d,]*(?:\.\d+)?)(\w*)<!-- (?!figures:)([^>\n]+?): ([^>\n]+?), (\w+) -->")
_TABLE: Final = re.compile(r"<!-- figures: ([^\n]+)\n((?:[^\n]+\n)+?)-->\n+((?:\|[^\n]*\n)+)")
_SPLIT: Final = re.compile(r"(?<!\\)\|")
_MEASURED: Final = re.compile(
    r"""(?<![\w.,`])\d[\d,]*(?:\.\d+)?
    (?: x\b(?!\w*<!--) | (?=\s(?:us|ns|msg/s|messages\sa\ssecond|times\s(?:as|the|faster))\b) )""",
    re.VERBOSE,
)
_MEASURED_TABLE: Final = re.compile(r"^\|[^\n]*(?:per second|msg/s)[^\n]*\n\|[-| :]+\n", re.MULTILINE)

Figures = dict[str, dict[str, dict[str, Any]]]


class QuoteError(Exception):
    """A document quotes what is not in the file."""


def load() -> Figures:
    """The file."""
    found: Figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    return found


def figure(figures: Figures, case: str, servers: str, name: str) -> Decimal:
    """One figure, or with ``a / b`` for servers the ratio of two. Raises: QuoteError."""
    try:
        found = [figures[case][server.strip()] for server in servers.split("/")]
        values = [Decimal(str(each[name])) for each in found]
    except KeyError as missing:
        raise QuoteError(f"{FIGURES.name} has no {missing} ({case}: {servers}, {name})") from None
    if len(values) == 1:
        return values[0]
    rounds = [[run[name] for run in each.get("rounds", ())] for each in found]
    if all(rounds):  # the servers ran in turns: a slow moment of the machine is in both figures of a round
        return Decimal(str(median(one / other for one, other in zip(*rounds, strict=True))))
    return values[0] / values[1]


def as_quoted(value: Decimal, old: str) -> str:
    """A value rounded as the text is in whose place it comes: with as many decimals, or as many significant digits of a
    whole number, but two at least."""
    decimals = len(old.partition(".")[2])
    if decimals and _rounded(value, decimals):
        return f"{_rounded(value, decimals):,.{decimals}f}"
    count = max(2, len(old.replace(",", "").rstrip("0")))
    rounded = _rounded(value, count - 1 - value.adjusted())
    places = count - 1 - rounded.adjusted()  # 9.96 to two digits is 10
    return f"{_rounded(value, places):,.{max(0, places)}f}"


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)


def rewrite(text: str, figures: Figures) -> str:
    """A document with the figures of the file. Raises: QuoteError."""

    def inline(match: re.Match[str]) -> str:
        old, _, case, servers, name = match.groups()
        return as_quoted(figure(figures, case, servers, name), old) + match[0][len(old) :]

    def table(match: re.Match[str]) -> str:
        columns = [column.strip() for column in match[1].split(",")]
        rows = match[2].splitlines()
        lines = match[3].splitlines(keepends=True)
        if len(rows) != len(lines) - 2:
            raise QuoteError(f"{len(rows)} rows are named, the table has {len(lines) - 2}: {lines[0].strip()}")
        new = [_rewrite_row(line, columns, row, figures) for line, row in zip(lines[2:], rows, strict=True)]
        return match[0][: match.start(3) - match.start()] + "".join(lines[:2] + new)

    return _INLINE.sub(inline, _TABLE.sub(table, text))


def _rewrite_row(line: str, columns: list[str], row: str, figures: Figures) -> str:
    case, _, names = row.partition(": ")
    servers = [name.strip() for name in names.split(",")]
    cells = _SPLIT.split(line)
    for position, column in enumerate(columns, start=2):
        if column == "-":
            continue
        which, name = column.split()
        if any(int(number) >= len(servers) for number in which.split("/")):
            if _NUMBER.search(cells[position]):
                raise QuoteError(f"no server is named for {cells[position].strip()!r} in {line.strip()}")
            continue
        chosen = "/".join(servers[int(number)] for number in which.split("/"))
        old = _QUOTED.search(cells[position])
        if old is None:
            raise QuoteError(f"no number for {chosen}, {name} in {line.strip()}")
        try:
            new = as_quoted(figure(figures, case, chosen, name), "123" if old[0] == "?" else old[0])
        except QuoteError:
            if old[0] != "?":
                raise
            new = "?"
        cells[position] = old.string[: old.start()] + new + old.string[old.end() :]
    return "|".join(cells)


def unmarked(text: str) -> Iterator[tuple[int, str]]:
    """Numbers that look measured and are not marked as quotes, each with its line."""
    tables = [match.span(3) for match in _TABLE.finditer(text)]
    for match in [*_MEASURED.finditer(text), *_MEASURED_TABLE.finditer(text)]:
        if not any(begin <= match.start() < end for begin, end in tables):
            yield text.count("\n", 0, match.start()) + 1, match[0].strip()


def main() -> None:
    """Rewrite all documents."""
    figures = load()
    for path in DOCUMENTS:
        old = path.read_text(encoding="utf-8")
        new = rewrite(old, figures)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
