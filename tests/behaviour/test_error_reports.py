"""An error is told whatever it is, and whatever becomes of the log."""

import json
from pathlib import Path

import pytest

from .conftest import Launch
from .fixtures import only
from .harness import ServerProcess
from .kinds import Combination
from .odd_errors import ERRORS
from .talk import Talk

each_server_type = only(lambda combination: combination.kind.name == "map")
"""How an error is told does not depend on its kind."""

each_sort_of_call = only(lambda combination: combination.kind.name in ("map", "reduce"))
"""Where it is caught depends on whether calls take messages while they run."""

ON_A_SERVER = ("surrogate", "untold", "undecodable", "base")
"""The others are seen in ``tests/core/test_reports.py``."""

KILOBYTES = 16 * 1024
"""Some of them: a report is shorter, wherever it goes."""


def fail(server: ServerProcess, combination: Combination, payload: bytes) -> str:
    """Have a handler fail; return what the client is told."""
    with server.wait_listening().client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", payload)])
        outcome = talk.stream.status()
    assert outcome.code == "INTERNAL"
    assert server.wait() == 1
    return outcome.message


def error_file(folder: Path) -> dict[str, object]:
    (path,) = folder.rglob("*-udf.json")
    assert path.stat().st_size < KILOBYTES
    entry: dict[str, object] = json.loads(path.read_text())
    return entry


@each_sort_of_call
@pytest.mark.parametrize("name", ON_A_SERVER)
def test_odd_errors(launch: Launch, combination: Combination, tmp_path: Path, name: str) -> None:
    server = launch("--errors-dir", tmp_path / "errors")
    message = fail(server, combination, f"!raise-odd {name}".encode())
    said = ERRORS[name][1]
    assert said in message
    assert said in server.stderr()
    assert "in raise_odd" in server.stderr(), "the user's line"
    assert len(server.stderr().encode()) < KILOBYTES
    entry = error_file(tmp_path / "errors")
    assert said in str(entry["message"])
    assert "in raise_odd" in str(entry["details"])


@each_server_type
@pytest.mark.parametrize("fault", ["filter", "handler", "closed", "none"])
def test_logging_that_does_not_work(launch: Launch, combination: Combination, tmp_path: Path, fault: str) -> None:
    server = launch("--errors-dir", tmp_path / "errors", "--log-fault", fault)
    message = fail(server, combination, b"!raise boom")
    assert "raised ValueError: boom" in message
    assert error_file(tmp_path / "errors")["message"] == message
    if fault != "none":
        assert "the server ends: " in server.stderr(), "straight to stderr"


@each_sort_of_call
def test_wrong_result_is_told_with_the_handlers_line(launch: Launch, combination: Combination) -> None:
    server = launch()
    message = fail(server, combination, b"!nonsense")
    assert "TypeError: " in message
    assert "got int: 42" in message
    assert "raised" not in message
    assert 'handlers.py", line ' in server.stderr()
    assert "_codec.py" not in server.stderr(), "lines of the SDK's say nothing"
    assert "numaflow_core" not in server.stderr()


@each_server_type
def test_files_have_modes_of_their_own(launch: Launch, combination: Combination, tmp_path: Path) -> None:
    server = launch("--errors-dir", tmp_path / "a" / "errors", prefix=("sh", "-c", 'umask 077; exec "$@"', "sh"))
    server.wait_listening()
    assert server.info.stat().st_mode & 0o777 == 0o644
    assert server.sock.stat().st_mode & 0o777 == 0o777
    fail(server, combination, b"!raise boom")
    (path,) = (tmp_path / "a").rglob("*-udf.json")
    assert path.stat().st_mode & 0o777 == 0o644
    assert {folder.stat().st_mode & 0o777 for folder in list(path.parents)[:3]} == {0o777}, "the platform writes there"


@each_server_type
def test_links_in_place_of_drafts_are_not_followed(launch: Launch, combination: Combination, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    folder = tmp_path / "errors" / "unknown-container"
    folder.mkdir(parents=True)
    (folder / "current-udf.json").symlink_to(target)
    (tmp_path / "server-info.new").symlink_to(target)
    server = launch("--errors-dir", tmp_path / "errors").wait_listening()
    assert not server.info.is_symlink()
    fail(server, combination, b"!raise boom")
    assert "boom" in str(error_file(folder)["message"])
    assert target.read_text() == "precious"


@each_server_type
@pytest.mark.parametrize("limit", [0, 6])
def test_payload_is_shown_where_it_is_asked_for(launch: Launch, combination: Combination, limit: int) -> None:
    server = launch(env={"NUMAFLOW_LOG_PAYLOAD": str(limit)})
    fail(server, combination, b"!raise-odd notes")
    assert ("payload (the first 6 of 16 bytes): b'!raise'" in server.stderr()) == bool(limit)
    assert "!raise-odd" not in server.stderr()
