"""Map requests and responses, between the wire and the user's types."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError

from numaflow_core.buffers import LARGE, Buffer, Outgoing, Pieces
from numaflow_core.flow import Handshake, UnaryFlow
from numaflow_core.kind import Calls
from numaflow_core.status import ProtocolError, StatusCode
from numaflow_core.strategy import Codec
from numaflow_core.wire import SIZES, parser, tag

from ._datatypes import Datum, Message, Messages
from ._proto.map_pb2 import MapRequest, MapResponse

_parse = parser(MapRequest)
_view = Datum._view

_RESULTS: Final = tag(MapResponse.RESULTS_FIELD_NUMBER)
_ID: Final = tag(MapResponse.ID_FIELD_NUMBER)
_KEYS: Final = tag(MapResponse.Result.KEYS_FIELD_NUMBER)
_VALUE: Final = tag(MapResponse.Result.VALUE_FIELD_NUMBER)


def call(handler: Callable[[list[str], Datum], Any], message: Buffer) -> tuple[str, Any]:
    """Call the handler with a request; return the request's id and what the handler returned."""
    try:
        request = _parse(message)
    except DecodeError as error:
        raise ProtocolError(f"cannot parse a MapRequest: {error}", StatusCode.INTERNAL) from None
    request_id = request.id
    if not request_id and not request.HasField("request"):
        raise ProtocolError("MapFn: expected a message with a request")
    body = request.request
    return request_id, handler(body.keys[:], _view(body, request_id))


def encode(request_id: str, result: object) -> Outgoing:
    """A handler's result to the response."""
    sizes = SIZES
    data = request_id.encode()
    response = b"%b%b%b" % (_ID, sizes[len(data)], data)
    pieces: list[Buffer] = []
    for message in _messages(result):
        head = b""
        for key in message._keys:
            data = key.encode()
            head += b"%b%b%b" % (_KEYS, sizes[len(data)], data)
        if message._tags or message._user_metadata is not None or message._nack_options is not None:
            head += _rare_fields(message).SerializeToString()
        value = message._value
        size = len(value)
        if size < LARGE:
            body = b"%b%b%b%b" % (head, _VALUE, sizes[size], value)
            response += b"%b%b%b" % (_RESULTS, sizes[len(body)], body)
        else:
            head += _VALUE + sizes[size]
            pieces += (b"%b%b%b%b" % (response, _RESULTS, sizes[len(head) + size], head), value)
            response = b""
    return Pieces(*pieces, response) if pieces else response


def _messages(result: Any) -> Iterable[Message]:
    if type(result) is Messages:
        return result._items
    if isinstance(result, Message):
        return (result,)
    if result is None:
        return ()
    try:
        messages = list(result)
    except TypeError:
        messages = [result]
    for message in messages:
        if not isinstance(message, Message):
            what = type(result).__name__ if message is result else f"{type(result).__name__} with {message!r:.80}"
            raise TypeError(
                f"a map handler must return Messages, an iterable of Message, a Message or None, got {what}"
            )
    return messages


def _rare_fields(message: Message) -> MapResponse.Result:
    """What is left of a result after its keys and its value."""
    target = MapResponse.Result(tags=message._tags)
    metadata, options = message._user_metadata, message._nack_options
    if metadata is not None:
        for group in metadata:
            target.metadata.user_metadata[group].key_value.update(metadata[group])
    if options is not None:
        options.write(target.nack_options)
    return target


def _is_handshake(message: Buffer) -> bool:
    try:
        return _parse(message).handshake.sot
    except DecodeError as error:
        raise ProtocolError(f"cannot parse a MapRequest: {error}", StatusCode.INTERNAL) from None


def _handshake_reply() -> bytes:
    response = MapResponse()
    response.handshake.sot = True
    return response.SerializeToString()


HANDSHAKE: Final = Handshake(_is_handshake, _handshake_reply())
UNARY: Final = Calls(partial(UnaryFlow, "MapFn", HANDSHAKE), Codec(call, encode))
