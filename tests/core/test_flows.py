"""Flows by themselves: which call a message belongs to."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from numaflow_core.flow import Handshake, SerialFlow, SingleFlow
from numaflow_core.strategy import OpenCall

from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.status import ProtocolError, StatusCode

SHAKE = Handshake(lambda message: message == b"hello", b"welcome")


class Desk:
    """Notes what a flow does."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.completed: list[Any] = []
        self.size = 0

    def begin(self, token: Any) -> OpenCall:
        call = OpenCall(None, token)  # type: ignore[arg-type]
        self.calls.append(token)
        return call

    def feed(self, call: OpenCall, inputs: Sequence[Any], size: int) -> None:
        raise AssertionError("these calls have everything in their token")

    def complete(self, call: OpenCall) -> None:
        self.completed.append(call.token)

    def consumed(self, size: int) -> None:
        self.size += size

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        raise AssertionError("nothing here waits")


def read(message: Buffer) -> str:
    if not message:
        raise ProtocolError("empty")
    return bytes(message).decode()


def test_single_message_is_a_call_at_its_end() -> None:
    flow = SingleFlow("Get")
    assert flow.receive([b""]) == ([], [])
    assert flow.half_closed() == [b""]


@pytest.mark.parametrize("batches", [[], [[b"a", b"b"]], [[b"a"], [b"b"]]])
def test_any_other_number_is_refused(batches: list[list[Buffer]]) -> None:
    flow = SingleFlow("Get")
    with pytest.raises(ProtocolError, match="Get: expected one message") as caught:
        for batch in batches:
            flow.receive(batch)
        flow.half_closed()
    assert caught.value.status.code == StatusCode.UNIMPLEMENTED


def test_serial_calls_wait_for_each_other() -> None:
    desk = Desk()
    flow = SerialFlow(desk, "ReadFn", SHAKE, read)
    assert flow.receive([b"hello", b"one", b"three"]) == [b"welcome"]
    assert (desk.calls, desk.completed, desk.size) == (["one"], ["one"], len("helloone"))
    assert flow.receive([b"two"]) == []
    assert desk.calls == ["one"]
    for expected in ("three", "two"):
        assert list(flow.finished(OpenCall(None, None))) == []  # type: ignore[arg-type]
        assert desk.calls[-1] == expected
    assert list(flow.finished(OpenCall(None, None))) == []  # type: ignore[arg-type]
    assert desk.calls == ["one", "three", "two"]
    assert desk.size == len("helloonethreetwo"), "what waits keeps its room until it is begun"
    flow.half_closed()
    assert list(flow.closed()) == []


def test_serial_flow_refuses_what_it_cannot_bound() -> None:
    flow = SerialFlow(Desk(), "ReadFn", SHAKE, read)
    with pytest.raises(ProtocolError, match="expected handshake"):
        flow.receive([b"one"])
    flow.receive([b"hello", b"one"])
    with pytest.raises(ProtocolError, match="empty"):
        flow.receive([b""])
