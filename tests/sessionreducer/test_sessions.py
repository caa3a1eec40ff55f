"""Sessions on the wire, for every server type, over both transports."""

import signal
from pathlib import Path

import pytest

from behaviour.harness import PATIENCE, Gate, ServerProcess, wait_until
from behaviour.kinds import Combination
from numaflow_core.values.windows import IntervalWindow
from numaflow_sessionreducer._servers import SESSION_REDUCE_SERVER_INFO_FILE_PATH, SESSION_REDUCE_SOCK_PATH
from numaflow_sessionreducer.testing import (
    RpcEndedError,
    Session,
    SessionReduceClient,
    SessionResult,
    SessionStream,
)

from .conftest import Launch, closed, op, span, values

A, B, AB = span(0, 10), span(5, 15), span(0, 15)
OTHER = span(0, 10, "other")


def test_sessions_of_many_keys(stream: SessionStream) -> None:
    keys = [(), ("",), ("a:b",), ("a", "b"), ("a", ":b"), ("a:", "b"), ("ab",), ("é\n",)]
    sessions = [Session(A.window, key) for key in keys]
    stream.send(*(op("OPEN", each, value=b"open") for each in sessions))
    stream.send(*(op("APPEND", each, value=str(number).encode()) for number, each in enumerate(sessions)))
    stream.send(*(op("CLOSE", each) for each in sessions))
    assert closed(stream, sessions) == {each: ["open", str(number)] for number, each in enumerate(sessions)}


@pytest.mark.parametrize("bounds", [(1, 2), (-5_000_000, -1), (1_700_000_000_123_456_789, 1_700_000_060_987_654_321)])
def test_windows_are_echoed_to_the_nanosecond(stream: SessionStream, bounds: tuple[int, int]) -> None:
    session = Session(IntervalWindow.from_ns(*bounds), ("k",))
    stream.send(op("OPEN", session, value=b"1"), op("CLOSE", session))
    assert [stream.receive().session for _ in range(2)] == [session, session]


def test_results_before_the_close_have_the_bounds_as_far_as_they_are_known(stream: SessionStream) -> None:
    longer, longest = span(0, 12), span(0, 20)
    stream.send(op("OPEN", A, value=b"+1"))
    assert stream.receive().session == A
    stream.send(op("EXPAND", A, longer, value=b"+2"), op("APPEND", longer, value=b"+3"))
    stream.send(op("OPEN", span(11, 20), value=b"+4"), op("MERGE", span(11, 20), longer))
    stream.send(op("APPEND", longest, value=b"+5"), op("CLOSE", longest))
    results = stream.receive_closed([longest])
    early = {each.message.value: each.session for each in results if each.message and each.message.tags}
    assert early == {b"+2": longer, b"+3": longer, b"+4": span(11, 20), b"+5": longest}
    assert values(results[-1]) == ["+1", "+2", "+3", "+4", "+5"]
    assert results[-1].session == longest


def test_merged_sessions_say_nothing_more(stream: SessionStream) -> None:
    stream.send(op("OPEN", A, value=b"1"), op("OPEN", B, value=b"2"), op("APPEND", A, value=b"3"))
    stream.send(op("MERGE", B, A), op("APPEND", AB, value=b"4"), op("CLOSE", AB))
    assert values(stream.receive()) == ["1", "3", "2", "4"]
    assert stream.receive() == SessionResult(AB, None)
    stream.raw.half_close()
    assert stream.raw.rest() == []


def test_a_merge_waits_for_its_members_and_nothing_waits_for_it(stream: SessionStream, gate: Gate) -> None:
    stream.send(op("OPEN", A, value=b"!at-leave " + gate.block()), op("OPEN", B, value=b"2"), op("MERGE", B, A))
    gate.wait_entered(1)
    stream.send(op("APPEND", AB, value=b"+3"), op("CLOSE", AB))
    stream.send(op("OPEN", OTHER, value=b"4"), op("CLOSE", OTHER))
    assert closed(stream, [OTHER]) == {OTHER: ["4"]}
    gate.open()
    early = stream.receive()
    assert early.session == AB
    assert early.message is not None
    assert early.message.value == b"+3"
    assert closed(stream, [AB]) == {AB: ["!at-leave " + gate.block().decode(), "2", "+3"]}


def test_a_slow_join_holds_up_no_other_key(stream: SessionStream, gate: Gate) -> None:
    stream.send(op("OPEN", A, value=b"!at-join " + gate.block()), op("OPEN", B, value=b"2"), op("MERGE", B, A))
    stream.send(op("APPEND", AB, value=b"3"), op("CLOSE", AB))
    gate.wait_entered(1)
    stream.send(op("OPEN", OTHER, value=b"4"), op("CLOSE", OTHER))
    assert closed(stream, [OTHER]) == {OTHER: ["4"]}
    gate.open()
    assert closed(stream, [AB]) == {AB: ["!at-join " + gate.block().decode(), "2", "3"]}


def test_a_slow_close_holds_up_no_other_key(stream: SessionStream, gate: Gate) -> None:
    later = span(20, 30)
    stream.send(op("OPEN", A, value=b"!at-close " + gate.block()), op("OPEN", later, value=b"2"))
    stream.send(op("CLOSE", A), op("CLOSE", later), op("OPEN", OTHER, value=b"3"), op("CLOSE", OTHER))
    gate.wait_entered(1)
    assert closed(stream, [OTHER]) == {OTHER: ["3"]}
    gate.open()
    told = [stream.receive() for _ in range(4)]
    assert [each.session for each in told] == [A, A, later, later], "the sessions of a key close in turn"
    assert [each.message is None for each in told] == [False, True, False, True]


def test_what_is_not_known_ends_nothing(stream: SessionStream) -> None:
    stream.send(op("CLOSE", A), op("MERGE", A, B), op("CLOSE", AB))
    assert [stream.receive() for _ in range(2)] == [SessionResult(A, None), SessionResult(AB, None)]
    stream.send(op("APPEND", A, value=b"1"), op("EXPAND", span(20, 30), span(20, 40), value=b"2"))
    stream.send(op("MERGE", span(38, 50), span(20, 40)), op("CLOSE", A), op("CLOSE", span(20, 50)))
    assert closed(stream, [A, span(20, 50)]) == {A: ["1"], span(20, 50): ["2"]}


def test_a_session_that_is_opened_again_is_a_new_one(stream: SessionStream) -> None:
    for number in range(20):
        stream.send(op("OPEN", A, value=str(number).encode()), op("CLOSE", A))
    told = [stream.receive() for _ in range(40)]
    assert [values(each) for each in told[::2]] == [[str(number)] for number in range(20)]
    assert told[1::2] == [SessionResult(A, None)] * 20


def test_long_chains_of_merges(stream: SessionStream) -> None:
    stream.send(op("OPEN", span(0, 10), value=b"0"))
    for number in range(1, 60):
        new = span(9 * number, 9 * number + 10)
        stream.send(op("OPEN", new, value=str(number).encode()), op("MERGE", new, span(0, 9 * number + 1)))
    last = span(0, 9 * 59 + 10)
    stream.send(op("CLOSE", last))
    assert closed(stream, [last]) == {last: [str(number) for number in range(60)]}


def test_many_messages_of_one_session_stay_in_order(stream: SessionStream) -> None:
    stream.send(op("OPEN", A, value=b"0"), op("OPEN", B, value=b"m"), op("MERGE", B, A))
    stream.send(*(op("APPEND", AB, value=str(number).encode()) for number in range(1, 5000)), op("CLOSE", AB))
    assert closed(stream, [AB], 60) == {AB: ["0", "m", *map(str, range(1, 5000))]}


def test_half_close_closes_what_is_open(stream: SessionStream) -> None:
    stream.send(op("OPEN", A, value=b"1"), op("OPEN", OTHER, value=b"2"), op("CLOSE", A))
    stream.raw.half_close()
    assert closed(stream, [A, OTHER]) == {A: ["1"], OTHER: ["2"]}
    assert stream.raw.status().code == "OK"


def test_paths_of_the_platform_are_the_defaults() -> None:
    assert SESSION_REDUCE_SOCK_PATH == "/var/run/numaflow/sessionreduce.sock"
    assert SESSION_REDUCE_SERVER_INFO_FILE_PATH == "/var/run/numaflow/sessionreducer-server-info"


# -- ends


def calls(server: ServerProcess) -> list[str]:
    """What handlers were asked for, beside adding: close, leave and join, each with a process id behind it."""
    path = Path(f"{server.sock}.calls.log")
    return path.read_text().split() if path.exists() else []


def test_a_cancelled_stream_closes_nothing(launch: Launch, gate: Gate) -> None:
    server = launch().wait_listening()
    with SessionReduceClient(str(server.sock)) as client:
        with client.open() as stream:
            stream.send(op("OPEN", A, value=b"+1"), op("OPEN", OTHER, value=gate.block()), op("CLOSE", OTHER))
            stream.receive()
            gate.wait_entered(1)
        with client.open() as stream:
            stream.send(op("APPEND", A, value=b"2"), op("CLOSE", A))
            assert closed(stream, [A]) == {A: ["2"]}
        gate.open()
        with client.open() as stream:
            stream.send(op("CLOSE", A))
            assert stream.receive() == SessionResult(A, None)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0, server.stderr()
    assert calls(server).count("close") == 1


def test_a_stream_that_is_cancelled_in_the_middle_of_a_merge(launch: Launch, gate: Gate) -> None:
    server = launch().wait_listening()
    with SessionReduceClient(str(server.sock)) as client:
        with client.open() as stream:
            stream.send(op("OPEN", A, value=b"!at-leave " + gate.block()), op("OPEN", B, value=b"2"))
            stream.send(op("MERGE", B, A), op("APPEND", AB, value=b"3"), op("CLOSE", AB))
            gate.wait_entered(1)
        # The server has seen the cancellation when it answers what the same connection carries after it.
        assert client.is_ready()
        gate.open()
        with client.open() as stream:
            stream.send(op("CLOSE", AB), op("OPEN", A, value=b"4"), op("CLOSE", A))
            assert stream.receive() == SessionResult(AB, None)
            assert closed(stream, [A]) == {A: ["4"]}
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0, server.stderr()
    assert "join" not in calls(server)


def test_what_is_closing_is_answered_before_the_server_stops(launch: Launch, gate: Gate) -> None:
    server = launch("--grace", 4).wait_listening()
    with SessionReduceClient(str(server.sock)) as client, client.open() as stream:
        stream.send(op("OPEN", A, value=b"!at-leave " + gate.block()), op("OPEN", B, value=b"2"))
        stream.send(op("OPEN", OTHER, value=b"3"), op("MERGE", B, A), op("APPEND", AB, value=b"4"), op("CLOSE", AB))
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        gate.open()
        found = closed(stream, [AB])
        assert found[AB][1:] == ["2", "4"]
        assert stream.raw.rest(PATIENCE) == []
        assert stream.raw.status().code == "UNAVAILABLE"
    assert server.wait() == 0, server.stderr()


@pytest.mark.parametrize("where", ["!at-leave ", "!at-join ", "!at-close "])
def test_an_error_ends_the_server_at_once(launch: Launch, where: str) -> None:
    server = launch().wait_listening()
    with SessionReduceClient(str(server.sock)) as client, client.open() as stream:
        stream.send(op("OPEN", OTHER, value=b"1"), op("OPEN", A, value=f"{where}!raise oops".encode()))
        stream.send(op("OPEN", B, value=b"2"), op("MERGE", B, A), op("CLOSE", AB))
        with pytest.raises(RpcEndedError) as raised:
            while True:
                assert stream.receive().message is None
        assert raised.value.outcome.code == "INTERNAL"
        assert "oops" in raised.value.outcome.message
        assert "fail_on_purpose" in raised.value.outcome.traceback
    assert server.wait() == 1
    assert server.stderr().count("Traceback") == 1


def test_nonsense_ends_the_stream_and_not_the_server(server: ServerProcess) -> None:
    with SessionReduceClient(str(server.sock)) as client:
        with client.open() as stream:
            stream.send(op("OPEN", OTHER, value=b"1"))
            stream.raw.send(b"\x12\x02\x08\x05")
            with pytest.raises(RpcEndedError, match="SessionReduceFn: expected one of the events"):
                stream.receive()
        with client.open() as stream:
            stream.send(op("OPEN", A, value=b"1"), op("CLOSE", A))
            assert closed(stream, [A]) == {A: ["1"]}


def test_all_sessions_of_a_key_are_in_one_worker(stream: SessionStream, combination: Combination, gate: Gate) -> None:
    if combination.type != "multiproc":
        pytest.skip("has no workers")
    gate.open()
    for key in range(20):
        stream.send(*(op("OPEN", span(20 * each, 20 * each + 10, str(key)), value=gate.block()) for each in range(3)))
    wait_until(lambda: len(gate.marks()) == 120, "all messages handled")
    assert len(gate.workers()) == 2
    one = Gate(gate.path.with_name("one"))
    one.open()
    stream.send(*(op("OPEN", span(20 * each, 20 * each + 10, "key"), value=one.block()) for each in range(30)))
    wait_until(lambda: len(one.marks()) == 60, "all messages handled")
    assert len(one.workers()) == 1
