"""Reduce requests and responses, between the wire and the user's types."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from numaflow_core.kind import OpenCalls
from numaflow_core.strategy import OpenCall, Push, StreamCodec
from numaflow_core.values.messages import iterable, messages_of
from numaflow_core.wire.results import window_encoder

from ._datatypes import Message, Messages
from ._flow import Token, WindowFlow, WindowParentFlow, WindowPartFlow
from ._proto.reduce_pb2 import ReduceResponse

_STREAM_TAKER: Final = "a reduce stream handler"

_encoder = window_encoder(ReduceResponse, Message, _STREAM_TAKER)


def _call(handler: Callable[..., Any], call: OpenCall) -> tuple[Token, Any]:
    token: Token = call.token
    return token, handler(list(token.keys), call.inputs(), token.window.metadata)


def _make_push(handler: Callable[..., Push], call: OpenCall) -> tuple[Token, Push]:
    token: Token = call.token
    return token, handler(list(token.keys), token.window.metadata)


_items = partial(messages_of, container=Messages, taker="a reduce handler")


def _stream_items(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    if isinstance(result, Message):
        return (result,)
    return iterable(result, f"{_STREAM_TAKER} must be a generator, or return a Message, an iterable of Message or None")


def _calls(items: Callable[[Any], Iterable[Any]]) -> OpenCalls:
    return OpenCalls(
        new_flow=WindowFlow,
        new_parent_flow=WindowParentFlow,
        new_part_flow=WindowPartFlow,
        codec=StreamCodec(_call, items, lambda token: _encoder(token.window)),
        make_push=_make_push,
    )


REDUCE: Final = _calls(_items)
REDUCE_STREAM: Final = _calls(_stream_items)
