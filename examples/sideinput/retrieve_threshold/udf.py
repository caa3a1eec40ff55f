"""Retrieves a number from a URL, and broadcasts it when it is another than the last time."""

import logging
import os
import urllib.request
from typing import Any

from numaflow_sideinput import Response, SideInput, SideInputServer

logger = logging.getLogger(__name__)


class Threshold(SideInput):
    def __init__(self, url: str) -> None:
        self.url = url
        self.last: int | None = None

    def retrieve_handler(self) -> Response:
        try:
            with urllib.request.urlopen(self.url, timeout=10) as reply:
                number = int(reply.read(100))
        except (OSError, ValueError) as error:
            # Raising would restart the container; the vertices are better off with the number that they have.
            logger.warning("no threshold from %s: %s", self.url, error)
            return Response.no_broadcast_message()
        if number == self.last:
            return Response.no_broadcast_message()
        self.last = number
        return Response.broadcast_message(b"%d" % number)


def make_server(**options: Any) -> SideInputServer:
    return SideInputServer(Threshold(os.environ["THRESHOLD_URL"]), **options)


if __name__ == "__main__":
    make_server().start()
