"""How a stream's receive window follows what its peer waits for, and what all streams of a connection may hold."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any, Final, cast

import pytest
from hyperframe.frame import Frame, WindowUpdateFrame

from numaflow_core.transport import INITIAL_WINDOW, MESSAGE_COST, OUTPUT_LIMIT, STREAM_WINDOW
from numaflow_core.transport.h2._state import FIRST_WINDOW, MAX_STREAMS
from numaflow_core.transport.h2._stream import H2Stream, Streams
from numaflow_core.wire.buffers import Buffer, count_bytes
from numaflow_core.wire.messages import MessageReader
from numaflow_core.wire.status import StatusCode

MEBIBYTE: Final = 1 << 20
MESSAGE: Final = bytes(64 * 1024 - 5)


def prefix(size: int) -> bytes:
    return b"\0" + size.to_bytes(4, "big")


FRAMED: Final = prefix(len(MESSAGE)) + MESSAGE

LIMIT: Final = 64 * MEBIBYTE
INPUT: Final = 48 * MEBIBYTE
"""What a connection holds of what has come."""

LOANS: Final = 4 * MEBIBYTE + len(FRAMED)
"""What is lent for messages that do not fit, when they are small."""

PREFIXES: Final = INPUT // 1000
"""Of messages; they are not held."""


class Timer:
    def __init__(self, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.call: Callable[..., None] | None = call
        self.arguments = arguments

    def cancel(self) -> None:
        self.call = None


class Connection:
    """The streams of one, whose timers run out when a test says so."""

    def __init__(self) -> None:
        self.control: list[Buffer] = []
        self.timers: list[Timer] = []
        self.emptied = 0
        self.peers: dict[int, Peer] = {}
        self.streams = Streams(self.control, lambda: None, self._call_later, self._note_emptied)

    def open(self) -> "Peer":
        return Peer(self, 2 * len(self.peers) + 1)

    def run_out(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            if timer.call is not None:
                timer.call(*timer.arguments)
        self.hand_out()

    def hand_out(self) -> None:
        """Let the peers know of their WINDOW_UPDATEs."""
        for piece in self.control:
            frame, _ = Frame.parse_frame_header(memoryview(piece)[:9])
            frame.parse_body(memoryview(piece)[9:])
            assert isinstance(frame, WindowUpdateFrame)
            assert frame.window_increment > 0
            self.peers[frame.stream_id].credit += frame.window_increment
        self.control.clear()

    @property
    def bound(self) -> int:
        """What all of them may hold."""
        return INPUT + len(self.peers) * FIRST_WINDOW + PREFIXES + LOANS

    @property
    def held(self) -> int:
        """Bytes of all streams, with what may still come."""
        return sum(peer.credit + peer.held for peer in self.peers.values() if not peer.stream.done)

    def _call_later(self, delay: float, call: Callable[..., None], *arguments: object) -> TimerHandle:
        self.timers.append(Timer(call, arguments))
        return cast(TimerHandle, self.timers[-1])

    def _note_emptied(self) -> None:
        self.emptied += 1


class Peer:
    """A stream whose peer sends all that it may."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.credit = FIRST_WINDOW
        self.held = 0  # bytes in frames that are not released
        self.count = self.whole = 0  # messages that are not released, and their bytes
        self.rest: Buffer = b""
        self.stream = H2Stream(connection.streams, number, "test", MessageReader(LIMIT))
        connection.peers[number] = self

    def send(self, data: Buffer) -> memoryview:
        """As much of it as there is credit for, in frames of 16 KiB; return the rest."""
        data = memoryview(data)
        while data and self.credit:
            size = min(self.credit, len(data), 16_384)
            self.credit -= size
            self.held += size
            assert self.stream.charge(size)
            self.stream.arrived(data[:size])
            self.count += len(self.stream._incoming)
            self.whole += count_bytes(self.stream._incoming)
            self.stream._incoming.clear()  # nobody takes them
            self.stream.replenish()
            self.connection.hand_out()
            data = data[size:]
        return data

    def fill(self) -> None:
        """Send messages as long as there is credit for them."""
        while self.credit:
            self.rest = self.send(self.rest or FRAMED)

    def answer(self) -> None:
        """All that has come."""
        count, whole, self.held = self.count, self.whole, self.stream.reader.pending
        self.count = self.whole = 0
        self.stream.release(count, whole)
        self.connection.hand_out()

    def widen_to(self, window: int) -> None:
        while self.stream.window < window:
            self.fill()
            self.connection.run_out()
        assert self.stream.window == window


# -- one stream


def test_first_data_opens_the_window_and_more_widens_it() -> None:
    peer = Connection().open()
    peer.send(prefix(0))
    assert peer.credit == 64 * 1024 - MESSAGE_COST
    peer.answer()
    for _ in range(3):
        peer.fill()
        peer.answer()
    assert peer.stream.window == INITIAL_WINDOW


def test_window_doubles_while_the_peer_waits_long() -> None:
    peer = Connection().open()
    while peer.stream.window < INITIAL_WINDOW:
        peer.fill()
        peer.answer()
    for window in (1, 2, 4, 8, 12, 12):
        assert peer.stream.window == window * MEBIBYTE
        peer.fill()
        assert abs(peer.stream.window - peer.whole) < 2 * len(FRAMED)
        peer.connection.run_out()


def test_window_stays_while_answers_come_soon() -> None:
    peer = Connection().open()
    for _ in range(100):
        peer.fill()
        peer.answer()
    peer.connection.run_out()
    assert peer.stream.window == INITIAL_WINDOW


@pytest.mark.parametrize("window", [2 * MEBIBYTE, 8 * MEBIBYTE, STREAM_WINDOW])
def test_window_shrinks_to_the_first_one_when_answers_come_soon_again(window: int) -> None:
    peer = Connection().open()
    peer.widen_to(window)
    for _ in range(100):
        peer.fill()
        assert peer.whole <= peer.stream.window
        peer.answer()
    assert peer.stream.window == INITIAL_WINDOW
    peer.fill()
    assert peer.whole < INITIAL_WINDOW


def test_a_long_wait_now_and_then_keeps_the_window() -> None:
    peer = Connection().open()
    peer.widen_to(STREAM_WINDOW)
    for turn in range(25):
        peer.fill()
        if turn % 5 == 0:
            peer.connection.run_out()
        peer.answer()
    assert peer.stream.window == STREAM_WINDOW


def test_peer_that_sends_less_than_it_may_keeps_its_window() -> None:
    peer = Connection().open()
    peer.widen_to(4 * MEBIBYTE)
    peer.answer()
    peer.send(peer.rest)
    peer.answer()
    for _ in range(1000):
        assert not peer.send(FRAMED)
        peer.answer()
    assert peer.stream.window == 4 * MEBIBYTE


@pytest.mark.parametrize("size", [FIRST_WINDOW, 100_000, INITIAL_WINDOW, 5 * MEBIBYTE, 13 * MEBIBYTE, LIMIT])
def test_message_of_any_size_passes(size: int) -> None:
    connection = Connection()
    peer = connection.open()
    for _ in range(3):
        assert not peer.send(prefix(size) + bytes(size))
        assert peer.whole == size
        peer.answer()
    peer.stream.close()
    assert connection.streams.input.left == INPUT


# -- all streams of a connection


def test_many_streams_hold_no_more_than_the_connection_may() -> None:
    connection = Connection()
    for _ in range(2000):
        connection.open().fill()
        connection.run_out()
    assert connection.held <= connection.bound
    for peer in connection.peers.values():
        peer.stream.close()
    assert connection.streams.input.left == INPUT
    assert connection.emptied == 1


def test_as_many_streams_as_there_may_be() -> None:
    connection = Connection()
    for _ in range(MAX_STREAMS):
        connection.open().fill()
    assert connection.held <= connection.bound <= LIMIT + PREFIXES + LOANS


def test_hundreds_of_busy_streams_have_equal_parts() -> None:
    connection = Connection()
    peers = [connection.open() for _ in range(300)]
    for _ in range(3):
        for peer in peers:
            peer.fill()
            peer.answer()
    for peer in peers:
        peer.fill()
    assert connection.held <= connection.bound
    assert min(peer.held for peer in peers) > 64 * 1024
    assert max(peer.held for peer in peers) < 8 * min(peer.held for peer in peers)


def test_streams_that_are_blocked_leave_room_for_others() -> None:
    connection = Connection()
    for _ in range(30):
        blocked = connection.open()
        blocked.fill()
        for _ in range(5):
            connection.run_out()
            blocked.fill()
    for _ in range(100):
        peer = connection.open()
        for _ in range(20):
            peer.send(prefix(500) + bytes(500))
            peer.answer()
        peer.stream.close()
    assert connection.held <= connection.bound


def test_large_messages_on_many_streams_pass_one_after_the_other() -> None:
    """None of them is whole when the connection holds all that it may."""
    connection = Connection()
    size = 10 * MEBIBYTE
    peers = [connection.open() for _ in range(100)]
    rests: list[Buffer] = [prefix(size) + bytes(size)] * len(peers)
    done: set[int] = set()
    most = 0
    while len(done) < len(peers):
        before = len(done)
        for number, peer in enumerate(peers):
            if number in done:
                continue
            rests[number] = peer.send(rests[number])
            most = max(most, connection.held)
            if not rests[number]:
                peer.answer()
                done.add(number)
        assert len(done) > before, "all wait for each other"
    assert most <= connection.bound + size


def test_a_loan_that_is_not_used_ends_for_those_who_wait() -> None:
    connection = Connection()
    stalled, honest = connection.open(), connection.open()
    stalled.send(prefix(LIMIT) + bytes(13 * MEBIBYTE))
    data = honest.send(prefix(LIMIT) + bytes(LIMIT))
    assert data
    for _ in range(2):  # it has sent something before the first time
        connection.run_out()
    assert stalled.stream.trailers is not None
    assert ("grpc-status", str(int(StatusCode.RESOURCE_EXHAUSTED))) in stalled.stream.trailers
    stalled.stream.close()
    connection.hand_out()
    assert not honest.send(data)


def test_short_messages_pass_before_long_ones_that_are_not_gone_on_with() -> None:
    connection = Connection()
    for _ in range(200):
        connection.open().send(prefix(LIMIT) + bytes(MEBIBYTE))
    for _ in range(2):  # the stalled one with the loan is ended
        connection.run_out()
    for peer in list(connection.peers.values()):
        if peer.stream.trailers:
            peer.stream.close()
    for _ in range(10):
        peer = connection.open()
        data = peer.send(prefix(30_000) + bytes(30_000))
        connection.hand_out()
        assert not peer.send(data)
        peer.answer()
        peer.stream.close()
    assert connection.held <= connection.bound + LIMIT


def test_a_loan_is_kept_by_a_peer_that_goes_on() -> None:
    connection = Connection()
    slow, other = connection.open(), connection.open()
    rest = slow.send(prefix(LIMIT) + bytes(13 * MEBIBYTE))
    assert not rest
    assert other.send(prefix(LIMIT) + bytes(LIMIT))
    for _ in range(51):
        assert not slow.send(bytes(MEBIBYTE))
        connection.run_out()
    assert slow.stream.trailers is None
    assert slow.whole == LIMIT


# -- replies


def test_replies_of_many_streams_that_wait_are_bounded() -> None:
    connection = Connection()
    peers = [connection.open() for _ in range(1000)]
    for peer in peers:
        while not peer.stream.congested:
            peer.stream.send([bytes(8192)])
    assert sum(peer.stream.out_size for peer in peers) < 16 * MEBIBYTE + 1000 * 2 * 8200
    for peer in peers:
        peer.stream.close()
    assert connection.open().stream.congested is False
    assert connection.streams.output.left == 16 * MEBIBYTE


def test_one_stream_may_have_its_limit_of_replies() -> None:
    stream = Connection().open().stream
    sent = 0
    while not stream.congested:
        stream.send([bytes(65_536)])
        sent += 65_541
    assert sent > OUTPUT_LIMIT
