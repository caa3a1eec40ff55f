"""Source messages against bytes put together from the field numbers of the platform's ``source.proto``."""

from datetime import datetime, timezone
from typing import Any

import pytest

from numaflow_core.wire.status import ProtocolError
from numaflow_sourcer import (
    AckRequest,
    Message,
    NackOptions,
    NackRequest,
    Offset,
    PartitionsResponse,
    PendingResponse,
    ReadRequest,
    UserMetadata,
)
from numaflow_sourcer._codec import SPECS, encode_message, read_request
from protobuf_bytes import field

TIME = datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=timezone.utc)
WIRE_TIME = field(1, 1_700_000_000) + field(2, 123_456_000)


def codec(method: str) -> Any:
    return SPECS[method].codec


def called(method: str, message: bytes) -> object:
    """What a handler is called with."""
    _, (given,) = codec(method).decode(message)
    found: object = given
    return found


def fields_of(data: bytes) -> list[tuple[int, bytes | int]]:
    """The fields of a message, in their order."""

    def varint(position: int) -> tuple[int, int]:
        shift = number = 0
        while True:
            byte = data[position]
            number |= (byte & 127) << shift
            position, shift = position + 1, shift + 7
            if byte < 128:
                return number, position

    found: list[tuple[int, bytes | int]] = []
    position = 0
    while position < len(data):
        tag, position = varint(position)
        number, position = varint(position)
        if tag & 7 == 2:
            found.append((tag >> 3, data[position : position + number]))
            position += number
        else:
            assert tag & 7 == 0
            found.append((tag >> 3, number))
    return found


def encoded(message: Message) -> list[tuple[int, bytes | int]]:
    ((number, result),) = fields_of(bytes(encode_message(message)))
    assert number == 1
    assert isinstance(result, bytes)
    return sorted(fields_of(result))


def test_message() -> None:
    assert encoded(Message(b"payload", Offset(b"o1", 7), TIME)) == [
        (1, b"payload"),
        (2, field(1, b"o1") + field(2, 7)),
        (3, WIRE_TIME),
    ]


def test_message_with_everything() -> None:
    message = Message(
        b"\xff\x00",
        Offset(b"\x00", 0),
        TIME,
        keys=["k1", "ключ"],
        headers={"traceparent": "00-01"},
        user_metadata=UserMetadata({"g": {"a": b"1"}}),
    )
    group = field(1, "g") + field(2, field(1, field(1, "a") + field(2, b"1")))
    assert encoded(message) == [
        (1, b"\xff\x00"),
        (2, field(1, b"\x00")),
        (3, WIRE_TIME),
        (4, b"k1"),
        (4, "ключ".encode()),
        (5, field(1, "traceparent") + field(2, "00-01")),
        (6, field(3, group)),
    ]


def test_large_payload_is_not_copied() -> None:
    payload = bytes(100_000)
    message = encode_message(Message(payload, Offset(b"o", 65_535), TIME, keys=["k"]))
    assert not isinstance(message, bytes)
    ((_, result),) = fields_of(bytes(message))
    assert isinstance(result, bytes)
    assert dict(fields_of(result))[1] == payload
    assert dict(fields_of(result))[2] == field(1, b"o") + field(2, 65_535)


@pytest.mark.parametrize(
    ("time", "wire"),
    [
        (datetime(1970, 1, 1, tzinfo=timezone.utc), b""),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=timezone.utc), field(1, -1) + field(2, 500_000_000)),
        (datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=timezone.utc), field(1, 1_700_000_000) + field(2, 1000)),
        (
            datetime(2023, 11, 14, 22, 13, 20, 268_436, tzinfo=timezone.utc),
            field(1, 1_700_000_000) + field(2, 268_436_000),
        ),
        (
            datetime(2023, 11, 14, 22, 13, 20, 999_999, tzinfo=timezone.utc),
            field(1, 1_700_000_000) + field(2, 999_999_000),
        ),
    ],
)
def test_times(time: datetime, wire: bytes) -> None:
    assert encoded(Message(b"", Offset(b"o", 0), time))[2] == (3, wire)


def test_read_request() -> None:
    assert read_request(field(1, field(1, 500) + field(2, 1000))) == ReadRequest(500, 1000)
    assert read_request(field(1, b"")) == ReadRequest(0, 0)
    with pytest.raises(ProtocolError, match="expected a message with a request"):
        read_request(b"")
    with pytest.raises(ProtocolError, match="cannot parse"):
        read_request(b"\xff\xff")


def test_eot() -> None:
    assert codec("ReadFn").encoder(None).finish() == (field(2, field(1, 1)),)


def test_ack() -> None:
    request = field(1, field(1, field(1, b"a") + field(2, 1)) + field(1, field(1, b"b")))
    assert called("AckFn", request) == AckRequest([Offset(b"a", 1), Offset(b"b", 0)])
    assert codec("AckFn").encode(None, None) == field(1, field(1, b""))


def test_nack() -> None:
    options = field(1, "slow") + field(2, 3) + field(3, 1500) + field(4, field(1, "k") + field(2, "v"))
    request = field(1, field(1, field(1, b"a")) + field(2, options))
    request += field(1, field(1, field(1, b"b") + field(2, 2)))
    request += field(1, field(1, field(1, b"c")) + field(2, b""))
    found = called("NackFn", request)
    assert isinstance(found, NackRequest)
    assert found.offsets == [Offset(b"a", 0), Offset(b"b", 2), Offset(b"c", 0)]
    first, second, third = (nack.options for nack in found.nacks)
    assert first is not None
    assert (first.reason, first.max_deliveries, first.delay_ms, first.nack_map) == ("slow", 3, 1500, {"k": "v"})
    assert second is None
    assert third == NackOptions()
    assert codec("NackFn").encode(None, None) == field(1, field(1, b""))


@pytest.mark.parametrize("count", [0, 1, -1, 10**12])
def test_pending(count: int) -> None:
    assert codec("PendingFn").encode(None, PendingResponse(count)) == field(1, field(1, count) if count else b"")


def test_partitions() -> None:
    encode = codec("PartitionsFn").encode
    assert encode(None, (PartitionsResponse([0, 300]), 2)) == field(1, field(1, b"\x00\xac\x02") + field(2, 2))
    assert encode(None, (PartitionsResponse([]), None)) == field(1, b"")  # the result is set even where it is empty
    assert encode(None, (PartitionsResponse([]), 0)) == field(1, field(2, 0))
