"""Sync handlers of keyed calls: inputs are pushed to them, so that an open key holds no thread."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..kind import MakePush, Push, StreamCodec
from ..rpc import Inbox, OnFailure, Rpc
from .output import Output
from .threads import ThreadRunner


class Mailbox(Inbox):
    """One key's inputs on their way to its ``Push``."""

    __slots__ = ("_closed", "_fed", "_finished", "_output", "_push", "_results", "_runner", "busy")

    _push: Push  # made when a thread first looks in

    def __init__(self, rpc: Rpc, call: Any, runner: "MailboxRunner") -> None:
        super().__init__(rpc, call)
        self._runner = runner
        # Appended to by the transport's thread, cut at the front by whichever thread looks in.
        self._fed: list[tuple[Sequence[Any], int]] = []
        self._closed = False
        self._finished = False  # no thread is to look in any more
        self._output: Output | None = None
        self._results: Iterator[Any] | None = None  # of a look that had to wait for the peer
        self.busy = False
        """Whether a thread looks in, or is going to: one at a time, which keeps the inputs of a key in order."""

    # -- the transport's thread

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._fed.append((inputs, size))
        self._runner.touched(self)

    def close(self) -> None:
        self._closed = True
        self._runner.touched(self)

    def leave(self) -> None:
        self.left = True
        self._runner.touched(self)

    # -- any thread, with the runner's lock

    def waits(self) -> bool:
        """Whether there is something to do."""
        return not self._finished and (self.left or self._closed or bool(self._fed))

    # -- a handler's thread

    def work(self, make: Callable[[], tuple[Output, Push]], items: Callable[[Any], Iterable[Any]]) -> bool:
        """Do what there is to do; return false when the next result has to wait for ``Rpc.when_ready``.

        Args:
            make: makes what takes the inputs, and where its results go.
            items: as in ``StreamCodec``.
        """
        if self.left:
            self._drop()
            return True
        if self._results is None and not self.rpc.ready:
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
        closed = self._closed  # looked at first: what was fed before it was set is there
        fed = self._fed[:]
        del self._fed[: len(fed)]
        add = self._push.add
        for inputs, size in fed:
            for each in inputs:
                if self.left:
                    return
                self.latest = each
                made = add(each)
                if made is not None:
                    yield from items(made)
            self.rpc.released(len(inputs), size)
        self.latest = None
        if closed and not self.left:
            self.told_closed()
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
        """No thread looks in any more. What is kept refers back to this, and would be left to the garbage collector."""
        self._output = None
        if hasattr(self, "_push"):
            del self._push


class MailboxRunner(ThreadRunner):
    """Runs keyed calls on ``threads`` threads.

    A mailbox with something in it is queued until a thread looks in and empties it. Those that a batch has filled are
    queued together, once for each thread that can help; so the queue is touched once per batch.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        codec: StreamCodec,
        make_push: MakePush,
        threads: int,
        on_failure: OnFailure,
    ) -> None:
        super().__init__(handler, codec, threads, on_failure)
        self._stream_codec = codec
        self._make_push = make_push
        self._filled: list[Mailbox] = []
        self._lock = threading.Lock()  # between a mailbox's last look and what fills it then

    # -- the transport's thread

    def begin(self, rpc: Rpc, call: Any) -> Inbox:
        """A new mailbox."""
        return Mailbox(rpc, call, self)

    def touched(self, mailbox: Mailbox) -> None:
        """The mailbox has something in it, unless a thread has seen it already, and all is done."""
        with self._lock:
            if mailbox.busy or not mailbox.waits():
                return
            mailbox.busy = True
        self._filled.append(mailbox)

    def kick(self) -> None:
        """Queue what was filled."""
        filled = self._filled
        if filled:
            self._filled = []
            self.put(partial(self._look_into, deque(filled)), len(filled))

    # -- the threads

    def _look_into(self, mailboxes: deque[Mailbox]) -> bool:
        """Look into mailboxes until all are empty; return whether the server goes on."""
        while mailboxes:
            try:
                mailbox = mailboxes.popleft()
            except IndexError:
                break  # another thread was faster
            try:
                self._look(mailbox)
            except BaseException as error:  # the process ends
                self.fail(error, mailbox)
                return False
        return True

    def _look(self, mailbox: Mailbox) -> None:
        if not mailbox.work(partial(self._make, mailbox), self._stream_codec.items):
            mailbox.rpc.when_ready(partial(self._put, mailbox))
            return
        with self._lock:
            more = mailbox.waits()
            mailbox.busy = more
        if more:
            self._put(mailbox)  # behind the others

    def _put(self, mailbox: Mailbox) -> None:
        self.put(partial(self._look_into, deque((mailbox,))))

    def _make(self, mailbox: Mailbox) -> tuple[Output, Push]:
        token, push = self._make_push(self._handler, mailbox)
        return Output(mailbox.rpc, self._stream_codec, token, mailbox), push


class Collecting:
    """Implements ``Push`` for a plain function, which is called at the end with all inputs."""

    __slots__ = ("_arguments", "_function", "_position", "add", "messages")

    def __init__(self, function: Callable[..., Any], position: int, arguments: tuple[Any, ...]) -> None:
        """The inputs become the argument at ``position``, between the other ``arguments``."""
        self.messages: list[Any] = []
        self.add: Callable[[Any], None] = self.messages.append
        self._function = function
        self._position = position
        self._arguments = arguments

    def finish(self) -> Any:
        """Call the function."""
        position, arguments = self._position, self._arguments
        return self._function(*arguments[:position], self.messages, *arguments[position:])

    def accumulator(self) -> list[Any]:
        """What has been collected so far."""
        return self.messages

    def merge_accumulator(self, messages: list[Any]) -> None:
        """Take over what another has collected."""
        self.messages += messages
