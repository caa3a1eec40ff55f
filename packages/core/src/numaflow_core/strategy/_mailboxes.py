"""Sync handlers of keyed calls: messages are pushed to them, so that an open key holds no thread."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..strategy import OnFailure, OpenCall, OpenCaller, Push, StreamCodec, SyncHandler
from ._output import Output
from ._threads import ThreadPool

MakePush = Callable[[Callable[..., Any], OpenCall], tuple[Any, Push]]
"""Makes what takes a call's messages, from the user's handler; and the token of the call's encoder."""


class Mailbox(OpenCall):
    """One key's messages on their way to its ``Push``."""

    __slots__ = ("_ended", "_fed", "_finished", "_output", "_push", "_results", "_strategy", "busy")

    _push: Push  # made when a thread first looks in

    def __init__(self, caller: OpenCaller, token: Any, strategy: "MailboxStrategy") -> None:
        super().__init__(caller, token)
        self._strategy = strategy
        # Appended to by the transport's thread, cut at the front by whichever thread looks in.
        self._fed: list[tuple[Sequence[Any], int]] = []
        self._ended = False
        self._finished = False  # nobody is to look in any more
        self._output: Output | None = None
        self._results: Iterator[Any] | None = None  # of a look that had to wait for the peer
        self.busy = False
        """Whether a thread looks in, or is going to: one at a time, which keeps the messages of a key in order."""

    # -- the transport's thread

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._fed.append((inputs, size))
        self._strategy.touched(self)

    def end(self) -> None:
        self._ended = True
        self._strategy.touched(self)

    def leave(self) -> None:
        self.left = True
        self._strategy.touched(self)

    # -- any thread, with the strategy's lock

    def waits(self) -> bool:
        """Whether there is something to do."""
        return not self._finished and (self.left or self._ended or bool(self._fed))

    # -- a handler's thread

    def work(self, make: Callable[[], tuple[Output, Push]], items: Callable[[Any], Iterable[Any]]) -> bool:
        """Do what there is to do; return false when the next result has to wait for ``Caller.when_ready``.

        Args:
            make: makes what takes the messages, and where its results go.
            items: as in ``StreamCodec``.
        """
        if self.left:
            self._drop()
            return True
        if self._results is None and not self.caller.ready:
            return False  # or each of very many keys would make one more result for a peer that does not read
        if self._output is None:
            self._output, self._push = make()
        results = self._look(items) if self._results is None else self._results
        add = self._output.add
        for result in results:
            if not add(result):
                self._results = results
                return False
        self._results = None
        if self._finished:
            output = self._output
            self._let_go()
            if not self.left:
                output.finish()
        return True

    def _look(self, items: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
        """Push what has come; the results."""
        ended = self._ended  # looked at first: what was fed before it was set is there
        fed = self._fed[:]
        del self._fed[: len(fed)]
        add = self._push.add
        for inputs, size in fed:
            for each in inputs:
                if self.left:
                    return
                made = add(each)
                if made is not None:
                    yield from items(made)
            self.caller.released(len(inputs), size)
        if ended and not self.left:
            self.closing()
            yield from items(self._push.finish())
            self._finished = True

    def _drop(self) -> None:
        """The stream is over: no ``finish`` for a window that was not closed."""
        results, self._results = self._results, None
        if isinstance(results, Iterator) and hasattr(results, "close"):
            results.close()
        self._fed.clear()
        self._finished = True
        self._let_go()

    def _let_go(self) -> None:
        """Nobody looks in any more. What is kept refers back to this, and would be left to the garbage collector."""
        self._output = None
        if hasattr(self, "_push"):
            del self._push


class MailboxStrategy(ThreadPool):
    """Implements ``OpenStrategy`` for keyed calls, on ``threads`` threads.

    A mailbox with something in it is queued until a thread looks in and empties it. Those that a batch has filled are
    queued together, once for each thread that can help; so the queue is touched once per batch.
    """

    def __init__(
        self, handler: SyncHandler, codec: StreamCodec, make: MakePush, threads: int, on_failure: OnFailure
    ) -> None:
        super().__init__(threads)
        self._handler = handler
        self._codec = codec
        self._make_push = make
        self._on_failure = on_failure
        self._filled: list[Mailbox] = []
        self._lock = threading.Lock()  # between a mailbox's last look and what fills it then

    # -- the transport's thread

    def begin(self, caller: OpenCaller, token: Any) -> OpenCall:
        """A new mailbox."""
        return Mailbox(caller, token, self)

    def touched(self, call: Mailbox) -> None:
        """The mailbox has something in it, unless a thread has seen it already, and all is done."""
        with self._lock:
            if call.busy or not call.waits():
                return
            call.busy = True
        self._filled.append(call)

    def kick(self) -> None:
        """Queue what was filled."""
        filled = self._filled
        if filled:
            self._filled = []
            self.put(partial(self._run, deque(filled)), min(len(filled), self.size))

    # -- the threads

    def _run(self, calls: deque[Mailbox]) -> bool:
        """Look into mailboxes until all are empty; return whether the server goes on."""
        while calls:
            try:
                call = calls.popleft()
            except IndexError:
                break  # another thread was faster
            try:
                self._look(call)
            except BaseException as error:  # the process ends
                self._on_failure(error)
                return False
        return True

    def _look(self, call: Mailbox) -> None:
        if not call.work(partial(self._make, call), self._codec.items):
            call.caller.when_ready(partial(self._put, call))
            return
        with self._lock:
            more = call.waits()
            call.busy = more
        if more:
            self._put(call)  # behind the others

    def _put(self, call: Mailbox) -> None:
        self.put(partial(self._run, deque((call,))))

    def _make(self, call: Mailbox) -> tuple[Output, Push]:
        token, push = self._make_push(self._handler, call)
        return Output(call.caller, self._codec, token, call), push
