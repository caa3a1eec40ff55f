"""Sink requests and responses, between the wire and the user's types."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, cast

from numaflow_core.flows.batch import ExpectedIds, batch_spec
from numaflow_core.flows.bidi import handshake
from numaflow_core.kind import RpcSpec
from numaflow_core.values.messages import iterable
from numaflow_core.wire.buffers import Buffer, Outgoing
from numaflow_core.wire.protobuf import SIZES, reader, tag, write_user_metadata
from numaflow_core.wire.status import ProtocolError

from ._datatypes import Datum, Response, Status
from ._proto.sink_pb2 import SinkRequest, SinkResponse, TransmissionStatus
from ._proto.sink_pb2 import Status as WireStatus
from ._roles import Role

METHOD: Final = "SinkFn"

_TAKER: Final = "a sink handler"
_CHUNK: Final = 1 << 20
"""Bytes of results that are sent as one response: far below the limit for messages."""

_Result = SinkResponse.Result
_read = reader(SinkRequest)
_view = Datum._view
_RESULTS: Final = tag(SinkResponse.RESULTS_FIELD_NUMBER)
_ID: Final = tag(_Result.ID_FIELD_NUMBER)


def view(request: SinkRequest.Request) -> Datum:
    """A request as the handler sees it."""
    return _view(request, request.id)


class _Batches:
    """Implements ``flows.batch.Batch``."""

    taker = _TAKER
    eot = SinkResponse(status=TransmissionStatus(eot=True)).SerializeToString()

    def read(self, message: Buffer) -> SinkRequest.Request | None:
        request = _read(message)
        if request.HasField("request"):
            return request.request
        if request.status.eot:
            return None
        raise ProtocolError(f"{METHOD}: expected a message with a request, or the end of a batch")

    def ids(self, requests: Sequence[SinkRequest.Request]) -> list[str]:
        return [request.id for request in requests]


class Encoder:
    """Packs the results of a batch into as few responses as is wise."""

    __slots__ = ("_ids", "_results", "_role", "_size")

    def __init__(self, role: Role, ids: ExpectedIds) -> None:
        self._role = role
        self._ids = ids
        self._results: list[bytes] = []
        self._size = 0

    def add(self, result: Any, /) -> Outgoing | None:
        """A response of the handler's; to a message once there is enough for one."""
        if not isinstance(result, Response):
            raise TypeError(f"{_TAKER} must return Response objects, got {type(result).__name__}: {result!r:.80}")
        self._ids.answered(result._id)
        data = result._id.encode()
        body = b"%b%b%b" % (_ID, SIZES[len(data)], data)
        if result._status:  # success is the default, may always be, and has nothing more
            if result._status not in self._role.statuses:
                raise ValueError(_refusal(self._role, result))
            body += _rest(result)
        self._results.append(b"%b%b%b" % (_RESULTS, SIZES[len(body)], body))
        self._size += len(body)
        return self._flush() if self._size >= _CHUNK else None

    def finish(self) -> Sequence[Outgoing]:
        """What is left."""
        self._ids.check()
        return (self._flush(),) if self._results else ()

    def _flush(self) -> bytes:
        response = b"".join(self._results)
        self._results.clear()
        self._size = 0
        return response


def _rest(response: Response) -> bytes:
    """A result without its id."""
    result = _Result(status=cast("WireStatus.ValueType", int(response._status)), err_msg=response.err)
    if response.serve_response is not None:
        result.serve_response = response.serve_response
    message = response.on_success_msg
    if message is not None:
        target = result.on_success_msg
        target.SetInParent()
        target.value = message._value
        target.keys.extend(message._keys)
        if message._user_metadata is not None:
            target.metadata.SetInParent()
            write_user_metadata(message._user_metadata, target.metadata)
    if response.nack_options is not None:
        response.nack_options.write(result.nack_options)
    return result.SerializeToString()


def _refusal(role: Role, response: Response) -> str:
    allowed = ", ".join(f"as_{status.name.lower()}" for status in Status if status in role.statuses)
    return (
        f"a {role.name} cannot answer as_{response._status.name.lower()} (id {response._id!r}): no sink comes after "
        f"it, and the platform would fail or lose the message. Use one of {allowed}"
    )


_HANDSHAKE: Final = handshake(_read, SinkResponse)
_BATCHES: Final = _Batches()
_items = partial(iterable, complaint=f"{_TAKER} must return Responses, or an iterable of Response")


def spec(role: Role) -> RpcSpec:
    """How a sink in that role is served."""
    return batch_spec(METHOD, _HANDSHAKE, _BATCHES, view, _items, partial(Encoder, role))
