"""``start()``: a server that owns its process, with signals and an exit status."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

import aiorun

from ..errors import GracePeriodError, HandlerError, ServerError
from ._lifecycle import call_shutdown, serve_until_end
from ._loops import new_event_loop
from ._memory import give_back_freed_memory
from ._runtime import Runtime, exit_now
from ._types import ShutdownCallback

logger = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_IGNORE: Final = "_clear_signal_handlers"
"""aiorun's function that ignores signals, where it has one: it is not part of its interface."""

_CANCEL_TIMEOUT: Final = 5.0
"""Seconds that tasks of the user's own get to end in, once they are cancelled."""

NewRuntime = Callable[[asyncio.AbstractEventLoop], Runtime]


def run_in_foreground(
    prepare: Callable[[], None], new_runtime: NewRuntime, shutdown_callback: ShutdownCallback | None = None
) -> None:
    """Serve until a signal, then return; after an error, raise ``SystemExit``.

    aiorun owns the main thread's loop and ends the tasks that users leave on it. The signals are ours: aiorun would
    stop the loop at the first one, and the handlers of accepted messages with it. So they are held back from just
    before it begins until our handlers are in place again.

    ``prepare`` is called when signals are handled, and before there is an event loop.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start() handles signals and must be called on the main thread; elsewhere use serving()")
    aiorun_logger = logging.getLogger("aiorun")
    if aiorun_logger.level == logging.NOTSET:
        aiorun_logger.setLevel(logging.WARNING)  # its steps are ours, and we log them
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    run = _Foreground(new_runtime)
    loop = None
    try:
        run.handle_signals()
        prepare()
        loop = new_event_loop()
        asyncio.set_event_loop(loop)
        run.hold_signals()
        aiorun.run(
            run.main(),
            loop=loop,
            shutdown_callback=shutdown_callback,
            timeout_task_shutdown=_CANCEL_TIMEOUT,
        )
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        if loop is not None:
            asyncio.set_event_loop(None)
            loop.close()
        for number, handler in before.items():
            signal.signal(number, handler)
        run.let_signals()
    run.conclude()


class _Foreground:
    def __init__(self, new_runtime: NewRuntime) -> None:
        self._new_runtime = new_runtime
        self._mask: set[signal.Signals | int] | None = None
        self._ignore: Callable[[], None] | None = None
        self._runtime: Runtime | None = None
        self._signalled = False
        self._outcome: BaseException | None = None

    def handle_signals(self) -> None:
        """Take the signals."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def hold_signals(self) -> None:
        """Keep signals waiting. aiorun begins by ignoring them, with which one that waits already is lost for good: so
        it is kept from that meanwhile."""
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS))
        if _IGNORE in vars(aiorun):
            self._ignore = vars(aiorun)[_IGNORE]
            vars(aiorun)[_IGNORE] = lambda: None

    def let_signals(self) -> None:
        """Deliver what has waited."""
        if self._ignore is not None:
            vars(aiorun)[_IGNORE] = self._ignore
            self._ignore = None
        if self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            self._mask = None

    async def main(self) -> None:
        self.handle_signals()
        self.let_signals()
        loop = asyncio.get_running_loop()
        try:
            self._runtime = self._new_runtime(loop)
            self._outcome = await serve_until_end(self._runtime, self._on_listening)
            await call_shutdown(self._runtime.options.on_shutdown)
        except BaseException as error:
            self._outcome = error
        finally:
            loop.stop()

    def conclude(self) -> None:
        """Turn the outcome into a return or an exit status."""
        outcome = self._outcome
        if outcome is None:
            if self._runtime is not None:
                self._runtime.release_process()
            return
        if isinstance(outcome, HandlerError) and self._runtime is not None:
            self._runtime.wait_announced()
        if isinstance(outcome, (HandlerError, GracePeriodError)):
            sys.exit(1)  # logged where it happened
        if isinstance(outcome, ServerError):
            logger.debug("the server failed", exc_info=outcome)
            sys.exit(f"numaflow: {outcome}")
        raise outcome

    def _on_listening(self) -> None:
        runtime = self._runtime
        assert runtime is not None
        if runtime.options.tune_memory:
            give_back_freed_memory()
        logger.info("%s server listening on %s", runtime.kind.name, runtime.options.sock_path)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        runtime = self._runtime
        if runtime is not None and runtime.is_serving and not self._signalled:
            self._signalled = True
            runtime.stop()
            return
        os.write(2, f"numaflow: {name}, ending at once\n".encode())
        if runtime is not None:
            runtime.remove_files()
        exit_now(128 + number)
