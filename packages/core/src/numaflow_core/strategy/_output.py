"""A call that makes any number of replies: run it, hand its replies over, and hold it back for a slow peer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from time import monotonic
from typing import Any, Final

from ..strategy import AsyncHandler, Caller, OpenCall, StreamCodec, SyncHandler
from ..wire.buffers import Outgoing, count_bytes

_BURST: Final = 256 * 1024
"""Bytes of replies that a call hands over before it waits for them to be on their way. The stream only then knows
whether its peer reads."""

SLICE: Final = 0.005
"""Seconds of calls that never suspend, after which other tasks of the loop get a turn."""


class Output:
    """Where one call's results go."""

    __slots__ = ("_size", "_target", "call", "caller", "encoder")

    def __init__(self, caller: Caller, codec: StreamCodec, token: Any, call: Any) -> None:
        self.caller = caller
        self.call = call
        self._target: Caller | OpenCall = call if isinstance(call, OpenCall) else caller
        self.encoder = codec.encoder(token)
        self._size = 0

    def add(self, result: Any) -> bool:
        """Reply with a result; return whether the next one may follow at once, as ``send`` does."""
        reply = self.encoder.add(result)
        return self.caller.ready if reply is None else self.send(reply)

    def send(self, reply: Outgoing | list[Outgoing]) -> bool:
        """Reply, once or several times; return whether the next reply may follow at once. If not, ``Caller.when_ready``
        tells when it may."""
        if isinstance(reply, list):
            self._target.reply_with(reply)
            self._size += count_bytes(reply)
        else:
            self._target.reply(reply)
            self._size += len(reply)
        if self._size < _BURST:
            return self.caller.ready
        self._size = 0
        if isinstance(self._target, OpenCall):
            self._target.step_out()
        return False

    def finish(self) -> None:
        """Reply with what is left; the call is over."""
        for reply in self.encoder.finish():
            self._target.reply(reply)
        self.caller.finished(self.call)


class Outlet:
    """What an async handler puts its results into, one by one."""

    __slots__ = ("_output", "_slice_ends", "_wait")

    def connect(self, output: Output, wait: Callable[[Awaitable[None]], Awaitable[None]]) -> None:
        """Where results go, and what awaits room for more of them."""
        self._output = output
        self._wait = wait
        self._slice_ends = monotonic() + SLICE

    async def put(self, result: Any, /) -> None:
        """Reply with a result, and wait until there is room for the next one.

        Raises:
            TypeError: no result of the kind.
        """
        if not self._output.add(result):
            await self.room()
        elif monotonic() > self._slice_ends:
            await asyncio.sleep(0)
            self._slice_ends = monotonic() + SLICE

    async def room(self) -> None:
        """Wait for the peer to read. Raises: CancelledError when the stream is over."""
        await self._wait(room_for(self._output.caller))
        if self._output.caller.gone:
            raise asyncio.CancelledError
        self._slice_ends = monotonic() + SLICE


class Putting:
    """A call of a handler that was given an outlet."""

    __slots__ = ("outlet", "running")

    def __init__(self, outlet: Outlet, running: Awaitable[object]) -> None:
        self.outlet = outlet
        self.running = running


class SyncRun:
    """A call of a sync handler, whose results are taken as the peer reads them. While it does not, no thread waits:
    the run is put away, and ``go`` is called anew, on any thread."""

    __slots__ = ("_items", "_output", "_results")

    def __init__(self, codec: StreamCodec, handler: SyncHandler, caller: Caller, call: Any) -> None:
        """Calls the handler. Raises what it and the codec raise."""
        token, self._results = codec.call(handler, call)
        self._output = Output(caller, codec, token, call)
        self._items: Iterator[Any] = iter(codec.items(self._results))

    def go(self, drain: Callable[[], bool] | None = None) -> bool:
        """Reply with results; return false when the next one has to wait for ``Caller.when_ready``.

        Args:
            drain: called when there are no more results; whether the call's end is still of interest.
        """
        output = self._output
        if output.caller.gone:
            self._close()
            return True
        add, send = output.encoder.add, output.send
        for result in self._items:
            reply = add(result)
            if reply is not None and not send(reply):
                return False
        if drain is None or drain():
            output.finish()
        return True

    def _close(self) -> None:
        """Nobody wants the rest: what has been a generator ends now, and not somewhere else later."""
        close = getattr(self._results, "close", None)
        if close is not None:
            close()


async def run_async(  # noqa: PLR0912  # all in one: there may be a million, and each message passes all that wait
    codec: StreamCodec,
    handler: AsyncHandler,
    caller: Caller,
    call: Any,
    wait: Callable[[Awaitable[None]], Awaitable[None]],
    failed: Callable[[Any, BaseException], None] | None = None,
) -> None:
    """A whole call of an async handler, replies included. What an open call has not read in the end is passed over.

    Args:
        wait: awaits what it gets, which may take as long as the peer likes.
        failed: called with ``call`` and what the handler or the codec raised. Without it, that is raised here.
    """
    try:
        token, returned = codec.call(handler, call)
        if hasattr(returned, "__aiter__"):
            output = Output(caller, codec, token, call)
            add, send = output.encoder.add, output.send
            results: AsyncIterator[Any] = returned.__aiter__()
            slice_ends = monotonic() + SLICE
            async for result in results:
                reply = add(result)
                if reply is not None and not send(reply):
                    await wait(room_for(caller))
                    if caller.gone:
                        await _close_async(results)
                        return
                if monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = monotonic() + SLICE
        elif type(returned) is Putting:
            output = Output(caller, codec, token, call)
            returned.outlet.connect(output, wait)
            await returned.running
        else:
            made = codec.items(await returned)
            output = Output(caller, codec, token, call)
            add, send = output.encoder.add, output.send
            for result in made:
                reply = add(result)
                if reply is not None and not send(reply):
                    await wait(room_for(caller))
                    if caller.gone:
                        return
        if not isinstance(call, OpenCall) or await call.drain():
            output.finish()
    except BaseException as error:
        if failed is None:
            raise
        failed(call, error)


async def room_for(caller: Caller) -> None:
    """Wait until the stream takes more replies, or is over."""
    loop = asyncio.get_running_loop()
    there_is = loop.create_future()

    def tell() -> None:
        if not there_is.done():
            there_is.set_result(None)

    def on_transport() -> None:
        loop.call_soon_threadsafe(tell)

    caller.when_ready(on_transport)
    await there_is


async def _close_async(results: AsyncIterator[Any]) -> None:
    close = getattr(results, "aclose", None)
    if close is not None:
        await close()
