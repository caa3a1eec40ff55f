"""Reduce requests and responses, between the wire and the user's types."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from numaflow_core.flows.results import window_encoder
from numaflow_core.kind import Push, RpcSpec, StreamCodec
from numaflow_core.rpc import Inbox
from numaflow_core.values.messages import iterable, messages_of

from ._datatypes import Message, Messages
from ._flow import Key, WindowFlow, WindowParentFlow, WindowWorkerFlow
from ._proto.reduce_pb2 import ReduceResponse

_STREAM_TAKER: Final = "a reduce stream handler"

_encoder = window_encoder(ReduceResponse, Message, _STREAM_TAKER)


def _call(handler: Callable[..., Any], inbox: Inbox) -> tuple[Key, Any]:
    key: Key = inbox.call
    return key, handler(list(key.keys), inbox.inputs(), key.window.metadata)


def _make_push(handler: Callable[..., Push], inbox: Inbox) -> tuple[Key, Push]:
    key: Key = inbox.call
    return key, handler(list(key.keys), key.window.metadata)


_items = partial(messages_of, container=Messages, taker="a reduce handler")


def _stream_items(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    if isinstance(result, Message):
        return (result,)
    return iterable(result, f"{_STREAM_TAKER} must be a generator, or return a Message, an iterable of Message or None")


def _spec(items: Callable[[Any], Iterable[Any]]) -> RpcSpec:
    return RpcSpec(
        new_flow=WindowFlow,
        new_parent_flow=WindowParentFlow,
        new_worker_flow=WindowWorkerFlow,
        codec=StreamCodec(_call, items, lambda key: _encoder(key.window)),
        make_push=_make_push,
    )


REDUCE: Final = _spec(_items)
REDUCE_STREAM: Final = _spec(_stream_items)
