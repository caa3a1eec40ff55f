"""What a source makes and is given."""

import copy
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from numaflow_sourcer import (
    AckRequest,
    Message,
    Nack,
    NackOptions,
    NackRequest,
    Offset,
    PartitionsResponse,
    PendingResponse,
    ReadRequest,
    UserMetadata,
    get_default_partitions,
)

TIME = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
OFFSET = Offset(b"o", 0)


def test_message() -> None:
    message = Message(bytearray(b"p"), OFFSET, TIME, keys=("k",), headers={"a": "b"}, user_metadata=UserMetadata())
    assert (message.payload, message.value, message.offset, message.event_time) == (b"p", b"p", OFFSET, TIME)
    assert (message.keys, message.headers, message.user_metadata) == (["k"], {"a": "b"}, UserMetadata())
    assert message.event_time_ns == 1_709_208_000 * 10**9
    assert message == Message(b"p", OFFSET, TIME, ["k"], {"a": "b"}, UserMetadata())
    assert message != Message(b"p", OFFSET, TIME, ["k"], {"a": "c"}, UserMetadata())
    assert repr(message) == (
        "Message(payload=b'p', offset=Offset(b'o', partition_id=0), event_time=2024-02-29T12:00:00+00:00)"
    )
    assert pickle.loads(pickle.dumps(message)) == copy.copy(message) == message


def test_other_zones_are_converted() -> None:
    assert Message(b"", OFFSET, TIME.astimezone(timezone(timedelta(hours=5)))).event_time == TIME


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("text", OFFSET, TIME), TypeError, "payload must be bytes-like, got str"),
        ((b"", b"o", TIME), TypeError, "offset must be an Offset, got bytes"),
        ((b"", None, TIME), TypeError, "offset must be an Offset"),
        ((b"", Offset(b"", 0), TIME), ValueError, "offset must not be empty"),
        ((b"", OFFSET, None), TypeError, "event_time must be a datetime, got NoneType"),
        ((b"", OFFSET, 1.5), TypeError, "event_time must be a datetime"),
        ((b"", OFFSET, TIME, "key"), TypeError, "keys must be a sequence of str"),
        ((b"", OFFSET, TIME, None, {"a": 1}), TypeError, "headers must be of str"),
        ((b"", OFFSET, TIME, None, ["a"]), TypeError, "headers must be a mapping"),
        ((b"", OFFSET, TIME, None, None, {}), TypeError, "user_metadata must be a UserMetadata"),
    ],
)
def test_message_refuses(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Message(*arguments)


def test_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Offset(memoryview(b"a"), 3) == Offset(b"a", 3) != Offset(b"a", 4)
    assert len({Offset(b"a", 3), Offset(b"a", 3), Offset(b"b", 3)}) == 2
    assert Offset(b"a", 3).as_dict == {"offset": b"a", "partition_id": 3}
    monkeypatch.delenv("NUMAFLOW_REPLICA", raising=False)
    assert get_default_partitions() == [0]
    monkeypatch.setenv("NUMAFLOW_REPLICA", "5")
    assert get_default_partitions() == [5]
    assert Offset.offset_with_default_partition_id(b"a") == Offset(b"a", 5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("a", 0), TypeError),
        ((b"a", "0"), TypeError),
        ((b"a", True), TypeError),
        ((b"a", -1), ValueError),
        ((b"a", 65_536), ValueError),
    ],
)
def test_offset_refuses(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error, match="Offset"):
        Offset(*arguments)


def test_requests() -> None:
    assert AckRequest([OFFSET]).offsets == [OFFSET]
    options = NackOptions(reason="r")
    request = NackRequest([OFFSET, Nack(OFFSET, options)])
    assert request.offsets == [OFFSET, OFFSET]
    assert request.nacks == [Nack(OFFSET), Nack(OFFSET, options)]
    assert request == NackRequest(request.nacks)
    for wrong in ([b"o"], [Nack(b"o")], [Nack(OFFSET, "later")]):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            NackRequest(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "arguments", "error"),
    [
        (
            ReadRequest,
            (
                "1",
                1,
            ),
            TypeError,
        ),
        (
            ReadRequest,
            (
                True,
                1,
            ),
            TypeError,
        ),
        (
            ReadRequest,
            (
                -1,
                1,
            ),
            ValueError,
        ),
        (
            ReadRequest,
            (
                1,
                2**32,
            ),
            ValueError,
        ),
        (PendingResponse, (None,), TypeError),
        (PendingResponse, (2**63,), ValueError),
        (PartitionsResponse, (1,), TypeError),
        (PartitionsResponse, ("12",), TypeError),
        (PartitionsResponse, ([1.0],), TypeError),
        (PartitionsResponse, ([65_536],), ValueError),
    ],
)
def test_numbers_are_checked(kind: Any, arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Request|Response"):
        kind(*arguments)


def test_small_values_compare_and_show() -> None:
    assert ReadRequest(1, 2) == ReadRequest(1, 2) != ReadRequest(1, 3)
    assert PendingResponse(-1) == PendingResponse(-1) != PendingResponse(0)
    assert PartitionsResponse((1, 2)) == PartitionsResponse([1, 2])
    assert [repr(each) for each in (ReadRequest(1, 2), PendingResponse(3), PartitionsResponse([1]))] == [
        "ReadRequest(num_records=1, timeout_in_ms=2)",
        "PendingResponse(3)",
        "PartitionsResponse([1])",
    ]
    assert len({ReadRequest(1, 2), ReadRequest(1, 2)}) == len({PendingResponse(1), PendingResponse(1)}) == 1
