"""User code that ``mypy --strict`` must refuse, with the error that it must give; never run."""

from numaflow_mapper import Datum, MapAsyncServer, Mapper, MapServer, Message, Messages


def function(keys: list[str], datum: Datum) -> Messages:
    return Messages()


async def coroutine(keys: list[str], datum: Datum) -> Messages:
    return Messages()


def too_few(keys: list[str]) -> Messages:
    return Messages()


def too_many(keys: list[str], datum: Datum, more: int) -> Messages:
    return Messages()


def wrong_result(keys: list[str], datum: Datum) -> str:
    return ""


def wrong_items(keys: list[str], datum: Datum) -> list[bytes]:
    return []


class SyncMapper(Mapper):
    def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class AsyncMapper(Mapper):
    async def handler(self, keys: list[str], datum: Datum) -> Messages:
        return Messages()


class WrongMapper(Mapper):
    def handler(self, keys: list[str]) -> Messages:  # E: Signature of "handler" incompatible with supertype
        return Messages()


class EmptyMapper(Mapper):
    pass


MapServer(coroutine)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(AsyncMapper())  # E: Argument 1 to "MapServer" has incompatible type
MapAsyncServer(function)  # E: Argument 1 to "MapAsyncServer" has incompatible type
MapAsyncServer(SyncMapper())  # E: Argument 1 to "MapAsyncServer" has incompatible type
MapServer(too_few)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(too_many)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(wrong_result)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(wrong_items)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(SyncMapper)  # E: Argument 1 to "MapServer" has incompatible type
MapServer(function, transport="http")  # E: Argument "transport" to "MapServer" has incompatible type
EmptyMapper()  # E: Cannot instantiate abstract class "EmptyMapper"
Message("text")  # E: Argument 1 to "Message" has incompatible type
Message(b"", keys=[1])  # E: List item 0 has incompatible type
Messages(b"")  # E: Argument 1 to "Messages" has incompatible type
Message.to_nack("why")  # E: Argument 1 to "to_nack" of "ReservedMessages" has incompatible type
Message(b"").value = b"x"  # E: Property "value" defined in "BaseMessage" is read-only


def changes(datum: Datum) -> None:
    datum.value = b""  # E: Property "value" defined in "BaseDatum" is read-only
