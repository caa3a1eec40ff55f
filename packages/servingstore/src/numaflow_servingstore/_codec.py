"""Serving store requests and responses, between the wire and the user's types."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

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


def _call_put(handler: Callable[[str, list[Payload]], Any], message: Buffer) -> tuple[None, Any]:
    request = _read_put(message)
    return None, handler(request.id, [Payload(each.origin, each.value) for each in request.payloads])


def _encode_put(*_: object) -> bytes:
    """What ``put`` returns is of no interest: it has not raised."""
    return _PUT_DONE


def _call_get(handler: Callable[[str], Any], message: Buffer) -> tuple[str, Any]:
    request = _read_get(message)
    return request.id, handler(request.id)


def _encode_get(id: str, result: object) -> bytes:
    response = GetResponse(id=id)
    for payload in iterable(result, _COMPLAINT):
        if not isinstance(payload, Payload):
            raise TypeError(f"{_COMPLAINT}, got {type(payload).__name__} in it: {payload!r:.80}")
        response.payloads.append(WirePayload(origin=payload._origin, value=payload._value))
    return response.SerializeToString()


PUT: Final = RpcSpec(new_flow=partial(UnaryFlow, "Put"), codec=Codec(_call_put, _encode_put, _read_put))
GET: Final = RpcSpec(new_flow=partial(UnaryFlow, "Get"), codec=Codec(_call_get, _encode_get, _read_get))
