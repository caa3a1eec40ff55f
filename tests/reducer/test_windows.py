"""Windows and keys on the wire, for every server type, over both transports."""

import json
import signal

import pytest

from behaviour.harness import Gate, ServerProcess, resident, wait_steady
from behaviour.kinds import Combination
from numaflow_core.testing import UdfClient

from .conftest import RPC, Launch, Stream, results
from .wire import APPEND, CLOSE, OPEN, SECOND, Reply, message, operation, parse, payload, request, window


def told(reply: Reply) -> dict[str, object]:
    value: dict[str, object] = json.loads(reply.value)
    return value


def test_one_result_for_each_key_then_one_eof(client: UdfClient) -> None:
    stream = Stream(client)
    stream.send((["a"], b"1"), (["b"], b"2"), (["a"], b"3"))
    replies = results(stream.close())
    assert [reply.keys for reply in replies] == [("a",), ("b",)]
    assert [told(reply)["datums"] for reply in replies] == [
        [["1", 60 * SECOND], ["3", 60 * SECOND]],
        [["2", 60 * SECOND]],
    ]
    assert all(told(reply)["window"] == [60 * SECOND, 120 * SECOND] for reply in replies)


def test_keys_are_compared_as_tuples(client: UdfClient) -> None:
    keys = [["a:b"], ["a", "b"], [], [""], ["", ""], ["a", ":b"], ["a:", "b"], ["ab"], ["é\n"]]
    stream = Stream(client)
    stream.send(*((key, str(number).encode()) for number, key in enumerate(keys * 2)))
    replies = results(stream.close())
    assert {reply.keys: [value for value, _ in told(reply)["datums"]] for reply in replies} == {  # type: ignore[attr-defined]
        tuple(key): [str(number), str(number + len(keys))] for number, key in enumerate(keys)
    }
    assert len(replies) == len(keys)


@pytest.mark.parametrize(
    "bounds", [(1, 2), (-1, 0), (0, 253402300800 * SECOND), (1_700_000_000_123_456_789, 1_700_000_060_987_654_321)]
)
@pytest.mark.parametrize("slot", ["0", "", "slot-7"])
def test_windows_are_echoed_as_they_came(client: UdfClient, bounds: tuple[int, int], slot: str) -> None:
    stream = Stream(client, window(*bounds, slot))
    stream.send((["a"], b"1"))
    (reply,) = results(stream.close())
    assert told(reply)["window"] == list(bounds)


def test_a_new_key_comes_with_append(client: UdfClient) -> None:
    stream = Stream(client)
    stream.send(*(([f"key-{number}"], b"x") for number in range(50)))
    keys = [reply.keys for reply in results(stream.close())]
    assert sorted(keys) == sorted((f"key-{number}",) for number in range(50))


def test_many_windows_at_once(client: UdfClient) -> None:
    streams = [Stream(client, window(number, number + 1)) for number in range(40)]
    for turn in range(3):
        for stream in streams:
            stream.send((["a"], str(turn).encode()), (["b"], b"x"))
    for stream in reversed(streams):
        assert [reply.keys for reply in results(stream.close())] == [("a",), ("b",)]


def test_results_of_a_close_come_in_the_order_of_keys(client: UdfClient, combination: Combination) -> None:
    keys = [[str(number % 10), "x" * (number % 7)] for number in range(300)]
    orders = []
    for arrival in (keys, keys[::-1]):
        stream = Stream(client)
        stream.send(*((key, b"x") for key in arrival))
        orders.append([reply.keys for reply in results(stream.close())])
    assert orders[0] == orders[1]
    if combination.type != "multiproc":  # there each worker's keys are in order
        assert orders[0] == sorted(orders[0])


def test_a_window_without_messages(client: UdfClient) -> None:
    raw = client.open(RPC)
    raw.half_close()
    assert raw.rest() == []
    assert raw.status().code == "OK"


def test_a_window_that_is_opened_again(client: UdfClient) -> None:
    for turn in range(3):
        stream = Stream(client)
        stream.send((["a"], str(turn).encode()))
        (reply,) = results(stream.close())
        assert told(reply)["datums"] == [[str(turn), 60 * SECOND]]


def test_close_ends_a_window_and_not_the_stream(client: UdfClient) -> None:
    first, second = window(0, SECOND), window(SECOND, 2 * SECOND)
    raw = client.open(RPC)
    raw.send(message(OPEN, first, ["a"], b"1"), message(OPEN, second, ["a"], b"2"), message(APPEND, first, ["b"], b"3"))
    raw.send(request(None, operation(CLOSE, first)))
    replies: list[Reply] = []
    while len(replies) < 2:
        replies += results([parse(raw.receive())])
    assert [(reply.keys, reply.window) for reply in replies] == [(("a",), first), (("b",), first)]
    raw.send(message(APPEND, first, ["a"], b"4"))
    raw.half_close()
    replies = results([parse(reply) for reply in raw.rest()])
    assert sorted((reply.window, reply.eof) for reply in replies) == sorted(
        [(first, False), (second, False), (first, True)]
    )
    assert replies[-1].eof
    assert raw.status().code == "OK"


def test_close_of_an_unknown_window_is_passed_over(client: UdfClient) -> None:
    raw = client.open(RPC)
    raw.send(request(None, operation(CLOSE, window(0, 1))))
    raw.half_close()
    assert raw.rest() == []
    assert raw.status().code == "OK"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (request(payload(["a"], b"x", 0), operation(OPEN)), "expected a message with one window, got 0"),
        (request(payload(["a"], b"x", 0), None), "expected a message with one window, got 0"),
        (
            request(payload(["a"], b"x", 0), operation(APPEND, window(0, 1), window(1, 2))),
            "expected a message with one window, got 2",
        ),
        (request(None, operation(OPEN, window(0, 1))), "expected a message with a payload"),
        (request(payload(["a"], b"x", 0), operation(OPEN, b"")), "expected a window with a start and an end"),
        (request(payload(["a"], b"x", 0), operation(2, window(0, 1))), "expected one of the events OPEN"),
    ],
)
def test_messages_that_make_no_sense(client: UdfClient, wrong: bytes, text: str) -> None:
    raw = client.open(RPC)
    raw.send(message(OPEN, window(0, 1)))
    raw.send(wrong)
    outcome = raw.status()
    assert outcome.code == "INVALID_ARGUMENT"
    assert outcome.message.startswith("ReduceFn: " + text)


def test_a_slow_key_does_not_delay_the_others(client: UdfClient, gate: Gate, combination: Combination) -> None:
    stream = Stream(client)
    slow = b"!at-close " + gate.block()
    stream.send((["a"], slow), *(([f"key-{number}"], b"x") for number in range(20)))
    stream.raw.half_close()
    found: list[Reply] = []
    while len(found) < 20:
        found += results([stream.receive()])
    assert ("a",) not in {reply.keys for reply in found}
    gate.open()
    rest = results([parse(reply) for reply in stream.raw.rest()])
    assert [(reply.keys, reply.eof) for reply in rest] == [(("a",), False), ((), True)]


def test_an_error_at_close(launch: Launch) -> None:
    server = launch().wait_listening()
    with server.client() as client:
        stream = Stream(client)
        stream.send((["a"], b"!at-close !raise broken"))
        stream.raw.half_close()
        replies = [parse(reply) for reply in stream.raw.rest()]
        assert not any(reply.eof for reply in replies)
        assert stream.raw.status().code == "INTERNAL"
    assert server.wait() == 1


def test_a_window_is_finished_after_sigterm(launch: Launch, gate: Gate) -> None:
    server = launch("--grace", 20).wait_listening()
    with server.client() as client:
        stream = Stream(client)
        stream.send((["a"], gate.block()))
        gate.wait_entered(1)
        server.send_signal(signal.SIGTERM)
        stream.send((["a"], b"y"), (["b"], b"y"))
        gate.open()
        assert [reply.keys for reply in results(stream.close())] == [("a",), ("b",)]
    assert server.wait() == 0


def test_a_peer_that_does_not_read_holds_the_handlers_back(
    server: ServerProcess, client: UdfClient, combination: Combination
) -> None:
    """60 MB of results, of which no more than some MB may wait."""
    stream = Stream(client)
    count, size = 300, 200_000
    keys = [str(number % 3) for number in range(count)]
    stream.send(*(([key], f"!big {size}".encode()) for key in keys))
    stream.raw.half_close()
    before = resident(server.pid)
    if combination.kind.name == "reduce stream":
        wait_steady(lambda: resident(server.pid) >> 20)
        assert resident(server.pid) - before < 40 << 20
    replies = [stream.receive(60) for _ in range(count + 3 if combination.kind.name == "reduce stream" else 3)]
    assert stream.receive().eof
    assert stream.raw.status().code == "OK"
    for key in "012":
        early = [reply for reply in replies if reply.keys == (key,) and "early" in reply.tags]
        assert len(early) == (count // 3 if combination.kind.name == "reduce stream" else 0)
        assert all(len(reply.value) == size for reply in early)
    assert len(results(replies)) == 3


def test_a_result_of_a_close_that_is_too_large_to_be_held(client: UdfClient) -> None:
    stream = Stream(client)
    value = b"x" * 700_000
    stream.send(*(([str(number)], value) for number in range(12)))
    replies = results(stream.close())
    assert sorted(reply.keys for reply in replies) == sorted((str(number),) for number in range(12))
    assert all(told(reply)["datums"] == [[value.decode(), 60 * SECOND]] for reply in replies)
