"""Every operation, in the flow alone."""

import logging
from random import Random

import pytest

from accumulator.handlers import Echo, Sorter
from numaflow_accumulator import _flow
from numaflow_accumulator._flow import SILENCE
from numaflow_core.wire.status import ProtocolError

from .loopback import Loopback
from .wire import APPEND, CLOSE, MAX_UTC, OPEN, SECOND, Reply, bytes_field, keyed_window, parse, payload, request


def message(event: int, key: str = "a", time: int = 1, watermark: int | None = None, value: bytes = b"1") -> bytes:
    body = payload(
        [key], value, time * SECOND, SECOND * (time if watermark is None else watermark), f"in-{key}{time}-0"
    )
    return request(event, keyed_window(SECOND, MAX_UTC, [key]), body)


def close(key: str = "a", end: int = 10) -> bytes:
    return request(CLOSE, keyed_window(SECOND, end * SECOND, [key]))


@pytest.fixture
def stream() -> Loopback:
    return Loopback(Random(0), Echo)


def replies(stream: Loopback) -> list[Reply]:
    """What came since the last time."""
    found = [parse(reply) for reply in stream.replies]
    stream.replies.clear()
    return found


def shown(stream: Loopback) -> list[bytes | int]:
    """Values, and ends of EOFs in seconds."""
    return [reply.end // SECOND if reply.eof else reply.value for reply in replies(stream)]


def test_open_append_close(stream: Loopback) -> None:
    stream.receive(message(OPEN), message(APPEND, time=2))
    assert len(stream.calls) == 1
    stream.work_all()
    assert shown(stream) == [b"1", b"1"]
    stream.receive(close())
    assert stream.replies == []
    stream.work_all()
    assert shown(stream) == [b"closed after 2", 10]
    stream.check_all_taken()


def test_append_of_an_unknown_key_opens_it(stream: Loopback) -> None:
    stream.receive(message(APPEND))
    stream.work_all()
    assert shown(stream) == [b"1"]


def test_open_of_an_open_key_goes_on_with_it(stream: Loopback) -> None:
    stream.receive(message(OPEN), message(OPEN, time=2), close())
    stream.work_all()
    assert shown(stream) == [b"1", b"1", b"closed after 2", 10]


def test_close_of_an_unknown_key(stream: Loopback) -> None:
    stream.receive(close(end=77))
    assert shown(stream) == [77]
    stream.check_all_taken()


def test_the_next_life_waits_for_the_eof(stream: Loopback) -> None:
    stream.receive(
        message(OPEN), close(), message(OPEN, time=20), close(end=30), message(OPEN, time=40), message(OPEN, "b")
    )
    assert [call.call.keys for call in stream.calls] == [("a",), ("b",)]
    (first, other) = stream.calls
    stream.work(other)
    assert shown(stream) == [b"1"]
    stream.work(first)
    assert shown(stream) == [b"1", b"closed after 1", 10]
    stream.work(stream.calls[-1])
    assert shown(stream) == [b"1", b"closed after 1", 30]
    stream.half_close()
    stream.work_all()
    rest = replies(stream)
    assert [reply.value for reply in rest if reply.window_keys == ("a",)] == [b"1", b"closed after 1", b""]
    assert {(reply.window_keys, reply.end // SECOND) for reply in rest if reply.eof} == {(("a",), 40), (("b",), 1)}
    stream.check_all_taken()
    assert not stream.flow._open
    assert not stream.flow._closing


def test_a_life_that_waits_is_ended_with_the_stream(stream: Loopback) -> None:
    stream.receive(message(OPEN), close(), message(OPEN, time=20))
    stream.half_close()
    stream.work_all()
    assert shown(stream) == [b"1", b"closed after 1", 10, b"1", b"closed after 1", 20]
    assert stream.is_over


def test_a_close_that_waits_ends_the_life_that_waits(stream: Loopback) -> None:
    stream.receive(message(OPEN), close(), close(end=11))
    stream.work_all()
    assert shown(stream) == [b"1", b"closed after 1", 10, 11]


def test_the_end_of_the_stream_closes_all_keys(stream: Loopback) -> None:
    stream.receive(message(OPEN), message(OPEN, "b", time=5, watermark=3))
    stream.half_close()
    stream.work_all()
    assert {(reply.window_keys, reply.end // SECOND) for reply in replies(stream) if reply.eof} == {
        (("a",), 1),
        (("b",), 3),
    }


def test_without_keys_there_is_nothing_to_end(stream: Loopback) -> None:
    stream.half_close()
    assert stream.replies == []
    assert stream.is_over


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (request(3, keyed_window(0, 1), payload(["a"], b"x", 0, 0, "id")), "got 3"),
        (request(APPEND, keyed_window(0, 1)), "a payload"),
        (request(APPEND, None, payload(["a"], b"x", 0, 0, "id")), "a window"),
        (request(CLOSE, None), "a start and an end"),
        (request(CLOSE, bytes_field(1, b"")), "a start and an end"),
        (b"\xff", "cannot parse"),
    ],
)
def test_requests_that_make_no_sense(stream: Loopback, wrong: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        stream.receive(wrong)


class TestSilence:
    """Keys that hold the vertex's watermark are told of, once each."""

    @pytest.fixture
    def sorter(self) -> Loopback:
        return Loopback(Random(0), Sorter)

    def look(self, stream: Loopback) -> None:
        """Let the time pass until keys are looked at."""
        stream.work_all()
        assert stream.timers == [SILENCE]
        stream.wake()
        while stream.timers == [0]:
            stream.wake()

    def test_a_key_that_holds_what_the_watermark_has_passed(
        self, sorter: Loopback, caplog: pytest.LogCaptureFixture
    ) -> None:
        sorter.receive(message(OPEN, time=5, watermark=4), message(OPEN, "b", time=9, watermark=9))
        self.look(sorter)
        assert "the key ['a'] holds the watermark of the vertex at 1970-01-01T00:00:05+00:00" in caplog.text
        assert "the input's is 1970-01-01T00:00:09+00:00" in caplog.text
        assert "to_drop" in caplog.text
        assert "'b'" not in caplog.text
        self.look(sorter)
        assert len(caplog.records) == 1
        assert caplog.records[0].levelno == logging.WARNING

    def test_a_key_that_makes_progress_is_fine(self, sorter: Loopback, caplog: pytest.LogCaptureFixture) -> None:
        for time in range(1, 100, 10):
            sorter.receive(message(APPEND, time=time), message(APPEND, time=time + 1, watermark=time + 1))
            self.look(sorter)
        assert caplog.records == []

    def test_a_watermark_that_stands_still_is_nobodys_fault(
        self, sorter: Loopback, caplog: pytest.LogCaptureFixture
    ) -> None:
        sorter.receive(message(OPEN, time=5, watermark=4), message(OPEN, "b", time=5, watermark=4))
        for _ in range(3):
            self.look(sorter)
        assert caplog.records == []

    def test_no_key_no_look(self, sorter: Loopback, caplog: pytest.LogCaptureFixture) -> None:
        sorter.receive(message(OPEN, time=5, watermark=4), close())
        self.look(sorter)
        assert sorter.timers == []
        sorter.receive(message(OPEN, time=15, watermark=14))
        assert len(sorter.timers) == 1
        assert caplog.records == []

    def test_many_keys_at_once(
        self, sorter: Loopback, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_flow, "_AT_ONCE", 7)
        sorter.receive(*(message(OPEN, f"key-{number}", time=5, watermark=4) for number in range(100)))
        sorter.receive(message(OPEN, "last", time=50))
        self.look(sorter)
        assert len(caplog.records) == 11
        assert caplog.records[-1].getMessage() == "accumulator: so do 90 other keys"


def test_what_was_forgotten_already_is_told_of_once(stream: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    """The handler forwards in the order of arrival, and this history is not in the order of times."""
    stream.receive(message(OPEN, time=9, watermark=9), *(message(APPEND, time=time, watermark=1) for time in (3, 4)))
    stream.work_all()
    (record,) = caplog.records
    assert "for the key ['a'], a message with the event time 1970-01-01T00:00:03+00:00" in record.getMessage()
