"""Servers in interpreters of their own, as a container starts them. In the other tests they are forks of one that has
imported what they need."""

import signal

from .conftest import Launch
from .kinds import Combination
from .talk import Talk, assert_serves


def test_serves_and_ends_with_a_signal(launch: Launch) -> None:
    server = launch(anew=True).wait_listening()
    assert_serves(server)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.stdout() == "start returned\n"
    assert server.stderr() == ""
    assert not server.sock.exists()
    assert not server.info.exists()


def test_ends_with_an_error_of_its_handler(launch: Launch, combination: Combination) -> None:
    server = launch(anew=True).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", b"!raise oh")])
        assert talk.stream.status().code == "INTERNAL"
    assert server.wait() == 1
    assert server.stderr().count("Traceback (most recent call last)") == 1
    assert not server.sock.exists()
    assert not server.info.exists()
