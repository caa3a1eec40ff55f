"""Kinds whose results leave as they are made, and are held back when nobody reads them."""

import pytest

from .conftest import Launch, only
from .harness import PATIENCE, Gate, ServerProcess, resident, wait_steady, wait_until
from .kinds import MAP_STREAM, Combination
from .talk import Talk, assert_serves

MEBIBYTE = 1 << 20

pytestmark = only(lambda each: each.kind is MAP_STREAM)


def test_each_result_leaves_when_it_is_yielded(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    """Also from a handler that neither awaits nor returns in between."""
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("slow", b"!drip 25 " + str(gate.path).encode())])
        gate.wait_entered(1)
        for number in range(25):
            reply = talk.stream.receive(PATIENCE)
            assert combination.kind.answers(reply) == [("slow", b"%d" % number)]
        gate.open()
        assert combination.kind.answers(talk.stream.receive(PATIENCE)) == [("slow", gate.block())]
        last = talk.stream.receive(PATIENCE)
        assert combination.kind.is_end(last)
        assert b"slow" in last, "an eot tells of which request"


def test_every_request_gets_one_eot_after_its_results(server: ServerProcess, combination: Combination) -> None:
    kind = combination.kind
    with server.client() as client:
        talk = Talk(client, kind)
        talk.send([(f"id-{number}", b"%d" % number) for number in range(300)])
        talk.stream.half_close()
        replies = talk.stream.rest()
        answered = [answer.id for reply in replies for answer in kind.answers(reply)]
        ended = [reply for reply in replies if kind.is_end(reply)]
        assert sorted(answered) == sorted(f"id-{number}" for number in range(300))
        assert len(replies) == 600
        assert len(set(ended)) == 300
        assert talk.stream.status().code == "OK"


def test_requests_run_side_by_side(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), gate.block()) for number in range(combination.concurrency)]
        talk.send(sent)
        gate.wait_entered(combination.concurrency)
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)


@pytest.mark.parametrize("size", [1, 1000, 1_000_000])
def test_endless_results_that_nobody_reads(launch: Launch, combination: Combination, size: int) -> None:
    """The handler is held back; others, on connections of their own, are not."""
    server = launch().wait_listening()
    with server.client() as client, server.client() as other:
        talk = Talk(client, combination.kind)
        assert talk.ask(b"warm") == b"warm"
        before = resident(server.pid)
        talk.send([(str(number), f"!endless {size}".encode()) for number in range(combination.concurrency)])
        talk.stream.receive(PATIENCE)
        rise = wait_steady(lambda: resident(server.pid)) - before
        assert rise < 64 * MEBIBYTE + 2 * combination.concurrency * size
        neighbour = Talk(other, combination.kind)
        for number in range(20):
            assert neighbour.ask(b"and I?", id=str(number)) == b"and I?"
        talk.cancel()
    assert_serves(server)


def test_generator_of_a_cancelled_stream_is_closed(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("long", b"!unread " + str(gate.path).encode())])
        gate.wait_entered(1)
        talk.stream.receive(PATIENCE)
        talk.cancel()
        wait_until(lambda: [mark[0] for mark in gate.marks()] == ["+", "-"], "the generator is closed")
    assert_serves(server)


def test_no_results_are_an_eot_alone(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    gate.open()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("some", b"!drip 0 " + str(gate.path).encode())])
        assert talk.finish() == [("some", gate.block())]
