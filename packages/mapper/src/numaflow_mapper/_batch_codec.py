"""Batch map requests and responses: N messages and an eot in, N responses and an eot out."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from numaflow_core.flows.batch import ExpectedIds, batch_spec
from numaflow_core.values.messages import iterable
from numaflow_core.wire.buffers import Buffer, Outgoing

from . import _codec
from ._batch import BatchResponse
from ._codec import HANDSHAKE, METHOD, beginning, check_request, encode_results, view
from ._proto.map_pb2 import MapRequest

_TAKER: Final = "a batch map handler"


class _Batches:
    """Implements ``flows.batch.Batch``."""

    taker = _TAKER
    eot = _codec.eot()

    def read(self, message: Buffer) -> MapRequest | None:
        request = _codec.read(message)
        if not request.HasField("request"):
            if request.status.eot:
                return None
            check_request(request)
        return request

    def ids(self, requests: Sequence[MapRequest]) -> list[str]:
        return [request.id for request in requests]


class _Encoder:
    __slots__ = ("_ids",)

    def __init__(self, ids: ExpectedIds) -> None:
        self._ids = ids

    def add(self, result: Any, /) -> Outgoing:
        if not isinstance(result, BatchResponse):
            raise TypeError(f"{_TAKER} must return BatchResponse objects, got {type(result).__name__}: {result!r:.80}")
        self._ids.answered(result._id)
        return encode_results(beginning(result._id), result._messages)

    def finish(self) -> Sequence[Outgoing]:
        self._ids.check()
        return ()


BATCH: Final = batch_spec(
    METHOD,
    HANDSHAKE,
    _Batches(),
    view,
    partial(iterable, complaint=f"{_TAKER} must return BatchResponses, or an iterable of BatchResponse"),
    _Encoder,
)
