"""User metadata, from a request to the results that a handler gives it to."""

from typing import Any, Final

from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_sinker._proto.sink_pb2 import SinkRequest, SinkResponse
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse

from .harness import ServerProcess
from .kinds import BATCH_MAP, MAP, MAP_STREAM, SINK, TRANSFORM, Combination

TYPES: Final[dict[str, tuple[Any, Any]]] = {
    **{kind.name: (MapRequest, MapResponse) for kind in (MAP, MAP_STREAM, BATCH_MAP)},
    TRANSFORM.name: (SourceTransformRequest, SourceTransformResponse),
    SINK.name: (SinkRequest, SinkResponse),
}

COUNT: Final = 20


def groups(metadata: Any) -> dict[str, dict[str, bytes]]:
    return {name: dict(group.key_value) for name, group in metadata.user_metadata.items()}


def test_user_metadata_goes_in_and_out(server: ServerProcess, combination: Combination) -> None:
    """Also through the workers of a multiprocess server, and each message's own."""
    kind = combination.kind
    request_type, response_type = TYPES[kind.name]
    sent: dict[bytes, dict[str, dict[str, bytes]]] = {}
    requests = []
    for number in range(COUNT):
        payload = b"%d" % number
        sent[payload] = {"group": {"number": payload, "empty": b"", "bytes": bytes(range(256))}, "other": {"k": b"v"}}
        message = request_type.FromString(kind.request(str(number), payload))
        for name, entries in sent[payload].items():
            message.request.metadata.user_metadata[name].key_value.update(entries)
        requests.append(message.SerializeToString())
    seen = {}
    with server.client() as client:
        stream = client.open(kind.rpc)
        stream.send(*kind.opening, *requests, *kind.closing)
        stream.half_close()
        for reply in stream.rest(30):
            for result in response_type.FromString(reply).results:
                made = result.on_success_msg if kind is SINK else result
                seen[made.value] = groups(made.metadata)
        assert stream.status().code == "OK"
    assert seen == sent
