"""The life of a run, the same in every server type, in a worker, and inside of another program."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Final, Protocol

from ..errors import HandlerError, ServerError, StartError
from ..kind import Kind
from ._options import Options
from ._runtime import FAILURE_EXIT, Runtime
from ._types import Hook

logger = logging.getLogger(__name__)

_RAISED: Final = (Exception, SystemExit, KeyboardInterrupt)
"""What a hook raises. A cancellation is its task's and not the hook's."""


class Run(Protocol):
    """What a run tells: ``Runtime`` or a worker's."""

    kind: Kind
    options: Options
    ready: Future[None]
    finished: Future[ServerError | None]

    def start(self) -> None:
        """Begin; ``ready`` and ``finished`` tell the rest. Raises: StartError."""


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
async def serving(run: Runtime) -> AsyncIterator[None]:
    """Serve while the block runs. Raises: what went wrong, at the end, unless the block itself raised."""
    await _begin(run)
    try:
        yield
    finally:
        run.stop(at_once=True)
        outcome = await asyncio.shield(asyncio.wrap_future(run.finished))
        run.join()
        if isinstance(outcome, HandlerError):
            await asyncio.wait((asyncio.wrap_future(run.told),), timeout=FAILURE_EXIT)
        await call_shutdown(run.options.on_shutdown)
    if outcome is not None:
        raise outcome


async def _begin(run: Run) -> None:
    await _call_startup(run.options.on_startup)
    run.start()
    await asyncio.wrap_future(run.ready)


async def _call_startup(hook: Hook | None) -> None:
    try:
        await _call(hook)
    except _RAISED as error:
        logger.error("on_startup raised", exc_info=True)
        raise StartError(f"on_startup raised {error!r}") from error


async def call_shutdown(hook: Hook | None) -> None:
    """Call a shutdown hook. An error is logged and changes nothing: everything is answered."""
    try:
        await _call(hook)
    except _RAISED:
        logger.exception("on_shutdown raised")


async def _call(hook: Hook | None) -> None:
    if hook is not None:
        result = hook()
        if inspect.isawaitable(result):
            await result
