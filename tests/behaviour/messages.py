"""Requests and replies of each kind, encoded."""

import random
from typing import Any, Final, NamedTuple

from numaflow_accumulator._proto.accumulator_pb2 import AccumulatorRequest, AccumulatorResponse
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_reducer._proto.reduce_pb2 import ReduceRequest, ReduceResponse
from numaflow_servingstore._proto.serving_pb2 import GetRequest, GetResponse
from numaflow_sessionreducer._proto.sessionreduce_pb2 import SessionReduceRequest, SessionReduceResponse
from numaflow_sideinput._proto.sideinput_pb2 import SideInputResponse
from numaflow_sinker._proto.sink_pb2 import SinkRequest, SinkResponse
from numaflow_sourcer._proto.source_pb2 import ReadRequest, ReadResponse
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse

from .enclosures import enclosed, enclosure

EVENT_TIME_SECONDS: Final = 1_700_000_000

_END_OF_TIME_SECONDS: Final = 8_210_266_876_799
"""The end of an accumulator's window that is open: the platform's ``MAX_UTC``."""

RECORDS_OF_A_READ: Final = 1000
"""The number of records that a read of a source asks for is a multiple of this. No two reads ask for the same one, so
that the handler, which is told of nothing else, knows them apart; also when a few messages were there already."""


class Answer(NamedTuple):
    """The reply to one request."""

    id: str
    payload: bytes


def _fill(body: Any, payload: bytes) -> None:
    """What requests of all kinds have."""
    body.value = payload
    body.keys.append("key")
    body.event_time.seconds = EVENT_TIME_SECONDS


def handshake(message: Any) -> bytes:
    message.handshake.sot = True
    data: bytes = message.SerializeToString()
    return data


def eot(message: Any) -> bytes:
    message.status.eot = True
    data: bytes = message.SerializeToString()
    return data


def map_request(id: str, payload: bytes) -> bytes:
    message = MapRequest(id=id)
    _fill(message.request, payload)
    message.request.watermark.seconds = EVENT_TIME_SECONDS
    return message.SerializeToString()


def map_answers(reply: bytes) -> list[Answer]:
    message = MapResponse.FromString(reply)
    if message.HasField("handshake") or message.HasField("status"):
        return []
    return [Answer(message.id, b"".join(result.value for result in message.results))]


def transform_request(id: str, payload: bytes) -> bytes:
    message = SourceTransformRequest()
    message.request.id = id
    _fill(message.request, payload)
    return message.SerializeToString()


def transform_answers(reply: bytes) -> list[Answer]:
    message = SourceTransformResponse.FromString(reply)
    if message.HasField("handshake"):
        return []
    assert all(result.HasField("event_time") for result in message.results), "the platform fails without one"
    assert message.results, "the platform fails without results"
    return [Answer(message.id, b"".join(result.value for result in message.results))]


def sink_request(id: str, payload: bytes) -> bytes:
    message = SinkRequest()
    message.request.id = id
    _fill(message.request, payload)
    message.request.watermark.seconds = EVENT_TIME_SECONDS
    return message.SerializeToString()


def sink_answers(reply: bytes) -> list[Answer]:
    message = SinkResponse.FromString(reply)
    return [Answer(result.id, result.serve_response) for result in message.results]


def _fill_keyed(body: Any, key: str, payload: bytes) -> None:
    """What requests of all keyed kinds have."""
    body.value = payload
    body.keys.append(key)
    body.event_time.seconds = body.watermark.seconds = EVENT_TIME_SECONDS


def _set_bounds(window: Any, end_seconds: int) -> None:
    window.start.seconds, window.end.seconds = EVENT_TIME_SECONDS, end_seconds


def _has_bounds(window: Any) -> bool:
    """The platform fails without them."""
    return bool(window.HasField("start") and window.HasField("end"))


def reduce_request(key: str, payload: bytes) -> bytes:
    """The first of a window; the platform says APPEND in those that follow it, which makes no difference."""
    message = ReduceRequest()
    _fill_keyed(message.payload, key, payload)
    _set_bounds(message.operation.windows.add(slot="0"), EVENT_TIME_SECONDS + 60)
    return message.SerializeToString()


def reduce_answers(reply: bytes) -> list[Answer]:
    message = ReduceResponse.FromString(reply)
    assert _has_bounds(message.window)
    return [] if message.EOF else [Answer(message.result.keys[0], message.result.value)]


def session_request(key: str, payload: bytes) -> bytes:
    message = SessionReduceRequest()
    _fill_keyed(message.payload, key, payload)
    _set_bounds(message.operation.keyedWindows.add(slot="0", keys=[key]), EVENT_TIME_SECONDS + 10)
    return message.SerializeToString()


def session_close(key: str) -> bytes:
    message = SessionReduceRequest()
    message.operation.event = SessionReduceRequest.WindowOperation.CLOSE
    _set_bounds(message.operation.keyedWindows.add(slot="0", keys=[key]), EVENT_TIME_SECONDS + 10)
    return message.SerializeToString()


def session_answers(reply: bytes) -> list[Answer]:
    message = SessionReduceResponse.FromString(reply)
    assert _has_bounds(message.keyedWindow)
    return [] if message.EOF else [Answer(message.keyedWindow.keys[0], message.result.value)]


def accumulator_request(key: str, payload: bytes) -> bytes:
    message = AccumulatorRequest()
    _fill_keyed(message.payload, key, payload)
    message.payload.id = f"id of {key}"
    window = message.operation.keyedWindow
    window.slot = "slot-0"
    window.keys.append(key)
    _set_bounds(window, _END_OF_TIME_SECONDS)
    return message.SerializeToString()


def accumulator_close(key: str) -> bytes:
    message = AccumulatorRequest()
    message.operation.event = AccumulatorRequest.WindowOperation.CLOSE
    window = message.operation.keyedWindow
    window.slot = "slot-0"
    window.keys.append(key)
    _set_bounds(window, EVENT_TIME_SECONDS + 30)
    return message.SerializeToString()


def accumulator_answers(reply: bytes) -> list[Answer]:
    message = AccumulatorResponse.FromString(reply)
    assert _has_bounds(message.window)
    if message.EOF:
        return []
    assert message.payload.HasField("event_time"), "the platform fails without one"
    return [Answer(message.window.keys[0], message.payload.value)]


def read_request(id: str, payload: bytes) -> bytes:
    """A read that waits for what the handler makes, as long as a test does."""
    message = ReadRequest()
    message.request.num_records = random.randint(1, 2**40) * RECORDS_OF_A_READ
    message.request.timeout_in_ms = 600_000
    return message.SerializeToString() + enclosure(id, payload)


def read_answers(reply: bytes) -> list[Answer]:
    message = ReadResponse.FromString(reply)
    if message.handshake.sot or message.status.eot:
        assert not message.HasField("result"), "the platform passes over what comes with an eot"
        return []
    assert message.result.HasField("event_time"), "the platform fails without one"
    assert message.result.HasField("offset"), "the platform fails without one"
    return [Answer(message.result.offset.offset.decode(), message.result.payload)]


def side_input_answers(reply: bytes) -> list[Answer]:
    return [Answer(*enclosed(SideInputResponse.FromString(reply).value))]


def get_request(id: str, payload: bytes) -> bytes:
    return GetRequest(id=id).SerializeToString() + enclosure(id, payload)


def store_answers(reply: bytes) -> list[Answer]:
    message = GetResponse.FromString(reply)
    return [Answer(message.id, payload.value) for payload in message.payloads]
