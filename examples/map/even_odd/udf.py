"""Tags that choose the way: even numbers go one way, odd ones another, and what is not a number goes nowhere."""

from typing import Any

from numaflow_mapper import Datum, Mapper, MapServer, Message


class EvenOdd(Mapper):
    """A handler that is a class can hold settings. All messages meet in one instance, several at once."""

    def __init__(self, even_tag: str = "even", odd_tag: str = "odd") -> None:
        self.tags = (even_tag, odd_tag)

    def handler(self, keys: list[str], datum: Datum) -> Message:
        try:
            number = int(datum.value)
        except ValueError:
            return Message.to_drop()
        return Message(datum.value, keys=keys, tags=[self.tags[number % 2]])


def make_server(**options: Any) -> MapServer:
    return MapServer(EvenOdd(), **options)


if __name__ == "__main__":
    make_server().start()
