"""Flows whose calls are messages: one of them, one after the other, or all at once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.flows.bidi import BidiFlow, EachFlow, Handshake
from numaflow_core.flows.serial import SerialFlow
from numaflow_core.flows.unary import UnaryFlow
from numaflow_core.kind import Flow
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.status import ProtocolError, StatusCode

from .played import Call, Played, cut

SHAKE = Handshake(lambda message: message == b"hello", b"welcome")
CUTS = st.lists(st.integers(1, 4), max_size=20)
MESSAGES = st.lists(st.binary(min_size=1, max_size=5), max_size=20)


class Read:
    """A call that is known by its identity."""

    def __init__(self, message: bytes) -> None:
        self.message = message


def read(message: Buffer) -> Read:
    if not message:
        raise ProtocolError("empty")
    return Read(bytes(message))


def serial() -> Played:
    return Played(SerialFlow("ReadFn", SHAKE, read))


def begun(stream: Played) -> list[bytes]:
    return [call.call.message for call in stream.calls]


# -- one message


@given(st.binary())
def test_single_message_is_a_call_at_its_end(message: bytes) -> None:
    stream = Played(UnaryFlow("Get"))
    assert stream.flow.endless
    assert stream.receive(message) == []
    assert stream.messages == []
    assert stream.half_close() == []
    assert stream.messages == [message]
    stream.check_all_taken()


@pytest.mark.parametrize("batches", [[], [[b"a", b"b"]], [[b"a"], [b"b"]]])
def test_any_other_number_is_refused(batches: list[list[Buffer]]) -> None:
    stream = Played(UnaryFlow("Get"))
    with pytest.raises(ProtocolError, match="Get: expected one message") as caught:
        for batch in batches:
            stream.receive(*batch)
        stream.half_close()
    assert caught.value.status.code == StatusCode.UNIMPLEMENTED


# -- all at once


@given(MESSAGES, CUTS)
def test_every_message_after_the_handshake_is_a_call(messages: list[Buffer], sizes: list[int]) -> None:
    stream = Played(BidiFlow("MapFn", SHAKE))
    for batch in cut([b"hello", *messages], sizes):
        stream.receive(*batch)
    assert stream.messages == messages
    assert stream.replies == [b"welcome"]
    assert stream.released == len(b"hello")
    assert stream.half_close() == []
    assert stream.is_over
    stream.check_all_taken()


@given(MESSAGES, CUTS)
def test_every_message_of_a_workers_share_is_a_call(messages: list[Buffer], sizes: list[int]) -> None:
    stream = Played(EachFlow())
    for batch in cut(messages, sizes):
        stream.receive(*batch)
    assert (stream.messages, stream.replies, stream.released) == (messages, [], 0)


@pytest.mark.parametrize("new_flow", [lambda: BidiFlow("Fn", SHAKE), lambda: SerialFlow("Fn", SHAKE, read)])
def test_first_message_is_the_handshake(new_flow: Callable[[], Flow]) -> None:
    with pytest.raises(ProtocolError, match="Fn: expected handshake as the first message"):
        Played(new_flow()).receive(b"one", b"hello")


# -- one after the other


def test_serial_calls_wait_for_each_other() -> None:
    stream = serial()
    assert stream.receive(b"hello", b"one", b"three") == [b"welcome"]
    (first,) = stream.calls
    assert (begun(stream), first.closed, stream.released) == ([b"one"], True, len("helloone"))
    assert stream.receive(b"two") == []
    assert begun(stream) == [b"one"]
    for expected in (b"three", b"two"):
        assert stream.done(stream.calls[-1]) == []
        assert begun(stream)[-1] == expected
    assert stream.waiting == 0
    assert stream.done(stream.calls[-1]) == []
    assert begun(stream) == [b"one", b"three", b"two"]
    assert stream.half_close() == []
    assert stream.is_over


def test_serial_flow_refuses_what_it_cannot_read() -> None:
    stream = serial()
    stream.receive(b"hello", b"one")
    with pytest.raises(ProtocolError, match="empty"):
        stream.receive(b"")


@given(MESSAGES, CUTS, st.data())
def test_serial_calls_run_once_each_in_order(messages: list[Buffer], sizes: list[int], data: st.DataObject) -> None:
    """Whenever they end, and however messages come."""
    stream = serial()
    batches = cut([b"hello", *messages], sizes)
    half_closed = False
    while batches or stream.ending or not half_closed:
        steps: list[str] = ["done"] * bool(stream.ending) + ["receive"] * bool(batches)
        step = data.draw(st.sampled_from(steps or ["half-close"]))
        if step == "receive":
            stream.receive(*batches.pop(0))
        elif step == "done":
            stream.done(stream.ending[0])
        else:
            half_closed = True
            stream.half_close()
        running: list[Call] = stream.ending
        assert len(running) <= 1
        begun_size = sum(map(len, messages[: len(stream.calls)]))
        assert stream.released in (0, len(b"hello") + begun_size), "what waits keeps its room until it is begun"
    assert begun(stream) == messages
    assert stream.replies == [b"welcome"]
    stream.check_all_taken()
