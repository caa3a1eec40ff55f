"""A handler's error ends the server: the peers, the log, the platform's UI and the exit status all say so."""

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from numaflow_core.testing import Outcome

from .conftest import Launch
from .harness import Gate, ServerProcess, children, wait_until
from .kinds import Combination
from .talk import Talk, assert_serves

TRAILER_LIMIT = 8 * 1024


def assert_told(message: str, combination: Combination, container: str, error: str) -> None:
    """The kind, the handler with its place, and what it raised; the message's id and keys may follow."""
    begin = re.escape(f"UDF_EXECUTION_ERROR({container}): {combination.kind.name} handler ")
    assert re.match(rf"{begin}[\w.<>]+ \(\w+\.py:\d+\) raised {re.escape(error)}", message), message


@dataclass
class Crash:
    """What was seen of a server whose handler failed while others were blocked."""

    outcomes: list[Outcome]
    status: int
    stderr: str
    entry: dict[str, object]
    files: list[Path]
    leftovers: list[Path]
    orphans: int


def crash(combination: Combination, folder: Path, payload: bytes, env: dict[str, str] | None = None) -> Crash:
    """Block what can be blocked, short of one, and have the last one fail."""
    gate = Gate(folder / "gate")
    environment = {"NUMAFLOW_UD_CONTAINER_TYPE": "udf", **(env or {})}
    with ServerProcess(combination, folder, "--errors-dir", folder / "errors", env=environment) as server:
        server.wait_listening()
        workers = children(server.pid)
        with server.client() as client, server.client() as other:
            victim = Talk(client, combination.kind)
            neighbours = [Talk(client, combination.kind), Talk(other, combination.kind)]
            # Where calls do not run side by side, the one that runs has to be the one that fails.
            blocked = 0 if combination.kind.is_serial else max(1, combination.stalls - 1)
            if combination.type == "async":
                neighbours[0].send([("blocked", gate.block())] * blocked)
            else:
                neighbours[0].spread([(str(number), gate.stall()) for number in range(blocked)])
            gate.wait_entered(blocked)
            victim.send([("bad", payload)])
            outcomes = [talk.stream.status() for talk in (victim, *neighbours)]
            status = server.wait()
        alive = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in alive), "the workers are gone")
        files = sorted(path for path in (folder / "errors").rglob("*") if path.is_file())
        return Crash(
            outcomes=outcomes,
            status=status,
            stderr=server.stderr(),
            entry=json.loads(files[0].read_text() or "{}") if files else {},
            files=files,
            leftovers=[path for path in folder.iterdir() if path.name.startswith(("server.sock", "server-info"))],
            orphans=len([pid for pid in workers if Path(f"/proc/{pid}").exists()]),
        )


@pytest.fixture(scope="module")
def crashed(combination: Combination, tmp_path_factory: pytest.TempPathFactory) -> Crash:
    return crash(combination, tmp_path_factory.mktemp("crash"), b"!raise boom goes the handler")


def test_every_open_stream_ends_with_the_error(crashed: Crash, combination: Combination) -> None:
    for outcome in crashed.outcomes:
        assert outcome.code == "INTERNAL"
        assert_told(outcome.message, combination, "udf", "ValueError: boom goes the handler")


def test_message_that_it_happened_at_is_told(crashed: Crash, combination: Combination) -> None:
    if not combination.kind.reads_requests or combination.kind.is_serial:
        assert crashed.outcomes[0].message.endswith(" raised ValueError: boom goes the handler"), "there is none"
    else:
        about = r" \((message id '(id of )?bad'(, keys \[.*\])?|keys \['bad'\])\)$"
        assert re.search(about, crashed.outcomes[0].message)


def test_details_hold_the_users_traceback(crashed: Crash) -> None:
    for outcome in crashed.outcomes:
        text = outcome.traceback
        assert text.startswith("Traceback (most recent call last):")
        assert "commands.py" in text
        assert "in fail_on_purpose" in text
        assert "raise ValueError(text)  # a line of the user's" in text
        assert text.rstrip().endswith("ValueError: boom goes the handler")
        assert "numaflow_core" not in text
        assert "_codec.py" not in text


def test_process_ends_with_status_1_although_handlers_block(crashed: Crash) -> None:
    assert crashed.status == 1
    assert crashed.orphans == 0


def test_error_is_logged_once(crashed: Crash) -> None:
    assert crashed.stderr.count("Traceback (most recent call last)") == 1
    assert crashed.stderr.count("in fail_on_purpose") == 1
    assert crashed.stderr.count("the server ends: ") == 1
    assert crashed.stderr.count("ValueError: boom goes the handler") == 2, "in the line, and below the traceback"
    assert "NoneType: None" not in crashed.stderr
    assert "never awaited" not in crashed.stderr
    assert "was destroyed but it is pending" not in crashed.stderr
    assert "Exception ignored" not in crashed.stderr


def test_error_file_is_left_for_the_platform(crashed: Crash) -> None:
    (path,) = crashed.files
    assert path.parent.name == "udf"
    number, _, rest = path.name.partition("-")
    assert rest == "udf.json"
    assert number.isdigit()
    entry = crashed.entry
    assert sorted(entry) == ["code", "container", "details", "message", "timestamp"]
    assert entry["container"] == "udf"
    assert entry["code"] == "Internal error"
    assert entry["message"] == crashed.outcomes[0].message
    assert "in fail_on_purpose" in str(entry["details"])
    timestamp = entry["timestamp"]
    assert isinstance(timestamp, int)
    assert 1_600_000_000 < timestamp < 10_000_000_000, "seconds since the epoch"


def test_socket_and_info_file_are_removed_after_an_error(crashed: Crash) -> None:
    assert crashed.leftovers == []


@pytest.fixture(scope="module")
def crashed_hugely(combination: Combination, tmp_path_factory: pytest.TempPathFactory) -> Crash:
    return crash(combination, tmp_path_factory.mktemp("huge"), b"!raise-huge", {"NUMAFLOW_UD_CONTAINER_TYPE": ""})


def test_trailers_of_a_huge_error_stay_small(crashed_hugely: Crash, combination: Combination) -> None:
    for outcome in crashed_hugely.outcomes:
        # The client gives up on trailers of 8 KiB as it receives them, so the status would be lost.
        assert outcome.code == "INTERNAL"
        assert_told(outcome.message, combination, "unknown-container", "ValueError: ü€😀 ü€😀 ")
        encoded = sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in outcome.message.encode())
        assert encoded + -(-len(outcome.details) * 4 // 3) + 3 * 64 < TRAILER_LIMIT
        assert "in fail_on_purpose" in outcome.traceback


def test_huge_error_is_logged_once_and_ends_the_process(crashed_hugely: Crash) -> None:
    assert crashed_hugely.status == 1
    assert crashed_hugely.stderr.count("in fail_on_purpose") == 1


def test_error_file_of_an_unknown_container(crashed_hugely: Crash) -> None:
    (path,) = crashed_hugely.files
    assert path.parent.name == "unknown-container"
    assert crashed_hugely.entry["container"] == "unknown-container"


def test_error_file_that_cannot_be_written_changes_nothing(
    launch: Launch, combination: Combination, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    server = launch("--errors-dir", tmp_path / "file" / "errors").wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", b"!raise oh")])
        assert_told(talk.stream.status().message, combination, "unknown-container", "ValueError: oh")
    assert server.wait() == 1
    assert server.stderr().count("Traceback") == 1


def test_error_file_is_whole_although_the_disk_is_slow(
    launch: Launch, combination: Combination, tmp_path: Path
) -> None:
    server = launch("--errors-dir", tmp_path / "errors", "--slow-errors").wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", b"!raise oh")])
        assert talk.stream.status().code == "INTERNAL"
    assert server.wait() == 1
    (path,) = (tmp_path / "errors" / "unknown-container").iterdir()
    assert path.name.endswith("-udf.json")
    assert_told(json.loads(path.read_text())["message"], combination, "unknown-container", "ValueError: oh")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"!exit-exception", "raised SystemExit: 7"),
        (b"!interrupt", "raised KeyboardInterrupt"),
        (b"!nonsense", "got int"),
        (b"!big 3000000", "max_message_size"),
    ],
    ids=["sys.exit", "KeyboardInterrupt", "wrong result", "result too large"],
)
def test_other_ways_to_fail(launch: Launch, combination: Combination, payload: bytes, message: str) -> None:
    server = launch("--max-message-size", 2_000_000).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", payload)])
        replies = talk.stream.rest()
        outcome = talk.stream.status()
    assert not any(map(combination.kind.is_end, replies)), "the platform would take it for done"
    assert outcome.code == "INTERNAL"
    assert outcome.message.startswith("UDF_EXECUTION_ERROR(unknown-container): ")
    assert message in outcome.message
    assert server.wait() == 1
    assert server.stderr().count("UDF_EXECUTION_ERROR") <= 1


def test_error_after_the_client_has_gone(launch: Launch, combination: Combination, gate: Gate) -> None:
    """Nobody can be told on the wire; the log and the exit status still tell it."""
    server = launch().wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([("bad", f"!raise-later {gate.path}".encode())])
        gate.wait_entered(1)
        talk.stream.cancel()
        assert client.is_ready(combination.kind.service)
    if combination.cancels_handlers:
        wait_until(lambda: gate.cancelled() == 1, "the handler is cancelled before it fails")
        gate.open()
        assert_serves(server)
    else:
        gate.open()
        assert server.wait() == 1
        assert server.stderr().count("raised ValueError: later") == 1


def test_replies_of_others_are_sent_before_the_error(launch: Launch, combination: Combination, gate: Gate) -> None:
    """What was answered before the error reaches the peer; then the stream ends."""
    in_order = combination.is_bounded and not combination.kind.calls_are_rpcs  # those of one stream, that is
    options = ("--threads", 1, "--concurrency", 1, "--workers", 1) if in_order else ()
    server = launch(*options).wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        sent = [(str(number), b"fine") for number in range(50)]
        if in_order:
            for each in (*sent, ("bad", b"!raise late")):
                talk.send([each])
        else:
            talk.spread([*sent, ("bad", f"!raise-later {gate.path}".encode())])
        assert sorted(talk.answers(50)) == sorted(sent)
        gate.open()
        assert {outcome.code for outcome in talk.statuses()} == {"INTERNAL"}
    assert server.wait() == 1


def test_two_errors_at_once_are_reported_as_one(launch: Launch, combination: Combination) -> None:
    server = launch().wait_listening()
    with server.client() as client:
        talk = Talk(client, combination.kind)
        talk.send([(str(number), b"!raise again") for number in range(200)])
        codes = {outcome.code for outcome in talk.statuses()}
        if combination.kind.is_unary:  # RPCs of their own, of which some may come when the server goes or has gone
            codes -= {"UNAVAILABLE"} if combination.transport == "h2" else {"UNAVAILABLE", "CANCELLED"}
        assert codes == {"INTERNAL"}
    assert server.wait() == 1
    assert server.stderr().count("raised ValueError: again") == 1


def test_error_reaches_all_clients_that_are_still_sending(
    launch: Launch, combination: Combination, thorough: bool
) -> None:
    """A connection must not break under its client's hands before the client has read how its stream ended."""
    kind = combination.kind
    # How grpcio closes connections is not ours to decide.
    count = 1 if combination.transport == "grpcio" or kind.is_serial else 8
    server = launch().wait_listening()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(count)]
        talks = [Talk(client, kind) for client in clients]
        assert all(client.is_ready(kind.service) for client in clients), "the server has seen all streams"
        echoes = [] if kind.is_unary else [(str(number), b"echo") for number in range(300 if thorough else 50)]
        for requests in (echoes, [("bad", b"!raise in the middle")], echoes):
            for talk in talks:
                talk.stream.send(*kind.encode(requests))
        if kind.is_unary:  # with this the call begins
            for talk in talks:
                talk.stream.half_close()
        assert [talk.stream.status().code for talk in talks] == ["INTERNAL"] * len(talks)
    assert server.wait() == 1
