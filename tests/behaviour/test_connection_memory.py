"""What one connection may make a server hold, over all its streams."""

from typing import Final

from hyperframe.frame import DataFrame, Frame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from .conftest import only
from .harness import resident, wait_steady
from .raw import RawPeer, message
from .talk import assert_serves
from .targets import Target

MEBIBYTE: Final = 1 << 20
STREAMS: Final = 1000


class Flooder:
    """Begins a large message on each of many streams, sends of it what it may, and never ends it."""

    def __init__(self, peer: RawPeer) -> None:
        self._peer = peer
        self._sent = 0
        self._credit: dict[int, int] = {}
        self._missing: dict[int, int] = {}

    def open(self, stream: int, size: int) -> None:
        opening = b"".join(map(message, self._peer.kind.opening)) + b"\0" + size.to_bytes(4, "big")
        self._peer.write(self._peer.request(stream), self._peer.data(stream, opening))
        self._missing[stream] = size
        self._credit[stream] = 1024 - len(opening)
        self.send(stream)

    def send(self, stream: int) -> None:
        while (size := min(self._credit[stream], self._missing[stream] - 1, 16_384)) > 0:
            self._peer.write(self._peer.data(stream, bytes(size)))
            self._credit[stream] -= size
            self._missing[stream] -= size
            self._sent += size

    def answer(self) -> None:
        """Use what the server has granted until it has answered a PING: then it has granted nothing more."""
        while True:
            before = self._sent
            assert self._peer.is_served()
            for frame in self._peer.frames:
                self._take(frame)
            self._peer.frames.clear()
            if self._sent == before:
                return

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, WindowUpdateFrame) and frame.stream_id in self._credit:
            self._credit[frame.stream_id] += frame.window_increment
            self.send(frame.stream_id)
        elif isinstance(frame, RstStreamFrame):
            self._credit.pop(frame.stream_id, None)
        elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            acknowledgement = SettingsFrame(0)
            acknowledgement.flags.add("ACK")
            self._peer.write(acknowledgement)

    @property
    def sent(self) -> int:
        return self._sent


@only(lambda each: each.transport == "h2" and each.kind.name == "map" and each.type == "async")
def test_many_streams_that_flood(target: Target) -> None:
    """They get what a connection may hold, and those that mean well on the same connection get their answers."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        peer.write(WindowUpdateFrame(0, 1 << 24))
        flooder = Flooder(peer)
        for number in range(STREAMS):
            flooder.open(2 * number + 1, 30 * MEBIBYTE)
            if number % 100 == 99:
                flooder.answer()
        held = wait_steady(lambda: resident(target.server.pid)) - before
        assert flooder.sent > 40 * MEBIBYTE, "one alone gets less than it could"
        assert flooder.sent < (48 + 4 + 30 + 2) * MEBIBYTE
        assert held < 160 * MEBIBYTE, f"{held >> 20} MiB are held"
        for number in range(STREAMS, STREAMS + 20):
            assert_answers(peer, 2 * number + 1, 20)
        assert_serves(target.server)


def assert_answers(peer: RawPeer, stream: int, count: int) -> None:
    """A stream whose peer sends no more than it may."""
    requests = [peer.kind.request(str(each), bytes(500)) for each in range(count)]
    credit, answered = 1024, b""
    peer.write(peer.request(stream))
    for each in map(message, [*peer.kind.opening, *requests]):
        while credit < len(each):
            frame = peer.read()
            assert frame is not None
            if isinstance(frame, WindowUpdateFrame) and frame.stream_id == stream:
                credit += frame.window_increment
            elif isinstance(frame, DataFrame) and frame.stream_id == stream:
                answered += frame.data
        peer.write(peer.data(stream, each))
        credit -= len(each)
    peer.write(peer.data(stream, b"", end=True))
    peer.frames.clear()
    assert peer.trailers(stream).get("grpc-status") == "0"
    answered += b"".join(each.data for each in peer.frames if isinstance(each, DataFrame) and each.stream_id == stream)
    assert answered.count(bytes(500)) == count
