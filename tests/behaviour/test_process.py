"""What a server does to the process it lives in, and what it does not."""

import gc
import os
from pathlib import Path

import pytest

from .conftest import Launch
from .fixtures import only
from .harness import ServerProcess
from .kinds import Combination
from .talk import Talk

each_server_type = only(lambda combination: combination.kind.name == "map")


def collector(server: ServerProcess, combination: Combination) -> tuple[str, int]:
    """Of the process that handlers run in: the thresholds, and how many objects are left alone."""
    with server.wait_listening().client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("1", b"!collector")])
        ((_, answer),) = talk.answers(1)
    thresholds, _, frozen = answer.decode().rpartition(" ")
    return thresholds, int(frozen)


@each_server_type
def test_collector_is_set_up(launch: Launch, combination: Combination) -> None:
    thresholds, frozen = collector(launch(), combination)
    assert thresholds == "(10000, 20, 20)"
    assert (frozen > 1000) == (combination.type == "multiproc"), "what workers share is left alone"


@each_server_type
@pytest.mark.parametrize(("options", "env"), [(("--tune-memory", "no"), {}), ((), {"NUMAFLOW_TUNE_MEMORY": "0"})])
def test_set_up_is_refused(
    launch: Launch, combination: Combination, options: tuple[str, ...], env: dict[str, str]
) -> None:
    assert collector(launch(*options, env=env), combination) == (f"{gc.get_threshold()}", 0)


@each_server_type
def test_argument_takes_precedence_over_the_variable(launch: Launch, combination: Combination) -> None:
    thresholds, _ = collector(launch("--tune-memory", "yes", env={"NUMAFLOW_TUNE_MEMORY": "0"}), combination)
    assert thresholds == "(10000, 20, 20)"


@each_server_type
def test_files_are_removed_although_a_handler_changes_the_folder(
    launch: Launch, combination: Combination, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    sock, info = (os.path.relpath(tmp_path / name) for name in ("server.sock", "server-info"))
    server = launch("--sock", sock, "--info", info).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("1", f"!chdir {tmp_path}/elsewhere".encode())])
        assert talk.answers(1) == [("1", b"changed")]
        talk.send([("2", b"!raise boom")])
        assert talk.stream.status().code == "INTERNAL"
    assert server.wait() == 1
    assert not server.sock.exists()
    assert not server.info.exists()
