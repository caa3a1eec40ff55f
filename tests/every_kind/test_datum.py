"""What the handlers of every kind are given."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_kind.samples import DATUMS, NOW, fill, groups, texts
from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.metadata import SystemMetadata, UserMetadata

UNKNOWN_NS = -1_000_000

every_datum = pytest.mark.parametrize("datum", DATUMS, ids=lambda datum: datum.__module__.split(".")[0])

Datum = type[BaseDatum]


def made(datum: Datum, value: bytes = b"v", id: str = "") -> BaseDatum:
    return datum(["k"], value, NOW, NOW - timedelta(seconds=1), id=id)


def view(datum: Datum, body: Any) -> BaseDatum:
    return datum._view(body, "id")


@every_datum
def test_made_by_hand(datum: Datum) -> None:
    one = datum(
        keys=["a", "b"],
        value=bytearray(b"payload"),
        event_time=NOW,
        watermark=NOW - timedelta(minutes=1),
        headers={"h": "1"},
        user_metadata=UserMetadata({"g": {"k": b"v"}}),
        system_metadata=SystemMetadata({"s": {"k": b"w"}}),
        id="in-1",
        previous_vertex="cat",
    )
    assert one.id == "in-1"
    assert one.keys == ["a", "b"]
    assert one.value == b"payload"
    assert type(one.value) is bytes
    assert one.event_time == NOW
    assert one.event_time.tzinfo is timezone.utc
    assert one.event_time_ns == 1_719_837_015_123_456_000
    assert one.watermark == NOW - timedelta(minutes=1)
    assert one.watermark_ns == 1_719_836_955_123_456_000
    assert one.has_watermark
    assert one.headers == {"h": "1"}
    assert one.user_metadata.value("g", "k") == b"v"
    assert one.system_metadata.value("s", "k") == b"w"
    assert one.previous_vertex == "cat"


@every_datum
def test_defaults(datum: Datum) -> None:
    one = made(datum)
    assert (one.id, one.headers, one.previous_vertex) == ("", {}, "")
    assert len(one.user_metadata) == 0
    assert len(one.system_metadata) == 0


@every_datum
def test_arguments_by_position(datum: Datum) -> None:
    one = datum(["k"], b"v", NOW, NOW, {"h": "1"}, UserMetadata({"u": {}}), SystemMetadata({"s": {}}))
    assert one.headers == {"h": "1"}
    assert "u" in one.user_metadata
    assert "s" in one.system_metadata


@every_datum
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("k", b"v", NOW, NOW), r"Datum keys must be a sequence of str, got str: 'k' \(did you mean"),
        (([1], b"v", NOW, NOW), "Datum keys must be a sequence of str, got an item of int"),
        (([], "v", NOW, NOW), "Datum value must be bytes-like, got str"),
        (([], b"v", 1.5, NOW), "Datum event_time must be a datetime, got float"),
        (([], b"v", None, NOW), "Datum event_time must be a datetime, got NoneType"),
        (([], b"v", NOW, 2), "Datum watermark must be a datetime, got int"),
    ],
)
def test_wrong_types(datum: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        datum(*arguments)


@every_datum
def test_what_it_gives_out_is_a_copy(datum: Datum) -> None:
    one = datum(["k"], b"v", NOW, NOW, {"h": "1"})
    one.keys.append("more")
    one.headers["more"] = "2"
    assert one.keys == ["k"]
    assert one.headers == {"h": "1"}


@every_datum
def test_user_metadata_is_one_object(datum: Datum) -> None:
    one = made(datum)
    one.user_metadata.add_key("g", "k", b"v")
    assert one.user_metadata.value("g", "k") == b"v"


@every_datum
def test_without_watermark(datum: Datum) -> None:
    for one in (view(datum, datum._new_request()), datum([], b"", NOW, None)):
        assert not one.has_watermark
        assert one.watermark_ns == UNKNOWN_NS
        assert one.watermark == datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)


@every_datum
@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [
        (0, 0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
        (1_700_000_000, 123_456_789, datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=timezone.utc)),
        (-1, 999_000_000, datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)),
        (8_210_266_876_799, 999_999_999, datetime.max.replace(tzinfo=timezone.utc)),
        (-8_334_601_228_800, 0, datetime.min.replace(tzinfo=timezone.utc)),
        (2**63 - 1, 2**31 - 1, datetime.max.replace(tzinfo=timezone.utc)),
        (-(2**63), -(2**31), datetime.min.replace(tzinfo=timezone.utc)),
    ],
)
def test_times_beyond_pythons_range_do_not_overflow(datum: Datum, seconds: int, nanos: int, expected: datetime) -> None:
    body = datum._new_request()
    for target in (body.event_time, body.watermark):
        target.seconds, target.nanos = seconds, nanos
    seen = view(datum, body)
    assert seen.event_time == seen.watermark == expected
    assert seen.event_time_ns == seen.watermark_ns == seconds * 10**9 + nanos
    repr(seen)


@every_datum
def test_equality_and_repr(datum: Datum) -> None:
    assert made(datum) == made(datum)
    assert made(datum) != made(datum, b"other")
    assert made(datum) != made(datum, id="other")
    assert made(datum) != "v"
    assert all(made(datum) != made(other) for other in DATUMS if other is not datum)
    with pytest.raises(TypeError, match="unhashable"):
        hash(made(datum))
    assert repr(made(datum, b"\xff\xfe", "1")) == (
        "Datum(id='1', keys=['k'], value=b'\\xff\\xfe', event_time=2024-07-01T12:30:15.123456+00:00)"
    )
    assert len(repr(made(datum, bytes(10_000_000)))) < 1000


@every_datum
@given(
    keys=st.lists(texts, max_size=3),
    value=st.binary(max_size=60),
    user=groups,
    system=groups,
    headers=st.dictionaries(texts, texts),
    vertex=texts,
)
def test_shows_what_protobuf_holds(
    datum: Datum,
    keys: list[str],
    value: bytes,
    user: dict[str, dict[str, bytes]],
    system: dict[str, dict[str, bytes]],
    headers: dict[str, str],
    vertex: str,
) -> None:
    body = datum._new_request()
    fill(body, keys, value, headers, vertex, user_metadata=user, sys_metadata=system)
    seen = view(datum, type(body).FromString(body.SerializeToString()))
    assert seen.keys == keys
    assert seen.value == value
    assert seen.headers == headers
    assert seen.previous_vertex == vertex
    assert seen.user_metadata.as_dict() == user
    assert seen.system_metadata.as_dict() == system
