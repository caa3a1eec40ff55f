"""After SIGTERM a server serves for as long as its client is connected, whether or not a stream is open."""

import signal

from numaflow_core.testing import UdfClient

from .conftest import Launch, only
from .harness import Gate, ServerProcess
from .kinds import Combination
from .talk import Talk

STOPPING = "stopping: up to"

one_of_each_flow = only(lambda each: each.kind.name in ("map", "sink", "reduce", "side input", "serving store"))
only_map = only(lambda each: each.kind.name == "map")


def ask(client: UdfClient, server: ServerProcess, payload: bytes) -> None:
    """A stream from its beginning to its end."""
    talk = Talk(client, server.combination.kind)
    assert talk.ask(payload) == payload
    assert talk.finish() == []


@one_of_each_flow
def test_served_between_streams(launch: Launch) -> None:
    server = launch("--log").wait_listening()
    with server.client() as client:
        ask(client, server, b"before")
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        for number in range(3):
            ask(client, server, b"after %d" % number)
    assert server.wait() == 0


@one_of_each_flow
def test_client_that_has_gone_costs_nothing(launch: Launch) -> None:
    """With a grace period far beyond the test's patience, only its going ends the server."""
    server = launch("--log", "--grace", 3600).wait_listening()
    with server.client() as client, server.client() as other:
        ask(client, server, b"before")
        ask(other, server, b"before")
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        other.close()
        ask(client, server, b"one of two")
    assert server.wait() == 0


@one_of_each_flow
def test_client_that_is_silent_costs_the_time_of_the_intake(launch: Launch) -> None:
    server = launch("--grace", 6).wait_listening()  # a fifth of it is for the end, in which grpc takes its time
    with server.client() as client:
        ask(client, server, b"before")
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0, server.stderr()
    assert "unanswered" not in server.stderr()


@only_map
def test_slow_call_is_answered_after_the_intake(launch: Launch, combination: Combination, gate: Gate) -> None:
    server = launch("--log", "--grace", 5).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("slow", gate.block())])
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        server.wait_logged(STOPPING)
        late = Talk(client, combination.kind, opened=False)
        assert late.stream.status().code == "UNAVAILABLE"
        gate.open()
        assert talk.answers(1) == [("slow", gate.block())]
        assert talk.stream.status().code == "UNAVAILABLE"
    assert server.wait() == 0
