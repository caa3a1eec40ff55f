"""The probe is answered whatever the handlers do: a blocked handler must not get the pod restarted."""

from .harness import Gate, ServerProcess, wait_until
from .kinds import Combination
from .talk import Talk


def test_is_ready(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        assert client.is_ready(combination.kind.service)


def test_is_ready_while_every_handler_sleeps(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), gate.stall()) for number in range(2 * combination.stalls)]
        talk.spread(sent)
        gate.wait_entered(combination.stalls)
        for _ in range(5):
            assert client.is_ready(combination.kind.service)
        with server.client() as newcomer:
            assert newcomer.is_ready(combination.kind.service)
        assert gate.entered() == combination.stalls
        gate.open()
        assert sorted(talk.finish()) == sorted(sent)


def test_new_streams_are_greeted_while_every_handler_sleeps(
    server: ServerProcess, combination: Combination, gate: Gate
) -> None:
    with server.client() as client, server.client() as newcomer:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.stall()) for number in range(combination.stalls)])
        gate.wait_entered(combination.stalls)
        late = Talk(newcomer, combination.kind)
        late.send([("late", b"patience")])
        gate.open()
        assert late.answers(1) == [("late", b"patience")]


def test_is_ready_while_a_flood_is_waiting(server: ServerProcess, combination: Combination, gate: Gate) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.spread([(str(number), gate.block()) for number in range(combination.concurrency)])
        gate.wait_entered(combination.concurrency)
        earlier = talk.taken
        count = combination.kind.count(3000)
        talk.send([(str(number), bytes(4096)) for number in range(count)])
        wait_until(lambda: talk.taken > earlier + count // 50, "the flood flows")
        assert client.is_ready(combination.kind.service)
        talk.cancel()
