"""A call that makes any number of replies: run it, hand its replies over, and hold it back for a slow peer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from time import monotonic
from typing import Any, Final

from ..kind import StreamCodec
from ..rpc import Inbox, Rpc
from ..wire.buffers import Outgoing, count_bytes

_BURST: Final = 256 * 1024
"""Bytes of replies that a call hands over before it waits for them to be on their way. The stream only then knows
whether its peer reads."""

SLICE: Final = 0.005
"""Seconds of calls that never suspend, after which other tasks of the loop get a turn."""

Wait = Callable[[Awaitable[None]], Awaitable[None]]
"""Awaits what it gets, which may take as long as the peer likes."""


class Output:
    """Where one call's results go. The call is an ``Inbox``, or a message that was a call."""

    __slots__ = ("_call", "_size", "_target", "encoder", "rpc")

    def __init__(self, rpc: Rpc, codec: StreamCodec, token: Any, call: Any) -> None:
        self.rpc = rpc
        self.encoder = codec.encoder(token)
        self._call = call
        self._target: Rpc | Inbox = call if isinstance(call, Inbox) else rpc
        self._size = 0

    def add(self, result: Any) -> bool:
        """Reply with a result; return whether the next one may follow at once, as ``send`` does."""
        reply = self.encoder.add(result)
        return self.rpc.ready if reply is None else self.send(reply)

    def send(self, reply: Outgoing | list[Outgoing]) -> bool:
        """Reply, once or several times; return whether the next reply may follow at once. If not, ``Rpc.when_ready``
        tells when it may."""
        if isinstance(reply, list):
            self._target.reply_with(reply)
            self._size += count_bytes(reply)
        else:
            self._target.reply(reply)
            self._size += len(reply)
        if self._size < _BURST:
            return self.rpc.ready
        self._size = 0
        if isinstance(self._target, Inbox):
            self._target.step_out()
        return False

    def finish(self) -> None:
        """Reply with what is left; the call is done."""
        for reply in self.encoder.finish():
            self._target.reply(reply)
        if isinstance(self._target, Inbox):
            self.rpc.done(self._target)
        else:
            self.rpc.answered(len(self._call))


class Outlet:
    """What an async handler puts its results into, one by one."""

    __slots__ = ("_output", "_slice_ends", "_wait")

    def connect(self, output: Output, wait: Wait) -> None:
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
        await self._wait(room_for(self._output.rpc))
        if self._output.rpc.gone:
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

    __slots__ = ("_items", "_output", "_results", "call")

    def __init__(self, codec: StreamCodec, handler: Callable[..., object], rpc: Rpc, call: Any) -> None:
        """Calls the handler. Raises what it and the codec raise."""
        token, self._results = codec.call(handler, call)
        self.call = call
        self._output = Output(rpc, codec, token, call)
        self._items: Iterator[Any] = iter(codec.items(self._results))

    def go(self, drain: Callable[[], bool] | None = None) -> bool:
        """Reply with results; return false when the next one has to wait for ``Rpc.when_ready``.

        Args:
            drain: called when there are no more results; whether the call's end is still of interest.
        """
        output = self._output
        if output.rpc.gone:
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
    handler: Callable[..., Any],
    rpc: Rpc,
    call: Any,
    wait: Wait,
    failed: Callable[[Any, BaseException], None] | None = None,
) -> None:
    """A whole call of an async handler, replies included. What an open call has not read in the end is passed over.

    Args:
        failed: called with ``call`` and what the handler or the codec raised. Without it, that is raised here.
    """
    try:
        token, returned = codec.call(handler, call)
        if hasattr(returned, "__aiter__"):
            output = Output(rpc, codec, token, call)
            add, send = output.encoder.add, output.send
            results: AsyncIterator[Any] = returned.__aiter__()
            slice_ends = monotonic() + SLICE
            async for result in results:
                reply = add(result)
                if reply is not None and not send(reply):
                    await wait(room_for(rpc))
                    if rpc.gone:
                        await _close_async(results)
                        return
                if monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = monotonic() + SLICE
        elif type(returned) is Putting:
            output = Output(rpc, codec, token, call)
            returned.outlet.connect(output, wait)
            await returned.running
        else:
            made = codec.items(await returned)
            output = Output(rpc, codec, token, call)
            add, send = output.encoder.add, output.send
            for result in made:
                reply = add(result)
                if reply is not None and not send(reply):
                    await wait(room_for(rpc))
                    if rpc.gone:
                        return
        if not isinstance(call, Inbox) or await call.drain():
            output.finish()
    except BaseException as error:
        if failed is None:
            raise
        failed(call, error)


async def room_for(rpc: Rpc) -> None:
    """Wait until the stream takes more replies, or is over."""
    loop = asyncio.get_running_loop()
    there_is = loop.create_future()

    def tell() -> None:
        if not there_is.done():
            there_is.set_result(None)

    def on_transport() -> None:
        call_soon(loop, tell)

    rpc.when_ready(on_transport)
    await there_is


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *arguments: object) -> None:
    """Have a loop on another thread call back; nothing where it has been closed: the server has ended."""
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise


async def _close_async(results: AsyncIterator[Any]) -> None:
    close = getattr(results, "aclose", None)
    if close is not None:
        await close()
