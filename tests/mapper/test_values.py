"""What only the map kinds have: responses of batches, and a handler that is called by hand."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from every_kind.samples import NOW
from numaflow_mapper import BatchResponse, BatchResponses, Datum, Message, Messages


def datum(value: bytes, id: str = "") -> Datum:
    return Datum(["k"], value, NOW, NOW, id=id)


def test_batch_response() -> None:
    one, two = Message(b"1"), Message(b"2")
    response = BatchResponse("7", [one])
    assert response.id == "7"
    assert response.messages == Messages(one)
    response.append(two)
    assert response.items() == [one, two]
    response.messages.append(one)
    assert list(response.messages) == [one, two, one]
    assert BatchResponse.from_id("7") == BatchResponse("7") == BatchResponse.with_msgs("7", [])
    assert BatchResponse.with_msgs("7", (message for message in [one])) == BatchResponse("7", Messages(one))


def test_batch_response_does_not_keep_the_list_it_was_given() -> None:
    given = [Message(b"1")]
    response = BatchResponse("7", given)
    given.clear()
    response.items().clear()
    assert len(response.messages) == 1
    copy = BatchResponse("8", response.messages)
    response.append(Message(b"2"))
    assert len(copy.messages) == 1


def test_batch_response_equality_and_repr() -> None:
    assert BatchResponse("7") != BatchResponse("8")
    assert BatchResponse("7") != BatchResponse("7", [Message(b"")])
    assert BatchResponse("7") != "7"
    with pytest.raises(TypeError, match="unhashable"):
        hash(BatchResponse("7"))
    assert repr(BatchResponse("7", [Message(b"a")])) == (
        "BatchResponse('7', Messages(Message(value=b'a', keys=[], tags=[])))"
    )


def test_batch_response_is_read_only() -> None:
    response = BatchResponse("7")
    for name in ("id", "messages", "other"):
        with pytest.raises(AttributeError):
            setattr(response, name, "x")


@pytest.mark.parametrize("wrong", [7, None, b"7"])
def test_id_of_a_batch_response_is_a_str(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"BatchResponse id must be a str, got {type(wrong).__name__}"):
        BatchResponse(wrong)  # type: ignore[arg-type]


def test_batch_response_holds_only_messages() -> None:
    with pytest.raises(TypeError, match="Messages holds Message objects, got bytes"):
        BatchResponse("7", [b"v"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="Messages holds Message objects, got str"):
        BatchResponse("7").append("v")  # type: ignore[arg-type]


def test_handlers_are_tested_without_a_server() -> None:
    def handler(keys: list[str], datum: Datum) -> Messages:
        return Messages(*(Message(part, keys=keys) for part in datum.value.split(b",")))

    def batch_handler(datums: Iterator[Datum]) -> BatchResponses:
        return BatchResponses(*(BatchResponse(each.id, handler(each.keys, each)) for each in datums))

    def stream_handler(keys: list[str], datum: Datum) -> Iterator[Message]:
        yield from handler(keys, datum)

    expected = Messages(Message(b"a", keys=["k"]), Message(b"b", keys=["k"]))
    given = datum(b"a,b", "1")
    assert handler(given.keys, given) == expected
    assert batch_handler(iter([given])) == BatchResponses(BatchResponse("1", expected))
    assert Messages(*stream_handler(given.keys, given)) == expected


def test_async_batch_handlers_are_tested_without_a_server() -> None:
    async def handler(datums: AsyncIterator[Datum]) -> BatchResponses:
        return BatchResponses(*[BatchResponse(each.id) async for each in datums])

    async def datums() -> AsyncIterator[Datum]:
        yield datum(b"", "1")

    assert asyncio.run(handler(datums())) == BatchResponses(BatchResponse("1"))
