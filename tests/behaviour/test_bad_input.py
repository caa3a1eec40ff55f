"""Peers that break the protocol: each gets the status that gRPC prescribes or a closed connection, with a log line,
and the server goes on serving others.

Where it is the transport that decides, grpcio answers in its own words, and logs as it likes.
"""

import gzip
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hyperframe.frame import (
    DataFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .conftest import Launch
from .harness import Gate, ServerProcess, Talk, assert_serves, resident, wait_steady
from .kinds import Combination
from .raw import PREFACE, RawPeer, message

INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED = "13", "8", "12"

GARBAGE = b"\xff\xff\xff no protobuf at all"


@pytest.fixture
def target(server: ServerProcess) -> Iterator["Target"]:
    yield Target(server, len(server.stderr()))
    assert_serves(server)


class Target:
    """The server, which is to go on, and what it logs meanwhile."""

    def __init__(self, server: ServerProcess, logged: int) -> None:
        self.server = server
        self._logged = logged
        self.combination = server.combination
        self.is_h2 = server.combination.transport == "h2"

    def log(self) -> str:
        return self.server.stderr()[self._logged :]

    def assert_logged(self, *words: str) -> None:
        """One line that says what happened, from our own transport."""
        if self.is_h2:
            assert_line(self.log(), words)
        assert "Traceback" not in self.log()


def assert_line(log: str, words: tuple[str, ...]) -> None:
    lines = [line for line in log.splitlines() if all(word in line for word in words)]
    assert lines, f"no line with {words} in: {log!r}"


def open_stream(peer: RawPeer, stream: int = 1) -> None:
    peer.write(peer.request(stream), *(peer.data(stream, message(each)) for each in peer.kind.opening))


# -- messages


def test_garbage_after_the_handshake(target: Target) -> None:
    is_read = target.combination.kind.reads_requests
    with target.server.client() as client:
        neighbour = Talk(client, target.combination.kind)
        talk = Talk(client, target.combination.kind)
        talk.send_as_it_is(GARBAGE)
        outcome = talk.stream.status()
        assert outcome.code == ("INTERNAL" if is_read else "OK")
        assert ("cannot parse" in outcome.message) == is_read
        assert neighbour.ask(b"unharmed") == b"unharmed"
    assert ("cannot parse" in target.log()) == is_read
    assert "UDF_EXECUTION_ERROR" not in target.log()


def test_garbage_in_place_of_the_handshake(target: Target) -> None:
    if not target.combination.kind.opening:
        return
    with target.server.client() as client:
        talk = Talk(client, target.combination.kind, opened=False)
        talk.stream.send(GARBAGE)
        outcome = talk.stream.status()
        assert outcome.code == "INTERNAL"
        assert "cannot parse" in outcome.message
    assert "cannot parse" in target.log()


@pytest.mark.parametrize("count", [0, 2])
def test_unary_rpcs_take_one_message(target: Target, count: int, gate: Gate) -> None:
    """The code is the one that gRPC prescribes for a wrong number of them; the handler is not called."""
    kind = target.combination.kind
    if not kind.is_unary:
        return
    gate.open()
    with target.server.client() as client:
        talk = Talk(client, kind)
        talk.send_as_it_is(*[kind.request("one", gate.block())] * count)
        outcome = talk.stream.status()
        assert outcome.code == "UNIMPLEMENTED"
        assert f"{kind.method}: expected one message" in outcome.message
        assert Talk(client, kind).ask(b"next") == b"next"
    assert gate.entered() == 0


def test_second_handshake_ends_the_stream(target: Target) -> None:
    kind = target.combination.kind
    if not kind.opening:
        return
    with target.server.client() as client:
        talk = Talk(client, kind)
        talk.stream.send(*kind.opening)
        assert talk.stream.status().code == "INVALID_ARGUMENT"


def test_oversized_message(launch: Launch, combination: Combination) -> None:
    server = launch("--max-message-size", 100_000).wait_listening()
    with server.client() as client:
        neighbour = Talk(client, combination.kind)
        talk = Talk(client, combination.kind)
        assert len(talk.ask(bytes(90_000))) == 90_000
        talk.send([("big", bytes(100_001))])
        outcome = talk.stream.status()
        assert outcome.code == "RESOURCE_EXHAUSTED"
        assert "100000" in outcome.message
        assert neighbour.ask(b"unharmed") == b"unharmed"
    assert_serves(server)
    if combination.transport == "h2":
        assert_line(server.stderr(), ("RESOURCE_EXHAUSTED", "max_message_size"))


def test_message_that_announces_4_gigabytes(target: Target) -> None:
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        open_stream(peer)
        peer.write(peer.data(1, b"\x00\xff\xff\xff\xff" + bytes(100)))
        assert peer.trailers(1)["grpc-status"] == RESOURCE_EXHAUSTED
    target.assert_logged("RESOURCE_EXHAUSTED")
    assert resident(target.server.pid) - before < 16 << 20


def test_message_that_announces_more_than_comes(target: Target) -> None:
    """A prefix costs five bytes; it must not make the server set aside 60 MB."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        for stream in range(1, 41, 2):
            open_stream(peer, stream)
            peer.write(peer.data(stream, b"\x00" + (60 << 20).to_bytes(4, "big") + b"x"))
        assert peer.is_served()
        assert resident(target.server.pid) - before < 32 << 20


def test_bomb(launch: Launch, combination: Combination) -> None:
    """10 KB that become 10 MB when decompressed."""
    server = launch("--max-message-size", 1_000_000).wait_listening()
    with RawPeer(server) as peer:
        peer.write(
            peer.request(1, more=[("grpc-encoding", "gzip")]),
            peer.data(1, message(gzip.compress(bytes(10_000_000)), flag=1), end=True),
        )
        assert peer.trailers(1)["grpc-status"] == RESOURCE_EXHAUSTED
    assert_serves(server)


def test_compressed_message_that_is_not(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(
            peer.request(1, more=[("grpc-encoding", "gzip")]), peer.data(1, message(b"not gzip", flag=1), end=True)
        )
        assert peer.trailers(1)["grpc-status"] == INTERNAL
    target.assert_logged("decompress")


def test_compressed_message_without_an_encoding(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1), peer.data(1, message(gzip.compress(b"?"), flag=1), end=True))
        assert peer.trailers(1)["grpc-status"] == INTERNAL
    target.assert_logged("compressed")


def test_flag_that_does_not_exist(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1), peer.data(1, message(b"?", flag=7), end=True))
        status = peer.trailers(1)["grpc-status"]
        if target.is_h2:
            assert status == INTERNAL
        elif not peer.kind.is_unary:  # grpcio takes it for an empty message, which is a request like any other
            assert status != "0"
    target.assert_logged("flag")


def test_unknown_encoding(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1, more=[("grpc-encoding", "morse")]), peer.data(1, message(b"?", flag=1), end=True))
        assert peer.trailers(1)["grpc-status"] == (UNIMPLEMENTED if target.is_h2 else INTERNAL)
    target.assert_logged("morse")


def test_stream_that_ends_inside_of_a_message(target: Target) -> None:
    with RawPeer(target.server) as peer:
        open_stream(peer)
        peer.write(peer.data(1, message(b"abc")[:-1], end=True))
        if target.is_h2:  # grpcio takes it for a half-close
            assert peer.trailers(1)["grpc-status"] != "0"
            target.assert_logged("inside of a message")


# -- requests


@pytest.mark.parametrize("path", ["/map.v1.Map/NoSuchFn", "/no.such.Service/MapFn", "/", "", "/map.v1.Map/MapFn/"])
def test_unknown_method(target: Target, path: str) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1, path=path, end=True))
        found = peer.trailers(1)
        if target.is_h2 and path:
            assert found[":status"] == "200"
            assert found["grpc-status"] == UNIMPLEMENTED
        else:
            assert found.get("grpc-status") != "0"
    if path:
        target.assert_logged(path)


def test_wrong_content_type(target: Target) -> None:
    with RawPeer(target.server) as peer:
        for stream, content_type in ((1, "text/html"), (3, None), (5, "application/json")):
            peer.write(peer.request(stream, content_type=content_type, end=True))
            found = peer.trailers(stream)
            if target.is_h2:  # grpcio does not look at it
                assert found[":status"] == "415"
                target.assert_logged("415")


@pytest.mark.parametrize("method", ["GET", "PUT", "CONNECT"])
def test_wrong_http_method(target: Target, method: str) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1, method=method, end=True))
        found = peer.trailers(1)
        if target.is_h2 and method != "CONNECT":
            assert found[":status"] == "405"
            target.assert_logged("405")
        else:
            assert found.get("grpc-status") != "0"


def test_malformed_timeout(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1, more=[("grpc-timeout", "soon")]))
        if target.is_h2:  # grpcio passes over it
            assert peer.trailers(1)["grpc-status"] == INTERNAL
            target.assert_logged("grpc-timeout")


def test_headers_without_end(target: Target) -> None:
    """A header block in pieces that goes on and on."""
    with RawPeer(target.server) as peer:
        peer.write(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82")  # HEADERS without END_HEADERS
        piece = b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + bytes(16384)
        for _ in range(200):
            peer.write(piece)
        if target.is_h2:  # grpcio drops the pieces
            peer.until_closed()
    target.assert_logged("connection closed")


def test_header_list_that_is_too_large(target: Target) -> None:
    with RawPeer(target.server) as peer:
        frame = peer.request(1, more=[(f"x-{number}", "v" * 1000) for number in range(8)], end=True)
        assert len(frame.data) < 16_384
        peer.write(frame)
        assert peer.trailers(1)


# -- connections


def test_http_1_request(target: Target) -> None:
    with RawPeer(target.server, greet=False) as peer:
        peer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        peer.raw_until_closed()
    target.assert_logged("connection closed", "HTTP/2")


@pytest.mark.parametrize(
    "noise", [b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", PREFACE[:10] + b"!!!!"]
)
def test_noise_in_place_of_the_preface(target: Target, noise: bytes) -> None:
    with RawPeer(target.server, greet=False) as peer:
        peer.write(noise)
        if target.is_h2:  # grpcio waits for more
            peer.raw_until_closed()
            target.assert_logged("connection closed")


def test_half_a_preface_then_silence(target: Target) -> None:
    with RawPeer(target.server, greet=False) as peer:
        peer.write(PREFACE[:12])
        assert_serves(target.server)


def test_preface_without_settings(target: Target) -> None:
    with RawPeer(target.server, greet=False) as peer:
        peer.write(PREFACE, PingFrame(0, b"12345678"))
        peer.read()


def test_half_a_frame_then_gone(target: Target) -> None:
    with RawPeer(target.server) as peer:
        open_stream(peer)
        frame = peer.data(1, message(b"x" * 1000)).serialize()
        peer.write(frame[: len(frame) // 2])
    assert "Traceback" not in target.log()


def test_half_a_header_then_gone(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(peer.request(1).serialize()[:5])
    assert "Traceback" not in target.log()


def test_frame_that_is_too_large(target: Target) -> None:
    with RawPeer(target.server) as peer:
        open_stream(peer)
        peer.write(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(1000))
        goaway = peer.goaway()
        assert goaway is None or goaway.error_code != 0
    target.assert_logged("connection closed")


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x00\x04\x00\x08\x00\x00\x00\x01\xff\x00\x00\x00",  # DATA with more padding than content
        b"\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # DATA on stream 0
        b"\x00\x00\x04\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00",  # DATA on a stream that was never opened
        b"\x00\x00\x04\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00",  # DATA on a stream of the server's
        b"\x00\x00\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00",  # SETTINGS of an odd size
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # WINDOW_UPDATE by nothing
        b"\x00\x00\x04\x01\x04\x00\x00\x00\x03\xff\xff\xff\xff",  # HEADERS that cannot be decoded
        b"\x00\x00\x07\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # PING of seven bytes
        b"\x00\x00\x01\x09\x04\x00\x00\x00\x01\x00",  # CONTINUATION of nothing
    ],
    ids=["padding", "stream 0", "idle", "even", "settings", "window", "hpack", "ping", "continuation"],
)
def test_frame_that_breaks_http_2(target: Target, frame: bytes) -> None:
    with RawPeer(target.server) as peer:
        open_stream(peer)
        peer.write(frame)
        if target.is_h2:
            peer.until_closed()
            target.assert_logged("connection closed")


def test_window_overflow(target: Target) -> None:
    with RawPeer(target.server) as peer:
        peer.write(WindowUpdateFrame(0, 2**31 - 1), WindowUpdateFrame(0, 2**31 - 1))
        if target.is_h2:  # grpcio does not mind
            peer.until_closed()
    target.assert_logged("connection closed")


def test_peer_that_overruns_its_window(target: Target, gate: Gate) -> None:
    """Data beyond what the server has granted: the stream or the connection ends."""
    concurrency = target.combination.concurrency_of_a_stream
    if target.combination.kind.is_unary:
        pytest.skip("what a stream may carry is one message, and room is granted for all of it")
    with RawPeer(target.server) as peer:
        open_stream(peer)
        for number in range(concurrency):
            peer.write(peer.data(1, message(peer.kind.request(str(number), gate.block()))))
        gate.wait_entered(concurrency)
        chunk = DataFrame(1, message(peer.kind.request("more", bytes(16_000))))
        for _ in range(3000):
            peer.write(chunk)
        if target.is_h2:  # grpcio minds its own windows
            found = peer.trailers(1)
            assert ":reset" in found or ":closed" in found
        gate.open()
    target.assert_logged("window")


# -- floods


def assert_flood_ends(target: Target, peer: RawPeer, *words: str) -> None:
    """The connection ends, or the server bears it."""
    if target.is_h2:
        peer.until_closed()
        target.assert_logged("connection closed", *words)


def test_ping_flood(target: Target) -> None:
    with RawPeer(target.server) as peer:
        burst = b"".join(PingFrame(0, number.to_bytes(8, "big")).serialize() for number in range(1000))
        for _ in range(20):
            peer.write(burst)
        assert_flood_ends(target, peer, "flood")


def test_settings_flood(target: Target) -> None:
    with RawPeer(target.server) as peer:
        burst = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 70_000}).serialize() * 1000
        for _ in range(20):
            peer.write(burst)
        assert_flood_ends(target, peer, "flood")


def test_priority_flood(target: Target) -> None:
    with RawPeer(target.server) as peer:
        burst = PriorityFrame(1, depends_on=0, stream_weight=1).serialize() * 1000
        for _ in range(20):
            peer.write(burst)
        assert_flood_ends(target, peer)


def test_reset_flood(target: Target) -> None:
    """Streams that are opened and reset at once: each costs the server more than the peer."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        for first in range(1, 20_001, 2000):
            peer.write(
                *(
                    part
                    for stream in range(first, first + 2000, 2)
                    for part in (peer.request(stream), RstStreamFrame(stream, 8))
                )
            )
        assert_flood_ends(target, peer)
    assert resident(target.server.pid) - before < 64 << 20


def test_flood_of_empty_data(target: Target) -> None:
    with RawPeer(target.server) as peer:
        open_stream(peer)
        burst = DataFrame(1, b"").serialize() * 1000
        for _ in range(20):
            peer.write(burst)
        assert_flood_ends(target, peer, "flood")


def test_window_update_flood_is_borne_or_ended(target: Target) -> None:
    with RawPeer(target.server) as peer:
        burst = WindowUpdateFrame(0, 1).serialize() * 1000
        for _ in range(20):
            peer.write(burst)


def test_flood_of_streams(target: Target) -> None:
    """More open streams than any dataplane has; they are borne or refused, at a bounded cost."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        for first in range(1, 10_001, 1000):
            peer.write(*(peer.request(stream) for stream in range(first, first + 1000, 2)))
        assert_serves(target.server)
        assert wait_steady(lambda: resident(target.server.pid)) - before < 256 << 20


def test_flood_of_calls_is_at_the_cost_of_its_peer(target: Target) -> None:
    """While the server works off what one connection has asked for, it takes the calls of every other one."""
    with ExitStack() as stack:
        count = 1 if target.combination.kind.is_serial else 20
        clients = [stack.enter_context(target.server.client()) for _ in range(count)]
        for client in clients:
            client.wait_ready()
        peer = stack.enter_context(RawPeer(target.server))
        for first in range(1, 10_001, 1000):
            peer.write(*(peer.request(stream, path="/no/such", end=True) for stream in range(first, first + 1000, 2)))
        talks = [Talk(client, peer.kind, opened=False) for client in clients]
        for talk in talks:  # all of them at once: each is answered only after the calls before it
            talk.stream.send(*peer.kind.opening)
            talk.send([("one", b"and I?")])
        for talk in talks:
            assert talk.answers(1) == [("one", b"and I?")]
            assert talk.finish() == []


def test_peer_that_does_not_read_what_it_asks_for(target: Target) -> None:
    """Requests that are refused, and whose refusals nobody reads."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        for first in range(1, 10_001, 1000):
            peer.write(*(peer.request(stream, path="/no/such", end=True) for stream in range(first, first + 1000, 2)))
        assert_serves(target.server)
        assert resident(target.server.pid) - before < 64 << 20
