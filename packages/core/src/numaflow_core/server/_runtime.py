"""One run of a server: the transport's thread, what it serves, and how it ends."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Final

from ..errors import GracePeriodError, HandlerError, ServerError, StartError
from ..kind import Kind
from ..rpc import ReadyRpc, Rpc, RpcContext, Runner
from ..transport import Receiver, Stream, Transport
from ..values.about import About
from ..wire.status import OK, Status, StatusCode
from ._describe import describe
from ._files import Claim, claim_info, claim_socket, open_to_all, write_info
from ._loops import new_event_loop
from ._options import Options
from ._report import Report
from ._services import Service

logger = logging.getLogger(__name__)

_SHUTTING_DOWN: Final = Status(StatusCode.UNAVAILABLE, "the server is shutting down")

_QUIET: Final = 2.0
"""After ``stop()``: seconds without a new message after which open, fully answered streams are ended. A dataplane that
drains through us may pause that long between batches; one that has gone closes its streams at once."""

_INTAKE_SHARE: Final = 0.8
"""How much of the grace period new messages are taken in; the rest is for answering them."""

_FAILURE_EXIT: Final = 0.7
"""Seconds after a handler's error when the process ends whatever still runs in it."""


class Runtime:
    """Serves one kind on one socket until it is stopped or a handler raises. Each of its RPCs, by full name, is a
    service of its own.

    ``stop``, ``fail`` and ``fail_with`` may be called on any thread, everything else is private to the transport's
    thread. ``ready`` and ``finished`` tell the outside how it goes.
    """

    def __init__(
        self,
        kind: Kind,
        options: Options,
        new_services: Callable[["Runtime"], Mapping[str, Service]],
        *,
        handler: object,
        owns_process: bool,
    ) -> None:
        self.kind = kind
        self.options = options
        self.ready: Future[None] = Future()
        self.finished: Future[ServerError | None] = Future()
        self.is_serving = False
        """Whether a peer may have found the socket, so that there may be something to answer."""
        self.loop: asyncio.AbstractEventLoop
        self._handler = handler
        self._owns_process = owns_process
        self._claims: list[Claim] = []
        self._at_end: list[Callable[[], None]] = []
        self._services = new_services(self)
        self._rpc_context: RpcContext
        self._rpcs: set[Rpc] = set()
        self._end: asyncio.Future[ServerError | None]
        self._stopping = False
        self._deadline: float | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._refusing: Status | None = None
        self._failed = threading.Lock()
        self._announced = threading.Event()
        self._reaper: threading.Timer | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numaflow-transport", daemon=True)

    # -- any thread

    def start(self) -> None:
        """Begin; ``ready`` is set when the socket listens and the server-info file is written."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Answer what has been accepted, then end."""
        self._call(self._stop)

    def fail(self, error: BaseException, about: Callable[[], About | None], handler: object = None) -> None:
        """A handler raised ``error``: tell everybody, then end. Only the first failure counts. ``about`` tells what the
        handler was working on; it may raise."""
        if self._failed.acquire(blocking=False):
            handler = self._handler if handler is None else handler
            self._announce(describe(error, self.kind, handler, about, self.options.log_payload), error)

    def fail_with(self, report: Report) -> None:
        """As ``fail``, for what happened in another process."""
        if self._failed.acquire(blocking=False):
            self._announce(report, None)

    def wait_announced(self) -> None:
        """After a failure: wait until it is told everywhere, as long as promptness allows."""
        self._announced.wait(_FAILURE_EXIT)

    def release_process(self) -> None:
        """The owner has seen the end and goes on living."""
        if self._reaper is not None:
            self._reaper.cancel()

    def at_end(self, callback: Callable[[], None]) -> None:
        """Before the start: have ``callback`` called on the transport's thread when all streams have ended, to let go
        of what outlives calls. It must neither block nor raise."""
        self._at_end.append(callback)

    def remove_files(self) -> None:
        """Remove the socket and the server-info file at once: the process is about to end."""
        for claim in self._claims:
            claim.remove()

    def join(self) -> None:
        """Wait for the transport's thread, which ends right after ``finished`` is set."""
        self._thread.join()

    def _announce(self, report: Report, error: BaseException | None) -> None:
        container = self.options.container_type
        self._call(self._fail, report.status(container), report, error)
        report.tell(container, self.options.errors_dir if self._owns_process else None)
        self._announced.set()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # the loop is closed: the run is over

    # -- the transport's thread

    def _run(self) -> None:
        self.loop = new_event_loop(self.options.transport)
        asyncio.set_event_loop(self.loop)
        self._end = self.loop.create_future()
        self._rpc_context = RpcContext(self.loop, self.options.max_message_size, self._progress, self.fail)
        self._started.set()
        outcome: ServerError | None
        try:
            outcome = self.loop.run_until_complete(self._serve())
        except ServerError as error:
            outcome = error
        except BaseException as error:
            outcome = ServerError(f"the server failed: {error!r}")
            outcome.__cause__ = error
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
        if not self.ready.done():
            self.ready.set_exception(outcome or StartError("the server was stopped before it listened"))
        self.finished.set_result(outcome)

    async def _serve(self) -> ServerError | None:
        kind, options = self.kind, self.options
        transport = new_transport(options)
        try:
            self._claims.append(sock := claim_socket(options.sock_path))
            self._claims.append(info := claim_info(options.server_info_file))
            for runner in self._runners():
                await runner.open()
            methods = {rpc: partial(self._accept, service) for rpc, service in self._services.items()}
            try:
                await transport.listen(sock.draft, {**methods, kind.ready_rpc: ReadyRpc})
                open_to_all(sock.draft)
                self.is_serving = True
                sock.publish()
            except OSError as error:
                raise StartError(f"cannot listen on {options.sock_path}: {error.strerror or error}") from error
            sdk = {"sdk": f"{kind.distribution} {kind.version}"}
            write_info(info, kind.minimum_numaflow_version, {**kind.info_metadata, **sdk})
            self.ready.set_result(None)
            outcome = await self._end
            self._refusing = self._refusing or _SHUTTING_DOWN
            return outcome
        finally:
            self.remove_files()
            await transport.close(self._patience())
            for callback in self._at_end:
                callback()
            await asyncio.gather(*(runner.close(self._patience()) for runner in self._runners()))

    def _runners(self) -> Iterable[Runner]:
        """The runners of the kind's RPCs, which may share one."""
        return dict.fromkeys(service.runner for service in self._services.values())

    def _patience(self) -> float:
        """Seconds that peers get to read their replies, and workers to end: what is left of the grace period, or after
        a failure as much as promptness allows."""
        if self._failed.locked() or self._deadline is None:
            return _FAILURE_EXIT / 4
        return max(self._deadline - self.loop.time(), _FAILURE_EXIT / 4)

    def _accept(self, service: Service, stream: Stream) -> Receiver:
        rpc = service.new_rpc(stream, self._rpc_context)
        if self._refusing is not None:
            rpc.end(self._refusing)
        else:
            self._rpcs.add(rpc)
            self._check_stopped()
        return rpc

    def _progress(self, rpc: Rpc) -> None:
        """Messages came in, all were answered, or the stream is over."""
        if rpc.gone:
            self._rpcs.discard(rpc)
        if self._stopping:
            self._check_stopped()

    def _stop(self) -> None:
        if self._stopping or self._end.done():
            return
        self._stopping = True
        grace = self.options.grace_period
        self._deadline = self.loop.time() + grace
        logger.info("stopping: up to %.0f s to answer what was accepted", grace)
        self.loop.call_later(grace * _INTAKE_SHARE, self._refuse)
        self.loop.call_later(grace, self._grace_over)
        self._arm_reaper(grace + _FAILURE_EXIT, 0)
        self._check_stopped()

    def _check_stopped(self) -> None:
        """While stopping: end when nobody is there, or when nobody has said anything for a while."""
        if not self._stopping or self._end.done():
            return
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if not self._rpcs:
            self._finish(None)
        elif not any(rpc.unanswered for rpc in self._rpcs):
            if self._refusing is not None:
                self._all_answered()
            else:
                self._quiet = self.loop.call_later(_QUIET, self._all_answered)

    def _refuse(self) -> None:
        """Take in nothing more."""
        self._refusing = _SHUTTING_DOWN
        for rpc in self._rpcs:
            rpc.refuse()
        self._check_stopped()

    def _all_answered(self) -> None:
        for rpc in list(self._rpcs):
            rpc.end(self._refusing or OK)
        self._finish(None)

    def _grace_over(self) -> None:
        left = sum(rpc.unanswered for rpc in self._rpcs)
        if left and not self._end.done():
            text = f"the grace period of {self.options.grace_period:.0f} s is over with {left} messages unanswered"
            logger.error("%s", text)
            self._arm_reaper(_FAILURE_EXIT, 1)
            self._finish(GracePeriodError(text))  # before the streams end, whose end would be a clean one
            for rpc in list(self._rpcs):
                rpc.end(Status(StatusCode.UNAVAILABLE, text))

    def _fail(self, status: Status, report: Report, error: BaseException | None) -> None:
        if self._end.done():
            return
        self._refusing = status
        self._arm_reaper(_FAILURE_EXIT, 1)
        failure = HandlerError(report.summary)
        failure.__cause__ = error
        self._finish(failure)
        for rpc in list(self._rpcs):
            rpc.end(status)

    def _finish(self, outcome: ServerError | None) -> None:
        if not self._end.done():
            self._end.set_result(outcome)

    def _arm_reaper(self, seconds: float, status: int) -> None:
        """End the process in ``seconds``, whatever blocks it: a handler that never returns cannot be ended alone."""
        if not self._owns_process:
            return
        if self._reaper is not None:
            self._reaper.cancel()
        self._reaper = threading.Timer(seconds, exit_now, (status,))
        self._reaper.daemon = True
        self._reaper.start()


def exit_now(status: int) -> None:
    """End the process without waiting for its threads. What was printed gets a moment to be written out."""
    flush = threading.Thread(target=_flush_output, daemon=True)
    flush.start()
    flush.join(0.1)
    os._exit(status)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or replaced by something odd; the process ends


def new_transport(options: Options) -> Transport:
    """The transport that the options name. ``grpc`` is imported only when it is asked for."""
    if options.transport == "grpcio":
        from ..transport._grpcio import GrpcioTransport

        return GrpcioTransport(options.max_message_size)
    from ..transport.h2 import H2Transport

    return H2Transport(options.max_message_size)
