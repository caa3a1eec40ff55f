"""The first half of a word count: a line of text in, a message for each of its words out, the word as the key."""

import re
from typing import Any

from numaflow_mapper import Datum, MapServer, Message, Messages

WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
"""Letters, with apostrophes between them."""


def words(line: bytes) -> list[str]:
    """The words of a line of UTF-8, in lower case."""
    return WORD.findall(line.decode("utf-8", "replace").lower())


def handler(keys: list[str], datum: Datum) -> Messages:
    return Messages(*(Message(word.encode(), keys=[word]) for word in words(datum.value)))


def make_server(**options: Any) -> MapServer:
    return MapServer(handler, **options)


if __name__ == "__main__":
    make_server().start()
