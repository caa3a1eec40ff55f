"""The transport on the official library, ``grpc.aio``: for comparison, and as the way out. ``grpc`` is imported only
here.

grpc moves one message in one operation, and each operation crosses two threads. So there is nothing to batch:
messages come and go one by one.
"""

import asyncio
import errno
import logging
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import quote

import grpc
import grpc.aio

from ..transport import INITIAL_WINDOW, MESSAGE_COST, OUTPUT_LIMIT, STREAM_WINDOW, Accept, Receiver
from ..wire.buffers import Outgoing, count_bytes
from ..wire.headers import ended
from ..wire.status import ProtocolError, Status, StatusCode
from ._sockets import listed_at

logger = logging.getLogger(__name__)

_GRPC_LOGGER: Final = logging.getLogger("grpc._cython.cygrpc")
_WINDOW: Final = STREAM_WINDOW // 3
"""Bytes of unanswered messages of a stream; grpc holds several times as much before we see it."""

_MAX_STREAMS: Final = 2000
"""Streams of a connection, which grpc does not limit by itself. It refuses those beyond on that connection alone."""

_MAX_METADATA: Final = 64 * 1024
"""Bytes of a request's headers. More ends the call with RESOURCE_EXHAUSTED."""

_IDENTITY: Final = 1
"""A set of one encoding, as grpc counts them. It ends calls with any other that it knows as UNIMPLEMENTED, before a
message is decompressed."""

_MAX_WAITING: Final = 4 * _MAX_STREAMS
"""RPCs that grpc holds until we take them. It ends those beyond as CANCELLED, whoever makes them, and by itself begins
with that at 1000, at random: a flood of one peer would end the RPCs of others. It takes several peers now."""

_READING: Final = 0.1
"""Seconds between the last status and the end of its connection. grpc closes the socket at once, and a client whose
next write then fails may not read what it has been sent; nothing tells when it has."""

_CLOSING: Final = Status(StatusCode.UNAVAILABLE, "the server is shutting down")


class _Context(Protocol):
    """What is used of ``grpc.aio.ServicerContext``. For an RPC that is over its methods raise ``BaseError``."""

    async def send_initial_metadata(self, metadata: Sequence[tuple[str, str]]) -> None:
        """Tell the peer that the RPC is served."""

    async def read(self) -> object:
        """The next message, as bytes; ``grpc.aio.EOF``, any number of times, when there is none to come."""

    async def write(self, message: bytes) -> None:
        """Send a message; returns when the peer has let it in."""

    def set_code(self, code: int) -> None:
        """Set what the trailers will say."""

    def set_details(self, details: str) -> None:
        """Set the status message."""

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, bytes]]) -> None:
        """Set the other trailers."""


class _CallDetails(Protocol):
    """What is used of ``grpc.HandlerCallDetails``."""

    method: str


class GrpcioStream:
    """Implements ``transport.Stream``. The task that grpc runs for the RPC writes; a task beside it reads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._receiver: Receiver | None = None
        self._held = 0  # bytes of messages that are not released
        self._window = INITIAL_WINDOW
        self._readable = asyncio.Event()  # there may be room for another message
        self._out: deque[Outgoing] = deque()
        self._out_size = 0
        self._writable = asyncio.Event()  # there is output, or a status
        self._drain_wanted = False
        self._status: Status | None = None
        self._done = False

    # -- transport.Stream

    @property
    def congested(self) -> bool:
        return self._out_size > OUTPUT_LIMIT

    def send(self, messages: Sequence[Outgoing], count: int = 0, size: int = 0) -> None:
        if count:
            self.release(count, size)
        if self._over:
            return
        self._out.extend(messages)
        self._out_size += count_bytes(messages)
        if self.congested:
            self._drain_wanted = True
        self._writable.set()

    def finish(self, status: Status) -> None:
        if self._over:
            return
        self._status = status
        self._writable.set()
        self._readable.set()

    def fail(self, error: ProtocolError) -> None:
        if not self._over:
            logger.warning("%s: stream ended with %s", self._name, ended(error.status))
            self.cut(error.status)

    def release(self, count: int, size: int) -> None:
        self._held -= size + count * MESSAGE_COST
        self._window = _WINDOW
        self._readable.set()

    # -- for the transport

    def begin(self, accept: Accept) -> None:
        """Tell the server of the RPC."""
        self._receiver = accept(self)

    async def write(self, context: _Context) -> None:
        """Send what is queued until the RPC is finished, then set how it ended."""
        while (status := self._status) is None or self._out:
            if not self._out:
                self._writable.clear()
                await self._writable.wait()
                continue
            message = self._out.popleft()
            await context.write(message if type(message) is bytes else bytes(message))
            self._out_size -= len(message)
            if self._drain_wanted and self._out_size <= OUTPUT_LIMIT // 2:
                self._drain_wanted = False
                self._readable.set()
                if self._receiver is not None and not self._over:
                    self._receiver.drained()
        context.set_code(int(status.code))
        context.set_details(status.message.encode("utf-8", "replace").decode("utf-8"))
        if status.details:
            context.set_trailing_metadata([("grpc-status-details-bin", status.details)])

    async def read(self, context: _Context) -> None:
        """Hand over what arrives, as long as there is room for it."""
        receiver = self._receiver
        assert receiver is not None
        try:
            while (message := await self._next(context)) is not None:
                self._held += len(message) + MESSAGE_COST
                receiver.received([message])
            if not self._over:
                receiver.half_closed()
        except ProtocolError as error:
            self.fail(error)
        except grpc.aio.BaseError:
            pass  # the status went out in the meantime
        except Exception:
            logger.exception("%s: the server failed to take a message", self._name)
            self.cut(Status(StatusCode.UNKNOWN, "the server failed to take a message"))

    def cut(self, status: Status) -> None:
        """End the RPC for the server, if it has not ended it; what is queued still goes out."""
        if not self._over:
            self.finish(status)
            self._tell_cancelled()

    def close(self) -> None:
        """Stop here; nothing is read or written any more."""
        lost = not self._over
        self._done = True
        self._out.clear()
        self._out_size = 0
        self._readable.set()
        if lost:
            self._tell_cancelled()

    async def _next(self, context: _Context) -> bytes | None:
        """The next message, once there is room for it; None when there is none, or the RPC is over.

        One message is read ahead, because that is the only way to see the end of input, which needs no room.
        """
        if self._over:  # grpc may have freed the call: it must not be touched any more
            return None
        read = await context.read()
        message = read if isinstance(read, bytes) else None
        if message is None and not self._over:
            # A lost peer looks like the end of input at first; grpc hears of the loss a moment later. When another
            # read comes back it has. Its news passes through two tasks before ours is told, a turn of the loop each,
            # and may be behind the read in the first of them. Nothing else tells: an end of input has no such event.
            await context.read()
            for _ in range(3):
                await asyncio.sleep(0)
        while not self._over and (self.congested or (self._held > self._window and message is not None)):
            self._readable.clear()
            await self._readable.wait()
        return None if self._over else message

    @property
    def _over(self) -> bool:
        """Whether the server or the peer has ended the RPC."""
        return self._done or self._status is not None

    def _tell_cancelled(self) -> None:
        if self._receiver is not None:
            self._receiver.cancelled()


class GrpcioTransport:
    """Implements ``transport.Transport``."""

    def __init__(self, max_message_size: int) -> None:
        self._options = (
            ("grpc.max_send_message_length", max_message_size),
            ("grpc.max_receive_message_length", max_message_size),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.bdp_probe", 0),  # takes a busy machine for a long line, and then holds messages without limit
            ("grpc.http2.lookahead_bytes", INITIAL_WINDOW),
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY),
            ("grpc.max_metadata_size", _MAX_METADATA),
            ("grpc.absolute_max_metadata_size", _MAX_METADATA),
            ("grpc.max_concurrent_streams", _MAX_STREAMS),
            ("grpc.server.max_pending_requests", _MAX_WAITING),
            ("grpc.server.max_pending_requests_hard_limit", _MAX_WAITING),
        )
        self._methods: Mapping[str, Accept] = {}
        self._streams: set[GrpcioStream] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: grpc.aio.Server | None = None
        self._served = False
        self._path = ""

    async def listen(self, path: str, methods: Mapping[str, Accept]) -> None:
        self._methods = methods
        self._path = path
        server = grpc.aio.server(handlers=[self], options=self._options)
        try:
            server.add_insecure_port(f"unix:{quote(path)}")
        except RuntimeError as error:
            raise _bind_error(path) from error
        _GRPC_LOGGER.addFilter(_worth_logging)
        self._server = server
        await server.start()

    def connected(self) -> int:
        """As ``Transport`` says. grpc does not tell of connections, but they are this process's sockets."""
        try:
            return sum(has_peer for _, has_peer in listed_at(self._path))
        except OSError:
            return len(self._streams)  # there is no descriptor left to list them with

    async def close(self, patience: float) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for stream in list(self._streams):
            stream.cut(_CLOSING)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        if self._served:
            await asyncio.sleep(min(_READING, patience / 3))
        try:
            await asyncio.wait_for(server.stop(patience), 2 * patience)
        except asyncio.TimeoutError:
            logger.warning("grpc has not stopped within %.2f s; leaving it", 2 * patience)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=patience)

    def service(self, details: _CallDetails) -> object:
        """How to serve an RPC (``grpc.GenericRpcHandler``). grpc refuses it with UNIMPLEMENTED when this is None."""
        name = details.method
        accept = self._methods.get(name)
        if accept is None:
            logger.warning("refused a request for %r: unknown method", name)
            return None

        async def serve(_: object, context: _Context) -> None:
            await self._serve(name, accept, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _serve(self, name: str, accept: Accept, context: _Context) -> None:
        """The life of an RPC, in a task of grpc's, which cancels it when the peer is gone."""
        if self._server is None:
            context.set_code(int(_CLOSING.code))
            context.set_details(_CLOSING.message)
            return
        self._served = True
        self._own(asyncio.current_task())
        stream = GrpcioStream(name)
        self._streams.add(stream)
        try:
            stream.begin(accept)
            await context.send_initial_metadata(())
            self._own(asyncio.create_task(stream.read(context), name=f"numaflow-read-{name}"))
            await stream.write(context)
        except grpc.aio.BaseError as error:
            raise asyncio.CancelledError from error  # the peer is gone, grpc is about to say the same
        finally:
            self._streams.discard(stream)
            stream.close()

    def _own(self, task: asyncio.Task[None] | None) -> None:
        """Remember a task until it has ended."""
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _worth_logging(record: logging.LogRecord) -> bool:
    """A filter for grpc's log: a peer that goes away while its status is being sent is no error, grpc reports it as
    one."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, grpc.aio.InternalError)


def _bind_error(path: str) -> OSError:
    """Why a socket cannot be bound at ``path``; grpc does not tell."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(path)
    except OSError as error:
        return error
    os.unlink(path)
    return OSError(errno.EADDRNOTAVAIL, "grpc cannot bind a socket there")
