"""A client that moves undecoded messages and knows no kind."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from .._proto.ready_pb2 import ReadyResponse
from .._proto.rpc_status_pb2 import DebugInfo, Status
from ..values.durations import Duration, seconds

_DETAILS: Final = "grpc-status-details-bin"
_TRAILER_LIMIT: Final = 8 * 1024
"""Trailers beyond this fail the call here, so that a test fails where the dataplane could lose a status."""

_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own for every client
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", _TRAILER_LIMIT),
    ("grpc.absolute_max_metadata_size", _TRAILER_LIMIT),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # how long connecting itself may take
    ("grpc.max_reconnect_backoff_ms", 200),
)


@dataclass(frozen=True)
class Outcome:
    """How an RPC ended."""

    code: str
    """Name of the gRPC status code: ``"OK"``, ``"INTERNAL"``, ..."""

    message: str = ""
    details: bytes = b""
    """The trailer ``grpc-status-details-bin``: a serialized ``google.rpc.Status``."""

    @property
    def traceback(self) -> str:
        """What the server told of a handler's error, from the details; empty where there is none."""
        try:
            status = Status.FromString(self.details)
            texts = [
                DebugInfo.FromString(detail.value).detail
                for detail in status.details
                if detail.type_url.endswith("/google.rpc.DebugInfo")
            ]
        except DecodeError:
            return ""
        return "\n".join(texts)

    def __str__(self) -> str:
        parts = (f"{self.code}: {self.message}" if self.message else self.code, self.traceback)
        return "\n".join(part for part in parts if part)


class RpcEndedError(Exception):
    """The server has ended the RPC, and a reply was asked for. ``outcome`` tells how it ended."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


class UdfClient:
    """A connection to a server's unix socket. Use it in a ``with`` statement, or call ``close()``.

    Connecting begins with the first use, and is tried anew while the server is not there.
    """

    def __init__(self, sock_path: str) -> None:
        self._sock_path = sock_path
        self._channel: Any = grpc.insecure_channel(f"unix:{sock_path}", options=_OPTIONS)

    def wait_ready(self, timeout: Duration = 30.0) -> None:
        """Wait until the server accepts the connection.

        Raises:
            TimeoutError: it did not within ``timeout``.
        """
        patience = seconds(timeout, "timeout")
        try:
            grpc.channel_ready_future(self._channel).result(timeout=patience)
        except grpc.FutureTimeoutError:
            raise TimeoutError(f"no server accepted a connection on {self._sock_path} in {patience:.3g} s") from None

    def is_ready(self, service: str, timeout: Duration = 30.0) -> bool:
        """What ``IsReady`` of ``service`` (``"map.v1.Map"``) says; false if it fails, or takes more than
        ``timeout``."""
        try:
            reply = self.call(f"/{service}/IsReady", b"", timeout=timeout)
        except RpcEndedError:
            return False
        return ReadyResponse.FromString(reply).ready

    def call(self, rpc: str, message: bytes, *, timeout: Duration = 30.0) -> bytes:
        """A unary RPC (``"/sideinput.v1.SideInput/RetrieveSideInput"``): a message, and its reply.

        Raises:
            RpcEndedError: the RPC ended with another status than OK; after ``timeout`` with DEADLINE_EXCEEDED.
        """
        try:
            reply: bytes = self._channel.unary_unary(rpc)(message, timeout=seconds(timeout, "timeout"))
        except grpc.RpcError as error:
            raise RpcEndedError(_outcome(error)) from None
        return reply

    def open(self, rpc: str, *, deadline: Duration | None = None, gzip: bool = False) -> "RawStream":
        """Open a stream of ``rpc`` (``"/map.v1.Map/MapFn"``). With a ``deadline``, the call may take that long;
        with ``gzip``, messages are compressed."""
        method = self._channel.stream_stream(rpc)
        patience = None if deadline is None else seconds(deadline, "deadline")
        compression = grpc.Compression.Gzip if gzip else None
        return RawStream(lambda requests: method(requests, timeout=patience, compression=compression), rpc)

    def close(self) -> None:
        """Close the connection; open streams end as cancelled."""
        self._channel.close()

    def __enter__(self) -> "UdfClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RawStream:
    """One RPC: undecoded messages in both directions. Made by ``UdfClient.open``.

    Replies are taken off the connection one by one, as ``receive`` asks for them: a test that does not read keeps the
    server from writing.
    """

    def __init__(self, start: Any, rpc: str) -> None:
        self._rpc = rpc
        self._lock = threading.Condition()
        self._outbox: deque[bytes] = deque()
        self._closing = False
        self._taken = 0
        self._asked = False  # the reader is to fetch, or is fetching, a reply
        self._replies: deque[bytes] = deque()
        self._outcome: Outcome | None = None
        self._over = False
        self._call: Any = start(self._requests())
        if not self._call.add_callback(self._end):
            self._end()
        self._reader = threading.Thread(target=self._read, name="numaflow-test-reader", daemon=True)
        self._reader.start()

    @property
    def taken(self) -> int:
        """How many messages gRPC has taken to send; it stops taking them when the server grants no more room."""
        return self._taken

    def send(self, *messages: bytes) -> None:
        """Queue messages, without a limit and without waiting. Once the RPC is over, they are dropped."""
        with self._lock:
            if self._over:
                return
            if self._closing:
                raise ValueError("send() after half_close()")
            self._outbox.extend(messages)
            self._lock.notify_all()

    def half_close(self) -> None:
        """Tell the server that there are no more messages, once those queued are sent."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()

    def receive(self, timeout: Duration = 30.0) -> bytes:
        """The next reply.

        Raises:
            RpcEndedError: the RPC is over, and there are no more replies.
            TimeoutError: nothing came within ``timeout``.
        """
        patience = seconds(timeout, "timeout")
        end = monotonic() + patience
        with self._lock:
            while True:
                if self._replies:
                    return self._replies.popleft()
                if self._outcome is not None:
                    raise RpcEndedError(self._outcome)
                if not self._asked:
                    self._asked = True
                    self._lock.notify_all()
                left = end - monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self._rpc}: no reply in {patience:.3g} s")
                self._lock.wait(left)

    def rest(self, timeout: Duration = 30.0) -> list[bytes]:
        """All replies up to the end of the RPC.

        Raises:
            TimeoutError: the RPC did not end within ``timeout``.
        """
        patience = seconds(timeout, "timeout")
        end = monotonic() + patience
        replies = []
        try:
            while True:
                replies.append(self.receive(max(0.0, end - monotonic())))
        except RpcEndedError:
            return replies
        except TimeoutError:
            raise TimeoutError(f"{self._rpc}: not over in {patience:.3g} s, {len(replies)} replies came") from None

    def status(self, timeout: Duration = 30.0) -> Outcome:
        """How the RPC ended. Replies that were not received yet are lost.

        Raises:
            TimeoutError: it did not end within ``timeout``.
        """
        self.rest(timeout)
        assert self._outcome is not None
        return self._outcome

    def cancel(self) -> None:
        """End the RPC from the client's side, at once."""
        self.half_close()
        self._call.cancel()

    # -- gRPC's threads

    def _requests(self) -> Iterator[bytes]:
        while True:
            with self._lock:
                while not self._outbox:
                    if self._closing:
                        return
                    self._lock.wait()
                message = self._outbox.popleft()
                self._taken += 1
            yield message

    def _end(self) -> None:
        with self._lock:
            self._closing = self._over = True  # lets go of the threads that send and read
            self._outbox.clear()
            self._lock.notify_all()

    def _read(self) -> None:
        reply: bytes | None
        while True:
            with self._lock:
                while not (self._asked or self._over):
                    self._lock.wait()
            try:
                reply = next(self._call, None)
            except grpc.RpcError:
                reply = None
            with self._lock:
                self._asked = False
                if reply is None:
                    self._outcome = _outcome(self._call)
                else:
                    self._replies.append(reply)
                self._lock.notify_all()
                if reply is None:
                    return


def _outcome(call: Any) -> Outcome:
    trailers = dict(call.trailing_metadata() or ())
    return Outcome(call.code().name, call.details() or "", trailers.get(_DETAILS, b""))
