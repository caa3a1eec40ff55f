"""Map requests and responses, between the wire and the user's types."""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError

from numaflow_core.flow import Handshake
from numaflow_core.metadata import UserMetadata
from numaflow_core.nack import NackOptions
from numaflow_core.status import ProtocolError, StatusCode
from numaflow_core.strategy import Codec
from numaflow_core.validate import Buffer

from ._datatypes import Datum, Message, Messages
from ._proto.map_pb2 import MapRequest, MapResponse

_parse = MapRequest.FromString
_view = Datum._view


def decode(message: Buffer) -> tuple[str, tuple[list[str], Datum]]:
    """A request to (its id, the handler's arguments)."""
    try:
        request = _parse(message)  # type: ignore[arg-type]  # a bytearray will do
    except DecodeError as error:
        raise ProtocolError(f"cannot parse a MapRequest: {error}", StatusCode.INTERNAL) from None
    body = request.request
    request_id = request.id
    if not request_id and not request.HasField("request"):
        raise ProtocolError("MapFn: expected a message with a request")
    return request_id, (list(body.keys), _view(body, request_id))


def encode(request_id: str, result: object) -> bytes:
    """A handler's result to the response."""
    response = MapResponse(id=request_id)
    add = response.results.add
    for message in _messages(result):
        target = add(value=message._value, keys=message._keys)
        if message._tags:
            target.tags.extend(message._tags)
        if message._user_metadata is not None:
            _fill_metadata(target, message._user_metadata)
        if message._nack_options is not None:
            _fill_nack_options(target, message._nack_options)
    return response.SerializeToString()


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


def _fill_metadata(target: MapResponse.Result, metadata: UserMetadata) -> None:
    for group in metadata:
        target.metadata.user_metadata[group].key_value.update(metadata[group])


def _fill_nack_options(target: MapResponse.Result, options: NackOptions) -> None:
    wire = target.nack_options
    wire.SetInParent()
    if options.reason is not None:
        wire.reason = options.reason
    if options.max_deliveries is not None:
        wire.max_deliveries = options.max_deliveries
    if options.delay_ms is not None:
        wire.delay = options.delay_ms
    wire.nack_map.update(options.nack_map or {})


def _is_handshake(message: Buffer) -> bool:
    try:
        return _parse(message).handshake.sot  # type: ignore[arg-type]
    except DecodeError as error:
        raise ProtocolError(f"cannot parse a MapRequest: {error}", StatusCode.INTERNAL) from None


def _handshake_reply() -> bytes:
    response = MapResponse()
    response.handshake.sot = True
    return response.SerializeToString()


CODEC: Final = Codec(decode, encode)
HANDSHAKE: Final = Handshake(_is_handshake, _handshake_reply())
