"""Keys on the wire, from OPEN to EOF, for every server type, over both transports."""

import pytest

from behaviour.harness import Gate, ServerProcess, resident, wait_steady, wait_until
from behaviour.kinds import Combination
from numaflow_core.testing import UdfClient

from .conftest import RPC, Launch, Stream
from .wire import (
    APPEND,
    CLOSE,
    MAX_UTC,
    MS,
    OPEN,
    SECOND,
    Reply,
    bytes_field,
    keyed_window,
    parse,
    payload,
    request,
)

NO_END = bytes_field(1, b"")


def test_messages_leave_while_the_key_is_open(client: UdfClient) -> None:
    stream = Stream(client)
    for number in range(1, 4):
        name = stream.send(["a"], b"%d" % number, time=number, watermark=number - 0.5)
        reply = stream.receive()
        assert (reply.keys, reply.value, reply.id) == (("a",), b"%d" % number, name)
        assert (reply.event_time, reply.watermark) == (number * SECOND, number * SECOND - SECOND // 2)
        assert reply.end == reply.watermark
    window = stream.close(["a"])
    last, eof = stream.until_eof(["a"])
    assert (last.keys, last.value, last.id) == (("closed",), b"closed after 3", f"{name}.1")
    assert (last.event_time, last.end) == (3 * SECOND, 3 * SECOND - SECOND // 2)
    assert eof.window == window
    assert stream.finish() == []


def test_times_are_exact_to_the_nanosecond(client: UdfClient) -> None:
    raw = client.open(RPC)
    time, watermark = 1_700_000_000_123_456_789, 1_700_000_000_123_456_788
    raw.send(request(OPEN, keyed_window(time, MAX_UTC), payload(["key"], b"x", time, watermark, "id", {"h": "é"})))
    reply = parse(raw.receive())
    assert (reply.event_time, reply.watermark, reply.end) == (time, watermark, watermark)
    assert reply.headers == {"h": "é"}
    raw.cancel()


@pytest.mark.parametrize("end", [MAX_UTC, 1_700_000_000_123_456_789, 253402300800 * SECOND, -1, 0])
@pytest.mark.parametrize("slot", ["slot-0", "", "x"])
def test_eof_echoes_the_window_of_close(client: UdfClient, end: int, slot: str) -> None:
    raw = client.open(RPC)
    raw.send(request(OPEN, keyed_window(5, MAX_UTC, ["key"], slot), payload(["key"], b"x", 5, 5, "id")))
    window = keyed_window(5, end, ["key"], slot) + bytes_field(9, b"a field of a later version")
    raw.send(request(CLOSE, window))
    replies = [parse(raw.receive()) for _ in range(3)]
    assert [reply.eof for reply in replies] == [False, False, True]
    assert replies[0].window == keyed_window(0, 5, ["key"], slot)
    assert replies[2].window == window
    raw.cancel()


def test_end_of_the_stream_closes_what_is_open(client: UdfClient) -> None:
    stream = Stream(client)
    stream.send(["a"], b"1", time=2, watermark=1)
    stream.send(["b"], b"!silent", time=2, watermark=2)
    stream.send(["c"], b"3", time=3, watermark=3)
    stream.close(["c"])
    replies = stream.finish()
    assert {(reply.window_keys, reply.end) for reply in replies if reply.eof} == {
        (("a",), SECOND),
        (("b",), 2 * SECOND),  # with the message that its handler made at the end
        (("c",), 3 * SECOND + 30 * SECOND),
    }
    assert len(replies) == 2 + 3 + 3
    for reply in replies:
        if reply.eof and reply.window_keys != ("c",):
            assert reply.window == keyed_window(0, reply.end, reply.window_keys)


def test_close_of_an_unknown_key_is_answered(client: UdfClient) -> None:
    raw = client.open(RPC)
    windows = [keyed_window(1, number, [f"key-{number}"]) for number in range(1, 20)]
    raw.send(*(request(CLOSE, window) for window in windows))
    raw.half_close()
    replies = [parse(reply) for reply in raw.rest()]
    assert all(reply.eof for reply in replies)
    assert {reply.window for reply in replies} == set(windows)
    assert raw.status().code == "OK"


def test_append_opens_a_key_too(client: UdfClient) -> None:
    raw = client.open(RPC)
    raw.send(request(APPEND, keyed_window(1, MAX_UTC), payload(["key"], b"x", 1, 1, "id")))
    assert parse(raw.receive()).value == b"x"
    raw.cancel()


def test_keys_are_compared_as_tuples(client: UdfClient) -> None:
    keys = [["a:b"], ["a", "b"], [], [""], ["", ""], ["a", ":b"], ["a:", "b"], ["ab"], ["é\n"]]
    stream = Stream(client)
    for number, key in enumerate(keys * 2):
        stream.send(key, str(number).encode(), time=number, watermark=0)
    replies = stream.take(2 * len(keys))
    for number, key in enumerate(keys):
        values = [reply.value for reply in replies if reply.window_keys == tuple(key)]
        assert values == [str(number).encode(), str(number + len(keys)).encode()]
    for key in keys:
        window = stream.close(key)
        last, eof = stream.until_eof(key)
        assert last.value == b"closed after 2"
        assert eof.window == window


def test_keys_of_the_window_count(client: UdfClient) -> None:
    raw = client.open(RPC)
    raw.send(request(OPEN, keyed_window(1, MAX_UTC, ["window"]), payload(["message"], b"x", 1, 1, "id")))
    reply = parse(raw.receive())
    assert (reply.window_keys, reply.keys) == (("window",), ("message",))
    raw.cancel()


def test_a_key_that_is_opened_again(client: UdfClient) -> None:
    stream = Stream(client)
    windows = []
    for turn in range(30):
        stream.send(["a"], str(turn).encode(), time=100 * turn + 1)
        windows.append(stream.close(["a"]))
    replies = stream.finish()
    assert len(replies) == 90
    for turn in range(30):
        first, last, eof = replies[3 * turn : 3 * turn + 3]
        assert (first.value, last.value) == (str(turn).encode(), b"closed after 1")
        assert eof.window == windows[turn]


def test_a_key_that_is_opened_again_before_its_eof(client: UdfClient, gate: Gate) -> None:
    stream = Stream(client)
    stream.send(["a"], b"!at-close " + gate.block(), time=1)
    assert stream.receive().value == b""
    first = stream.close(["a"])
    gate.wait_entered(1)
    stream.send(["a"], b"again", time=100)
    stream.send(["a"], b"and again", time=101)
    second = stream.close(["a"])
    stream.send(["a"], b"third", time=200)
    stream.send(["b"], b"other", time=200)
    assert stream.receive().value == b"other"
    stream.close(["b"])
    assert [reply.window_keys for reply in stream.until_eof(["b"])] == [("b",), ("b",)]
    gate.open()
    replies = stream.take(7)
    assert [reply.value for reply in replies] == [
        b"closed after 1",
        b"",
        b"again",
        b"and again",
        b"closed after 2",
        b"",
        b"third",
    ]
    assert (replies[1].window, replies[5].window) == (first, second)
    assert replies[0].end == SECOND
    stream.raw.cancel()


def test_state_of_closed_and_of_left_keys_is_freed(server: ServerProcess, combination: Combination) -> None:
    with server.client() as client:
        left = Stream(client)
        for number in range(50):
            left.send([str(number)], b"x")
        left.take(50)
        left.raw.cancel()
    with server.client() as client:
        stream = Stream(client)
        for number in range(200):
            stream.send([str(number)], b"x")
            stream.close([str(number)])
        assert sum(reply.eof for reply in stream.take(600)) == 200

        def live() -> int:
            """Keys with state, where this key is."""
            stream.send(["asks"], b"!live")
            return int(stream.receive().value)

        # The key that asks; a thread, or a task, may hold what it did last for a moment.
        wait_until(lambda: live() <= 2, "state freed")
        stream.raw.cancel()


def test_a_key_is_always_in_the_same_process(client: UdfClient, combination: Combination) -> None:
    stream = Stream(client)
    places: dict[tuple[str, ...], set[str]] = {}
    for turn in range(3):
        for number in range(40):
            stream.send([str(number), "x"], b"x", time=1 + 100 * turn)
            stream.close([str(number), "x"])
        for reply in stream.take(120):
            if reply.tags:
                places.setdefault(reply.window_keys, set()).update(reply.tags)
    assert {len(place) for place in places.values()} == {1}
    assert len(set().union(*places.values())) == (2 if combination.type == "multiproc" else 1)
    stream.raw.cancel()


WRONG = [
    (request(OPEN, keyed_window(0, 1)), "expected a message with a payload"),
    (request(OPEN, None, payload(["a"], b"x", 0, 0, "id")), "expected a message with a window"),
    (request(CLOSE, NO_END), "expected a window with a start and an end"),
    (request(CLOSE, bytes_field(4, b"a")), "expected a window with a start and an end"),
    (request(4, keyed_window(0, 1), payload(["a"], b"x", 0, 0, "id")), "expected one of the events OPEN"),
]


@pytest.mark.parametrize(("wrong", "text"), WRONG)
def test_messages_that_make_no_sense(client: UdfClient, wrong: bytes, text: str) -> None:
    raw = client.open(RPC)
    raw.send(request(OPEN, keyed_window(0, MAX_UTC, ["fine"]), payload(["fine"], b"x", 0, 0, "id")), wrong)
    outcome = raw.status()
    assert outcome.code == "INVALID_ARGUMENT"
    assert outcome.message.startswith("AccumulateFn: " + text)


def test_eof_of_a_key_that_made_nothing(launch: Launch, combination: Combination) -> None:
    server = launch("--kind", "sorter").wait_listening()
    with server.client() as client:
        raw = client.open(RPC)
        raw.send(request(OPEN, keyed_window(5 * MS, MAX_UTC), payload(["key"], b"0", 5 * MS, 4 * MS, "id")))
        raw.half_close()
        drop, eof = (parse(reply) for reply in raw.rest())
        assert drop.tags == ("U+005C__DROP__",)
        assert (drop.id, drop.event_time, drop.watermark, drop.end) == ("id", 5 * MS, 4 * MS, 4 * MS)
        assert eof == Reply((), b"", None, None, "", {}, (), keyed_window(0, 4 * MS), False, True)


def test_a_key_that_works_delays_others_by_nothing_that_fits_into_the_window(client: UdfClient, gate: Gate) -> None:
    stream = Stream(client)
    stream.send(["slow"], gate.block())
    gate.wait_entered(1)
    for number in range(200):
        stream.send(["slow"], bytes(10_000), time=2)
        stream.send([str(number)], b"x", time=2)
    assert {reply.window_keys for reply in stream.take(200)} == {(str(number),) for number in range(200)}
    gate.open()
    assert {reply.window_keys for reply in stream.take(201)} == {("slow",)}
    stream.raw.cancel()


def test_a_peer_that_does_not_read_holds_the_handlers_back(server: ServerProcess, client: UdfClient) -> None:
    """60 MB of messages, of which no more than some MB may wait."""
    stream = Stream(client)
    count, size = 300, 200_000
    before = resident(server.pid)
    for number in range(count):
        stream.send([str(number % 3)], f"!big {size}".encode(), time=number)
    wait_steady(lambda: resident(server.pid) >> 20)
    assert resident(server.pid) - before < 40 << 20
    replies = stream.take(count)
    assert all(len(reply.value) == size for reply in replies)
    windows = [stream.close([str(number)]) for number in range(3)]
    assert {reply.window for reply in stream.take(6) if reply.eof} == set(windows)
    stream.raw.cancel()
