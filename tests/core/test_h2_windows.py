"""How a stream's receive window follows what its peer waits for."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from numaflow_core.transport import INITIAL_WINDOW, STREAM_WINDOW
from numaflow_core.transport._h2_stream import H2Stream
from numaflow_core.wire.messages import MessageReader

MESSAGE: Final = bytes(64 * 1024 - 5)
FRAMED: Final = b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Clock:
    """The loop's timers, which run out when a test says so."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(call))
        return self.timers[-1]

    def run_out(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            if timer.call is not None:
                timer.call()


class Peer:
    """The connection of a stream, with a peer that sends all that it may."""

    def __init__(self, limit: int = 64 << 20) -> None:
        self.loop: Any = Clock()
        self.credit = INITIAL_WINDOW
        self.widened = 0
        self.limit = limit
        self.stream = H2Stream(self, 1, "test", MessageReader(1 << 20))
        self.held = 0

    def output_ready(self, stream: H2Stream) -> None:
        raise AssertionError("nothing is sent")

    def forget(self, stream: H2Stream) -> None:
        self.widened -= stream.window - INITIAL_WINDOW

    def grant(self, stream: H2Stream, size: int) -> None:
        assert size > 0
        self.credit += size

    def may_widen(self, size: int) -> bool:
        if self.widened + size > self.limit:
            return False
        self.widened += size
        return True

    def narrowed(self, size: int) -> None:
        self.widened -= size

    def send(self) -> None:
        """As much as there is credit for."""
        while self.credit >= len(FRAMED):
            self.credit -= len(FRAMED)
            assert self.stream.charge(len(FRAMED))
            self.stream.arrived(memoryview(FRAMED))
            self.held += len(MESSAGE)

    def answer(self) -> None:
        """All that has come."""
        held, self.held = self.held, 0
        self.stream.release(held // len(MESSAGE), held)

    def widen_to(self, window: int) -> None:
        while self.stream.window < window:
            self.send()
            self.loop.run_out()
        assert self.stream.window == window


def test_window_doubles_while_the_peer_waits_long() -> None:
    peer = Peer()
    for window in (1, 2, 4, 8, 12, 12):
        assert peer.stream.window == window << 20
        peer.send()
        assert 0 <= peer.stream.window - peer.held < 2 * len(FRAMED)
        peer.loop.run_out()


def test_window_stays_while_answers_come_soon() -> None:
    peer = Peer()
    for _ in range(100):
        peer.send()
        peer.answer()
    peer.loop.run_out()
    assert peer.stream.window == INITIAL_WINDOW


@pytest.mark.parametrize("window", [2 << 20, 8 << 20, STREAM_WINDOW])
def test_window_shrinks_to_the_first_one_when_answers_come_soon_again(window: int) -> None:
    peer = Peer()
    peer.widen_to(window)
    for _ in range(100):
        peer.send()
        assert peer.held <= peer.stream.window
        peer.answer()
    assert peer.stream.window == INITIAL_WINDOW
    assert peer.widened == 0
    peer.send()
    assert peer.held < INITIAL_WINDOW


def test_a_long_wait_now_and_then_keeps_the_window() -> None:
    peer = Peer()
    peer.widen_to(STREAM_WINDOW)
    for turn in range(100):
        peer.send()
        if turn % 5 == 0:
            peer.loop.run_out()
        peer.answer()
    assert peer.stream.window == STREAM_WINDOW


def test_peer_that_sends_less_than_it_may_keeps_its_window() -> None:
    peer = Peer()
    peer.widen_to(4 << 20)
    peer.answer()
    for _ in range(1000):
        peer.credit -= len(FRAMED)
        assert peer.stream.charge(len(FRAMED))
        peer.stream.arrived(memoryview(FRAMED))
        peer.stream.release(1, len(MESSAGE))
    assert peer.stream.window == 4 << 20


def test_no_room_left_on_the_connection() -> None:
    peer = Peer(limit=3 << 20)
    for _ in range(5):
        peer.send()
        peer.loop.run_out()
    assert peer.stream.window == 4 << 20
    assert peer.widened == 3 << 20
    peer.stream.close()
    assert peer.widened == 0
