"""Results of calls that close together leave in order, and nobody waits for long."""

from collections.abc import Callable

from numaflow_core.rpc.line import LIMIT, PATIENCE, Discard, Line
from numaflow_core.wire.buffers import Outgoing


class Member:
    """A call whose results go to a list."""

    def __init__(self, name: bytes, sent: list[Outgoing]) -> None:
        self.name = name
        self.rpc = self
        self.held: list[Outgoing] | None = None
        self._sent = sent

    def reply(self, message: Outgoing) -> None:
        self._sent.append(message)


class Bench:
    """A line of members named by the letters of ``names``, and a clock."""

    def __init__(self, names: str) -> None:
        self.sent: list[Outgoing] = []
        self.timers: list[Callable[[], None]] = []
        self.members = {name: Member(name.encode(), self.sent) for name in names}
        self.line = Line(self._later, self.members.values())
        for member in self.members.values():
            self.line.join(member)

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        assert seconds == PATIENCE
        self.timers.append(callback)

    def tick(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            timer()

    def say(self, name: str, message: bytes) -> None:
        if not self.line.hold(self.members[name], message):
            self.sent.append(message)

    def finish(self, names: str) -> None:
        for name in names:
            self.say(name, name.encode())
            self.sent += self.line.done(self.members[name])


def test_results_leave_in_the_order_of_the_line() -> None:
    bench = Bench("abcd")
    bench.finish("cb")
    assert bench.sent == []
    bench.finish("a")
    assert bench.sent == [b"a", b"b", b"c"]
    bench.finish("d")
    assert bench.sent == [b"a", b"b", b"c", b"d"]
    bench.tick()
    assert bench.timers == []


def test_a_head_that_does_not_move_dissolves_the_line() -> None:
    bench = Bench("abcd")
    bench.finish("cb")
    bench.say("d", b"more to come")
    bench.tick()
    assert bench.sent == [b"b", b"c", b"more to come"]
    bench.finish("da")
    assert bench.sent == [b"b", b"c", b"more to come", b"d", b"a"]
    assert bench.timers == []


def test_a_head_that_moves_keeps_the_line() -> None:
    bench = Bench("abcd")
    bench.finish("a")
    bench.tick()
    bench.finish("cb")
    bench.tick()
    assert bench.sent == [b"a", b"b", b"c"]
    bench.finish("d")
    assert bench.sent == [b"a", b"b", b"c", b"d"]


def test_more_than_may_be_held_dissolves_the_line() -> None:
    bench = Bench("abc")
    bench.say("c", bytes(LIMIT))
    assert bench.sent == []
    bench.say("b", b"b")
    assert bench.sent == [b"b", bytes(LIMIT)]
    bench.finish("cab")
    assert bench.sent[2:] == [b"c", b"a", b"b"]


def test_what_has_left_is_held_no_longer() -> None:
    bench = Bench("abc")
    for name in "ba":
        bench.say(name, bytes(LIMIT // 2 - 10))
        bench.finish(name)
    assert len(bench.sent) == 4
    bench.say("c", bytes(LIMIT // 2 + 20))
    assert len(bench.sent) == 4


def test_a_member_that_steps_out() -> None:
    bench = Bench("ab")
    bench.say("b", b"1")
    bench.line.step_out(bench.members["b"])
    assert bench.sent == [b"1"]
    bench.finish("b")
    assert bench.sent == [b"1", b"b"]
    bench.finish("a")
    assert bench.sent == [b"1", b"b", b"a"]


def test_joining_twice_loses_nothing() -> None:
    bench = Bench("ab")
    bench.say("b", b"1")
    bench.line.join(bench.members["b"])
    bench.finish("ba")
    assert bench.sent == [b"a", b"1", b"b"]


def test_what_a_discarded_member_says_after_it_has_joined_goes_nowhere() -> None:
    discard = Discard()
    member = Member(b"a", [])
    assert not discard.hold(member, b"1"), "it was made in time"
    discard.join(member)
    assert discard.hold(member, b"2")
    discard.step_out(member)
    assert discard.hold(member, b"3")
    assert member.held == []
