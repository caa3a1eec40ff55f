"""Reduce requests and responses, between the wire and the user's types."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from numaflow_core.buffers import Outgoing
from numaflow_core.kind import OpenCalls
from numaflow_core.messages import iterable, messages_of
from numaflow_core.strategy import OpenCall, Push, StreamCodec
from numaflow_core.wire import results_encoder

from ._datatypes import Message, Messages
from ._flow import Token, WindowFlow, WindowParentFlow, WindowPartFlow
from ._proto.reduce_pb2 import ReduceResponse

_STREAM_TAKER: Final = "a reduce stream handler"

_Result = ReduceResponse.Result


def _tags(message: Message) -> bytes:
    """What a result has besides its keys and its value: rarely anything."""
    return _Result(tags=message._tags).SerializeToString() if message._tags else b""


_encode = results_encoder(
    ReduceResponse.RESULT_FIELD_NUMBER, _Result.KEYS_FIELD_NUMBER, _Result.VALUE_FIELD_NUMBER, _tags
)


class _Encoder:
    """Implements ``strategy.Encoder`` for all keys of a window."""

    __slots__ = ("_window",)

    def __init__(self, window: bytes) -> None:
        self._window = window

    def add(self, result: Any, /) -> Outgoing:
        if not isinstance(result, Message):
            raise TypeError(f"{_STREAM_TAKER} must make Message objects, got {type(result).__name__}: {result!r:.80}")
        return _encode(self._window, (result,))

    def finish(self) -> Sequence[Outgoing]:
        return ()


def _call(handler: Callable[..., Any], call: OpenCall) -> tuple[Token, Any]:
    token: Token = call.token
    return token, handler(list(token.keys), call.inputs(), token.window.metadata)


def _make_push(handler: Callable[..., Push], call: OpenCall) -> tuple[Token, Push]:
    token: Token = call.token
    return token, handler(list(token.keys), token.window.metadata)


def _encoder(token: Token) -> _Encoder:
    return _Encoder(token.window.response)


_items = partial(messages_of, container=Messages, taker="a reduce handler")
_iterable = partial(iterable, complaint=f"{_STREAM_TAKER} must be a generator, or return an iterable of Message")


def _stream_items(result: Any) -> Iterable[Any]:
    return () if result is None else _iterable(result)


def _calls(items: Callable[[Any], Iterable[Any]]) -> OpenCalls:
    return OpenCalls(
        new_flow=WindowFlow,
        new_parent_flow=WindowParentFlow,
        new_part_flow=WindowPartFlow,
        codec=StreamCodec(_call, items, _encoder),
        make_push=_make_push,
    )


REDUCE: Final = _calls(_items)
REDUCE_STREAM: Final = _calls(_stream_items)
