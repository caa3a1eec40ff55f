"""The smallest sink: writes each message to the log."""

import logging
from collections.abc import Iterator
from typing import Any

from numaflow_sinker import Datum, Response, SinkServer

logger = logging.getLogger(__name__)


def handler(datums: Iterator[Datum]) -> Iterator[Response]:
    for datum in datums:
        logger.info("%s: %s", datum.id, datum.value.decode(errors="replace"))
        yield Response.as_success(datum.id)


def make_server(**options: Any) -> SinkServer:
    return SinkServer(handler, **options)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    make_server().start()
