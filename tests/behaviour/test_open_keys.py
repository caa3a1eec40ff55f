"""Kinds whose calls are keys: what becomes of those that are open when their stream is over."""

import signal

from numaflow_core.testing import RawStream

from .conftest import Launch, only
from .harness import Gate, ServerProcess, wait_until
from .kinds import Combination, KindCase
from .messages import Answer
from .talk import Talk

KEYS = [str(number) for number in range(20)]

pytestmark = only(lambda each: each.kind.is_keyed)


def open_keys(stream: RawStream, kind: KindCase, gate: Gate) -> None:
    """Send a datum of each key, whose handler is to tell when it is closed."""
    stream.send(*(kind.request(key, gate.tell_close()) for key in KEYS))


def answered(kind: KindCase, replies: list[bytes]) -> list[Answer]:
    assert not any(map(kind.is_end, replies)), "the platform would take it for done"
    return [answer for reply in replies for answer in kind.answers(reply)]


def test_keys_are_closed_once(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([(key, gate.tell_close()) for key in KEYS])
        assert len(talk.finish()) == len(KEYS)
    assert gate.closed() == len(KEYS)


def test_half_close_closes_what_is_open(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    kind = combination.kind
    with server.client() as client:
        stream = client.open(kind.rpc)
        open_keys(stream, kind, gate)
        stream.half_close()
        replies = stream.rest()
        assert sorted(answer.id for reply in replies for answer in kind.answers(reply)) == sorted(KEYS)
        assert stream.status().code == "OK"
    assert gate.closed() == len(KEYS)


def test_cancelled_stream_closes_nothing(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    kind = combination.kind
    with server.client() as client:
        stream = client.open(kind.rpc)
        open_keys(stream, kind, gate)
        stream.send(kind.request("slow", gate.block()))
        gate.wait_entered(1)
        stream.cancel()
        assert stream.status().code == "CANCELLED"
        # The server has seen the cancellation when it answers what the same connection carries after it.
        assert client.is_ready(kind.service)
        gate.open()
        wait_until(lambda: len(gate.marks()) >= 2, "the handler that was at work is done or cancelled")
    with server.client() as client:  # what comes later is answered: so the handlers before had their time
        talk = Talk(client, kind)
        talk.send([(key, b"later") for key in KEYS])
        assert len(talk.finish()) == len(KEYS)
    assert gate.closed() == 0


def test_shutdown_closes_nothing(launch: Launch, combination: Combination, gate: Gate) -> None:
    """What the handler was doing it may finish; what it would do at the close is not done, and no end is sent."""
    kind = combination.kind
    server = launch("--grace", 4).wait_listening()
    with server.client() as client:
        stream = client.open(kind.rpc)
        open_keys(stream, kind, gate)
        stream.send(kind.request("slow", gate.block()))
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        gate.open()
        answers = answered(kind, stream.rest())
        assert {answer.id for answer in answers} == (set() if kind.answers_at_close else {*KEYS, "slow"})
        assert stream.status().code == "UNAVAILABLE"
    assert server.wait() == 0, server.stderr()
    assert [mark[0] for mark in gate.marks()] == ["+", "-"]
    assert gate.closed() == 0
