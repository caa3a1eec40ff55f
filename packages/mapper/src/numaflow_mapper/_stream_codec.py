"""Map stream requests and responses: one message in, any number of responses, then an eot with the id."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from numaflow_core.flows.bidi import BidiFlow
from numaflow_core.kind import RpcSpec, StreamCodec
from numaflow_core.values.messages import iterable
from numaflow_core.wire.buffers import Buffer, Outgoing

from ._codec import HANDSHAKE, METHOD, beginning, decode, encode_results, eot
from ._datatypes import Message

_TAKER: Final = "a map stream handler"
_EOT: Final = eot()


class _Encoder:
    __slots__ = ("_beginning",)

    def __init__(self, request_id: str) -> None:
        self._beginning = beginning(request_id)

    def add(self, result: Any, /) -> Outgoing:
        if not isinstance(result, Message):
            raise TypeError(f"{_TAKER} must yield Message objects, got {type(result).__name__}: {result!r:.80}")
        return encode_results(self._beginning, (result,))

    def finish(self) -> Sequence[Outgoing]:
        return (self._beginning + _EOT,)


_items = partial(iterable, complaint=f"{_TAKER} must be a generator, or return an iterable of Message")


def _call(handler: Callable[..., Any], message: Buffer) -> tuple[str, Any]:
    request_id, arguments = decode(message)
    return request_id, handler(*arguments)


STREAM: Final = RpcSpec(
    new_flow=partial(BidiFlow, METHOD, HANDSHAKE),
    codec=StreamCodec(_call, _items, _Encoder, lambda message: decode(message)[1][1]),
)
