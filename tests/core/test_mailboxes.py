"""Keys and the threads that look into them."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from numaflow_core.strategy import OpenCall, StreamCodec
from numaflow_core.strategy._mailboxes import Mailbox, MailboxStrategy

from .callers import Caller, Encoder

PATIENCE = 15.0


class Count:
    """Tells at the end how many messages there were. A message is something to do."""

    def __init__(self) -> None:
        self.messages = 0

    def add(self, message: Callable[[], object]) -> None:
        self.messages += 1
        message()

    def finish(self) -> bytes:
        return b"%d" % self.messages


class Strategy(MailboxStrategy):
    """One thread. ``overtaken`` is called when there is something new in a mailbox, before anybody is told."""

    def __init__(self, made: list[Count]) -> None:
        def make(handler: Callable[[], Count], call: OpenCall) -> tuple[None, Count]:
            made.append(handler())
            return None, made[-1]

        self.failures: list[BaseException] = []
        self.overtaken: Callable[[Mailbox], None] = lambda call: None
        codec = StreamCodec(lambda handler, call: (None, handler()), lambda result: (result,), lambda token: Encoder())
        super().__init__(Count, codec, make, 1, self.failures.append)

    def touched(self, call: Mailbox) -> None:
        self.overtaken(call)
        super().touched(call)


@pytest.fixture
def made() -> list[Count]:
    """What was made for keys."""
    return []


@pytest.fixture
def strategy(made: list[Count]) -> Any:
    strategy = Strategy(made)
    asyncio.run(strategy.open())
    yield strategy
    asyncio.run(strategy.close(PATIENCE))
    assert strategy.failures == []


def catch_up(strategy: MailboxStrategy) -> None:
    """Wait until the thread has done all that it has been given."""
    reached = threading.Event()
    strategy.begin(Caller(), None).feed([reached.set], 1)
    strategy.kick()
    assert reached.wait(PATIENCE)


def test_end_that_is_seen_before_it_is_told_comes_once(strategy: Strategy) -> None:
    caller = Caller()
    gate = threading.Event()
    strategy.begin(Caller(), None).feed([lambda: gate.wait(PATIENCE)], 1)
    call = strategy.begin(caller, None)
    call.feed([lambda: None], 1)
    strategy.kick()

    def look_at_once(touched: Mailbox) -> None:
        if touched is call:
            gate.set()
            catch_up(strategy)

    strategy.overtaken = look_at_once
    call.end()
    strategy.kick()
    catch_up(strategy)
    assert caller.replies == [b"1"]
    assert caller.calls_finished == [call]


def test_what_a_key_has_made_is_let_go_when_the_stream_is_over(strategy: Strategy, made: list[Count]) -> None:
    """Also when that happens while a thread looks in, which is not told then."""
    caller = Caller()
    call = strategy.begin(caller, None)
    entered, gate = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert gate.wait(PATIENCE)

    call.feed([wait], 1)
    strategy.kick()
    assert entered.wait(PATIENCE)
    call.leave()
    strategy.kick()
    gate.set()
    catch_up(strategy)  # it may have to look once more, behind this
    catch_up(strategy)
    assert [each.messages for each in made[:1]] == [1]
    assert not hasattr(call, "_push")
    assert caller.replies == []
    assert caller.calls_finished == []
