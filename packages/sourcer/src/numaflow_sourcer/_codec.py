"""Source requests and responses, between the wire and the user's types."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from numaflow_core.flows.bidi import BidiFlow, handshake
from numaflow_core.flows.serial import SerialFlow
from numaflow_core.flows.unary import UnaryFlow
from numaflow_core.kind import Codec, RpcSpec, StreamCodec
from numaflow_core.rpc import Inbox
from numaflow_core.values.nack import NackOptions
from numaflow_core.wire.buffers import LARGE, Buffer, Outgoing, Pieces
from numaflow_core.wire.protobuf import SIZES, reader, tag, timestamp, varint, write_user_metadata
from numaflow_core.wire.status import ProtocolError

from ._datatypes import AckRequest, Message, Nack, NackRequest, Offset, PartitionsResponse, PendingResponse, ReadRequest
from ._proto import source_pb2 as wire

READ, ACK, NACK, PENDING, PARTITIONS = "ReadFn", "AckFn", "NackFn", "PendingFn", "PartitionsFn"

_read_read = reader(wire.ReadRequest)
_read_ack = reader(wire.AckRequest)
_read_nack = reader(wire.NackRequest)

_Result = wire.ReadResponse.Result
_RESULT: Final = tag(wire.ReadResponse.RESULT_FIELD_NUMBER)
_PAYLOAD: Final = tag(_Result.PAYLOAD_FIELD_NUMBER)
_OFFSET: Final = tag(_Result.OFFSET_FIELD_NUMBER)
_KEYS: Final = tag(_Result.KEYS_FIELD_NUMBER)
_EVENT_TIME: Final = tag(_Result.EVENT_TIME_FIELD_NUMBER)
_OFFSET_OFFSET: Final = tag(wire.Offset.OFFSET_FIELD_NUMBER)
_OFFSET_PARTITION: Final = varint(wire.Offset.PARTITION_ID_FIELD_NUMBER << 3)
_EOT: Final = wire.ReadResponse(status=wire.ReadResponse.Status(eot=True)).SerializeToString()


def read_request(message: Buffer) -> ReadRequest:
    """Parse a read. Raises ``ProtocolError``."""
    request = _read_read(message)
    if not request.HasField("request"):
        raise ProtocolError(f"{READ}: expected a message with a request")
    return ReadRequest(request.request.num_records, request.request.timeout_in_ms)


def _call_read(handler: Callable[[Inbox], Any], inbox: Inbox) -> tuple[None, Any]:
    return None, handler(inbox)


def encode_message(message: Message) -> Outgoing:
    """A message to a response."""
    offset = message._offset
    name = offset._offset
    name_part = b"%b%b%b" % (_OFFSET_OFFSET, SIZES[len(name)], name)
    if offset._partition_id:
        name_part += _OFFSET_PARTITION + SIZES[offset._partition_id]
    time = timestamp(message._event_time_ns)
    head = b"%b%b%b%b%b%b" % (_OFFSET, SIZES[len(name_part)], name_part, _EVENT_TIME, SIZES[len(time)], time)
    if message._keys or message._headers or message._user_metadata is not None:
        head += _rest(message)
    payload = message._value
    size = len(payload)
    if size < LARGE:
        body = b"%b%b%b%b" % (head, _PAYLOAD, SIZES[size], payload)
        return b"%b%b%b" % (_RESULT, SIZES[len(body)], body)
    head += _PAYLOAD + SIZES[size]
    return Pieces(b"%b%b%b" % (_RESULT, SIZES[len(head) + size], head), payload)


def _rest(message: Message) -> bytes:
    """What a message may have besides."""
    part = b""
    for key in message._keys:
        data = key.encode()
        part += b"%b%b%b" % (_KEYS, SIZES[len(data)], data)
    if message._headers or message._user_metadata is not None:
        result = _Result(headers=message._headers or {})
        write_user_metadata(message._user_metadata, result.metadata)
        part += result.SerializeToString()
    return part


class _ReadEncoder:
    """All reads are encoded alike."""

    __slots__ = ()

    def add(self, messages: list[Message], /) -> list[Outgoing]:
        return [encode_message(message) for message in messages]

    def finish(self) -> Sequence[Outgoing]:
        return (_EOT,)


def _new_encoder(_: None) -> _ReadEncoder:
    return _ENCODER


_ENCODER: Final = _ReadEncoder()
_READ_SHAKE: Final = handshake(_read_read, wire.ReadResponse)


def _offsets(request: Any) -> list[Offset]:
    new = Offset._of
    return [new(each.offset, each.partition_id) for each in request.offsets]


def _decode_ack(message: Buffer) -> tuple[None, tuple[AckRequest]]:
    request = _read_ack(message)
    if not request.HasField("request"):
        raise ProtocolError(f"{ACK}: expected a message with a request")
    return None, (AckRequest(_offsets(request.request)),)


def _decode_nack(message: Buffer) -> tuple[None, tuple[NackRequest]]:
    nacks = []
    for request in _read_nack(message).request:
        options = NackOptions.read(request.nack_options) if request.HasField("nack_options") else None
        nacks += [Nack(offset, options) for offset in _offsets(request)]
    return None, (NackRequest(nacks),)


def _decode_nothing(_: Buffer) -> tuple[None, tuple[()]]:
    return None, ()


def _encode_pending(_: None, result: object) -> bytes:
    if not isinstance(result, PendingResponse):
        raise TypeError(f"a pending handler must return PendingResponse, got {type(result).__name__}: {result!r:.80}")
    response = wire.PendingResponse()
    response.result.SetInParent()
    response.result.count = result._count
    return response.SerializeToString()


def _encode_partitions(_: None, result: tuple[object, object]) -> bytes:
    active, total = result
    if not isinstance(active, PartitionsResponse):
        raise TypeError(
            f"a partitions handler must return PartitionsResponse, got {type(active).__name__}: {active!r:.80}"
        )
    if total is not None and (isinstance(total, bool) or not isinstance(total, int)):
        raise TypeError(
            f"a total partitions handler must return an int or None, got {type(total).__name__}: {total!r:.80}"
        )
    response = wire.PartitionsResponse()
    response.result.SetInParent()  # the platform needs it even where it is empty
    response.result.partitions.extend(active._partitions)
    if total is not None:
        response.result.total_partitions = total
    return response.SerializeToString()


def _constant(response: Any) -> Callable[[None, object], bytes]:
    """What an ack or a nack handler returns is of no interest: it has not raised."""
    response.result.success.SetInParent()
    data: bytes = response.SerializeToString()
    return lambda *_: data


_ACK_SHAKE: Final = handshake(_read_ack, wire.AckResponse)


def _unary(method: str, codec: Codec) -> RpcSpec:
    return RpcSpec(new_flow=partial(UnaryFlow, method), codec=codec, limit=1)


SPECS: Final = {
    READ: RpcSpec(
        new_flow=partial(SerialFlow, READ, _READ_SHAKE, read_request),
        codec=StreamCodec(_call_read, lambda results: results, _new_encoder),
        limit=2,
    ),
    ACK: RpcSpec(
        new_flow=partial(BidiFlow, ACK, _ACK_SHAKE),
        codec=Codec(_decode_ack, _constant(wire.AckResponse())),
        limit=1,
    ),
    NACK: _unary(NACK, Codec(_decode_nack, _constant(wire.NackResponse()))),
    PENDING: _unary(PENDING, Codec(_decode_nothing, _encode_pending)),
    PARTITIONS: _unary(PARTITIONS, Codec(_decode_nothing, _encode_partitions)),
}
"""By RPC. One call of each at a time: what a source's author has to think about is enough as it is. Of reads there may
be two, one of which is a stream's that is gone, or whose client has opened another: it ends when the next one begins.
"""
