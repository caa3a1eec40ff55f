"""One message in, any number out: splits a line at its commas."""

from typing import Any

from numaflow_mapper import Datum, MapServer, Message, Messages


def handler(keys: list[str], datum: Datum) -> Messages:
    parts = (part.strip() for part in datum.value.split(b","))
    return Messages(*(Message(part, keys=keys) for part in parts if part))


def make_server(**options: Any) -> MapServer:
    return MapServer(handler, **options)


if __name__ == "__main__":
    make_server().start()
