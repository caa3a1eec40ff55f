"""The life of a run, the same in every server type, in a worker, and inside of another program."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Protocol

from ..errors import ServerError, StartError
from ..kind import Kind
from ._options import Options
from ._types import Hook

logger = logging.getLogger(__name__)


class Run(Protocol):
    """What a run tells: ``Runtime`` or a worker's."""

    kind: Kind
    options: Options
    ready: Future[None]
    finished: Future[ServerError | None]

    def start(self) -> None: ...


class StoppableRun(Run, Protocol):
    """A run that can be ended from here."""

    def stop(self) -> None: ...

    def join(self) -> None: ...


async def serve_until_end(run: Run, on_listening: Callable[[], None] | None = None) -> ServerError | None:
    """Call the startup hook, serve to the end, and return what went wrong. The shutdown hook is left to the caller.

    Raises:
        StartError: the run did not come to listen.
    """
    await _begin(run)
    if on_listening is not None:
        on_listening()
    return await asyncio.wrap_future(run.finished)


@asynccontextmanager
async def serving(run: StoppableRun) -> AsyncIterator[None]:
    """Serve while the block runs. Raises: what went wrong, at the end, unless the block itself raised."""
    await _begin(run)
    try:
        yield
    finally:
        run.stop()
        outcome = await asyncio.shield(asyncio.wrap_future(run.finished))
        run.join()
        await call_shutdown(run.options.on_shutdown)
    if outcome is not None:
        raise outcome


async def _begin(run: Run) -> None:
    await _call_startup(run.options.on_startup)
    run.start()
    await asyncio.wrap_future(run.ready)


async def _call_startup(hook: Hook | None) -> None:
    if hook is not None:
        try:
            result = hook()
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            logger.error("on_startup raised", exc_info=True)
            raise StartError(f"on_startup raised {error!r}") from error


async def call_shutdown(hook: Hook | None) -> None:
    """Call a shutdown hook. An error is logged: there is nothing left to undo."""
    if hook is not None:
        try:
            result = hook()
            if inspect.isawaitable(result):
                await result
        except Exception:
            logger.exception("on_shutdown raised")
