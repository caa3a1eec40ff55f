"""Peers that break the protocol: each gets the status that gRPC prescribes or a closed connection, with a log line,
and the server goes on serving others.

Where it is the transport that decides, grpcio answers in its own words, and logs as it likes.
"""

import gzip

import pytest

from .conftest import Launch, only
from .harness import Gate, resident
from .kinds import Combination
from .raw import RawPeer, message
from .talk import Talk, assert_serves
from .targets import Target, assert_line, open_stream

INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED = "13", "8", "12"

GARBAGE = b"\xff\xff\xff no protobuf at all"


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


@only(lambda each: each.kind.opening)
def test_garbage_in_place_of_the_handshake(target: Target) -> None:
    with target.server.client() as client:
        talk = Talk(client, target.combination.kind, opened=False)
        talk.stream.send(GARBAGE)
        outcome = talk.stream.status()
        assert outcome.code == "INTERNAL"
        assert "cannot parse" in outcome.message
    assert "cannot parse" in target.log()


@only(lambda each: each.kind.is_unary)
@pytest.mark.parametrize("count", [0, 2])
def test_unary_rpcs_take_one_message(target: Target, count: int, gate: Gate) -> None:
    """The code is the one that gRPC prescribes for a wrong number of them; the handler is not called."""
    kind = target.combination.kind
    gate.open()
    with target.server.client() as client:
        talk = Talk(client, kind)
        talk.send_as_it_is(*[kind.request("one", gate.block())] * count)
        outcome = talk.stream.status()
        assert outcome.code == "UNIMPLEMENTED"
        assert f"{kind.method}: expected one message" in outcome.message
        assert Talk(client, kind).ask(b"next") == b"next"
    assert gate.entered() == 0


@only(lambda each: each.kind.opening)
def test_second_handshake_ends_the_stream(target: Target) -> None:
    kind = target.combination.kind
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


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "morse"])
def test_compressed_stream(target: Target, encoding: str) -> None:
    """Compression is refused before anything is decompressed: 10 KB may become 10 MB."""
    with RawPeer(target.server) as peer:
        peer.write(
            peer.request(1, more=[("grpc-encoding", encoding)]),
            peer.data(1, message(gzip.compress(bytes(10_000_000)), flag=1), end=True),
        )
        found = peer.trailers(1)
        if target.is_h2:
            assert found["grpc-status"] == UNIMPLEMENTED
            assert found["grpc-accept-encoding"] == "identity"
        else:  # grpc may tell of the end of its handler first
            assert ":reset" in found or found["grpc-status"] in (UNIMPLEMENTED, INTERNAL)
    target.assert_logged(encoding)


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
