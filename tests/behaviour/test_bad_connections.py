"""Peers that break HTTP/2, or mean no good: each gets an error or a closed connection, with a log line, and the server
goes on serving others."""

from collections.abc import Callable
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

from .conftest import only
from .harness import Gate, resident, wait_steady
from .raw import PREFACE, RawPeer, message
from .talk import Talk, assert_serves
from .targets import Target, open_stream

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


@only(lambda each: not each.kind.is_unary)  # whose streams carry one message, and are granted room for all of it
def test_peer_that_overruns_its_window(target: Target, gate: Gate) -> None:
    """Data beyond what the server has granted: the stream or the connection ends."""
    concurrency = target.combination.concurrency_of_a_stream
    with RawPeer(target.server) as peer:
        open_stream(peer)
        for number in range(concurrency):
            peer.write(peer.data(1, message(peer.kind.request(str(number), gate.block()))))
        gate.wait_entered(concurrency)
        # Where there are keys, of one that is busy: another one would take them as they come, and room be granted anew.
        chunk = DataFrame(1, message(peer.kind.request("0", bytes(16_000))))
        for _ in range(3000):
            peer.write(chunk)
        if target.is_h2:  # grpcio minds its own windows
            found = peer.trailers(1)
            assert ":reset" in found or ":closed" in found
        gate.open()
    target.assert_logged("window")


# -- floods


def assert_flood_ends(target: Target, peer: RawPeer, burst: Callable[[int], bytes], *words: str) -> None:
    """The connection ends, or the server bears it. How much a server takes depends on how long it takes for it."""
    for number in range(500 if target.is_h2 else 10):
        if peer.is_closed():
            break
        peer.write(burst(number))
    if target.is_h2:
        peer.until_closed()
        target.assert_logged("connection closed", *words)


def test_ping_flood(target: Target) -> None:
    burst = b"".join(PingFrame(0, number.to_bytes(8, "big")).serialize() for number in range(1000))
    with RawPeer(target.server) as peer:
        assert_flood_ends(target, peer, lambda number: burst, "flood")


def test_settings_flood(target: Target) -> None:
    burst = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 70_000}).serialize() * 1000
    with RawPeer(target.server) as peer:
        assert_flood_ends(target, peer, lambda number: burst, "flood")


def test_priority_flood(target: Target) -> None:
    burst = PriorityFrame(1, depends_on=0, stream_weight=1).serialize() * 1000
    with RawPeer(target.server) as peer:
        assert_flood_ends(target, peer, lambda number: burst)


def test_reset_flood(target: Target) -> None:
    """Streams that are opened and reset at once: each costs the server more than the peer."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:

        def burst(number: int) -> bytes:
            streams = range(1000 * number + 1, 1000 * number + 1001, 2)
            frames = [frame for stream in streams for frame in (peer.request(stream), RstStreamFrame(stream, 8))]
            return b"".join(frame.serialize() for frame in frames)

        assert_flood_ends(target, peer, burst)
    assert resident(target.server.pid) - before < 64 << 20


def test_flood_of_empty_data(target: Target) -> None:
    burst = DataFrame(1, b"").serialize() * 1000
    with RawPeer(target.server) as peer:
        open_stream(peer)
        assert_flood_ends(target, peer, lambda number: burst, "flood")


def test_window_update_flood_is_borne_or_ended(target: Target) -> None:
    with RawPeer(target.server) as peer:
        burst = WindowUpdateFrame(0, 1).serialize() * 1000
        for _ in range(20):
            peer.write(burst)


def test_flood_of_streams(target: Target, thorough: bool) -> None:
    """More open streams than any dataplane has; they are borne or refused, at a bounded cost."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        for first in range(1, 10_001 if thorough else 2001, 1000):
            peer.write(*(peer.request(stream) for stream in range(first, first + 1000, 2)))
        assert_serves(target.server)
        assert wait_steady(lambda: resident(target.server.pid)) - before < 256 << 20


def test_flood_of_calls_is_at_the_cost_of_its_peer(target: Target, thorough: bool) -> None:
    """While the server works off what one connection has asked for, it takes the calls of every other one."""
    with ExitStack() as stack:
        count = 1 if target.combination.kind.is_serial else 20
        clients = [stack.enter_context(target.server.client()) for _ in range(count)]
        for client in clients:
            client.wait_ready()
        peer = stack.enter_context(RawPeer(target.server))
        for first in range(1, 10_001 if thorough else 2001, 1000):
            peer.write(*(peer.request(stream, path="/no/such", end=True) for stream in range(first, first + 1000, 2)))
        talks = [Talk(client, peer.kind, opened=False) for client in clients]
        for talk in talks:  # all of them at once: each is answered only after the calls before it
            talk.stream.send(*peer.kind.opening)
            talk.send([("one", b"and I?")])
        for talk in talks:
            assert talk.answers(1) == [("one", b"and I?")]
            assert talk.finish() == []


def test_peer_that_does_not_read_what_it_asks_for(target: Target, thorough: bool) -> None:
    """Requests that are refused, and whose refusals nobody reads."""
    before = resident(target.server.pid)
    with RawPeer(target.server) as peer:
        for first in range(1, 10_001 if thorough else 2001, 1000):
            peer.write(*(peer.request(stream, path="/no/such", end=True) for stream in range(first, first + 1000, 2)))
        assert_serves(target.server)
        assert resident(target.server.pid) - before < 64 << 20
