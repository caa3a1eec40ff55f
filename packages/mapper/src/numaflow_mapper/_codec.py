"""Map requests and responses, between the wire and the user's types."""

from functools import partial
from typing import Final

from google.protobuf.message import DecodeError

from numaflow_core.flows.bidi import BidiFlow, handshake
from numaflow_core.kind import Codec, RpcSpec
from numaflow_core.values.messages import messages_of
from numaflow_core.wire.buffers import Buffer, Outgoing
from numaflow_core.wire.protobuf import (
    SIZES,
    heads,
    parser,
    reader,
    results_encoder,
    tag,
    unreadable,
    write_user_metadata,
)
from numaflow_core.wire.status import ProtocolError

from ._datatypes import Datum, Message, Messages
from ._proto.map_pb2 import MapRequest, MapResponse

METHOD: Final = "MapFn"

read = reader(MapRequest)
_parse = parser(MapRequest)
_new = object.__new__
_view = Datum._view
_ID: Final = tag(MapResponse.ID_FIELD_NUMBER)
_IDS: Final = heads(MapResponse.ID_FIELD_NUMBER)


def check_request(request: MapRequest) -> None:
    """Raises ``ProtocolError`` for a message that is no request."""
    if not request.id and not request.HasField("request"):
        raise ProtocolError(f"{METHOD}: expected a message with a request")


def decode(message: Buffer) -> tuple[str, tuple[list[str], Datum]]:
    """A message to the request's id, and the handler's arguments."""
    try:
        request = _parse(message)
    except DecodeError as error:
        raise unreadable(MapRequest, error) from None
    request_id = request.id
    if not request_id:
        check_request(request)
    body = request.request
    datum = _new(Datum)
    datum._request, datum._id = body, request_id
    return request_id, (body.keys[:], datum)


def view(request: MapRequest) -> Datum:
    """A request as the handler sees it."""
    return _view(request.request, request.id)


def beginning(request_id: str) -> bytes:
    """What responses to a request begin with."""
    data = request_id.encode()
    size = len(data)
    return (_IDS[size] if size < len(_IDS) else _ID + SIZES[size]) + data


def _more(message: Message) -> bytes:
    """What a result has besides its keys and its value: rarely anything."""
    if not message._tags and message._user_metadata is None and message._nack_options is None:
        return b""
    target = MapResponse.Result(tags=message._tags)
    write_user_metadata(message._user_metadata, target.metadata)
    if message._nack_options is not None:
        message._nack_options.write(target.nack_options)
    return target.SerializeToString()


encode_results = results_encoder(
    MapResponse.RESULTS_FIELD_NUMBER, MapResponse.Result.KEYS_FIELD_NUMBER, MapResponse.Result.VALUE_FIELD_NUMBER, _more
)


def encode(request_id: str, result: object) -> Outgoing:
    """A handler's result to the response."""
    messages = result._items if type(result) is Messages else messages_of(result, Messages, "a map handler")
    return encode_results(beginning(request_id), messages)


def eot(request_id: str = "") -> bytes:
    """The end of a batch or, with an id, of a stream of results."""
    response = MapResponse(id=request_id)
    response.status.eot = True
    return response.SerializeToString()


HANDSHAKE: Final = handshake(read, MapResponse)
UNARY: Final = RpcSpec(
    new_flow=partial(BidiFlow, METHOD, HANDSHAKE),
    codec=Codec(decode, encode),
)
