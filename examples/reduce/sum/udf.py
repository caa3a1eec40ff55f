"""The sum of the numbers of each key and window: a class that numbers are pushed to, one object per key and window."""

from typing import Any

from numaflow_reducer import Datum, Message, ReduceServer, SyncReducer


class Sum(SyncReducer):
    """What waits for more numbers is this object, and no thread: there can be many keys."""

    def __init__(self, digits: int) -> None:
        self.digits = digits
        self.total = 0.0

    def add(self, datum: Datum) -> None:
        try:
            self.total += float(datum.value)
        except ValueError:
            pass  # no number, nothing to add

    def finish(self) -> Message:
        return Message(f"{self.total:.{self.digits}f}".encode(), keys=self.keys)


def make_server(**options: Any) -> ReduceServer:
    return ReduceServer(Sum, init_args=(2,), **options)


if __name__ == "__main__":
    make_server().start()
