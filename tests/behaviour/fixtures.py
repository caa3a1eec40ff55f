"""Fixtures of suites whose servers are processes. Their ``conftest.py`` imports them, and says with
``each_combination`` which servers they are for."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .harness import Gate, ServerProcess
from .kinds import Combination, KindCase, combinations, each_once, one_kind_of_each_flow

Launch = Callable[..., ServerProcess]


def each_combination(*kinds: KindCase) -> tuple[Any, Callable[[pytest.Metafunc], None]]:
    """The fixture ``combination``, and ``pytest_generate_tests``, which says what it is in each test of a suite.

    The option ``--servers`` chooses: with ``all`` it is each of these kinds, with each server type over each transport;
    with ``flows`` it is one kind of each flow, not the same one in all tests; and with ``some`` it is so many of these
    that each flow, each server type and each transport is seen. ``--part`` chooses a part of that.
    """
    offered = combinations(*kinds)

    @pytest.fixture(scope="session")
    def combination(request: pytest.FixtureRequest) -> Combination:
        chosen: Combination = request.param
        return chosen

    def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
        if "combination" not in metafunc.fixturenames:
            return
        number = zlib.crc32(f"{metafunc.module.__name__} {metafunc.function.__name__}".encode())
        choices = [mark.args[0] for mark in metafunc.definition.iter_markers("only")]
        chosen = [each for each in offered if all(choose(each) for choose in choices)]
        servers = metafunc.config.getoption("--servers")
        if servers != "all":
            chosen = one_kind_of_each_flow(chosen, number)
        if servers == "some":
            chosen = each_once(chosen, number)
        part, parts = map(int, metafunc.config.getoption("--part").split("/"))
        chosen = [each for place, each in enumerate(chosen, number) if place % parts == part]
        metafunc.parametrize("combination", chosen, indirect=True, scope="session", ids=lambda each: each.id)

    return combination, pytest_generate_tests


def only(choose: Callable[[Combination], object]) -> pytest.MarkDecorator:
    """A mark for tests that concern some of the combinations."""
    return pytest.mark.only.with_args(choose)


class SharedServer:
    """A server that tests share as long as they leave it alive."""

    def __init__(self, combination: Combination, new_folder: Callable[[], Path]) -> None:
        self._combination = combination
        self._new_folder = new_folder
        self._server: ServerProcess | None = None

    def get(self) -> ServerProcess:
        if self._server is None or not self._server.is_alive():
            self._server = ServerProcess(self._combination, self._new_folder()).wait_listening()
        return self._server

    def close(self) -> None:
        if self._server is not None:
            self._server.kill()


@pytest.fixture(scope="session")
def shared_server(combination: Combination, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    shared = SharedServer(combination, lambda: tmp_path_factory.mktemp("shared"))
    yield shared
    shared.close()


@pytest.fixture
def server(shared_server: SharedServer) -> Iterator[ServerProcess]:
    """A running server, shared with other tests: the test must not end it, and it must live on after the test."""
    server = shared_server.get()
    yield server
    assert server.is_alive(), server.stderr()


@contextmanager
def launching(combination: Combination, folder: Path) -> Iterator[Launch]:
    """Starts servers, with options of their script; they end with the block."""
    servers: list[ServerProcess] = []

    def launch(*options: str | Path | int | float, **settings: Any) -> ServerProcess:
        server = ServerProcess(combination, folder, *options, **settings)
        servers.append(server)
        return server

    try:
        yield launch
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def launch(combination: Combination, tmp_path: Path) -> Iterator[Launch]:
    """Starts servers of the test's own, with options of their script; they end with the test."""
    with launching(combination, tmp_path) as launch:
        yield launch


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate for handlers to wait at; it opens at the end of the test, for those that still wait."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
