"""Session reduce requests and responses, between the wire and the user's types."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Final

from numaflow_core.flows.results import window_encoder
from numaflow_core.kind import RpcSpec, StreamCodec
from numaflow_core.rpc import Inbox
from numaflow_core.runners.mailboxes import Collecting
from numaflow_core.values.messages import iterable
from numaflow_core.values.validate import check_bytes

from ._datatypes import Message, SyncSessionReducer
from ._flow import Input, Session, SessionFlow, new_parent_flow
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


def _make_push(handler: Callable[..., Any], inbox: Inbox) -> tuple[Session, _Pushing]:
    session: Session = inbox.call
    return session, _Pushing(handler(list(session.keys)), session)


def _call(handler: Callable[..., Any], inbox: Inbox) -> tuple[Session, Any]:
    return inbox.call, _reduce(handler, inbox)


async def _reduce(make: Callable[[], Any], inbox: Inbox) -> AsyncIterator[Any]:
    """A call of an async handler: merge what other sessions have left, reduce, and leave an accumulator if asked to."""
    session: Session = inbox.call

    def view(given: Input) -> Any:
        if type(given) is tuple:
            session.response, given = given
        return given

    reducer = make()
    for accumulator in session.accumulators:
        await _settled(reducer.merge_accumulator(accumulator))
    session.accumulators.clear()
    results = reducer.session_reduce(list(session.keys), inbox.inputs(view))
    if not hasattr(results, "__aiter__"):
        raise TypeError(
            f"{_TAKER} must be an async generator of Message, got {type(results).__name__}: {results!r:.80}"
        )
    try:
        async for result in results:
            yield result
    finally:
        close = getattr(results, "aclose", None)
        if close is not None:
            await close()
    async for _ in inbox.inputs():  # what the handler has not read
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


SPEC: Final = RpcSpec(
    new_flow=SessionFlow,
    new_parent_flow=new_parent_flow,
    new_worker_flow=SessionFlow,
    codec=StreamCodec(_call, _items, window_encoder(SessionReduceResponse, Message, _TAKER)),
    make_push=_make_push,
)
