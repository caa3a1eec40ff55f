"""Side input responses, from the user's types to the wire. A request has nothing in it."""

from functools import partial
from typing import Final

from numaflow_core.flows.unary import UnaryFlow
from numaflow_core.kind import Codec, RpcSpec
from numaflow_core.wire.buffers import Buffer

from ._datatypes import Response
from ._proto.sideinput_pb2 import SideInputResponse

METHOD: Final = "RetrieveSideInput"


def _decode(_: Buffer) -> tuple[None, tuple[()]]:
    return None, ()


def _encode(_: None, result: object) -> bytes:
    if not isinstance(result, Response):
        raise TypeError(
            "a side input handler must return Response.broadcast_message(value) or Response.no_broadcast_message(), "
            f"got {type(result).__name__}: {result!r:.80}"
        )
    return SideInputResponse(value=result._value, no_broadcast=result._no_broadcast).SerializeToString()


RETRIEVE: Final = RpcSpec(new_flow=partial(UnaryFlow, METHOD), codec=Codec(_decode, _encode))
