"""How handlers are called, by themselves: what they leave to a merged session, and what is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from numaflow_core.rpc import Inbox
from numaflow_sessionreducer import Datum, Message, SessionReducer, SyncSessionReducer
from numaflow_sessionreducer._codec import SPEC
from numaflow_sessionreducer._flow import Session

from .test_flow import A, Sessions, datum, expanded, name, opened

CODEC: Any = SPEC.codec


class Pushed(SyncSessionReducer):
    def __init__(self, accumulator: Any = b"state") -> None:
        self.given = accumulator
        self.log: list[object] = []

    def add(self, datum: Datum) -> list[Message]:
        self.log.append(datum.value)
        return [Message(datum.value)]

    def finish(self) -> Message:
        self.log.append("finish")
        return Message(b"last")

    def accumulator(self) -> bytes:
        self.log.append("accumulator")
        return self.given  # type: ignore[no-any-return]

    def merge_accumulator(self, accumulator: bytes) -> None:
        self.log.append(accumulator)


class Async(SessionReducer):
    def __init__(self, accumulator: Any = b"state") -> None:
        self.given = accumulator
        self.log: list[object] = []

    async def session_reduce(self, keys: list[str], datums: AsyncIterator[Datum]) -> AsyncIterator[Message]:
        self.log.append(keys)
        async for each in datums:
            self.log.append(each.value)
            yield Message(each.value)

    def accumulator(self) -> bytes:
        self.log.append("accumulator")
        return self.given  # type: ignore[no-any-return]

    async def merge_accumulator(self, accumulator: bytes) -> None:
        self.log.append(accumulator)


class Inputs(Inbox):
    """A call whose messages are all there."""

    def __init__(self, call: Any, given: Iterable[Any] = ()) -> None:
        super().__init__(None, call)  # type: ignore[arg-type]
        self._given = list(given)

    async def inputs(self, view: Callable[[Any], Any] | None = None) -> AsyncIterator[Any]:
        given, self._given = self._given, []
        for each in given:
            yield each if view is None else view(each)


def open_and_expand() -> tuple[Session, list[Any]]:
    """A session, and what its call is fed with."""
    stream = Sessions()
    stream.send(opened(b"1", A), expanded(b"2", A, name(0, 15)))
    (call,) = stream.calls
    return call.call, call.inputs


def session(*accumulators: bytes, into: bool = False) -> Session:
    made, _ = open_and_expand()
    made.accumulators = list(accumulators)
    made.into = Session(made.identity, b"") if into else None
    return made


def push(session: Session, reducer: Any) -> Any:
    assert SPEC.make_push is not None
    token, made = SPEC.make_push(lambda keys: reducer, Inputs(session))
    assert token is session
    return made


def run(session: Session, reducer: Any) -> list[Message]:
    _, given = open_and_expand()

    async def collect() -> list[Message]:
        token, results = CODEC.call(lambda: reducer, Inputs(session, given))
        assert token is session
        return [result async for result in results]

    return asyncio.run(collect())


def test_pushed_accumulators_come_first_and_bounds_move_on_with_the_messages() -> None:
    token, reducer = session(b"x", b"y"), Pushed()
    made = push(token, reducer)
    assert token.accumulators == []
    before = token.response
    made.add(datum(b"1"))
    assert token.response == before
    made.add((token.latest, datum(b"2")))
    assert token.response == token.latest != before
    assert made.finish() == Message(b"last")
    assert reducer.log == [b"x", b"y", b"1", b"2", "finish"]


def test_pushed_session_that_is_merged_leaves_its_accumulator_and_is_not_finished() -> None:
    token, reducer = session(into=True), Pushed(bytearray(b"mutable"))
    made = push(token, reducer)
    made.add(datum(b"1"))
    assert made.finish() is None
    assert reducer.log == [b"1", "accumulator"]
    assert token.accumulator == b"mutable"
    assert type(token.accumulator) is bytes


def test_async_accumulators_come_first_and_bounds_move_on_with_the_messages() -> None:
    token, reducer = session(b"x", b"y"), Async()
    before = token.response
    assert run(token, reducer) == [Message(b"1"), Message(b"2")]
    assert reducer.log == [b"x", b"y", ["k"], b"1", b"2"]
    assert token.response == token.latest != before
    assert token.accumulator is None


def test_async_session_that_is_merged_leaves_its_accumulator_last() -> None:
    token, reducer = session(into=True), Async()
    run(token, reducer)
    assert reducer.log == [["k"], b"1", b"2", "accumulator"]
    assert token.accumulator == b"state"


@pytest.mark.parametrize("accumulator", [None, "text", 3, [b"x"]])
def test_what_is_no_accumulator(accumulator: object) -> None:
    with pytest.raises(TypeError, match=r"Pushed.accumulator\(\).*must b?e?.*bytes"):
        push(session(into=True), Pushed(accumulator)).finish()
    with pytest.raises(TypeError, match=r"Async.accumulator\(\)"):
        run(session(into=True), Async(accumulator))


def test_what_is_no_result() -> None:
    items = CODEC.items
    assert list(items(None)) == []
    assert list(items(Message(b"1"))) == [Message(b"1")]
    assert list(items(iter([Message(b"1")]))) == [Message(b"1")]
    for wrong in (b"bytes", "text", 3):
        with pytest.raises(TypeError, match="must return a Message, an iterable of Message or None"):
            items(wrong)
    with pytest.raises(TypeError, match="must make Message objects, got bytes"):
        CODEC.encoder(session()).add(b"bytes")


def test_an_async_handler_that_turns_out_to_be_none() -> None:
    class Wrong:
        def session_reduce(self, keys: list[str], datums: Any) -> list[Message]:
            return []

    with pytest.raises(TypeError, match="must be an async generator of Message, got list"):
        run(session(), Wrong())
