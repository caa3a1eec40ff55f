"""Session reduce requests and responses, between the wire and the user's types."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Final

from numaflow_core.keyed import Collecting
from numaflow_core.kind import OpenCalls
from numaflow_core.strategy import OpenCall, StreamCodec
from numaflow_core.values.messages import iterable
from numaflow_core.values.validate import check_bytes
from numaflow_core.wire.results import window_encoder

from ._datatypes import Message, SyncSessionReducer
from ._flow import Input, Session, SessionFlow, SessionParentFlow
from ._proto.sessionreduce_pb2 import SessionReduceResponse

_TAKER: Final = "a session reduce handler"

_iterable = partial(iterable, complaint=f"{_TAKER} must return a Message, an iterable of Message or None")


def _items(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    return (result,) if isinstance(result, Message) else _iterable(result)


class _Pushing:
    """Implements ``Push``: hands messages to the user's object, and in the end takes its results or its accumulator."""

    __slots__ = ("_add", "_reducer", "_session")

    def __init__(self, reducer: SyncSessionReducer | Collecting, session: Session) -> None:
        for accumulator in session.accumulators:
            reducer.merge_accumulator(accumulator)
        session.accumulators.clear()
        self._reducer = reducer
        self._add: Callable[[Any], Any] = reducer.add
        self._session = session

    def add(self, given: Input, /) -> Any:
        if type(given) is tuple:
            self._session.response, given = given
        return self._add(given)

    def finish(self) -> Any:
        reducer, session = self._reducer, self._session
        if session.into is None:
            return reducer.finish()
        if isinstance(reducer, Collecting):
            session.accumulator = reducer.accumulator()
        else:
            session.accumulator = _checked(reducer, reducer.accumulator())
        return None


def _make_push(handler: Callable[..., Any], call: OpenCall) -> tuple[Session, _Pushing]:
    session: Session = call.token
    return session, _Pushing(handler(list(session.keys)), session)


def _call(handler: Callable[..., Any], call: OpenCall) -> tuple[Session, Any]:
    return call.token, _reduce(handler, call)


async def _reduce(make: Callable[[], Any], call: OpenCall) -> AsyncIterator[Any]:
    """A call of an async handler: merge what other sessions have left, reduce, and leave an accumulator if asked to."""
    session: Session = call.token

    def view(given: Input) -> Any:
        if type(given) is tuple:
            session.response, given = given
        return given

    reducer = make()
    for accumulator in session.accumulators:
        await _settled(reducer.merge_accumulator(accumulator))
    session.accumulators.clear()
    results = reducer.session_reduce(list(session.keys), call.inputs(view))
    if not hasattr(results, "__aiter__"):
        raise TypeError(f"{_TAKER} must be an async generator of Message, got {type(results).__name__}")
    try:
        async for result in results:
            yield result
    finally:
        close = getattr(results, "aclose", None)
        if close is not None:
            await close()
    async for _ in call.inputs():  # what the handler has not read
        pass
    if session.into is not None:
        session.accumulator = _checked(reducer, await _settled(reducer.accumulator()))


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _checked(reducer: object, accumulator: object) -> bytes:
    name = type(reducer).__name__
    if accumulator is None:
        raise TypeError(f"{name}.accumulator() must return bytes, got None")
    return check_bytes(accumulator, f"what {name}.accumulator() returns")


SESSION_REDUCE: Final = OpenCalls(
    new_flow=SessionFlow,
    new_parent_flow=SessionParentFlow,
    new_part_flow=SessionFlow,
    codec=StreamCodec(_call, _items, window_encoder(SessionReduceResponse, Message, _TAKER)),
    make_push=_make_push,
)
