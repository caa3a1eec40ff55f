"""The ledger: what is out, what comes again, where to go on."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_sourcer import LedgerFullError, Message, Nack, NackOptions, Offset, OffsetLedger
from numaflow_sourcer.testing import ManualClock

TIME = datetime(2024, 1, 1, tzinfo=timezone.utc)


def offset(number: int, partition: int = 0) -> Offset:
    return Offset(b"%d" % number, partition)


def message(number: int, partition: int = 0) -> Message:
    return Message(b"p%d" % number, offset(number, partition), TIME)


def filled(count: int, **settings: object) -> tuple[OffsetLedger[int], ManualClock]:
    clock = ManualClock()
    ledger = OffsetLedger[int](clock=clock, **settings)  # type: ignore[arg-type]
    for number in range(count):
        ledger.delivered(message(number), number + 1)
    return ledger, clock


def numbers(messages: Sequence[Message]) -> list[int]:
    return [int(each.offset.offset) for each in messages]


def test_resume_follows_the_gapless_part() -> None:
    ledger, _ = filled(5)
    assert ledger.resume_from(0) is None
    assert (ledger.in_flight, ledger.room) == (5, 100_000 - 5)
    assert ledger.ack([offset(1), offset(3)]) == 2
    assert ledger.resume_from(0) is None
    assert ledger.ack([offset(0)]) == 1
    assert ledger.resume_from(0) == 2
    assert ledger.ack([offset(4), offset(2)]) == 2
    assert ledger.resume_from(0) == 5
    assert (ledger.in_flight, ledger.room) == (0, 100_000)


def test_acks_repeat_and_may_be_unknown() -> None:
    ledger, _ = filled(3)
    assert ledger.ack([offset(1), offset(1), offset(7), offset(0, 9)]) == 1
    assert ledger.ack([offset(1)]) == 0
    assert ledger.nack([Nack(offset(1)), Nack(offset(70))]) == []
    assert ledger.due(10) == []


def test_partitions_are_apart() -> None:
    ledger = OffsetLedger[str]()
    ledger.delivered(message(1, 0), "a1")
    ledger.delivered(message(1, 1), "b1")
    ledger.delivered(message(2, 1), "b2")
    ledger.ack([offset(1, 1)])
    assert ledger.resume_points() == {1: "b1"}
    ledger.ack([offset(1, 0)])
    assert ledger.resume_points() == {0: "a1", 1: "b1"}


def test_nacks_come_again_at_once_or_later() -> None:
    ledger, clock = filled(3)
    assert ledger.seconds_to_due() is None
    ledger.nack([Nack(offset(2), NackOptions(delay=timedelta(seconds=5))), Nack(offset(0))])
    assert ledger.seconds_to_due() == 0
    assert numbers(ledger.due(10)) == [0]
    assert ledger.due(10) == []
    assert ledger.seconds_to_due() == 5
    clock.advance(4.5)
    assert ledger.due(10) == []
    assert ledger.seconds_to_due() == 0.5
    clock.advance(0.5)
    assert numbers(ledger.due(10)) == [2]
    assert ledger.in_flight == 3
    ledger.ack([offset(0), offset(1), offset(2)])
    assert ledger.resume_from(0) == 3


def test_due_keeps_to_its_limit_and_order() -> None:
    ledger, clock = filled(10)
    for number in (7, 3, 5):
        ledger.nack([Nack(offset(number))])
        clock.advance(1)
    assert numbers(ledger.due(2)) == [7, 3]
    assert numbers(ledger.due(2)) == [5]


def test_ack_while_waiting_for_redelivery() -> None:
    ledger, clock = filled(1)
    ledger.nack([Nack(offset(0), NackOptions(delay=timedelta(seconds=1)))])
    assert ledger.ack([offset(0)]) == 1
    clock.advance(10)
    assert ledger.due(10) == []
    assert ledger.seconds_to_due() is None


def test_later_nack_moves_the_redelivery() -> None:
    ledger, clock = filled(1)
    ledger.nack([Nack(offset(0), NackOptions(delay=timedelta(seconds=1)))])
    ledger.nack([Nack(offset(0), NackOptions(delay=timedelta(seconds=3)))])
    clock.advance(2)
    assert ledger.due(10) == []
    clock.advance(1)
    assert numbers(ledger.due(10)) == [0]
    assert ledger.due(10) == []


def test_given_up_after_max_deliveries() -> None:
    ledger, _ = filled(2, max_deliveries=3)
    nack = Nack(offset(0))
    for _ in range(2):
        assert ledger.nack([nack]) == []
        assert numbers(ledger.due(10)) == [0]
    assert numbers(ledger.nack([nack])) == [0]
    assert ledger.due(10) == []
    assert (ledger.resume_from(0), ledger.in_flight) == (1, 1)
    once = Nack(offset(1), NackOptions(max_deliveries=1))
    assert numbers(ledger.nack([once, once])) == [1]
    assert ledger.resume_from(0) == 2


@pytest.mark.parametrize("ack_timeout", [timedelta(seconds=30), 30])
def test_unanswered_messages_come_again(ack_timeout: object) -> None:
    ledger, clock = filled(2, ack_timeout=ack_timeout)
    ledger.ack([offset(0)])
    clock.advance(29)
    assert ledger.due(10) == []
    clock.advance(1)
    assert numbers(ledger.due(10)) == [1]
    clock.advance(timedelta(seconds=29))
    assert ledger.due(10) == []
    clock.advance(1)
    assert numbers(ledger.due(10)) == [1]


def test_message_that_is_out_is_delivered_once_more() -> None:
    ledger, _ = filled(1, max_deliveries=2)
    ledger.delivered(message(0), 1)
    assert ledger.in_flight == 1
    assert numbers(ledger.nack([Nack(offset(0))])) == [0]


def test_message_behind_a_gap_that_is_read_again_stays_settled() -> None:
    ledger, _ = filled(2)
    ledger.ack([offset(1)])
    ledger.delivered(message(1), 2)
    assert ledger.in_flight == 1
    ledger.ack([offset(0)])
    assert ledger.resume_from(0) == 2


def test_room_is_bounded_also_behind_a_gap() -> None:
    ledger, _ = filled(3, max_in_flight=3)
    ledger.ack([offset(1), offset(2)])
    assert (ledger.room, ledger.in_flight) == (0, 1)
    with pytest.raises(LedgerFullError, match="3 messages"):
        ledger.delivered(message(3), 4)
    ledger.ack([offset(0)])
    ledger.delivered(message(3), 4)


def test_alarms_do_not_pile_up() -> None:
    ledger = OffsetLedger[int](ack_timeout=3600)
    for number in range(20_000):
        ledger.delivered(message(number), number)
        ledger.ack([offset(number)])
    assert len(ledger._alarms) < 2000


@pytest.mark.parametrize("settings", [{"max_in_flight": 0}, {"max_deliveries": 0}, {"ack_timeout": 0.0}])
def test_settings_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        OffsetLedger(**settings)  # type: ignore[arg-type]


def test_ack_timeout_of_a_wrong_type_says_what_to_write() -> None:
    with pytest.raises(
        TypeError, match=r"ack_timeout must be a timedelta, such as timedelta\(seconds=30\), or a number"
    ):
        OffsetLedger(ack_timeout="30")  # type: ignore[arg-type]


def test_threads() -> None:
    ledger = OffsetLedger[int](max_in_flight=10_000)
    ready = threading.Barrier(2)

    def acknowledge() -> None:
        ready.wait()
        left = set(range(5000))
        while left:
            left -= {number for number in left if ledger.ack([offset(number)])}

    thread = threading.Thread(target=acknowledge)
    thread.start()
    ready.wait()
    for number in range(5000):
        ledger.delivered(message(number), number + 1)
    thread.join()
    assert (ledger.resume_from(0), ledger.in_flight, ledger.room) == (5000, 0, 10_000)


@given(st.lists(st.tuples(st.sampled_from(["deliver", "ack", "nack", "due"]), st.integers(0, 12)), max_size=60))
def test_nothing_is_lost(steps: list[tuple[str, int]]) -> None:
    """Against a plain model: whatever is not settled is at or behind the position to go on from."""
    ledger = OffsetLedger[int](clock=ManualClock(), max_deliveries=3)
    delivered = 0
    settled: set[int] = set()
    for step, number in steps:
        if step == "deliver":
            ledger.delivered(message(delivered), delivered + 1)
            delivered += 1
        elif step == "ack":
            if ledger.ack([offset(number)]):
                settled.add(number)
        elif step == "nack":
            settled |= set(numbers(ledger.nack([Nack(offset(number))])))
        else:
            assert not settled & set(numbers(ledger.due(number)))
        open_ones = set(range(delivered)) - settled
        first_open = min(open_ones, default=delivered)
        assert (ledger.resume_from(0) or 0) == first_open
        assert ledger.in_flight == len(open_ones)
