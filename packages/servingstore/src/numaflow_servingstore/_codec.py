"""Serving store requests and responses, between the wire and the user's types."""

from functools import partial
from typing import Final

from numaflow_core.flows.unary import UnaryFlow
from numaflow_core.kind import Codec, RpcSpec
from numaflow_core.values.messages import iterable
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.protobuf import reader

from ._datatypes import Payload
from ._proto.serving_pb2 import GetRequest, GetResponse, PutRequest, PutResponse
from ._proto.serving_pb2 import Payload as WirePayload

_read_put = reader(PutRequest)
_read_get = reader(GetRequest)
_PUT_DONE: Final = PutResponse(success=True).SerializeToString()
_COMPLAINT: Final = "a serving store's get must return an iterable of Payload"


def _decode_put(message: Buffer) -> tuple[None, tuple[str, list[Payload]]]:
    request = _read_put(message)
    return None, (request.id, [Payload(each.origin, each.value) for each in request.payloads])


def _encode_put(*_: object) -> bytes:
    """What ``put`` returns is of no interest: it has not raised."""
    return _PUT_DONE


def _decode_get(message: Buffer) -> tuple[str, tuple[str]]:
    request_id = _read_get(message).id
    return request_id, (request_id,)


def _encode_get(id: str, result: object) -> bytes:
    response = GetResponse(id=id)
    for payload in iterable(result, _COMPLAINT):
        if not isinstance(payload, Payload):
            raise TypeError(f"{_COMPLAINT}, got {type(payload).__name__} in it: {payload!r:.80}")
        response.payloads.append(WirePayload(origin=payload._origin, value=payload._value))
    return response.SerializeToString()


PUT: Final = RpcSpec(new_flow=partial(UnaryFlow, "Put"), codec=Codec(_decode_put, _encode_put))
GET: Final = RpcSpec(new_flow=partial(UnaryFlow, "Get"), codec=Codec(_decode_get, _encode_get))
