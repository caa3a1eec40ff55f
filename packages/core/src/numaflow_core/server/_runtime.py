"""One run of a server: the transport's thread, what it serves, and how it ends."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Final

from ..errors import HandlerError, ServerError, StartError
from ..kind import Kind
from ..rpc import ReadyRpc, RpcContext, Runner
from ..transport import Accept, Transport
from ..transport._sockets import listed_at
from ..values.about import About
from ..wire.status import Status
from ._children import keep_from_children
from ._describe import describe
from ._drain import SHUTTING_DOWN, Drain
from ._files import Claim, claim_info, claim_socket, open_to_all, write_info
from ._loops import new_event_loop
from ._options import Options
from ._report import Report
from ._services import Service
from ._watchdog import Watchdog, exit_now

logger = logging.getLogger(__name__)

FAILURE_EXIT: Final = 0.85
"""Seconds after a handler's error when the process ends, whatever still runs in it."""

_LAST_RESORT: Final = 0.2
"""Seconds after that when it ends although C code holds the interpreter."""

DESCRIBING: Final = 0.5
"""Seconds after a handler's error when streams end without a description of it, should there be none by then."""

_CLOSING: Final = 0.175
"""Seconds that peers get to read their replies, and workers to end, after an error."""


_DESCRIPTORS: Final = 32

_STOPPED: Final = "the server was stopped before it listened"


class StoppedAtStartError(StartError):
    """The server was stopped before it listened: nothing went wrong."""


class Runtime:
    """Serves one kind on one socket until it is stopped or a handler raises. Each of its RPCs, by full name, is a
    service of its own.

    ``stop``, ``fail`` and ``fail_with`` may be called on any thread, everything else is private to the transport's
    thread. ``ready``, ``finished`` and ``told`` tell the outside how it goes.
    """

    def __init__(
        self,
        kind: Kind,
        options: Options,
        new_services: Callable[["Runtime"], Mapping[str, Service]],
        *,
        handler: object,
    ) -> None:
        self.kind = kind
        self.options = options
        self.watchdog: Watchdog | None = None
        """What ends the process, where that is ours to end."""

        self.ready: Future[None] = Future()
        self.finished: Future[ServerError | None] = Future()
        self.told: Future[None] = Future()
        """After a failure: it is told everywhere."""

        self.is_serving = False
        """Whether a peer may have found the socket, so that there may be something to answer."""

        self._handler = handler
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: Transport
        self._end: asyncio.Future[ServerError | None]
        self._drain: Drain
        self._at_end: list[Callable[[], None]] = []
        self._claims: list[Claim] = []
        self._publishing = threading.Lock()  # held while files are made, and while they are removed
        self._files_are_gone = False
        self._stop_asked = False
        self._over = False
        self._failed = threading.Lock()  # taken by the first failure, for good
        self._to_tell: SimpleQueue[tuple[Callable[[], Report], BaseException | None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="numaflow-transport", daemon=True)
        self._teller = threading.Thread(target=self._tell, name="numaflow-report", daemon=True)
        self._services = new_services(self)

    # -- any thread

    def start(self) -> None:
        """Begin; ``ready`` is set when the socket listens and the server-info file is written.

        Raises:
            StartError: there are no threads or file descriptors left.
        """
        late = any(method.takes_late for method in self.kind.methods)
        grace_period = self.options.grace_period
        loop = None
        try:
            check_descriptors()
            loop = new_event_loop(self.options.transport)
            self._transport = new_transport(self.options)
            self._end = loop.create_future()
            self._drain = Drain(loop, grace_period, self._transport.connected, self._finish, takes_late=late)
            self._loop = loop
            self._teller.start()
            self._thread.start()
        except (OSError, RuntimeError) as error:
            self._to_tell.put(None)
            if loop is not None:
                loop.close()
            raise StartError(f"cannot start: {reason(error)}") from error

    def stop(self, *, at_once: bool = False) -> None:
        """Serve for as long as a peer is connected, then end; or take in nothing more from now on, answer what has been
        accepted, and end."""
        self._stop_asked = True
        if self.watchdog is not None and not self._over:
            self.watchdog.end_in(self.options.grace_period)
        self._call(self._stop, at_once)

    def fail(self, error: BaseException, about: Callable[[], About | None], handler: object = None) -> None:
        """A handler raised ``error``: end, and tell everybody. Only the first failure counts. ``about`` tells what the
        handler was working on; it may raise."""
        if self.failing():
            handler = self._handler if handler is None else handler
            log_payload = self.options.log_payload
            self._to_tell.put((partial(describe, error, self.kind, handler, about, log_payload), error))

    def fail_with(self, report: Report) -> None:
        """As ``fail``, for what happened in another process."""
        if self.failing():
            self._to_tell.put((lambda: report, None))

    def failing(self) -> bool:
        """Have the run end, and the process, because of a failure that is yet to be described; return whether it is the
        first. Does not look at the failure, and so can neither fail nor be held up by it."""
        if os.getpid() != self._process:
            exit_now(1)  # a process that a handler has forked, and that came back out of it
        if self._over or not self._failed.acquire(blocking=False):
            return False
        if self.watchdog is not None:
            self.watchdog.status = 1
            self.watchdog.end_in(FAILURE_EXIT)
        self._call(self._expect_report)
        if self.watchdog is not None:
            self.watchdog.arm_last_resort(_LAST_RESORT)
        return True

    def at_end(self, callback: Callable[[], None]) -> None:
        """Before the start: have ``callback`` called on the transport's thread when all streams have ended, to let go
        of what outlives calls. It must neither block nor raise."""
        self._at_end.append(callback)

    def remove_files(self) -> None:
        """Remove the socket and the server-info file, for good. Does nothing in a process that a handler has forked."""
        if os.getpid() == self._process and self._publishing.acquire(timeout=_CLOSING):
            self._files_are_gone = True
            for claim in self._claims:
                claim.remove()
            self._publishing.release()

    def join(self) -> None:
        """Wait for the transport's thread, which ends right after ``finished`` is set."""
        self._thread.join()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(function, *arguments)
            except RuntimeError:
                pass  # the loop is closed: the run is over

    # -- the report's thread

    def _tell(self) -> None:
        """Tell of the first failure. It may take for ever: the end does not wait for it."""
        failure = self._to_tell.get()
        if failure is None:
            return
        make_report, error = failure
        try:
            report = make_report()
            container = self.options.container_type
            self._call(self._fail, report.status(container), report.summary, error)
            report.tell(container, None if self.watchdog is None else self.options.errors_dir)
        except BaseException:
            pass  # the streams end without a description
        self.told.set_result(None)

    # -- the transport's thread

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        outcome: ServerError | None
        try:
            outcome = loop.run_until_complete(self._serve())
        except ServerError as error:
            outcome = error
        except BaseException as error:
            outcome = ServerError(f"the server failed: {error!r}")
            outcome.__cause__ = error
        finally:
            self._over = True
            self._to_tell.put(None)
            asyncio.set_event_loop(None)
            loop.close()
        if not self.ready.done():
            self.ready.set_exception(outcome or StoppedAtStartError(_STOPPED))
        self.finished.set_result(outcome)

    async def _serve(self) -> ServerError | None:
        if self._stop_asked:
            self._stop(at_once=False)
        forget = keep_from_children(self._descriptors)
        try:
            await self._begin()
            return await self._end
        finally:
            self.remove_files()
            self._drain.end_all(SHUTTING_DOWN)
            await self._transport.close(self._patience())
            for callback in self._at_end:
                callback()
            await asyncio.gather(*(runner.close(self._patience()) for runner in self._runners()))
            forget()

    async def _begin(self) -> None:
        """Open everything, unless the end comes first."""
        opening = asyncio.ensure_future(self._open())
        try:
            await asyncio.wait((opening, self._end), return_when=asyncio.FIRST_COMPLETED)
        finally:
            opening.cancel()
        await asyncio.wait((opening,))
        if not opening.cancelled():
            opening.result()
            self.ready.set_result(None)

    async def _open(self) -> None:
        kind, options = self.kind, self.options
        self._claims.append(sock := claim_socket(options.sock_path))
        self._claims.append(info := claim_info(options.server_info_file))
        try:
            for runner in self._runners():
                await runner.open()
        except (OSError, RuntimeError) as error:
            raise StartError(f"cannot start: {reason(error)}") from error
        with self._publishing:  # nobody ends the process between these steps
            if self._files_are_gone:
                raise StoppedAtStartError(_STOPPED)
            try:
                await self._transport.listen(sock.draft, {**self._methods(), kind.ready_rpc: ReadyRpc})
                open_to_all(sock.draft)
                self.is_serving = True
                sock.publish()
            except OSError as error:
                raise StartError(f"cannot listen on {options.sock_path}: {error.strerror or error}") from error
            sdk = {"sdk": f"{kind.distribution} {kind.version}"}
            write_info(info, kind.minimum_numaflow_version, {**kind.info_metadata, **sdk})

    def _methods(self) -> dict[str, Accept]:
        """What takes the streams of each method, by its full name."""
        loop = self._loop
        assert loop is not None
        context = RpcContext(loop, self.options.max_message_size, self._drain.progress, self.fail)
        late = {self.kind.path(method.name) for method in self.kind.methods if method.takes_late}
        return {
            path: partial(self._drain.accept, partial(service.new_rpc, context=context), path in late)
            for path, service in self._services.items()
        }

    def _runners(self) -> Iterable[Runner]:
        """The runners of the kind's RPCs, which may share one."""
        return dict.fromkeys(service.runner for service in self._services.values())

    def _descriptors(self) -> Iterable[int]:
        """Of the socket, and of its connections."""
        return [number for claim in self._claims for number, _ in listed_at(claim.draft)]

    def _patience(self) -> float:
        """Seconds that peers get to read their replies, and workers to end: what is left of the grace period, or after
        a failure as much as promptness allows."""
        deadline = self._drain.deadline
        if self._failed.locked() or deadline is None or not self.is_serving:
            return _CLOSING
        return max(deadline - asyncio.get_running_loop().time() - FAILURE_EXIT, _CLOSING)

    def _stop(self, at_once: bool) -> None:
        self._drain.stop(at_once=at_once)

    def _expect_report(self) -> None:
        """A handler has raised. Streams are to say what, but not to wait for it for long."""
        report = undescribed(self.kind)
        status = report.status(self.options.container_type)
        asyncio.get_running_loop().call_later(DESCRIBING, self._fail, status, report.summary, None)

    def _fail(self, status: Status, summary: str, error: BaseException | None) -> None:
        if self._end.done():
            return
        failure = HandlerError(summary)
        failure.__cause__ = error
        self._finish(failure)
        self._drain.end_all(status)

    def _finish(self, outcome: ServerError | None) -> None:
        if not self._end.done():
            self._end.set_result(outcome)
            if outcome is None and self.watchdog is not None and not self._failed.locked():
                self.watchdog.status = 0  # whatever the end itself takes


def undescribed(kind: Kind) -> Report:
    """What is told of an error where nothing better is known in time."""
    return Report(f"a {kind.name} handler raised an error that takes too long to describe", "")


def new_transport(options: Options) -> Transport:
    """The transport that the options name. ``grpc`` is imported only when it is asked for."""
    if options.transport == "grpcio":
        # What grpc does by itself at a fork crashes or hangs the child of a handler, beside a server.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        from ..transport._grpcio import GrpcioTransport

        return GrpcioTransport(options.max_message_size)
    from ..transport.h2 import H2Transport

    return H2Transport(options.max_message_size)


def check_descriptors() -> None:
    """See whether there are the file descriptors that a server takes at least. Event loops, and grpc, cannot be let go
    of in good order when they find only some of what they need.

    Raises:
        OSError: there are not.
    """
    taken: list[int] = []
    try:
        for _ in range(_DESCRIPTORS):
            taken.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401 - those before one that fails are closed
    finally:
        for descriptor in taken:
            os.close(descriptor)


def reason(error: BaseException) -> str:
    """Why something could not be had, in the system's words."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
