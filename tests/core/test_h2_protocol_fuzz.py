"""Whatever a peer sends, the h2 transport raises nothing, and the next connection works."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, TrailersReceived
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.transport import Stream
from numaflow_core.transport.h2._connection import H2Protocol
from numaflow_core.wire.buffers import Buffer, count_bytes
from numaflow_core.wire.status import OK, ProtocolError

PATH = "/test/Echo"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LIMIT = 100_000


class Echo:
    """Sends back what it gets, and refuses what begins with an exclamation mark."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.over = False

    def received(self, messages: list[Buffer]) -> None:
        assert not self.over
        if any(bytes(message[:1]) == b"!" for message in messages):
            raise ProtocolError("refused")
        self.stream.send([bytes(message) for message in messages])
        self.stream.release(len(messages), count_bytes(messages))

    def half_closed(self) -> None:
        assert not self.over
        self.over = True
        self.stream.finish(OK)

    def cancelled(self) -> None:
        self.over = True

    def drained(self) -> None:
        """Nothing waits."""


class NoSocket:
    """Stands for the kernel's end of it."""

    def setsockopt(self, level: int, option: int, value: int) -> None:
        assert value > 0


class Wire(asyncio.Transport):
    """Takes what the protocol writes."""

    def __init__(self) -> None:
        super().__init__({"socket": NoSocket()})
        self.written = bytearray()
        self.closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: Sequence[bytes | bytearray | memoryview]) -> None:  # type: ignore[override]
        for data in list_of_data:
            self.written += data

    def write_eof(self) -> None:
        """The peer goes on sending until it closes."""

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


async def converse(chunks: Sequence[bytes]) -> Wire:
    """One connection, from its beginning to its end."""
    wire = Wire()
    connections: set[H2Protocol] = set()
    protocol = H2Protocol({PATH: Echo}, LIMIT, connections)
    protocol.connection_made(wire)
    for chunk in chunks:
        position = 0
        while position < len(chunk) and not wire.closing:
            room = protocol.get_buffer(-1)
            assert len(room) > 0, "asyncio would take that for the end of the connection"
            size = min(len(room), len(chunk) - position)
            room[:size] = chunk[position : position + size]
            position += size
            protocol.buffer_updated(size)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.sleep(0)
    assert protocol.closed.done()
    assert not connections
    return wire


def run(chunks: Sequence[bytes]) -> Wire:
    """The conversation, then a proper one on a new connection; what goes wrong in a callback is raised here."""
    problems: list[object] = []

    async def main() -> Wire:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        wire = await converse(chunks)
        await assert_serves()
        return wire

    errors = logging.Handler(logging.ERROR)
    errors.emit = lambda record: problems.append(record.exc_text or record)  # type: ignore[method-assign]
    log = logging.getLogger("numaflow_core.transport")
    log.addHandler(errors)
    try:
        wire = asyncio.run(main())
    finally:
        log.removeHandler(errors)
    assert not problems
    return wire


async def assert_serves() -> None:
    client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "x")]
    client.send_headers(1, [*headers, ("content-type", "application/grpc"), ("te", "trailers")])
    client.send_data(1, framed(b"hello"), end_stream=True)
    wire = await converse([client.data_to_send()])
    events = client.receive_data(bytes(wire.written))
    assert b"".join(event.data or b"" for event in events if isinstance(event, DataReceived)) == framed(b"hello")
    (trailers,) = (event for event in events if isinstance(event, TrailersReceived))
    assert ("grpc-status", "0") in [tuple(map(str, header)) for header in trailers.headers or ()]
    assert any(isinstance(event, StreamEnded) for event in events)


def framed(body: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


# -- what peers send

streams = st.sampled_from([0, 1, 3, 5, 7, 2, 9, 2**31 - 1])
bodies = st.one_of(
    st.binary(max_size=30).map(framed),
    st.builds(framed, st.binary(max_size=10), st.integers(0, 3)),
    st.sampled_from([framed(b"!no"), framed(bytes(20_000)), b"\x00\x00\x00", b"\x00\xff\xff\xff\xff", b""]),
    st.binary(max_size=30),
)
header_blocks = st.sampled_from(
    [
        [],
        [("grpc-timeout", "1S")],
        [("grpc-timeout", "0n")],
        [("grpc-timeout", "soon")],
        [("grpc-encoding", "gzip")],
        [("grpc-encoding", "morse")],
        [("content-length", "3")],
        [("content-length", "x")],
        [("x", "v" * 2000)],
        [("Upper", "case")],
        [("te", "trailers"), ("te", "trailers")],
        [("connection", "close")],
        [(":path", "/twice")],
        [("x-bin", "\x00\n")],
    ]
)


def flags(frame: Frame, names: Sequence[str]) -> bytes:
    for name in names:
        frame.flags.add(name)
    return frame.serialize()


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    path = draw(st.sampled_from([PATH, PATH, PATH, "/other", ""]))
    method = draw(st.sampled_from(["POST", "POST", "POST", "GET", "CONNECT"]))
    headers = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")]
    if draw(st.integers(0, 5)):
        headers.append(("content-type", draw(st.sampled_from(["application/grpc", "application/grpc", "text/html"]))))
    headers += draw(header_blocks)
    block = Encoder().encode(headers, huffman=draw(st.booleans()))
    cut = draw(st.integers(0, len(block))) if draw(st.integers(0, 3)) == 0 else len(block)
    first = HeadersFrame(draw(streams) or 1, block[:cut])
    wanted = ["END_STREAM"] * draw(st.booleans()) + ["END_HEADERS"] * (cut == len(block))
    data = flags(first, wanted)
    if cut < len(block):
        data += flags(ContinuationFrame(first.stream_id, block[cut:]), ["END_HEADERS"])
    return data


@st.composite
def data_frames(draw: st.DrawFn) -> bytes:
    frame = DataFrame(draw(streams) or 1, draw(bodies))
    wanted = ["END_STREAM"] * draw(st.booleans())
    if draw(st.integers(0, 4)) == 0:
        frame.pad_length = draw(st.integers(0, 255))
        wanted.append("PADDED")
    return flags(frame, wanted)


SETTINGS_IDS = [1, 2, 3, 4, 5, 6, 8, 77]

frames = st.one_of(
    requests(),
    data_frames(),
    data_frames(),
    st.builds(lambda s, c: RstStreamFrame(s or 1, c).serialize(), streams, st.integers(0, 20)),
    st.builds(lambda s, n: WindowUpdateFrame(s, n).serialize(), streams, st.sampled_from([1, 1000, 2**31 - 1])),
    st.binary(min_size=8, max_size=8).map(lambda data: PingFrame(0, data).serialize()),
    st.dictionaries(st.sampled_from(SETTINGS_IDS), st.sampled_from([0, 1, 100, 16_384, 2**31 - 1, 2**32 - 1])).map(
        lambda values: SettingsFrame(0, settings=values).serialize()
    ),
    st.just(flags(SettingsFrame(0), ["ACK"])),
    st.builds(lambda s, c: GoAwayFrame(0, last_stream_id=s, error_code=c).serialize(), streams, st.integers(0, 20)),
    st.builds(lambda s, d: PriorityFrame(s or 1, depends_on=d).serialize(), streams, streams),
    st.binary(max_size=40),
)


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, position = [], 0
    for size in sizes:
        chunks.append(data[position : position + size])
        position += size
    return [*filter(None, chunks), data[position:]]


chunk_sizes = st.lists(st.integers(1, 60), max_size=20)


@given(st.binary(max_size=400), chunk_sizes, st.booleans())
def test_noise(noise: bytes, sizes: list[int], greeted: bool) -> None:
    run(chunked((PREFACE if greeted else b"") + noise, sizes))


@given(st.lists(frames, max_size=25), chunk_sizes)
def test_frames_in_any_order(sequence: list[bytes], sizes: list[int]) -> None:
    run(chunked(PREFACE + SettingsFrame(0).serialize() + b"".join(sequence), sizes))


@given(
    st.lists(st.one_of(requests(), data_frames()), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6),
    chunk_sizes,
)
def test_frames_with_flipped_bytes(sequence: list[bytes], changes: list[tuple[int, int]], sizes: list[int]) -> None:
    data = bytearray(b"".join(sequence))
    for position, value in changes:
        data[position % len(data)] ^= value
    run(chunked(PREFACE + SettingsFrame(0).serialize() + bytes(data), sizes))


@given(st.lists(st.binary(max_size=3000), max_size=8), st.lists(st.integers(1, 3000), max_size=30), st.data())
def test_proper_messages_come_back_however_they_are_cut(
    messages: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    messages = [message for message in messages if message[:1] != b"!"]
    stream = b"".join(map(framed, messages))
    client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "x")]
    client.send_headers(1, [*headers, ("content-type", "application/grpc")])
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 5000))
        client.send_data(1, stream[position : position + size], pad_length=data.draw(st.sampled_from([None, 0, 9])))
        position += size
    client.end_stream(1)
    wire = run(chunked(client.data_to_send(), sizes))
    events = client.receive_data(bytes(wire.written))
    assert b"".join(event.data or b"" for event in events if isinstance(event, DataReceived)) == stream


@pytest.mark.parametrize("value", [b"\xaf", b"\xff\xfe", "\u00fc".encode("latin-1")])
def test_header_that_is_not_utf_8(value: bytes) -> None:
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH.encode()), (b":authority", b"x")]
    block = Encoder().encode([*headers, (b"content-type", b"application/grpc"), (b"x-name", value)])
    run([PREFACE, SettingsFrame(0).serialize(), flags(HeadersFrame(1, block), ["END_HEADERS"])])


@pytest.mark.parametrize("size", [0, 1, 2**14, 2**14 + 1, 2**17, 2**17 + 1, 2**24 - 1])
@pytest.mark.parametrize("kind", range(12))
def test_every_frame_type_at_the_edges_of_its_size(size: int, kind: int) -> None:
    head = size.to_bytes(3, "big") + bytes([kind, 0x5]) + (1).to_bytes(4, "big")
    opening = PREFACE + SettingsFrame(0).serialize()
    run([opening, head + bytes(min(size, 200_000))])
