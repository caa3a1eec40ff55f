"""The ways to write a handler, each in a server of its own: the results are the same."""

import json
from pathlib import Path

import pytest

from behaviour.harness import Gate, ServerProcess
from behaviour.kinds import Combination, ServerType

from .conftest import KINDS, Stream, results

COLOURS: list[tuple[ServerType, str]] = [
    ("sync", "sync"),
    ("async", "async"),
    ("multiproc", "sync"),
    ("multiproc", "async"),
]
STYLES: list[tuple[str, ServerType, str, str]] = [
    (kind.name, type_, colour, style) for kind in KINDS for type_, colour in COLOURS for style in ("class", "function")
]


@pytest.mark.parametrize(("kind", "type_", "colour", "style"), STYLES)
def test_style(kind: str, type_: ServerType, colour: str, style: str, tmp_path: Path) -> None:
    (case,) = (each for each in KINDS if each.name == kind)
    combination = Combination(case, type_, "h2")
    with (
        ServerProcess(combination, tmp_path, "--colour", colour, "--style", style) as server,
        server.wait_listening().client() as client,
    ):
        stream = Stream(client)
        stream.send(*((key, str(turn).encode()) for turn in range(10) for key in ([], ["a"], ["a", "b"])))
        replies = stream.close()
        assert [reply.keys for reply in results(replies)] == [(), ("a",), ("a", "b")]
        for reply in results(replies):
            assert [value for value, _ in json.loads(reply.value)["datums"]] == list(map(str, range(10)))
        assert len(replies) == (33 if kind == "reduce stream" else 3)


@pytest.mark.parametrize("style", ["class", "function"])
@pytest.mark.parametrize(("type_", "colour"), [("async", "async"), ("multiproc", "sync"), ("multiproc", "async")])
def test_early_results(type_: ServerType, colour: str, style: str, tmp_path: Path) -> None:
    """While input still arrives, though the handler never waits for anything else."""
    if (colour, style) == ("sync", "function"):
        pytest.skip("is called when the window closes")
    combination = Combination(KINDS[1], type_, "h2")
    with (
        ServerProcess(combination, tmp_path, "--colour", colour, "--style", style) as server,
        server.wait_listening().client() as client,
    ):
        stream = Stream(client)
        for turn in range(5):
            stream.send((["a"], str(turn).encode()))
            assert stream.receive().value == str(turn).encode()
        assert len(stream.close()) == 1


def test_a_worker_that_is_killed_ends_its_windows(tmp_path: Path) -> None:
    with ServerProcess(Combination(KINDS[0], "multiproc", "h2"), tmp_path) as server:
        server.wait_listening()
        with server.client() as client:
            stream = Stream(client)
            stream.send(*(([str(number)], b"x") for number in range(20)), (["k"], b"!exit 3"))
            assert stream.raw.rest() == []
            outcome = stream.raw.status()
            assert outcome.code == "INTERNAL"
            assert "exited with status 3" in outcome.message
        assert server.wait() == 1


def test_a_key_stays_in_one_worker_in_all_windows(tmp_path: Path) -> None:
    gates = [Gate(tmp_path / f"gate{number}") for number in range(6)]
    with ServerProcess(Combination(KINDS[0], "multiproc", "h2"), tmp_path, "--workers", 3) as server:
        server.wait_listening()
        with server.client() as client:
            streams = [Stream(client, None) for _ in range(3)]
            for number, gate in enumerate(gates):
                gate.open()
                for stream in streams:
                    stream.send(([str(number)], gate.block()))
            for stream in streams:
                assert len(stream.close()) == len(gates)
        assert all(len(gate.workers()) == 1 for gate in gates)
        assert len(set().union(*(gate.workers() for gate in gates))) > 1
