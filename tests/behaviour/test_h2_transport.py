"""The h2 transport by itself, on a real socket: what one connection may do, and what it may not do to others."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import grpc
import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from numaflow_core.transport import Stream
from numaflow_core.transport.h2 import H2Transport
from numaflow_core.transport.h2._budgets import Patience
from numaflow_core.transport.h2._outgoing import FramesOut
from numaflow_core.transport.h2._state import MAX_METADATA, MAX_STREAMS
from numaflow_core.wire.buffers import Buffer, count_bytes
from numaflow_core.wire.status import OK

from .harness import ServerProcess
from .raw import RawPeer, message

WAIT: Final = 30.0
KIB: Final = 1024

ECHO, SILENT, BROKEN = "/test/Echo", "/test/Silent", "/test/Broken"

HEADERS: Final = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", ECHO),
    (":authority", "x"),
    ("content-type", "application/grpc"),
]

STREAM_CLOSED, REFUSED_STREAM, ENHANCE_YOUR_CALM = 5, 7, 11
RESOURCE_EXHAUSTED, UNIMPLEMENTED = "8", "12"


class Echo:
    """Sends back what it gets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def received(self, messages: list[Buffer]) -> None:
        self.stream.send([bytes(message) for message in messages])
        self.stream.release(len(messages), count_bytes(messages))

    def half_closed(self) -> None:
        self.stream.finish(OK)

    def cancelled(self) -> None:
        """Nothing is left to do."""

    def drained(self) -> None:
        """Nothing waits."""


class Silent(Echo):
    """Answers nothing."""

    def received(self, messages: list[Buffer]) -> None:
        """Holds what it gets."""

    def half_closed(self) -> None:
        """Says nothing."""


class Broken(Silent):
    """Raises what it must not, as often as it can."""

    def received(self, messages: list[Buffer]) -> None:
        if messages[0] == b"now":
            raise RuntimeError("received")
        self.stream.send([b"more"])

    def half_closed(self) -> None:
        raise RuntimeError("half_closed")

    def cancelled(self) -> None:
        raise RuntimeError("cancelled")


class Served:
    """A transport on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.sock = path / "test.sock"
        self.combination = SimpleNamespace(kind=SimpleNamespace(rpc=ECHO), transport="h2")
        self.loop = asyncio.new_event_loop()
        self.problems: list[object] = []
        self.loop.set_exception_handler(lambda loop, context: self.problems.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._transport = H2Transport(64 * KIB * KIB)
        self._run(self._transport.listen(str(self.sock), {ECHO: Echo, SILENT: Silent, BROKEN: Broken}))

    def peer(self) -> RawPeer:
        return RawPeer(cast(ServerProcess, self))

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"unix:{self.sock}", [("grpc.use_local_subchannel_pool", 1)])

    def assert_serves(self) -> None:
        with self.channel() as channel:
            assert channel.unary_unary(ECHO)(b"hello", timeout=WAIT) == b"hello"

    def end(self) -> None:
        self._run(self._transport.close(1.0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT)
        self.loop.close()
        assert not self.problems

    def _run(self, doing: Awaitable[None]) -> None:
        async def run() -> None:
            await doing

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(WAIT)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    try:
        served.assert_serves()
    finally:
        served.end()


def data_of(peer: RawPeer, stream: int) -> bytes:
    """What has come on a stream."""
    return b"".join(frame.data for frame in peer.frames if isinstance(frame, DataFrame) and frame.stream_id == stream)


def block_of(peer: RawPeer, more: list[tuple[str, str]]) -> bytes:
    """The headers of a call, as they are: to squeeze long ones takes the library that does so for ages."""
    block: bytes = peer._encoder.encode([*HEADERS, *more], huffman=False)
    return block


def goaway_code(peer: RawPeer) -> int | None:
    goaway = peer.goaway()
    return None if goaway is None else goaway.error_code


# -- the peer's GOAWAY


def test_open_streams_end_well_after_a_goaway(served: Served) -> None:
    with served.peer() as peer:
        peer.write(peer.request(1), peer.data(1, message(b"one")), peer.request(3), GoAwayFrame(0, error_code=0))
        peer.write(PingFrame(0, b"12345678"), WindowUpdateFrame(0, 1000), SettingsFrame(0, settings={3: 100}))
        peer.write(peer.data(1, message(b"two"), end=True))
        assert peer.trailers(1)["grpc-status"] == "0"
        assert data_of(peer, 1) == message(b"one") + message(b"two")
        peer.write(peer.data(3, message(b"three"), end=True))
        assert peer.trailers(3)["grpc-status"] == "0"
        assert data_of(peer, 3) == message(b"three")
        assert goaway_code(peer) == 0


def test_goaway_without_streams_closes_the_connection(served: Served) -> None:
    with served.peer() as peer:
        peer.write(GoAwayFrame(0, error_code=0))
        assert goaway_code(peer) == 0


def test_goaway_and_reset_of_the_last_stream(served: Served) -> None:
    with served.peer() as peer:
        peer.write(peer.request(1, path=SILENT), GoAwayFrame(0, error_code=0), RstStreamFrame(1, 8))
        assert goaway_code(peer) == 0


@pytest.mark.parametrize("frame", [b"\0\0\x04\7\0\0\0\0\0\0\0\0\0", b"\0\0\x08\7\0\0\0\0\1" + bytes(8)])
def test_malformed_goaway(served: Served, frame: bytes) -> None:
    with served.peer() as peer:
        peer.write(frame)
        assert goaway_code(peer) not in (None, 0)


# -- metadata


@pytest.mark.parametrize("size", [MAX_METADATA, 200_000, 700_000])
@pytest.mark.parametrize("fields", [1, 50])
def test_metadata_that_is_too_large_ends_its_call_alone(served: Served, size: int, fields: int) -> None:
    with served.peer() as peer:
        # What is sent before and after is found in the table of headers: it must not get into disorder.
        known = [("x-known", "v" * 100)]
        peer.write(peer.request(1, more=known), peer.data(1, message(b"before")))
        more = [*known, *((f"x-{number}", chr(97 + number % 26) * (size // fields)) for number in range(fields))]
        block = block_of(peer, more)
        first = HeadersFrame(3, block[:16_384])
        rest = [ContinuationFrame(3, block[at : at + 16_384]) for at in range(16_384, len(block), 16_384)]
        [first, *rest][-1].flags.add("END_HEADERS")
        peer.write(first, *rest)
        found = peer.trailers(3)
        assert found["grpc-status"] == RESOURCE_EXHAUSTED
        assert str(MAX_METADATA) in found["grpc-message"]
        peer.write(peer.data(3, message(b"late")), peer.data(3, b"", end=True))
        peer.write(peer.request(5, more=[*known, *more[:1]] if size < 100_000 and fields > 1 else known))
        peer.write(peer.data(5, message(b"after"), end=True), peer.data(1, b"", end=True))
        assert peer.trailers(5)["grpc-status"] == "0"
        assert peer.trailers(1)["grpc-status"] == "0"
        assert data_of(peer, 1) + data_of(peer, 5) == message(b"before") + message(b"after")


def test_metadata_below_the_limit(served: Served) -> None:
    with served.peer() as peer:
        block = block_of(peer, [("x", "v" * 65_000)])
        first = HeadersFrame(1, block)
        first.flags.add("END_HEADERS")
        peer.write(first, peer.data(1, message(b"fine"), end=True))
        assert peer.trailers(1)["grpc-status"] == "0"


def test_metadata_without_bound_ends_the_connection(served: Served) -> None:
    with served.peer() as peer:
        block = Encoder().encode([("x", "v" * 100_000)], huffman=False)
        peer.write(HeadersFrame(1, block))
        for _ in range(40):
            peer.write(ContinuationFrame(1, block))
        assert goaway_code(peer) not in (None, 0)


def test_metadata_that_grows_when_decoded_ends_the_connection(served: Served) -> None:
    """A byte for each repetition of a header of 4 KB."""
    with served.peer() as peer:
        frame = HeadersFrame(1, Encoder().encode([("x", "v" * 4000)], huffman=False) + b"\xbe" * 2000)
        frame.flags.add("END_HEADERS")
        peer.write(frame)
        assert goaway_code(peer) not in (None, 0)


# -- streams


def test_one_stream_too_many_is_refused(served: Served) -> None:
    with served.peer() as peer:
        last = 2 * MAX_STREAMS + 1
        peer.write(peer.request(1, path=SILENT))
        again = peer.request(3, path=SILENT)
        for first in range(3, last, 1024):
            peer.write(repeated(again, range(first, min(first + 1024, last), 2)))
            assert peer.is_served()
        peer.write(peer.request(last))
        assert peer.trailers(last)[":reset"] == str(REFUSED_STREAM)
        peer.write(RstStreamFrame(1, 8), peer.request(last + 2), peer.data(last + 2, message(b"room"), end=True))
        assert peer.trailers(last + 2)["grpc-status"] == "0"


def test_data_after_the_peers_end(served: Served) -> None:
    with served.peer() as peer:
        peer.write(peer.request(1), peer.data(1, message(b"all"), end=True))
        assert peer.trailers(1)["grpc-status"] == "0"
        peer.write(peer.data(1, message(b"more")))
        assert peer.trailers(1)[":reset"] == str(STREAM_CLOSED)
        assert peer.is_served()


@pytest.mark.parametrize(("announced", "sent"), [(5, 4), (4, 5), (0, 1), (5, 0)])
def test_content_length_that_is_wrong(served: Served, announced: int, sent: int) -> None:
    with served.peer() as peer:
        more = [("content-length", str(announced))]
        peer.write(peer.request(1, path=SILENT, more=more), peer.data(1, bytes(sent), end=True))
        assert ":reset" in peer.trailers(1)
        assert peer.is_served()


# -- errors of the server's own


@pytest.mark.parametrize("data", [message(b"now"), b""])
def test_error_in_a_callback_ends_its_connection_alone(
    served: Served, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with served.peer() as peer, served.peer() as other:
        other.write(other.request(1), other.data(1, message(b"one")))
        peer.write(peer.request(1, path=BROKEN), peer.request(3), peer.request(5, path=BROKEN))
        peer.write(peer.data(1, data, end=True))
        assert goaway_code(peer) not in (None, 0)
        other.write(other.data(1, message(b"two"), end=True))
        assert other.trailers(1)["grpc-status"] == "0"
    assert "the server has failed" in caplog.text


@pytest.mark.parametrize("callback", ["flush", "_write_stream", "_drop_rest"])
def test_protocol_error_in_a_callback_ends_its_connection_alone(
    served: Served, callback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ``h2`` finds wrong while something is written."""
    from h2.exceptions import ProtocolError

    original: Callable[..., Any] = getattr(FramesOut, callback)
    broken: list[object] = []

    def failing(self: FramesOut, *arguments: object) -> Any:
        if broken == [self]:
            raise ProtocolError("out of order")
        return original(self, *arguments)

    with served.peer() as other:
        other.write(other.request(1), other.data(1, message(b"one")))
        assert other.is_served()
        with served.peer() as peer:
            assert peer.is_served()
            (connection,) = (each for each in served._transport._connections if not each._out.streams.by_id)
            broken.append(connection._out)
            monkeypatch.setattr(FramesOut, callback, failing)
            peer.write(peer.request(1), peer.data(1, message(b"x"), end=True))
            assert goaway_code(peer) not in (None, 0)
        other.write(other.data(1, message(b"two"), end=True))
        assert other.trailers(1)["grpc-status"] == "0"


def test_deadline_that_passes_in_a_broken_receiver(served: Served) -> None:
    with served.peer() as peer:
        peer.write(peer.request(1, path=BROKEN, more=[("grpc-timeout", "10m")]))
        assert peer.until_closed()


# -- floods


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow this machine is must not make a flood of what is none, nor the other way round."""
    monkeypatch.setattr(Patience, "_PER_SECOND", 0.0)


def repeated(frame: HeadersFrame, streams: range) -> bytes:
    """The same request, whose headers are all in the table, on many streams."""
    data = frame.serialize()
    return b"".join(data[:5] + stream.to_bytes(4, "big") + data[9:] for stream in streams)


def assert_flood_ends(peer: RawPeer, *frames: bytes | Frame, times: int = 40_000) -> None:
    burst = b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames) * 1000
    for _ in range(times // 1000):
        peer.write(burst)
    assert goaway_code(peer) in (ENHANCE_YOUR_CALM, None)  # None: it was not read before the socket was closed


EMPTY_EXTENSION = ExtensionFrame(0x77, 0, flag_byte=0, body=b"").serialize()


@pytest.mark.parametrize(
    "frame",
    [
        WindowUpdateFrame(0, 1),
        WindowUpdateFrame(1, 1),
        PingFrame(0, b"12345678"),
        PriorityFrame(1, depends_on=0, stream_weight=1),
        RstStreamFrame(99, 0),
        DataFrame(1, b""),
        DataFrame(3, b"x"),
        DataFrame(5, b"x"),
        EMPTY_EXTENSION,
        GoAwayFrame(0, error_code=0),
        SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 70_000}),
    ],
    ids=["window", "stream", "ping", "priority", "reset", "empty", "ended", "reset by peer", "extension", "bye", "set"],
)
@pytest.mark.usefixtures("no_time")
def test_flood(served: Served, frame: bytes | Frame, caplog: pytest.LogCaptureFixture) -> None:
    with served.peer() as peer:
        peer.write(peer.request(1, path=SILENT), peer.request(3, end=True), peer.request(5), RstStreamFrame(5, 8))
        peer.write(peer.request(99, end=True))
        peer.trailers(99)
        assert_flood_ends(peer, frame)
    assert "flood" in caplog.text


@pytest.mark.parametrize(("method", "path"), [("POST", "/no/such"), ("GET", ECHO)])
@pytest.mark.usefixtures("no_time")
def test_flood_of_refused_requests(served: Served, path: str, method: str, caplog: pytest.LogCaptureFixture) -> None:
    with served.peer() as peer:
        first = peer.request(1, path=path, method=method, end=True)
        second = peer.request(3, path=path, method=method, end=True)
        peer.write(first, repeated(second, range(3, 4000, 2)))
        peer.until_closed()
    assert "flood" in caplog.text


# -- clients that mean well, as fast as they can


@pytest.mark.usefixtures("no_time")
def test_grpcio_client_at_full_speed_is_no_flood(served: Served) -> None:
    count = 30_000
    with served.channel() as channel:
        replies = channel.stream_stream(ECHO)(iter([bytes(100)] * count), timeout=4 * WAIT)
        assert sum(1 for _ in replies) == count


@pytest.mark.usefixtures("no_time")
def test_many_calls_one_after_the_other_are_no_flood(served: Served) -> None:
    with served.channel() as channel:
        call = channel.unary_unary(ECHO)
        for _ in range(1000):
            call(b"again", timeout=WAIT)


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize("size", [10, 16_000])
def test_updates_and_a_ping_for_each_frame_are_no_flood(served: Served, size: int) -> None:
    """What the most talkative of clients does: two WINDOW_UPDATEs for each DATA frame, and a PING now and then."""
    count = 15_000
    with served.peer() as peer:
        peer.write(peer.request(1), SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 20}))
        peer.write(WindowUpdateFrame(0, 1 << 20), peer.data(1, message(b"opens the window")))
        body = peer.data(1, message(bytes(size)))
        credit, connection = 1024 - 21, 65_535 - 21
        frames = 0
        sent, came = 0, -21
        while came < count * (size + 5):
            while sent < count and min(credit, connection) >= size + 5 and sent * (size + 5) - came < 100_000:
                peer.write(body)
                sent += 1
                credit -= size + 5
                connection -= size + 5
            frame = peer.read()
            assert frame is not None
            assert not isinstance(frame, GoAwayFrame)
            if isinstance(frame, DataFrame):
                got = len(frame.data)
                came += got
                peer.write(WindowUpdateFrame(0, got), WindowUpdateFrame(1, got))
                frames += 1
                if frames % 20 == 0:
                    peer.write(PingFrame(0, b"measured"))
            elif isinstance(frame, WindowUpdateFrame) and frame.stream_id == 1:
                credit += frame.window_increment
            elif isinstance(frame, WindowUpdateFrame):
                connection += frame.window_increment
        peer.write(peer.data(1, b"", end=True))
        assert peer.trailers(1)["grpc-status"] == "0"


# -- requests that are not gRPC


@pytest.mark.parametrize(("method", "content_type", "status"), [("GET", None, "405"), ("POST", "text/html", "415")])
def test_answer_to_http_is_text(served: Served, method: str, content_type: str | None, status: str) -> None:
    with served.peer() as peer:
        peer.write(peer.request(1, method=method, content_type=content_type))
        peer.write(*(peer.data(1, bytes(100)) for _ in range(8)), peer.data(1, b"", end=True))
        assert peer.trailers(1)[":status"] == status
        assert b"gRPC" in data_of(peer, 1)
