"""``start()``: a server that owns its process, with signals and an exit status."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedEnough
from typing import Final

import aiorun

from ..errors import GracePeriodError, HandlerError, ServerError, StartError
from ._lifecycle import call_shutdown, serve_until_end
from ._loops import new_event_loop
from ._memory import give_back_freed_memory
from ._runtime import FAILURE_EXIT, Runtime, StoppedAtStartError, check_descriptors, reason
from ._types import ShutdownCallback
from ._watchdog import Watchdog, exit_now, say

logger = logging.getLogger(__name__)

_CANCEL_TIMEOUT: Final = 5.0
"""Seconds that tasks of the user's own get to end in, once they are cancelled."""

_TELLING: Final = FAILURE_EXIT - 0.2
"""Seconds that telling a handler's error may take."""

_LAST_RESORT: Final = 1.0
"""Seconds after the end of the grace period when the process ends although Python cannot end it."""

NewRuntime = Callable[[asyncio.AbstractEventLoop], Runtime]


def run_in_foreground(
    prepare: Callable[[], None], new_runtime: NewRuntime, shutdown_callback: ShutdownCallback | None = None
) -> None:
    """Serve until a signal, then return; after an error, raise ``SystemExit``.

    ``prepare`` is called when signals are handled, and before there is an event loop or a thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start() handles signals and must be called on the main thread; elsewhere use serving()")
    fill_standard_streams()
    try:
        check_descriptors()
        run = _Foreground(new_runtime, shutdown_callback)
    except OSError as error:
        sys.exit(f"numaflow: cannot start: {reason(error)}")
    outcome: BaseException | None
    try:
        outcome = run.serve(prepare)
    except BaseException as error:
        outcome = error
    run.conclude(outcome)


def fill_standard_streams() -> None:
    """Open ``/dev/null`` where stdin, stdout or stderr is closed: the next file, a socket for instance, would take its
    number, and get what is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


class _Foreground:
    def __init__(self, new_runtime: NewRuntime, shutdown_callback: ShutdownCallback | None) -> None:
        self._new_runtime = new_runtime
        self._shutdown_callback = shutdown_callback
        self._runtime: Runtime | None = None
        self._signalled = False
        self._watchdog = Watchdog(self._on_signal, self._on_time)

    def serve(self, prepare: Callable[[], None]) -> BaseException | None:
        """The life of the server; return what went wrong."""
        loop = None
        try:
            loop = self._begin(prepare)
            asyncio.set_event_loop(loop)
            executor = ThreadPoolExecutor()
            loop.set_default_executor(executor)
            outcome = loop.run_until_complete(self._main())
            self._finish_tasks(loop, executor)
        finally:
            if self._runtime is not None:
                self._runtime.remove_files()  # an exception of another task of the loop may have ended that
            if loop is not None:
                asyncio.set_event_loop(None)
                loop.close()
            self._watchdog.give_signals_back()
        return outcome

    def _begin(self, prepare: Callable[[], None]) -> asyncio.AbstractEventLoop:
        try:
            self._watchdog.take_signals()
            prepare()
            self._watchdog.start()
            return new_event_loop()
        except (OSError, RuntimeError) as error:
            raise StartError(f"cannot start: {reason(error)}") from error

    async def _main(self) -> BaseException | None:
        self._watchdog.hear_signals()  # the loop may have taken the place
        try:
            self._runtime = runtime = self._new_runtime(asyncio.get_running_loop())
            runtime.watchdog = self._watchdog
            try:
                outcome = await serve_until_end(runtime, self._on_listening)
            except StoppedAtStartError:
                outcome = None
            if outcome is None:
                self._watchdog.status = 0
            await call_shutdown(runtime.options.on_shutdown)
            return outcome
        except BaseException as error:
            return error
        finally:
            self._watchdog.pass_on_no_more()

    def _finish_tasks(self, loop: asyncio.AbstractEventLoop, executor: ThreadPoolExecutor) -> None:
        """Call the shutdown callback, and end the tasks that users have left on the loop: what aiorun is for. The
        signals are ours again as soon as it runs; those of its own would end the loop, and the calls that it runs."""

        async def stop() -> None:
            self._watchdog.take_signals()
            loop.stop()

        aiorun_logger = logging.getLogger("aiorun")
        if aiorun_logger.level == logging.NOTSET:
            aiorun_logger.setLevel(logging.WARNING)  # its steps are ours, and we log them
        aiorun.run(
            stop(),
            loop=loop,
            executor=executor,
            shutdown_callback=self._shutdown_callback,
            timeout_task_shutdown=_CANCEL_TIMEOUT,
        )
        loop.run_until_complete(loop.shutdown_asyncgens())

    def conclude(self, outcome: BaseException | None) -> None:
        """Turn the outcome into a return or an exit status."""
        watchdog, runtime = self._watchdog, self._runtime
        if runtime is None or (outcome is None and not self._signalled):
            watchdog.close()
        else:
            watchdog.end_in(runtime.options.grace_period)
            watchdog.arm_last_resort(_LAST_RESORT)  # for whatever the process does from here on
        if outcome is None:
            return
        if isinstance(outcome, HandlerError) and runtime is not None and not _is_done(runtime.told):
            exit_now(1)  # Python's own end would wait for a lock of a log that is stuck
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

    def _on_signal(self, number: int) -> None:
        runtime = self._runtime
        if runtime is not None and runtime.is_serving and not self._signalled:
            self._signalled = True
            runtime.stop()
            return
        say(f"{signal.Signals(number).name}, ending at once")
        if runtime is not None:
            runtime.remove_files()
        exit_now(128 + number)

    def _on_time(self) -> None:
        """The process has to end."""
        if self._watchdog.status == 0:
            say("everything is answered and the grace period is over: ending what still runs")
        if self._runtime is not None:
            self._runtime.remove_files()


def _is_done(future: Future[None]) -> bool:
    try:
        future.result(_TELLING)
    except WaitedEnough:
        return False
    return True
