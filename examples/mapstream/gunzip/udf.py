"""Results that leave one by one: the lines of a compressed text, which is never unpacked as a whole."""

import gzip
import io
import logging
import zlib
from collections.abc import Iterator
from typing import Any

from numaflow_mapper import Datum, MapStreamServer, Message

LONGEST = 1024 * 1024
"""Bytes; a longer line is forwarded in parts. What is compressed may hold a thousand times its size."""

logger = logging.getLogger(__name__)


def handler(keys: list[str], datum: Datum) -> Iterator[Message]:
    with gzip.open(io.BytesIO(datum.value)) as text:
        try:
            while line := text.readline(LONGEST):
                yield Message(line.rstrip(b"\r\n"), keys=keys)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            # The lines before it are on their way already, and calling again would not help.
            logger.warning("message %s ends early: %s", datum.id, error)


def make_server(**options: Any) -> MapStreamServer:
    return MapStreamServer(handler, **options)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    make_server().start()
