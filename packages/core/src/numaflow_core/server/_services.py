"""How a kind's RPCs are served: the runner of their calls, and what makes an ``Rpc`` of a stream.

Runners are imported as they are needed: a server uses one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..flows.bidi import EachFlow
from ..kind import Flow, RpcSpec, StreamCodec
from ..rpc import OnFailure, Rpc, RpcContext, Runner
from ..transport import OUTPUT_LIMIT, Stream

if TYPE_CHECKING:
    import asyncio

    from ..runners.workers import WorkerRunner


class Service(NamedTuple):
    """What serves the streams of an RPC."""

    new_flow: Callable[[], Flow]
    runner: Runner
    method: int = 0
    """The number of the RPC among those of its kind."""

    output_limit: int = OUTPUT_LIMIT
    """As in ``Rpc``."""

    def new_rpc(self, stream: Stream, context: RpcContext) -> Rpc:
        """Serve a stream."""
        return Rpc(stream, context, self.new_flow(), self.runner, method=self.method, output_limit=self.output_limit)


def on_threads(spec: RpcSpec, handler: Callable[..., Any], threads: int, on_failure: OnFailure) -> Runner:
    """Runs sync handlers on that many threads."""
    threads = spec.limit or threads
    if spec.make_push is None:
        from ..runners.threads import ThreadRunner

        return ThreadRunner(handler, spec.codec, threads, on_failure)
    from ..runners.mailboxes import MailboxRunner

    assert isinstance(spec.codec, StreamCodec)
    return MailboxRunner(handler, spec.codec, spec.make_push, threads, on_failure)


def on_loop(
    spec: RpcSpec,
    handler: Callable[..., Any],
    limit: int,
    on_failure: OnFailure,
    loop: asyncio.AbstractEventLoop,
) -> Runner:
    """Runs async handlers on an event loop, up to ``limit`` at once where the RPC is not keyed."""
    from ..runners.loop import LoopRunner

    return LoopRunner(handler, spec.codec, None if spec.keyed else spec.limit or limit, on_failure, loop)


def in_workers(specs: Sequence[RpcSpec], runner: WorkerRunner) -> list[Service]:
    """Services of a kind's RPCs whose calls run in worker processes."""
    return [Service(spec.new_parent_flow or spec.new_flow, runner, number) for number, spec in enumerate(specs)]


def in_a_worker(spec: RpcSpec, runner: Runner) -> Service:
    """The service of an RPC's shares, in a worker process. What open calls have made is copied into the pipe at once,
    and there may be one for each of very many keys: it is no more than the pipe takes."""
    if spec.new_worker_flow is None:
        return Service(EachFlow, runner)
    from ..runners.pipe import WRITE_HIGH_WATER

    return Service(spec.new_worker_flow, runner, output_limit=WRITE_HIGH_WATER)
