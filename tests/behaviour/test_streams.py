"""Streams: handshake, ids, any number of them, and peers that go away."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from .conftest import only
from .harness import PATIENCE, Gate, ServerProcess, wait_until
from .kinds import Combination
from .processes import Process, environ, start
from .talk import Talk, assert_serves


def requests(name: str, count: int) -> list[tuple[str, bytes]]:
    return [(f"{name}-{number}", f"payload {name} {number}".encode()) for number in range(count)]


def test_handshake_comes_first_and_ids_are_echoed(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [("in-0", b"a"), ("ünï-çödé-⌛", b"b"), ("x" * 500, b"c"), ("spaces and\nlines", b"d")]
        talk.send(sent)
        assert sorted(talk.answers(len(sent))) == sorted(sent)
        assert talk.finish() == []


def test_initial_metadata_comes_at_once(server: ServerProcess, combination: Combination) -> None:
    """The platform may wait for it before it does anything else, its own shutdown included."""
    with server.client() as client:
        stream = client.open(combination.kind.rpc)
        waiting = threading.Thread(target=stream._call.initial_metadata, daemon=True)
        waiting.start()
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
        stream.cancel()


def test_every_message_is_answered_once(server: ServerProcess, combination: Combination, thorough: bool) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = requests("m", combination.kind.count(3000 if thorough else 200))
        talk.send(sent)
        assert sorted(talk.answers(len(sent)) + talk.finish()) == sorted(sent)


def test_the_same_id_twice_is_answered_twice(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("same", b"1"), ("same", b"2")])
        if combination.kind.joins_same_ids:
            assert talk.answers(1) == [("same", b"12")]
        else:
            assert sorted(talk.answers(2)) == [("same", b"1"), ("same", b"2")]
        assert talk.finish() == []


def test_empty_payload(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        assert talk.ask(b"") == b""
        assert talk.finish() == []


def test_message_without_id_is_answered(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        assert talk.ask(b"anonymous", id="") == b"anonymous"


def test_half_close_right_after_the_messages_loses_none(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = requests("m", combination.kind.count(100))
        talk.send(sent)
        assert sorted(talk.finish()) == sorted(sent)


def test_stream_stays_open_until_what_blocks_is_answered(
    server: ServerProcess, combination: Combination, gate: Gate
) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("slow", gate.block())])
        talk.stream.half_close()
        gate.wait_entered(1)
        gate.open()
        assert talk.finish() == [("slow", gate.block())]


def test_slow_message_does_not_hold_up_others(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    if combination.kind.is_serial:
        pytest.skip("there is one handler")
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([("slow", gate.block())])
        gate.wait_entered(1)
        sent = requests("quick", 50)
        talk.send(sent)
        assert sorted(talk.answers(50)) == sorted(sent)
        gate.open()
        assert talk.finish() == [("slow", gate.block())]


def test_twenty_streams_at_once(server: ServerProcess, combination: Combination, thorough: bool) -> None:
    if combination.kind.is_serial:
        pytest.skip("what one stream asks for ends what another one waits for")
    count = combination.kind.count(500 if thorough else 60) // 20
    with server.client() as one, server.client() as other:
        talks = [Talk(client, combination.kind) for client in (one, other) for _ in range(10)]
        for number, talk in enumerate(talks):
            talk.send(requests(f"s{number}", count))
        for number, talk in enumerate(reversed(talks)):
            talk.send(requests(f"t{number}", count))
        for number, talk in enumerate(talks):
            expected = requests(f"s{number}", count) + requests(f"t{19 - number}", count)
            assert sorted(talk.finish()) == sorted(expected)


def test_many_streams_one_after_another(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        for number in range(25):
            talk = Talk(client, combination.kind)
            sent = requests(f"s{number}", 3)
            talk.send(sent)
            assert sorted(talk.finish()) == sorted(sent)


def test_many_connections_one_after_another(server: ServerProcess, combination: Combination) -> None:
    for _ in range(10):
        assert_serves(server)


def test_stream_half_closed_without_handshake(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind, opened=False)
        talk.stream.half_close()
        assert talk.stream.status().code == ("UNIMPLEMENTED" if combination.kind.is_unary else "OK")
    assert_serves(server)


def test_stream_cancelled_without_handshake(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind, opened=False)
        assert client.is_ready(combination.kind.service)
        talk.stream.cancel()
        assert talk.stream.status().code == "CANCELLED"
    assert_serves(server)


def test_connection_opened_and_closed_without_a_stream(server: ServerProcess) -> None:
    with server.client() as client:
        client.wait_ready()
    assert_serves(server)


@only(lambda each: each.kind.opening)
def test_first_message_has_to_be_a_handshake(server: ServerProcess, combination: Combination) -> None:
    kind = combination.kind
    with server.client() as client:
        neighbour = Talk(client, kind)
        talk = Talk(client, kind, opened=False)
        talk.send([("early", b"bird")])
        outcome = talk.stream.status()
        assert outcome.code == "INVALID_ARGUMENT"
        assert outcome.message == f"{kind.method}: expected handshake as the first message"
        assert neighbour.ask(b"not your problem") == b"not your problem"
    assert_serves(server)


def test_cancelled_stream_does_no_harm(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.block()) for number in range(3 * combination.concurrency)])
        gate.wait_entered(combination.concurrency)
        talk.cancel()
        assert {outcome.code for outcome in talk.statuses()} == {"CANCELLED"}
        gate.open()
    assert_serves(server)


def begins_in_turn(combination: Combination) -> bool:
    """Whether calls that find no handler free wait in the process that hears first of the end of their stream. Calls
    that take messages while they run are with the workers at once, and nothing tells when these have heard."""
    kind = combination.kind
    return combination.type != "multiproc" or not (kind.is_keyed or kind.closing)


@only(begins_in_turn)
def test_calls_of_a_cancelled_stream_are_not_begun(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        neighbour = Talk(client, combination.kind)
        talk = Talk(client, combination.kind)
        more = 3 if combination.kind.takes_streams else 50
        talk.spread([(str(number), gate.block()) for number in range(more * combination.concurrency)])
        gate.wait_entered(combination.concurrency)
        talk.cancel()
        # The server has seen the cancellation when it answers what the same connection carries after it.
        assert client.is_ready(combination.kind.service)
        begun = gate.entered()
        gate.open()
        assert neighbour.ask(b"next") == b"next"
        # Those that a worker process was given ahead of time may have been in its pipe.
        assert begun <= gate.entered() <= begun + combination.concurrency


@contextmanager
def client_process(server: ServerProcess, payload: bytes) -> Iterator[tuple[Process, TextIO]]:
    """A client in a process of its own, and what it says."""
    script = Path(__file__).with_name("client_process.py")
    reader, writer = os.pipe()
    with os.fdopen(reader) as said:
        try:
            process = start(
                [str(script), server.combination.kind.name, str(server.sock), payload.decode()],
                is_program=False,
                needs_grpc=True,
                stdout=writer,
                stderr=2,
                env=environ(),
            )
        finally:
            os.close(writer)
        try:
            assert said.readline() == "open\n"
            yield process, said
        finally:
            process.end()


def assert_calm(server: ServerProcess, logged: int) -> None:
    """A peer that goes away is no error: the server lives on, and makes no noise about it."""
    assert_serves(server)
    new = server.stderr()[logged:]
    assert "Traceback" not in new
    assert "ERROR" not in new
    assert "UDF_EXECUTION_ERROR" not in new


def test_client_killed_while_replies_flow(server: ServerProcess, combination: Combination, thorough: bool) -> None:
    logged = len(server.stderr())
    for _ in range(3 if thorough else 1):
        with client_process(server, b"flow") as (process, said):
            assert said.readline() == "answered\n"
            process.send_signal(signal.SIGKILL)
        assert_calm(server, logged)


def test_client_killed_while_its_stream_is_idle(server: ServerProcess) -> None:
    logged = len(server.stderr())
    with client_process(server, b"") as (process, _):
        process.send_signal(signal.SIGKILL)
    assert_calm(server, logged)


def test_client_killed_while_handlers_block(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    logged = len(server.stderr())
    with client_process(server, gate.block()) as (process, _):
        gate.wait_entered(combination.concurrency_of_a_stream)
        process.send_signal(signal.SIGKILL)
    if combination.cancels_handlers:
        wait_until(lambda: gate.cancelled() == gate.entered(), "handlers of the dead client's messages are cancelled")
    gate.open()
    assert_calm(server, logged)
    wait_until(lambda: len(gate.marks()) == 2 * gate.entered(), "handlers of the dead client's messages return")
    assert combination.cancels_handlers or not gate.cancelled()
