"""How a kind's RPC is served: the flow of its streams, and the strategy that runs their calls.

Each function here makes the service for one place where handlers run. The strategies are imported as they are needed:
a server uses one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..flow import PipedFlow
from ..kind import Calls, OpenCalls
from ..strategy import Codec, OnFailure, OpenStrategy, Strategy
from ._open_rpcs import OpenRpc, PipedOpenRpc
from ._rpcs import CallsRpc, PipedCallsRpc, PipedStream, Rpc, RpcContext

if TYPE_CHECKING:
    import asyncio

    from ..flow import Desk, OpenFlow
    from ..strategy._workers import OnWorkerFailure, Worker
    from ..transport import Stream


class Service(Protocol):
    """What runs behind an RPC. All methods are called on the transport's thread."""

    async def open(self) -> None:
        """Get ready. Raises: StartError."""

    def new_rpc(self, stream: Stream, context: RpcContext) -> Rpc:
        """Serve a stream of a client's."""

    def new_piped_rpc(self, stream: PipedStream, context: RpcContext) -> Rpc:
        """Serve, in a worker process, the part of a stream that it gets."""

    async def close(self, patience: float) -> None:
        """As ``Strategy.close``."""


class _MessageService:
    """Every message is a call."""

    def __init__(self, calls: Calls, strategy: Strategy) -> None:
        self._new_flow = calls.new_flow
        self._reply_each = isinstance(calls.codec, Codec)
        self._strategy = strategy
        self.open = strategy.open
        self.close = strategy.close

    def new_rpc(self, stream: Stream, context: RpcContext) -> Rpc:
        return CallsRpc(stream, context, self._new_flow(), self._strategy, reply_each=self._reply_each)

    def new_piped_rpc(self, stream: PipedStream, context: RpcContext) -> Rpc:
        return PipedCallsRpc(stream, context, PipedFlow(), self._strategy, reply_each=self._reply_each)


class _OpenService:
    """Calls take messages while they run."""

    def __init__(
        self,
        calls: OpenCalls,
        new_flow: Callable[[Desk], OpenFlow],
        strategy: OpenStrategy,
    ) -> None:
        self._new_flow = new_flow
        self._new_part_flow = calls.new_part_flow
        self._keyed = calls.make_push is not None
        self._strategy = strategy
        self.open = strategy.open
        self.close = strategy.close

    def new_rpc(self, stream: Stream, context: RpcContext) -> Rpc:
        return OpenRpc(stream, context, self._new_flow, self._strategy, endless=self._keyed)

    def new_piped_rpc(self, stream: PipedStream, context: RpcContext) -> Rpc:
        return PipedOpenRpc(stream, context, self._new_part_flow, self._strategy, endless=self._keyed)


def on_threads(calls: Calls | OpenCalls, handler: Callable[..., Any], threads: int, on_failure: OnFailure) -> Service:
    """Sync handlers, on that many threads."""
    from ..strategy._threads import OpenThreadStrategy, ThreadStrategy

    threads = calls.limit or threads
    if isinstance(calls, Calls):
        return _MessageService(calls, ThreadStrategy(handler, calls.codec, threads, on_failure))
    strategy: OpenStrategy
    if calls.make_push is None:
        strategy = OpenThreadStrategy(handler, calls.codec, threads, on_failure)
    else:
        from ..strategy._mailboxes import MailboxStrategy

        strategy = MailboxStrategy(handler, calls.codec, calls.make_push, threads, on_failure)
    return _OpenService(calls, calls.new_flow, strategy)


def on_loop(
    calls: Calls | OpenCalls,
    handler: Callable[..., Any],
    limit: int,
    on_failure: OnFailure,
    loop: asyncio.AbstractEventLoop,
) -> Service:
    """Async handlers, on an event loop, up to ``limit`` at once where the kind is not keyed."""
    from ..strategy._tasks import OpenTaskStrategy, TaskStrategy

    limit = calls.limit or limit
    if isinstance(calls, Calls):
        return _MessageService(calls, TaskStrategy(handler, calls.codec, limit, on_failure, loop))
    keyed = calls.make_push is not None
    strategy = OpenTaskStrategy(handler, calls.codec, None if keyed else limit, on_failure, loop)
    return _OpenService(calls, calls.new_flow, strategy)


def in_workers(
    calls: Calls | OpenCalls,
    others: Sequence[Calls | OpenCalls],
    workers: list[Worker],
    concurrency: int,
    on_failure: OnWorkerFailure,
) -> list[Service]:
    """Handlers in worker processes, each of which runs up to ``concurrency`` of them at once. ``others`` are further
    RPCs that the same workers serve; they must be of the same sort as ``calls``: one message, one reply."""
    if isinstance(calls, Calls):
        from ..strategy._processes import ProcessMethod, ProcessStrategy

        reply_each = isinstance(calls.codec, Codec)
        pool = ProcessStrategy(workers, concurrency, on_failure, reply_each=reply_each, methods=1 + len(others))
        services: list[Service] = [_MessageService(calls, pool)]
        for method, each in enumerate(others, start=1):
            assert isinstance(each, Calls)
            assert reply_each
            assert isinstance(each.codec, Codec)
            services.append(_MessageService(each, ProcessMethod(pool, method)))
        return services
    from ..strategy._open_processes import OpenProcessStrategy

    assert not others, "open calls in workers are a kind's only RPC"
    strategy = OpenProcessStrategy(workers, on_failure, keyed=calls.make_push is not None)
    return [_OpenService(calls, calls.new_parent_flow, strategy)]
