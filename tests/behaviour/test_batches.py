"""Kinds whose calls are batches: the handler reads while a batch arrives, and answers each datum exactly once."""

import signal
from pathlib import Path

import pytest

from numaflow_core.testing import RawStream, UdfClient

from .commands import BIG
from .conftest import Launch, only
from .harness import PATIENCE, Gate, ServerProcess, wait_until
from .kinds import WORKERS, Combination, KindCase
from .messages import Answer
from .talk import Talk, assert_serves

pytestmark = only(lambda each: each.kind.closing)


def open_stream(client: UdfClient, kind: KindCase) -> RawStream:
    stream = client.open(kind.rpc)
    stream.send(*kind.opening)
    assert kind.is_opening_reply(stream.receive(PATIENCE))
    return stream


def batch(kind: KindCase, *requests: tuple[str, bytes]) -> list[bytes]:
    return [*(kind.request(*request) for request in requests), *kind.closing]


def answers_to_one_batch(kind: KindCase, stream: RawStream) -> list[Answer]:
    """Everything up to the eot, which has to be a reply of its own."""
    found: list[Answer] = []
    while True:
        reply = stream.receive(PATIENCE)
        if kind.is_end(reply):
            assert kind.answers(reply) == [], "the platform passes over what comes with an eot"
            return found
        answers = kind.answers(reply)
        assert answers
        found += answers


def test_one_eot_follows_the_answers_of_each_batch(server: ServerProcess, combination: Combination) -> None:
    kind = combination.kind
    with server.client() as client:
        stream = open_stream(client, kind)
        for size in (1, 3, 100, 1, 300):
            sent = [(f"{size}-{number}", b"%d" % number) for number in range(size)]
            stream.send(*batch(kind, *sent))
            assert sorted(answers_to_one_batch(kind, stream)) == sorted(sent)
        stream.half_close()
        assert stream.rest() == []
        assert stream.status().code == "OK"


def test_batches_sent_ahead_are_answered_in_turn(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    """The platform waits for one batch before it sends the next; a client that does not gets the same answers."""
    kind = combination.kind
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(*batch(kind, ("slow", gate.block())))
        for number in range(20):
            stream.send(*batch(kind, (str(number), b"a"), (f"{number}+", b"b")))
        stream.half_close()
        gate.wait_entered(1)
        gate.open()
        assert answers_to_one_batch(kind, stream) == [("slow", gate.block())]
        for number in range(20):
            assert sorted(answers_to_one_batch(kind, stream)) == [(str(number), b"a"), (f"{number}+", b"b")]
        assert stream.status().code == "OK"


def test_empty_batch_is_answered_with_an_eot(server: ServerProcess, combination: Combination) -> None:
    kind = combination.kind
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(*kind.closing, *kind.closing, *batch(kind, ("one", b"1")), *kind.closing)
        assert answers_to_one_batch(kind, stream) == []
        assert answers_to_one_batch(kind, stream) == []
        assert answers_to_one_batch(kind, stream) == [("one", b"1")]
        assert answers_to_one_batch(kind, stream) == []


def test_handler_gets_datums_while_the_batch_arrives(
    server: ServerProcess, combination: Combination, gate: Gate
) -> None:
    kind = combination.kind
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(kind.request("first", gate.block()))
        gate.wait_entered(1)
        stream.send(*batch(kind, ("second", b"2")))
        gate.open()
        assert sorted(answers_to_one_batch(kind, stream)) == [("first", gate.block()), ("second", b"2")]


def test_batch_that_ends_without_eot_is_what_came_of_it(server: ServerProcess, combination: Combination) -> None:
    kind = combination.kind
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(kind.request("only", b"1"))
        stream.half_close()
        assert answers_to_one_batch(kind, stream) == [("only", b"1")]
        assert stream.status().code == "OK"


def test_cancelled_batch_ends_the_handlers_iterator(launch: Launch, combination: Combination, gate: Gate) -> None:
    """The only handler there may be is free for the next batch, and what it has returned is nobody's business."""
    kind = combination.kind
    server = launch("--threads", 1, "--concurrency", 1, "--workers", 1).wait_listening()
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(kind.request("first", gate.block()), kind.request("missing", b"!skip"))
        gate.wait_entered(1)
        stream.cancel()
        assert client.is_ready(kind.service)
        gate.open()
        assert_serves(server)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"!skip", "returned no response with the id 'bad'"),
        (b"!twice", "returned more than one response with the id 'bad'"),
        (b"!stranger", "returned a response with the id 'stranger', which is not in the batch"),
    ],
    ids=["missing", "repeated", "unknown"],
)
def test_wrong_ids_are_an_error_that_names_them(
    launch: Launch, combination: Combination, payload: bytes, complaint: str
) -> None:
    """Never an eot: the platform would send the batch again for ever, or end its own process."""
    kind = combination.kind
    server = launch().wait_listening()
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(*batch(kind, ("good", b"1"), ("bad", payload), ("fine", b"2")))
        replies = stream.rest()
        assert not any(map(kind.is_end, replies))
        outcome = stream.status()
        assert outcome.code == "INTERNAL"
        assert complaint in outcome.message
    assert server.wait() == 1
    assert complaint in server.stderr()


def test_handler_that_does_not_read_to_the_end(launch: Launch, combination: Combination) -> None:
    """It is told of what it has not answered; the end of the batch is awaited, since an answer may yet be missing."""
    kind = combination.kind
    server = launch("--workers", 1).wait_listening()
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(*batch(kind, ("only", b"!leave")))
        assert answers_to_one_batch(kind, stream) == [("only", b"")]
        stream.send(*batch(kind, ("last read", b"!leave"), *((str(number), b"unread") for number in range(3))))
        outcome = stream.status()
        assert outcome.code == "INTERNAL"
        assert "returned no response with the id '0', nor with 2 more ids of the batch" in outcome.message
    assert server.wait() == 1


def test_error_is_reported_before_the_eot(launch: Launch, combination: Combination) -> None:
    kind = combination.kind
    server = launch().wait_listening()
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(kind.request("bad", b"!raise early"))
        assert "raised ValueError: early" in stream.status().message
    assert server.wait() == 1


def test_large_answers_are_split(server: ServerProcess, combination: Combination) -> None:
    """No reply comes near the limit for messages, however much is in a batch."""
    kind = combination.kind
    with server.client() as client:
        stream = open_stream(client, kind)
        sent = [(str(number), b"!big 400000") for number in range(50)]
        stream.send(*batch(kind, *sent))
        found: list[Answer] = []
        while len(found) < len(sent):
            reply = stream.receive(PATIENCE)
            assert len(reply) < 4_000_000
            found += kind.answers(reply)
        assert sorted(found) == sorted((each, BIG * 400_000) for each, _ in sent)
        assert kind.is_end(stream.receive(PATIENCE))


def test_batch_is_divided_between_workers(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    if combination.type != "multiproc":
        pytest.skip("there is one process")
    kind = combination.kind
    with server.client() as client:
        talk = Talk(client, kind)
        sent = [(str(number), gate.block()) for number in range(10)]
        talk.send(sent)
        gate.wait_entered(WORKERS)
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)
    assert len(gate.workers()) == WORKERS


def test_small_batches_of_many_streams_go_to_all_workers(
    launch: Launch, combination: Combination, tmp_path: Path
) -> None:
    if combination.type != "multiproc":
        pytest.skip("there is one process")
    gate = Gate(tmp_path / "gate")
    server = launch("--threads", 3).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.block()) for number in range(3 * WORKERS)])
        gate.wait_entered(3 * WORKERS)
        gate.open()
        assert len(talk.finish()) == 3 * WORKERS
    wait_until(lambda: len(gate.workers()) == WORKERS, "every worker was busy")


def test_stream_that_is_cut_off_inside_of_a_batch_does_not_end_well(launch: Launch, combination: Combination) -> None:
    """A peer that has stopped sending holds up the end no more than an idle one; but its batch is not answered."""
    kind = combination.kind
    server = launch("--grace", 4).wait_listening()
    with server.client() as client:
        stream = open_stream(client, kind)
        stream.send(kind.request("only", b"1"))
        assert client.is_ready(kind.service)
        server.send_signal(signal.SIGTERM)
        assert not any(map(kind.is_end, stream.rest()))
        assert stream.status().code == "UNAVAILABLE"
    assert server.wait() == 0
