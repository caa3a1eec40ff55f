"""Concurrency and memory are bounded, by settings that work."""

import pytest

from numaflow_core.testing import RpcEndedError
from numaflow_core.transport import OUTPUT_LIMIT

from .commands import BIG
from .conftest import Launch, only
from .harness import Gate, ServerProcess, resident, wait_steady, wait_until
from .kinds import WORKERS, Combination
from .talk import Talk

MEBIBYTE = 1 << 20
ONE_CLIENT = "what one client asks for ends what another one waits for"
ONE_MESSAGE = "a stream has one message, and how many streams there are is for the client to say"


def assert_bounded(talk: Talk, gate: Gate, offered: int, bound: int) -> None:
    """Offer so many messages; exactly ``bound`` handlers run at once."""
    sent = [(str(number), gate.block()) for number in range(offered)]
    talk.spread(sent)
    gate.wait_entered(bound)
    assert wait_steady(gate.entered, seconds=0.3) == bound
    gate.open()
    assert sorted(talk.answers(len(sent))) == sorted(sent)
    assert gate.most_at_once() >= bound


def test_as_many_handlers_at_once_as_the_setting_says(
    server: ServerProcess, combination: Combination, gate: Gate
) -> None:
    offered = 3 * combination.concurrency
    with server.client() as client:
        bound = combination.at_once(offered, combination.concurrency)
        assert_bounded(Talk(client, combination.kind), gate, offered, bound)
    if combination.type == "multiproc":
        assert len(gate.workers()) == WORKERS


def test_the_bound_is_the_servers_not_the_streams(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    if combination.kind.is_serial:
        pytest.skip(ONE_CLIENT)
    with server.client() as one, server.client() as other:
        talks = [Talk(client, combination.kind) for client in (one, other, one, other)]
        for talk in talks:
            talk.spread([(str(number), gate.block()) for number in range(combination.concurrency)])
        bound = combination.at_once(len(talks) * combination.concurrency, combination.concurrency)
        gate.wait_entered(bound)
        assert wait_steady(gate.entered, seconds=0.3) == bound
        gate.open()
        for talk in talks:
            assert len(talk.finish()) == combination.concurrency


def test_one_at_a_time(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--threads", 1, "--concurrency", 1, "--workers", 1).wait_listening()
    bound = combination.at_once(3, 1)
    with server.client() as client:
        assert_bounded(Talk(client, combination.kind), gate, 3, bound)
    assert gate.most_at_once() == bound


def test_more_than_the_default(launch: Launch, combination: Combination, gate: Gate) -> None:
    many = 60 if combination.kind.takes_streams or combination.kind.is_serial else 1200
    server = launch("--threads", 24, "--concurrency", many, "--workers", 1).wait_listening()
    limit = many if combination.type == "async" else 24
    with server.client() as client:
        offered = limit + 30
        assert_bounded(Talk(client, combination.kind), gate, offered, combination.at_once(offered, limit))


@only(lambda each: each.type == "multiproc")  # which takes handlers of either colour
def test_async_handlers_in_workers_are_bounded_too(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--handler", "async", "--concurrency", 15).wait_listening()
    offered = 3 * WORKERS * 15
    bound = combination._replace(type="async").at_once(offered, WORKERS * 15)
    with server.client() as client:
        assert_bounded(Talk(client, combination.kind), gate, offered, bound)


def test_memory_of_messages_that_wait(launch: Launch, combination: Combination, gate: Gate, thorough: bool) -> None:
    kind = combination.kind
    if kind.is_unary:
        pytest.skip(ONE_MESSAGE)
    server = launch().wait_listening()
    with server.client() as client:
        talk = Talk(client, kind)
        talk.send([(str(number), bytes(4096)) for number in range(100)])
        talk.answers(100)
        before = resident(server.pid)
        blocked = [(str(number), gate.block()) for number in range(combination.concurrency)]
        flood = [
            (str(number % combination.concurrency), bytes(4096)) for number in range(50_000 if thorough else 6_000)
        ]
        if combination.is_bounded:
            talk.spread(blocked)
            gate.wait_entered(combination.concurrency)
            messages = kind.encode(flood)
        else:  # what waits for a handler, waits for the one of its key, while that is open
            messages = [kind.request(*each) for each in blocked + flood]
        stream = Talk(client, kind).stream if kind.calls_are_rpcs else talk.stream
        earlier = stream.taken
        stream.send(*messages)
        wait_until(lambda: stream.taken > earlier + 200, "the flood flows")
        taken = wait_steady(lambda: stream.taken)
        assert taken - earlier < len(messages), "the server has let everything in"
        assert resident(server.pid) - before < 32 * MEBIBYTE
        assert client.is_ready(kind.service)
        stream.cancel()
        talk.cancel()


def test_memory_is_bounded_for_each_stream(
    launch: Launch, combination: Combination, gate: Gate, thorough: bool
) -> None:
    if combination.kind.is_unary:
        pytest.skip(ONE_MESSAGE)
    if combination.kind.is_serial:
        pytest.skip(ONE_CLIENT)
    server = launch().wait_listening()
    with server.client() as client:
        blocker = Talk(client, combination.kind)
        blocker.ask(b"warm")
        before = resident(server.pid)
        blocker.spread([(str(number), gate.block()) for number in range(combination.concurrency)])
        gate.wait_entered(combination.concurrency)
        flood = [combination.kind.request("flooded", bytes(16 * 1024)) for _ in range(1500)]
        if not combination.is_bounded:  # what waits for a handler, waits for the one of its key
            flood.insert(0, combination.kind.request("flooded", gate.block()))
        talks = [Talk(client, combination.kind) for _ in range(3)]
        for talk in talks:
            talk.stream.send(*flood)
        wait_until(lambda: all(talk.stream.taken > 10 for talk in talks), "the floods flow")
        wait_steady(lambda: sum(talk.stream.taken for talk in talks))
        assert all(talk.stream.taken < len(flood) for talk in talks)
        assert resident(server.pid) - before < len(talks) * 32 * MEBIBYTE
        for talk in talks:
            talk.stream.cancel()


HANDLERS = 8


def assert_replies_wait(server: ServerProcess, size: int) -> None:
    """Have large replies made by small requests, and do not read them; no more are made than fit into a bound. The
    server was started with ``HANDLERS`` for the number of async ones."""
    combination = server.combination
    processes = WORKERS if combination.type == "multiproc" else 1
    # A handler's reply is there before it is known to be large: the bound counts handlers, and what is buffered.
    bound = 32 * MEBIBYTE + 2 * processes * HANDLERS * size
    if combination.type == "multiproc" and not combination.kind.is_keyed:  # whose workers make less at a time
        bound += WORKERS * 2 * OUTPUT_LIMIT  # what each worker has made before it hears that the peer does not read
    count = combination.kind.count((bound + 16 * MEBIBYTE) // size)
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([(str(number), f"!big {size}".encode()) for number in range(8)])
        assert len(talk.answers(8)) == 8
        before = resident(server.pid)
        talk.send([(str(number), f"!big {size}".encode()) for number in range(count)])
        wait_until(lambda: talk.taken > 8, "requests flow")
        rise = wait_steady(lambda: resident(server.pid)) - before
        assert client.is_ready(combination.kind.service)
        if not combination.collects_answers:
            assert rise < bound
        if not combination.kind.is_serial:
            with server.client() as other:
                neighbour = Talk(other, combination.kind)
                assert neighbour.ask(b"and I?") == b"and I?"
        got = talk.answers(count, timeout=60)
        assert sorted(got) == sorted((str(number), BIG * size) for number in range(count))
        assert talk.finish() == []


@pytest.mark.parametrize("size", [100_000, pytest.param(1_000_000, marks=pytest.mark.full_run)])
def test_memory_of_replies_that_nobody_reads(launch: Launch, size: int) -> None:
    assert_replies_wait(launch("--concurrency", HANDLERS).wait_listening(), size)


def waits_in_workers(combination: Combination) -> bool:
    """Whether workers take handlers that make their answers as the peer reads, and not all before the first is sent."""
    return combination.type == "multiproc" and not combination._replace(type="async").collects_answers


@only(waits_in_workers)
def test_memory_of_replies_of_async_handlers_in_workers(launch: Launch) -> None:
    assert_replies_wait(launch("--handler", "async", "--concurrency", HANDLERS).wait_listening(), 100_000)


def test_client_that_never_reads_and_leaves(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([(str(number), b"!big 100000") for number in range(combination.kind.count(200))])
        wait_steady(lambda: talk.taken, seconds=0.2)
        talk.cancel()
        with pytest.raises(RpcEndedError):
            while True:
                talk.stream.receive()
    with server.client() as client:
        assert Talk(client, combination.kind).ask(b"next") == b"next"
