"""Keys and the threads that look into them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from numaflow_core.kind import Begin, Close, Feed, StreamCodec
from numaflow_core.rpc import Inbox, Rpc
from numaflow_core.runners.mailboxes import Mailbox, MailboxRunner

from .served import Encoder, Served

PATIENCE = 60.0


class Count:
    """Tells at the end how many messages there were. A message is something to do."""

    def __init__(self) -> None:
        self.messages = 0

    def add(self, message: Callable[[], object]) -> None:
        self.messages += 1
        message()

    def finish(self) -> bytes:
        return b"%d" % self.messages


class Runner(MailboxRunner):
    """One thread. ``overtaken`` is called when there is something new in a mailbox, before anybody is told."""

    def __init__(self, made: list[Count]) -> None:
        def make(handler: Callable[[], Count], inbox: Inbox) -> tuple[None, Count]:
            made.append(handler())
            return None, made[-1]

        self.failures: list[BaseException] = []
        self.mailboxes: dict[Any, Inbox] = {}
        """By their calls."""

        self.overtaken: Callable[[Mailbox], None] = lambda mailbox: None
        codec = StreamCodec(lambda handler, call: (None, handler()), lambda result: (result,), lambda token: Encoder())
        super().__init__(Count, codec, make, 1, lambda error, about: self.failures.append(error))

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        self.mailboxes[call] = super().begin(rpc, call)
        return self.mailboxes[call]

    def touched(self, mailbox: Mailbox) -> None:
        self.overtaken(mailbox)
        super().touched(mailbox)


@pytest.fixture
def made() -> list[Count]:
    """What was made for keys."""
    return []


@pytest.fixture
def runner(made: list[Count]) -> Iterator[Runner]:
    runner = Runner(made)
    asyncio.run(runner.open())
    yield runner
    asyncio.run(runner.close(PATIENCE))
    assert runner.failures == []


def begin(served: Served, call: str, work: Callable[[], object]) -> None:
    """Begin a call with one input."""
    served.say(Begin(call), Feed([(call, [work], 1)]))


def catch_up(runner: Runner) -> None:
    """Wait until the thread has done all that it has been given."""
    reached = threading.Event()
    begin(Served(runner), "catch up", reached.set)
    assert reached.wait(PATIENCE)


def test_end_that_is_seen_before_it_is_told_comes_once(runner: Runner) -> None:
    gate = threading.Event()
    begin(Served(runner), "blocks", lambda: gate.wait(PATIENCE))
    served = Served(runner)
    begin(served, "key", lambda: None)
    mailbox = runner.mailboxes["key"]

    def look_at_once(touched: Mailbox) -> None:
        if touched is mailbox:
            gate.set()
            catch_up(runner)

    runner.overtaken = look_at_once
    served.say(Close(("key",)))
    catch_up(runner)
    served.loop.run()
    assert served.sent == [b"1"]
    assert served.saying.ended == ["key"]


def test_what_a_key_has_made_is_let_go_when_the_stream_is_over(runner: Runner, made: list[Count]) -> None:
    """Also when that happens while a thread looks in, which is not told then."""
    served = Served(runner)
    entered, gate = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert gate.wait(PATIENCE)

    begin(served, "key", wait)
    assert entered.wait(PATIENCE)
    served.rpc.cancelled()
    gate.set()
    catch_up(runner)  # it may have to look once more, behind this
    catch_up(runner)
    served.loop.run()
    assert [each.messages for each in made[:1]] == [1]
    assert not hasattr(runner.mailboxes["key"], "_push")
    assert served.sent == []
    assert served.saying.ended == []
