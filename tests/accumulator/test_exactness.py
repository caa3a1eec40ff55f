"""Histories of events and watermarks, windowed as the platform does it, against a model that computes the answer: for
every server type, and for the flow and the codec alone, where the order in which calls run is part of the history."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behaviour.harness import ServerProcess
from behaviour.kinds import Combination, ServerType
from flows.played import Played
from numaflow_accumulator._flow import new_parent_flow
from numaflow_core.flows.keyed import keys_number
from numaflow_core.testing import UdfClient

from .conftest import RPC, kind
from .loopback import Loopback
from .windower import History, Request, check, histories, windowed
from .wire import CLOSE, Reply, parse

SERVERS: list[tuple[ServerType, list[str]]] = [
    ("sync", []),
    ("async", []),
    ("async", ["--style", "function"]),
    ("multiproc", ["--workers", "3"]),
    ("multiproc", ["--workers", "3", "--colour", "async"]),
]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: "-".join([server[0], *server[1][1::2]]))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    type_, options = request.param
    combination = Combination(kind("sorter"), type_, "h2")
    with ServerProcess(combination, tmp_path_factory.mktemp("exact"), *options) as server:
        yield server.wait_listening()


def drive(client: UdfClient, requests: Sequence[Request | None]) -> list[Reply]:
    stream = client.open(RPC)
    replies: list[Reply] = []
    closed = 0
    for each in requests:
        if each is not None:
            stream.send(each.data)
            closed += each.operation == CLOSE
            continue
        while sum(reply.eof for reply in replies) < closed:
            replies.append(parse(stream.receive(60)))
    stream.half_close()
    replies += [parse(reply) for reply in stream.rest(60)]
    outcome = stream.status()
    assert outcome.code == "OK", str(outcome)
    return replies


@pytest.mark.timeout(300)
def test_every_history_gives_what_the_model_says(running: ServerProcess) -> None:
    with running.client() as client:

        @given(histories())
        def run(history: History) -> None:
            requests, lives = windowed(history)
            check(history, lives, drive(client, requests))

        run()
    assert running.is_alive(), running.stderr()


@pytest.mark.timeout(300)
@settings(max_examples=2 * settings().max_examples)
@given(histories(), st.integers(0, 1 << 32).map(Random))
def test_every_order_of_calls_gives_what_the_model_says(history: History, random: Random) -> None:
    requests, lives = windowed(history)
    loopback = Loopback(random)
    check(
        history, lives, [parse(reply) for reply in loopback.run([each.data for each in requests if each is not None])]
    )
    loopback.check_all_taken()
    assert not loopback.flow._open
    assert not loopback.flow._closing


@given(histories())
def test_workers_get_all_requests_of_a_key(history: History) -> None:
    requests, lives = windowed(history)
    stream = Played(new_parent_flow())
    sent = [each.data for each in requests if each is not None]
    if sent:
        stream.receive(*sent)
    fed = [each for call in stream.calls for each in call.inputs]
    assert [message for _, message in fed] == sent
    assert {number for number, _ in fed} == {keys_number(life.keys) for life in lives}
