"""A server that peers mistreat, and that has to go on."""

from collections.abc import Iterator

import pytest

from .harness import ServerProcess
from .raw import RawPeer, message
from .talk import assert_serves


@pytest.fixture
def target(server: ServerProcess) -> Iterator["Target"]:
    yield Target(server, len(server.stderr()))
    assert_serves(server)


class Target:
    """The server, which is to go on, and what it logs meanwhile."""

    def __init__(self, server: ServerProcess, logged: int) -> None:
        self.server = server
        self._logged = logged
        self.combination = server.combination
        self.is_h2 = server.combination.transport == "h2"

    def log(self) -> str:
        return self.server.stderr()[self._logged :]

    def assert_logged(self, *words: str) -> None:
        """One line that says what happened, from our own transport."""
        if self.is_h2:
            assert_line(self.log(), words)
        assert "Traceback" not in self.log()


def assert_line(log: str, words: tuple[str, ...]) -> None:
    lines = [line for line in log.splitlines() if all(word in line for word in words)]
    assert lines, f"no line with {words} in: {log!r}"


def open_stream(peer: RawPeer, stream: int = 1) -> None:
    peer.write(peer.request(stream), *(peer.data(stream, message(each)) for each in peer.kind.opening))
