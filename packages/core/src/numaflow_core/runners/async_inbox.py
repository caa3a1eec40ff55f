"""What a handler on an event loop reads of a call that takes inputs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..rpc import Inbox, Rpc
from .output import room_for

if TYPE_CHECKING:
    from .loop import LoopRunner

_NOTHING: Final[Iterator[Any]] = iter(())


class AsyncInbox(Inbox):
    """An async iterator of a call's inputs.

    It is no generator, for a generator is over once something is raised in it, and a handler may well give up waiting
    (``asyncio.wait_for(anext(datums), 5)``) and come back later.
    """

    # There may be one for each of a million keys: nothing is made before it is needed.
    __slots__ = ("_batch", "_closed", "_count", "_next", "_rest", "_runner", "_size", "_view", "task", "waiter")

    def __init__(self, rpc: Rpc, call: Any, runner: LoopRunner) -> None:
        super().__init__(rpc, call)
        self._runner = runner
        self._next: Delivery | None = None  # the messages that the handler gets next,
        self._rest: deque[Delivery] | None = None  # and those that it gets then
        self._batch: Iterator[Any] = _NOTHING  # what it is working on,
        self._count = 0  # how many messages that were,
        self._size = 0  # and how many bytes
        self._view: Callable[[Any], Any] | None = None
        self._closed = False
        self.waiter: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None

    # -- the transport's thread

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        self._runner.deliveries.append((self, inputs, size))

    def close(self) -> None:
        self._runner.deliveries.append((self, (), 0))

    def leave(self) -> None:
        self.left = True
        self._runner.was_left(self)

    # -- the event loop

    def receive(self, delivery: Delivery) -> None:
        """What came, in order."""
        if not delivery[1]:
            self._closed = True
        elif self._next is None:
            self._next = delivery
        elif self._rest is None:
            self._rest = deque((delivery,))
        else:
            self._rest.append(delivery)

    def inputs(self, view: Callable[[Any], Any] | None = None) -> AsyncIterator[Any]:
        self._batch = _NOTHING
        self._view = view
        return self

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        # What it awaits is created anew for each batch, which for a kind with many keys is as good as each message: so
        # there is no coroutine beside this one.
        runner, rpc = self._runner, self.rpc
        for each in self._batch:
            if rpc.gone:
                break
            self.latest = each
            return each
        if self._count:  # whoever comes here is done with the batch before
            rpc.released(self._count, self._size)
            self._count = 0
            self.latest = None
            self._batch = _NOTHING
            if self._next is not None:
                await asyncio.sleep(0)  # what never runs dry leaves other tasks their turn
        while True:
            while self._next is None and not self._closed and not self.left:
                if self.waiter is not None and not self.waiter.done():
                    raise RuntimeError("the next message is being waited for already: await one before the other")
                self.waiter = runner.loop.create_future()
                await self.waiter
                self.waiter = None
            if self.left:
                if runner.keyed:
                    raise asyncio.CancelledError  # also to a handler that has caught the one of its task
                raise StopAsyncIteration
            if not runner.keyed or rpc.ready:
                break
            # Or each of very many keys would make one more result for a peer that does not read.
            await room_for(rpc)
        return self._take()

    def _take(self) -> Any:
        """Begin with the next messages: return the first."""
        if self._next is None:
            self.latest = None
            self.told_closed()
            raise StopAsyncIteration
        _, inputs, self._size = self._next
        self._count = len(inputs)
        rest = self._rest
        if rest is None:
            self._next = None
        else:
            self._next = rest.popleft()
            if not rest:
                self._rest = None
        view = self._view
        if self._count == 1:
            self.latest = inputs[0] if view is None else view(inputs[0])
        else:
            self._batch = iter(inputs) if view is None else map(view, inputs)
            self.latest = next(self._batch)
        return self.latest

    async def drain(self) -> bool:
        """Pass over what the handler has not read, to the end of the call; return whether its stream is still there."""
        if self.waiter is not None:
            self.waiter.cancel()  # it is not the handler's any more, which may have left somebody waiting
        async for _ in self.inputs():
            pass
        return not self.left


Delivery = tuple[AsyncInbox, Sequence[Any], int]
"""Inputs of a call, which took that many bytes; none where there are no more to come."""
