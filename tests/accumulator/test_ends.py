"""Errors of handlers and the end of the server, for every server type, over both transports."""

import signal

from behaviour.harness import Gate

from .conftest import Launch, Stream, closed
from .wire import parse


def test_an_error_at_close(launch: Launch) -> None:
    server = launch().wait_listening()
    with server.client() as client:
        stream = Stream(client)
        stream.send(["a"], b"!at-close !raise broken")
        assert stream.receive().value == b""
        stream.close(["a"])
        replies = [parse(reply) for reply in stream.raw.rest()]
        assert not any(reply.eof for reply in replies)
        assert stream.raw.status().code == "INTERNAL"
    assert server.wait() == 1


def test_a_close_is_answered_after_sigterm(launch: Launch, gate: Gate) -> None:
    server = launch("--grace", 20).wait_listening()
    with server.client() as client:
        stream = Stream(client)
        stream.send(["a"], b"!at-close " + gate.block(), time=1)
        stream.receive()
        window = stream.close(["a"])
        gate.wait_entered(1)
        stream.send(["a"], b"again", time=100)
        stream.send(["b"], b"other", time=100)
        assert stream.receive().value == b"other"
        server.send_signal(signal.SIGTERM)
        gate.open()
        replies = [parse(reply) for reply in stream.raw.rest(60)]
        assert [reply.value for reply in replies] == [b"closed after 1", b"", b"again"]
        assert replies[1].window == window
        assert stream.raw.status().code == "UNAVAILABLE"
    assert server.wait() == 0
    assert closed(server) == 1
