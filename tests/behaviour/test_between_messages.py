"""A call of an async handler begins as a new task would: what the one before has left behind is not there."""

import pytest

from .commands import CLEAN
from .conftest import Launch, only
from .harness import ServerProcess
from .kinds import Combination
from .talk import Talk

ROUNDS = 4


@pytest.fixture
def server(launch: Launch) -> ServerProcess:
    """One process in which handlers run, with as few tasks as there may be."""
    return launch("--handler", "async", "--workers", 1, "--concurrency", 1).wait_listening()


@only(lambda each: each.type != "sync")
def test_context_variables_and_decimal_contexts_end_with_their_call(
    server: ServerProcess, combination: Combination
) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        for number in range(ROUNDS):
            assert talk.ask(b"!set", id=f"set {number}") == b"left behind 5 False"
            assert talk.ask(b"!look", id=f"look {number}") == CLEAN


def one_message_one_call(combination: Combination) -> bool:
    kind = combination.kind
    return combination.type != "sync" and not (kind.closing or kind.is_keyed or kind.is_serial)


@only(one_message_one_call)  # elsewhere the call waits for more, which is cancelled as it asked
def test_cancellation_that_nobody_has_waited_for_ends_with_its_call(
    server: ServerProcess, combination: Combination
) -> None:
    with server.client() as client:
        talk = Talk(client, combination.kind)
        for number in range(ROUNDS):
            assert talk.ask(b"!cancel", id=f"cancel {number}") == b"!cancel"
            assert talk.ask(b"!look", id=f"look {number}") == CLEAN


@only(one_message_one_call)
def test_messages_that_come_together_see_nothing_of_each_other(server: ServerProcess, combination: Combination) -> None:
    """Handlers that never suspend take them one after the other, in one step of the loop."""
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(f"{name} {number}", f"!{name}".encode()) for number in range(20) for name in ("set", "look", "cancel")]
        talk.send(sent)
        answers = dict(talk.answers(len(sent)))
        assert {answers[f"set {number}"] for number in range(20)} == {b"left behind 5 False"}
        assert {answers[f"look {number}"] for number in range(20)} == {CLEAN}
