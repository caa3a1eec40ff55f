"""Results of source transforms on the wire, with any content; above all their event times."""

from datetime import datetime, timedelta, timezone
from functools import partial

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from every_kind.samples import options, tagged, texts
from numaflow_core.values.times import timestamp_to_ns
from numaflow_core.wire.buffers import LARGE
from numaflow_core.wire.protobuf import timestamp
from numaflow_sourcetransformer import DROP, Message, Messages
from numaflow_sourcetransformer._codec import decode, encode
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse
from numaflow_sourcetransformer.testing import _messages

UTC = timezone.utc
times = st.datetimes(timezones=st.just(UTC))
messages = times.flatmap(
    lambda time: st.one_of(
        tagged(partial(Message, event_time=time)),
        st.builds(Message.to_nack, st.just(time), options),
        st.builds(Message.to_drop, st.just(time)),
        st.builds(Message.to_fail, st.just(time)),
    )
)


def request(id: str = "id") -> SourceTransformRequest.Request:
    return SourceTransformRequest.Request(id=id)


@given(texts, st.lists(messages, min_size=1, max_size=5))
def test_results_are_what_protobuf_reads(id: str, results: list[Message]) -> None:
    encoded = encode(request(id), Messages(*results))
    assert len(encoded) == len(bytes(encoded))
    response = SourceTransformResponse.FromString(bytes(encoded))
    assert response.id == id
    assert not response.HasField("handshake")
    assert list(_messages(response)) == results


@given(st.integers(-62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1))
def test_timestamps_are_what_protobuf_writes(ns: int) -> None:
    expected = Timestamp()
    expected.FromNanoseconds(ns)
    assert timestamp(ns) == expected.SerializeToString()


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 999_999_999))
def test_timestamps_beyond_the_years_of_datetimes(seconds: int, nanos: int) -> None:
    read = Timestamp.FromString(timestamp(seconds * 10**9 + nanos))
    assert (read.seconds, read.nanos) == (seconds, nanos)


@pytest.mark.parametrize(
    "time",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1900, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2024, 7, 1, 12, 30, 15, 123_456, tzinfo=UTC),
        datetime(2024, 7, 1, 12, 30, 15, 123_456, tzinfo=timezone(timedelta(hours=-5))),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
def test_event_time_is_what_protobuf_would_make_of_it(time: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(time)
    (wire,) = SourceTransformResponse.FromString(bytes(encode(request(), Message(b"v", time)))).results
    assert wire.event_time == expected


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(1_700_000_000, 123_456_789), (-1, 999_000_000), (0, 0), (-62_135_596_800, 1), (8_210_266_876_799, 999_999_999)],
)
@pytest.mark.parametrize("nothing", [None, [], Messages()])
def test_empty_result_is_a_drop_at_exactly_the_datums_time(nothing: object, seconds: int, nanos: int) -> None:
    message = SourceTransformRequest()
    message.request.id = "7"
    message.request.event_time.seconds, message.request.event_time.nanos = seconds, nanos
    body, _ = decode(message.SerializeToString())
    response = SourceTransformResponse.FromString(bytes(encode(body, nothing)))
    assert response.id == "7"
    (drop,) = response.results
    assert list(drop.tags) == [DROP]
    assert drop.HasField("event_time")
    assert timestamp_to_ns(drop.event_time) == seconds * 10**9 + nanos
    assert (drop.value, list(drop.keys), drop.HasField("nack_options")) == (b"", [], False)


def test_empty_result_for_a_request_without_an_event_time_has_one() -> None:
    response = SourceTransformResponse.FromString(bytes(encode(request(), None)))
    assert response.results[0].HasField("event_time")


@pytest.mark.parametrize("size", [0, LARGE, 10 * LARGE])
def test_result_without_an_id_is_no_empty_result(size: int) -> None:
    response = SourceTransformResponse.FromString(bytes(encode(request(""), Message(bytes(size), datetime.now(UTC)))))
    assert [len(result.value) for result in response.results] == [size]
    assert not response.results[0].tags
