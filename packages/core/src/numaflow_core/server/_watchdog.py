"""What ends the process in time, and hears signals, whatever the main thread is busy with.

A thread that exists before the first message waits at a pipe, for two things: the time at which the process is to end,
and signals, whose numbers the interpreter writes into the pipe by itself. To set the time takes one write: no new
thread, no lock, no memory to speak of.
"""

import faulthandler
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from types import FrameType
from typing import Any, Final, TextIO

from ._children import keep_from_children

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""What asks a server to end."""

_WAKE_UP: Final = b"\0"
"""In place of a signal's number: the time has changed."""

_FLUSH: Final = 0.03
"""Seconds that a stream which takes nothing gets before what it is to be given is dropped."""


class Watchdog:
    """Ends the process, with ``status``, at the time that ``end_in`` has set.

    Belongs to the main thread; ``end_in`` and ``call_off`` may be called on any.
    """

    def __init__(self, on_signal: Callable[[int], None], on_time: Callable[[], None]) -> None:
        """
        Args:
            on_signal: told of each of ``SIGNALS``, on the watchdog's thread once that runs.
            on_time: called there when the time has come; must not block.

        Raises:
            OSError: there are no file descriptors left.
        """
        self.status = 1
        """The exit status, should the time come."""

        self._on_signal = on_signal
        self._on_time = on_time
        self._time: float | None = None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)  # as the interpreter demands of what it writes to for a signal
        self._null = os.open(os.devnull, os.O_WRONLY)
        self._thread = threading.Thread(target=self._watch, name="numaflow-watchdog", daemon=True)
        self._closed = False
        self._last_resort: float | None = None
        self._before: Mapping[int, Any] = {}
        self._next = -1  # who heard of signals before us, and is to hear of them too
        self._passing_on = threading.Lock()
        self._forget: Callable[[], None] = lambda: None

    # -- the end of the process, on any thread

    def end_in(self, seconds: float) -> None:
        """End the process in so many seconds, if it is not to end before."""
        time = monotonic() + seconds
        if not self._closed and (self._time is None or time < self._time):
            self._time = time
            self._write(_WAKE_UP)

    def call_off(self) -> None:
        """Do not end the process."""
        self._time = None
        self._write(_WAKE_UP)
        self._pause_last_resort()
        self._last_resort = None

    def arm_last_resort(self, seconds: float) -> None:
        """End the process that long after the time, with status 1, even if C code holds the interpreter, or threads of
        Python are stopped because it finalizes. It takes a new thread, but not one of Python's; without it the
        watchdog has to do."""
        self._last_resort = None if self._time is None else seconds
        self._resume_last_resort()

    def _resume_last_resort(self) -> None:
        time = self._time
        if self._last_resort is not None and time is not None:
            left = max(time - monotonic(), 0) + self._last_resort
            try:
                faulthandler.dump_traceback_later(left, file=self._null, exit=True)
            except RuntimeError:
                pass

    def _pause_last_resort(self) -> None:
        """A forked process that has it without its thread would wait for that at its end."""
        if self._last_resort is not None:
            faulthandler.cancel_dump_traceback_later()

    # -- signals, on the main thread

    def take_signals(self) -> None:
        """Have ``SIGNALS`` told to ``on_signal`` from now on, whoever is told now."""
        handlers = {int(number): signal.signal(number, self._on_main_thread) for number in SIGNALS}
        self._before = self._before or handlers
        self._keep_from_children(self._before)
        self.hear_signals()

    def hear_signals(self) -> None:
        """Hear of signals although the main thread may be busy. An event loop that begins to run there takes that
        place; it goes on hearing of them through us."""
        found = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        if found != self._writer:
            self._next = found

    def pass_on_no_more(self) -> None:
        """The event loop that was here before us is about to end."""
        with self._passing_on:
            self._next = -1

    def give_signals_back(self) -> None:
        """Leave signals to whoever had them before ``take_signals``. The loop that has run meanwhile is closed."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
        self._keep_from_children({})

    def _keep_from_children(self, signals: Mapping[int, Any]) -> None:
        self._forget()
        self._forget = keep_from_children(self._descriptors, signals, self._pause_last_resort, self._resume_last_resort)

    def _on_main_thread(self, number: int, frame: FrameType | None) -> None:
        """A signal: heard already, unless somebody has taken our place."""
        found = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        if found != self._writer:
            self._next = found
            self._write(bytes((number,)))
        if not self._thread.is_alive():
            self._on_signal(number)

    # -- the thread

    def start(self) -> None:
        """Begin to watch. Raises ``RuntimeError`` where no thread can be started."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self.call_off()
        if self._thread.ident is not None:
            self._thread.join()
        self._forget()
        for descriptor in self._descriptors():
            os.close(descriptor)

    def _watch(self) -> None:
        try:
            poll = select.poll()
            poll.register(self._reader, select.POLLIN)
            while not self._closed:
                time = self._time
                left = None if time is None else time - monotonic()
                if left is not None and left <= 0:
                    self._end()
                poll.poll(None if left is None else left * 1000 + 1)
                for number in self._heard():
                    self._signal(number)
        except BaseException:  # nobody else would end the process in time
            exit_now(1)

    def _end(self) -> None:
        try:
            self._on_time()
        finally:
            exit_now(self.status)

    def _heard(self) -> Iterator[int]:
        try:
            numbers = os.read(self._reader, 512)
        except BlockingIOError:
            return
        yield from filter(None, numbers)

    def _signal(self, number: int) -> None:
        with self._passing_on:
            if self._next >= 0:
                try:
                    os.write(self._next, bytes((number,)))
                except OSError:
                    pass  # it has ended, or has more to hear than it takes
        if number in SIGNALS and signal.getsignal(number) == self._on_main_thread:
            self._on_signal(number)

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._writer, data)
        except OSError:
            pass  # it is full, so the thread is about to look

    def _descriptors(self) -> tuple[int, ...]:
        return self._reader, self._writer, self._null


def exit_now(status: int) -> None:
    """End the process without waiting for its threads, and the processes that ``multiprocessing`` has started in it.
    What was printed is written out where that does not block."""
    try:
        _end_children()
        for stream in (sys.stdout, sys.stderr):
            flush(stream)
    finally:
        os._exit(status)


def flush(stream: TextIO | None) -> None:
    """Write out what a stream holds, unless nobody reads it. Never raises."""
    try:
        if stream is not None and (not _has_descriptor(stream) or takes_more(stream.fileno())):
            stream.flush()
    except BaseException:
        pass  # closed, or replaced by something odd


def say(text: str) -> None:
    """Write a line to the process's stderr, past Python's, unless nobody reads it. Never raises."""
    try:
        if takes_more(2):
            os.write(2, f"numaflow: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def takes_more(descriptor: int) -> bool:
    """Whether something written to a file descriptor goes anywhere before long."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(_FLUSH * 1000))


def _has_descriptor(stream: TextIO) -> bool:
    try:
        stream.fileno()
    except Exception:
        return False
    return True


def _end_children() -> None:
    """Python would wait for them, or end them, at its own end."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        try:
            for child in multiprocessing.active_children():
                child.terminate()
        except BaseException:
            pass  # what cannot be ended is left
