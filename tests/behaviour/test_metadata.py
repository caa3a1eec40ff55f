"""User metadata, from a request to the handler, and to the results that it gives it to."""

import json
from typing import Any, Final

from numaflow_accumulator._proto.accumulator_pb2 import AccumulatorRequest
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_reducer._proto.reduce_pb2 import ReduceRequest
from numaflow_sessionreducer._proto.sessionreduce_pb2 import SessionReduceRequest
from numaflow_sinker._proto.sink_pb2 import SinkRequest, SinkResponse
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse

from .conftest import only
from .harness import ServerProcess
from .kinds import (
    ACCUMULATOR,
    BATCH_MAP,
    MAP,
    MAP_STREAM,
    REDUCE,
    REDUCE_STREAM,
    SESSION_REDUCE,
    SINK,
    TRANSFORM,
    Combination,
    KindCase,
)

REQUESTS: Final[dict[str, Any]] = {
    **{kind.name: MapRequest for kind in (MAP, MAP_STREAM, BATCH_MAP)},
    TRANSFORM.name: SourceTransformRequest,
    SINK.name: SinkRequest,
    **{kind.name: ReduceRequest for kind in (REDUCE, REDUCE_STREAM)},
    SESSION_REDUCE.name: SessionReduceRequest,
    ACCUMULATOR.name: AccumulatorRequest,
}

RESPONSES: Final[dict[str, Any]] = {
    **{kind.name: MapResponse for kind in (MAP, MAP_STREAM, BATCH_MAP)},
    TRANSFORM.name: SourceTransformResponse,
    SINK.name: SinkResponse,
}

COUNT: Final = 20

pytestmark = only(lambda each: each.kind.name in REQUESTS)

Groups = dict[str, dict[str, bytes]]


def groups(metadata: Any) -> Groups:
    return {name: dict(group.key_value) for name, group in metadata.user_metadata.items()}


def seen_in(kind: KindCase, reply: bytes) -> dict[bytes, Groups]:
    """The metadata that a handler has seen, by the payload of the request."""
    if kind.is_keyed:  # the platform drops the metadata of results, so handlers tell of it
        told = [json.loads(answer.payload) for answer in kind.answers(reply)]
        return {
            payload.encode(): {
                name: {key: bytes.fromhex(value) for key, value in group.items()} for name, group in shown.items()
            }
            for payload, shown in told
        }
    results = RESPONSES[kind.name].FromString(reply).results
    made = [result.on_success_msg if kind is SINK else result for result in results]
    return {message.value: groups(message.metadata) for message in made}


def test_user_metadata_goes_in_and_out(server: ServerProcess, combination: Combination) -> None:
    """Also through the workers of a multiprocess server, and each message's own."""
    kind = combination.kind
    sent: dict[bytes, Groups] = {}
    requests = []
    for number in range(COUNT):
        payload = b"!metadata %d" % number if kind.is_keyed else b"%d" % number
        sent[payload] = {"group": {"number": payload, "empty": b"", "bytes": bytes(range(256))}, "other": {"k": b"v"}}
        message = REQUESTS[kind.name].FromString(kind.request(str(number), payload))
        body = message.payload if kind.is_keyed else message.request
        for name, entries in sent[payload].items():
            body.metadata.user_metadata[name].key_value.update(entries)
        requests.append(message.SerializeToString())
    seen: dict[bytes, Groups] = {}
    with server.client() as client:
        stream = client.open(kind.rpc)
        stream.send(*kind.opening, *requests, *kind.closing)
        stream.half_close()
        for reply in stream.rest(60):
            seen.update(seen_in(kind, reply))
        assert stream.status().code == "OK"
    assert seen == sent
