"""The platform's decisions about sessions, as the test kit makes them."""

from datetime import timedelta

from numaflow_sessionreducer import Datum
from numaflow_sessionreducer.testing import Operation, Session, SessionWindower

from .conftest import T, span


def at(seconds: float, *keys: str) -> Datum:
    return Datum(keys or ("k",), b"", event_time=T + timedelta(seconds=seconds), watermark=T)


def told(operations: list[Operation]) -> list[tuple[str, tuple[Session, ...]]]:
    return [(operation.event, operation.sessions) for operation in operations]


def windower(*seconds: float) -> SessionWindower:
    windower = SessionWindower(timedelta(seconds=10))
    for each in seconds:
        windower.assign(at(each))
    return windower


def test_open_append_expand() -> None:
    new = windower()
    operations = [new.assign(at(each)) for each in (0, 0.0005, 5, 3, 15, -9)]
    assert told(operations) == [
        ("OPEN", (span(0, 10),)),
        ("APPEND", (span(0, 10),)),
        ("EXPAND", (span(0, 10), span(0, 15))),
        ("APPEND", (span(0, 15),)),
        ("OPEN", (span(15, 25),)),
        ("EXPAND", (span(0, 15), span(-9, 15))),
    ]


def test_keys_have_nothing_to_do_with_each_other() -> None:
    new = windower()
    operations = [new.assign(at(0, *keys)) for keys in (("a:b",), ("a", "b"), ("a:b",))]
    assert [operation.event for operation in operations] == ["OPEN", "OPEN", "APPEND"]


def test_close_waits_for_the_watermark() -> None:
    new = windower(0, 20)
    assert new.close(T + timedelta(seconds=9.999)) == []
    assert told(new.close(T + timedelta(seconds=10))) == [("CLOSE", (span(0, 10),))]
    assert new.open == [span(20, 30)]


def test_expired_sessions_that_overlap_are_merged_then_closed() -> None:
    new = windower(0, 15, 8)
    assert set(new.open) == {span(0, 18), span(15, 25)}
    assert told(new.close()) == [
        ("MERGE", (span(15, 25), span(0, 18))),
        ("CLOSE", (span(0, 25),)),
    ]
    assert new.open == []


def test_what_reaches_into_an_open_session_is_merged_with_it_and_stays_open() -> None:
    new = windower(0, 15, 8)
    assert told(new.close(T + timedelta(seconds=20))) == [("MERGE", (span(0, 18), span(15, 25)))]
    assert new.open == [span(0, 25)]
    assert told(new.close()) == [("CLOSE", (span(0, 25),))]


def test_a_group_is_merged_before_it_is_merged_with_what_goes_on() -> None:
    new = windower(0, 15, 30, 8, 24)
    assert told(new.close(T + timedelta(seconds=34))) == [
        ("MERGE", (span(15, 34), span(0, 18))),
        ("MERGE", (span(0, 34), span(30, 40))),
    ]
    assert new.open == [span(0, 40)]
