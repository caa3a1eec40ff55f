"""A word as soon as a key's sum has passed a hundred more, and not only when its window closes."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from numaflow_reducer import Datum, Message, Metadata, ReduceStreamAsyncServer, ReduceStreamer


class Threshold(ReduceStreamer):
    """One object per key and window. What is yielded is forwarded at once."""

    def __init__(self, step: int) -> None:
        self.step = step

    async def handler(self, keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> AsyncIterator[Message]:
        total = told = 0
        async for datum in datums:
            if datum.value.isdigit():
                total += int(datum.value)
            if total // self.step > told:
                told = total // self.step
                yield Message(str(told * self.step).encode(), keys=keys, tags=["passed"])
        yield Message(str(total).encode(), keys=keys, tags=["total"])


def make_server(**options: Any) -> ReduceStreamAsyncServer:
    return ReduceStreamAsyncServer(Threshold, (100,), **options)


if __name__ == "__main__":
    make_server().start()
