"""Forwards the numbers above a threshold that changes while the vertex runs: a side input, which ``retrieve_threshold``
makes."""

import os
from typing import Any

from numaflow_mapper import Datum, MapServer, Message
from numaflow_sideinput import SIDE_INPUT_DIR_PATH, SideInputFile


class OverThreshold:
    def __init__(self, threshold: SideInputFile[int]) -> None:
        self.threshold = threshold

    def handler(self, keys: list[str], datum: Datum) -> Message:
        if not datum.value.isdigit() or int(datum.value) <= self.threshold.value:
            return Message.to_drop()
        return Message(datum.value, keys=keys)


def make_server(**options: Any) -> MapServer:
    folder = os.environ.get("SIDE_INPUTS", SIDE_INPUT_DIR_PATH)
    return MapServer(OverThreshold(SideInputFile("threshold", int, directory=folder)), **options)


if __name__ == "__main__":
    make_server().start()
