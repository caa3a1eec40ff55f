"""Source transform requests and responses, between the wire and the user's types."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from numaflow_core.constants import DROP
from numaflow_core.flows.bidi import BidiFlow, handshake
from numaflow_core.kind import Codec, RpcSpec
from numaflow_core.values.messages import messages_of
from numaflow_core.wire.buffers import Buffer, Outgoing
from numaflow_core.wire.protobuf import (
    SIZES,
    reader,
    results_encoder,
    string_field,
    tag,
    timestamp,
    write_user_metadata,
)
from numaflow_core.wire.status import ProtocolError

from ._datatypes import Datum, Message, Messages
from ._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse

METHOD: Final = "SourceTransformFn"

_Result = SourceTransformResponse.Result
_read = reader(SourceTransformRequest)
_view = Datum._view
_ID: Final = tag(SourceTransformResponse.ID_FIELD_NUMBER)
_EVENT_TIME: Final = tag(_Result.EVENT_TIME_FIELD_NUMBER)
_RESULTS: Final = tag(SourceTransformResponse.RESULTS_FIELD_NUMBER)
_DROP: Final = string_field(_Result.TAGS_FIELD_NUMBER, DROP)


def decode(message: Buffer) -> tuple[SourceTransformRequest.Request, tuple[list[str], Datum]]:
    """A message to the request, and the handler's arguments."""
    request = _read(message)
    body = request.request
    request_id = body.id
    if not request_id and not request.HasField("request"):
        raise ProtocolError(f"{METHOD}: expected a message with a request")
    return body, (body.keys[:], _view(body, request_id))


def encode(request: SourceTransformRequest.Request, result: object) -> Outgoing:
    """A handler's result to the response. The platform fails on a response without results: where there is nothing to
    forward, it gets a drop with the event time of the request."""
    data = request.id.encode()
    response = b"%b%b%b" % (_ID, SIZES[len(data)], data)
    messages: Sequence[Message] = messages_of(result, Messages, "a source transform handler")
    encoded = _encode_results(response, messages)
    if len(encoded) > len(response):
        return encoded
    time = request.event_time.SerializeToString()
    body = b"%b%b%b%b" % (_EVENT_TIME, SIZES[len(time)], time, _DROP)
    return b"%b%b%b%b" % (response, _RESULTS, SIZES[len(body)], body)


def _more(message: Message) -> bytes:
    """What a result has besides its keys and its value: its event time, and rarely anything else."""
    time = timestamp(message._event_time_ns)
    field = b"%b%b%b" % (_EVENT_TIME, SIZES[len(time)], time)
    if not message._tags and message._user_metadata is None and message._nack_options is None:
        return field
    target = _Result(tags=message._tags)
    write_user_metadata(message._user_metadata, target.metadata)
    if message._nack_options is not None:
        message._nack_options.write(target.nack_options)
    return field + target.SerializeToString()


_encode_results = results_encoder(
    SourceTransformResponse.RESULTS_FIELD_NUMBER, _Result.KEYS_FIELD_NUMBER, _Result.VALUE_FIELD_NUMBER, _more
)


HANDSHAKE: Final = handshake(_read, SourceTransformResponse)
TRANSFORM: Final = RpcSpec(new_flow=partial(BidiFlow, METHOD, HANDSHAKE), codec=Codec(decode, encode))
