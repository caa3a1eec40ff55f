"""How many messages there were in each window: an async function, which sees them while they arrive."""

from collections.abc import AsyncIterable
from typing import Any

from numaflow_reducer import Datum, Message, Metadata, ReduceAsyncServer


async def count(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Message:
    number = 0
    async for _ in datums:
        number += 1
    window = md.interval_window
    return Message(f"{number} from {window.start:%H:%M:%S} to {window.end:%H:%M:%S}".encode(), keys=keys)


def make_server(**options: Any) -> ReduceAsyncServer:
    return ReduceAsyncServer(count, **options)


if __name__ == "__main__":
    make_server().start()
