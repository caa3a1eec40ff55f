"""Large messages, compression, deadlines, and clients that are slow to read."""

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

from .conftest import Launch
from .harness import Gate, ServerProcess, wait_steady, wait_until
from .kinds import Combination, KindCase
from .raw import RawPeer, message
from .talk import Talk, assert_serves

DEADLINE_EXCEEDED = "4"


def test_ten_megabytes_both_ways(server: ServerProcess, combination: Combination) -> None:
    payload = bytes(range(256)) * 40_000
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), payload) for number in range(2)]
        talk.send(sent)
        assert sorted(talk.finish()) == sorted(sent)


def test_large_message_both_ways(server: ServerProcess, combination: Combination, thorough: bool) -> None:
    payload = bytes(range(256)) * (245_000 if thorough else 80_000)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("large", payload), ("small", b"s")])
        assert sorted(talk.finish(60)) == [("large", payload), ("small", b"s")]


def test_sizes_around_the_edges_of_frames(server: ServerProcess, combination: Combination) -> None:
    sizes = [0, 1, 16_379, 16_384, 16_385, 65_535, 65_536, 131_067, 131_072, 131_073, 262_144, 1_048_576, 1_048_600]
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(size), b"\xa5" * size) for size in sizes]
        talk.send(sent)
        assert sorted(talk.finish()) == sorted(sent)


def test_many_sizes_mixed(launch: Launch, combination: Combination, thorough: bool) -> None:
    """While threads cut in on each other as often as they can, which brings out what is wrong between them."""
    server = launch("--switch-interval", 1e-5).wait_listening()
    count = combination.kind.count(400 if thorough else 100)
    sent = [(str(number), b"\x5a" * (number * number * 7 % 50_000)) for number in range(count)]
    for _ in range(2):
        with server.client() as client:
            talk = Talk(client, combination.kind)
            talk.send(sent)
            assert sorted(talk.finish()) == sorted(sent)


def test_message_of_exactly_the_window_without_handshake(server: ServerProcess, combination: Combination) -> None:
    """A first message that is larger than what the server grants in advance still comes through, to be refused."""
    with server.client() as client:
        talk = Talk(client, combination.kind, opened=not combination.kind.opening)
        talk.send([("first", bytes(5_000_000))])
        if combination.kind.opening:
            assert talk.stream.status().code == "INVALID_ARGUMENT"
        else:
            assert talk.finish() == [("first", bytes(5_000_000))]


def test_client_that_compresses_is_told_not_to(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind, gzip=True, opened=False)
        talk.send([("a", b"a" * 100_000)])
        assert talk.stream.status().code in ("UNIMPLEMENTED", "INTERNAL" if combination.transport == "grpcio" else "")
    assert_serves(server)


def streams(kind: KindCase, requests: list[bytes]) -> list[tuple[int, list[bytes]]]:
    """gRPC messages to have requests answered, on stream 1, or on a stream for each where that is what a call is."""
    if kind.is_unary:
        return [(1 + 2 * number, [request]) for number, request in enumerate(requests)]
    return [(1, [*map(message, kind.opening), *requests, *map(message, kind.closing)])]


def test_messages_cut_anywhere(server: ServerProcess, combination: Combination) -> None:
    """Frames need not end where messages do."""
    kind = combination.kind
    size = 1
    with RawPeer(server) as peer:
        for stream, messages in streams(kind, [message(kind.request(str(n), b"x" * n)) for n in range(40)]):
            peer.write(peer.request(stream))
            data = b"".join(messages)
            while data:
                peer.write(peer.data(stream, data[:size]))
                data, size = data[size:], size % 13 + 1
            peer.write(peer.data(stream, b"", end=True))
            assert peer.trailers(stream)["grpc-status"] == "0"


def test_padded_frames(server: ServerProcess, combination: Combination) -> None:
    if combination.transport == "grpcio":
        pytest.skip("grpcio takes padding for a protocol error")
    kind = combination.kind
    with RawPeer(server) as peer:
        peer.write(peer.request(1))
        for number, each in enumerate([*kind.opening, kind.request("1", b"padded"), *kind.closing]):
            frame = peer.data(1, message(each))
            frame.flags.add("PADDED")
            frame.pad_length = 17 * number
            peer.write(frame)
        peer.write(peer.data(1, b"", end=True))
        assert peer.trailers(1)["grpc-status"] == "0"


def test_peer_that_keeps_no_table_of_headers(server: ServerProcess, combination: Combination) -> None:
    """It has to be told at the beginning of the first block of headers that its wish is granted (RFC 7541, 4.2)."""
    kind = combination.kind
    with RawPeer(server, header_table=0) as peer:
        for stream in (1, 3):
            messages = [*kind.opening, kind.request("1", b"plain"), *kind.closing]
            peer.write(peer.request(stream), *(peer.data(stream, message(each)) for each in messages))
            peer.write(peer.data(stream, b"", end=True))
            assert peer.trailers(stream)["grpc-status"] == "0"


def test_deadline_of_the_client(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        neighbour = Talk(client, combination.kind)
        talk = Talk(client, combination.kind, deadline=0.5, opened=False)
        talk.stream.send(*combination.kind.opening)
        talk.send([("late", gate.block())])
        assert talk.stream.status().code == "DEADLINE_EXCEEDED"
        if combination.kind.is_serial:  # the one handler there is still does what nobody waits for
            gate.open()
        assert neighbour.ask(b"no deadline") == b"no deadline"
    gate.open()
    assert_serves(server)


def test_deadline_is_kept_by_the_server_too(server: ServerProcess, combination: Combination) -> None:
    with RawPeer(server) as peer:
        peer.write(peer.request(1, more=[("grpc-timeout", "50m")]))
        found = peer.trailers(1)
        if combination.transport == "h2":
            assert found["grpc-status"] == DEADLINE_EXCEEDED
        else:
            assert ":reset" in found or found["grpc-status"] == DEADLINE_EXCEEDED


def test_deadline_that_is_far_away(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind, deadline=600)
        assert talk.ask(b"in time") == b"in time"
        assert talk.finish() == []


def test_client_that_reads_late_gets_everything(
    server: ServerProcess, combination: Combination, thorough: bool
) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        count = combination.kind.count(2000 if thorough else 800)
        sent = [(str(number), b"\x11" * (40_000_000 // count)) for number in range(count)]
        talk.send(sent)
        talk.stream.half_close()
        wait_until(lambda: talk.taken > count // 20, "requests flow")
        taken = wait_steady(lambda: talk.taken, seconds=0.3)
        if not combination.collects_answers:
            assert taken < len(combination.kind.encode(sent)), "the server has buffered all replies"
        assert sorted(talk.finish(60)) == sorted(sent)


def test_large_replies_on_many_streams_at_once(server: ServerProcess, combination: Combination) -> None:
    """Whatever a peer has granted, it is not sent much more than it reads."""
    kind = combination.kind
    count, size = (1 if kind.is_serial else 30), 400_000
    grant = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1})
    with RawPeer(server) as peer:
        peer.write(grant, WindowUpdateFrame(0, 2**30))
        for stream in range(1, 2 * count, 2):
            messages = [*kind.opening, kind.request("1", b"!big %d" % size), *kind.closing]
            peer.write(peer.request(stream), *(peer.data(stream, message(each)) for each in messages))
            peer.write(peer.data(stream, b"", end=True))
        ended = received = 0
        while ended < count:
            frame = peer.read()
            assert frame is not None, "the connection is closed"
            received += len(frame.data) if isinstance(frame, DataFrame) else 0
            ended += isinstance(frame, HeadersFrame) and "END_STREAM" in frame.flags
        assert received > count * size


def test_slow_reader_does_not_hold_up_another_stream(server: ServerProcess, combination: Combination) -> None:
    """The other stream has a connection of its own: on the same one, HTTP/2's window is shared."""
    if combination.kind.is_serial:
        pytest.skip("what one stream asks for ends what another one waits for")
    with server.client() as client, server.client() as other:
        lazy = Talk(client, combination.kind)
        lazy.send([(str(number), b"!big 1000000") for number in range(20)])
        neighbour = Talk(other, combination.kind)
        for number in range(20):
            assert neighbour.ask(b"quick", id=str(number)) == b"quick"
        assert len(lazy.answers(20)) == 20
