"""The hub of a stream by itself: window is given back by what each call took."""

from typing import Any

import pytest

from numaflow_core.flows.bidi import BidiFlow, EachFlow, Handshake
from numaflow_core.kind import Begin, Calls, Close, Feed, Flow, Release, Reply
from numaflow_core.rpc import Inbox, Rpc
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.status import OK, ProtocolError, StatusCode

from .served import MAX_MESSAGE_SIZE, Served

LARGE = bytes(1 << 20)


class PassiveInbox(Inbox):
    def feed(self, inputs: Any, size: int) -> None:
        self.fed = (inputs, size)

    def close(self) -> None: ...

    def leave(self) -> None:
        self.left = True


class Passive:
    """Implements ``Runner``: does nothing until a test says so."""

    def __init__(self) -> None:
        self.submitted: list[Buffer] = []
        self.inboxes: dict[Any, PassiveInbox] = {}
        self.kicks = 0
        self.left: list[Rpc] = []

    async def open(self) -> None: ...

    def submit(self, rpc: Rpc, messages: list[Buffer]) -> None:
        self.submitted += messages

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        self.inboxes[call] = PassiveInbox(rpc, call)
        return self.inboxes[call]

    def kick(self) -> None:
        self.kicks += 1

    def leave(self, rpc: Rpc) -> None:
        self.left.append(rpc)

    async def close(self, patience: float) -> None: ...


def serve(flow: Flow | None = None) -> tuple[Served, Passive]:
    runner = Passive()
    return Served(runner, flow=flow), runner


def test_small_messages_give_back_their_own_bytes_beside_a_large_one_that_is_slow() -> None:
    served, runner = serve(EachFlow())
    small = [b"%d" % number * 10 for number in range(1000)]
    served.rpc.received([LARGE, *small])
    assert runner.submitted == [LARGE, *small]
    for message in small:
        served.rpc.answer(b"", len(message))
    served.loop.run()
    assert (served.stream.released_count, served.stream.released) == (1000, sum(map(len, small)))
    assert served.rpc.unanswered == 1
    served.rpc.answer(b"", len(LARGE))
    served.loop.run()
    assert (served.stream.released_count, served.stream.released) == (1001, sum(map(len, small)) + len(LARGE))
    assert served.rpc.unanswered == 0


def test_large_message_gives_back_its_own_bytes_beside_small_ones_that_are_slow() -> None:
    served, _ = serve(EachFlow())
    served.rpc.received([b"small", LARGE, b"small"])
    served.rpc.answer(b"", len(LARGE))
    served.loop.run()
    assert served.stream.releases == [(1, len(LARGE))]


def test_inputs_of_open_calls_give_back_what_their_call_has_taken() -> None:
    served, _ = serve()
    served.say(Begin("a"), Begin("b"), Feed([("a", ["in", "in"], 1000), ("b", ["in"], 7)]), Release(1, 30))
    assert served.stream.releases == [(1, 30)]
    assert served.rpc.unanswered == 3
    served.rpc.released(1, 7)
    served.loop.run()
    assert served.stream.releases[1:] == [(1, 7)]
    served.rpc.released(2, 1000)
    served.loop.run()
    assert (served.stream.released_count, served.stream.released) == (4, 1037)


def test_replies_of_a_step_leave_together_and_what_is_made_meanwhile_in_one_flush() -> None:
    served, _ = serve(BidiFlow("Fn", Handshake(lambda message: message == b"hello", b"welcome")))
    served.rpc.received([b"hello", b"1", b"2"])
    assert (served.sent, served.stream.releases) == ([b"welcome"], [(1, 5)])
    served.rpc.answer(b"one", 1)
    served.rpc.answer(b"two", 1)
    served.loop.run()
    assert (served.sent, served.stream.releases) == ([b"welcome", b"one", b"two"], [(1, 5), (2, 2)])


def test_stream_ends_when_its_client_has_half_closed_and_everything_is_answered() -> None:
    served, runner = serve(EachFlow())
    served.rpc.received([b"1"])
    served.rpc.half_closed()
    assert not served.rpc.gone
    served.rpc.answer(b"one", 1)
    served.loop.run()
    assert (served.sent, served.rpc.gone) == ([b"one"], True)
    assert served.stream.status is OK
    assert runner.left == [served.rpc]


def test_what_comes_after_the_end_is_dropped() -> None:
    served, _ = serve()
    served.say(Begin("a"), Feed([("a", ["in"], 5)]), Calls([b"1"]), Close(("a",)))
    served.rpc.cancelled()
    served.rpc.answer(b"one", 1)
    served.rpc.released(1, 5)
    served.loop.run()
    assert (served.sent, served.stream.releases, served.rpc.unanswered) == ([], [], 0)
    assert not served.rpc.ready


def test_protocol_error_ends_the_stream_after_what_was_answered() -> None:
    served, _ = serve(EachFlow())
    served.rpc.received([b"1", b"2"])
    served.rpc.answer(b"one", 1)
    served.rpc.broken(ProtocolError("no sense in it"))
    served.loop.run()
    assert served.sent == [b"one"]
    assert served.stream.status is not None
    assert served.stream.status.code == StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("cut_off", [True, False])
def test_an_end_from_the_server_is_a_good_one_only_where_nothing_is_cut_off(cut_off: bool) -> None:
    served, _ = serve()
    served.say(Reply((b"hello",)), *([Begin("a")] if cut_off else []))
    served.rpc.end(OK)
    assert served.stream.status is not None
    assert served.stream.status.code == (StatusCode.UNAVAILABLE if cut_off else StatusCode.OK)


def test_messages_that_were_postponed_are_submitted_when_the_peer_reads() -> None:
    served, runner = serve(EachFlow())
    served.rpc.received([b"1", b"2"])
    served.stop_reading()
    served.rpc.reply(b"reply")
    served.loop.run()
    assert not served.rpc.ready
    served.rpc.postpone([b"2"])
    told: list[str] = []
    served.rpc.when_ready(lambda: told.append("ready"))
    served.loop.run()
    assert (runner.submitted, told) == ([b"1", b"2"], [])
    served.read()
    assert (runner.submitted, told) == ([b"1", b"2", b"2"], ["ready"])
    assert served.rpc.ready


def test_reply_that_is_too_large_is_a_failure_and_nothing_follows_it() -> None:
    served, _ = serve(EachFlow())
    served.rpc.received([b"1", b"2"])
    served.rpc.answer(bytes(MAX_MESSAGE_SIZE + 1), 1)
    served.loop.run()
    served.rpc.answer(b"two", 1)
    served.loop.run()
    assert served.sent == []
    (failure,) = served.failures
    assert "max_message_size" in str(failure)


def test_stream_does_not_end_well_when_a_call_is_done_after_a_reply_that_is_too_large() -> None:
    served, runner = serve()
    served.say(Begin("a"), Feed([("a", ["in"], 7)]), Close(["a"]))
    served.rpc.half_closed()
    served.rpc.released(1, 7)
    served.rpc.reply(bytes(MAX_MESSAGE_SIZE + 1))
    served.loop.run()
    served.rpc.done(runner.inboxes["a"])
    served.loop.run()
    assert len(served.failures) == 1
    assert served.stream.status is None, "the error is about to end it"
    assert served.saying.ended == []
