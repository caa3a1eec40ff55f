"""gRPC over HTTP/2 from the client's side, in blocking code on ``h2``: as much of it as a UDF's platform needs.

HTTP/2 carries frames. A HEADERS frame opens a stream, which is one RPC; DATA frames carry its bytes in both directions,
as far as the receiver's windows allow; the last frame of each side has the flag END_STREAM. gRPC makes messages of
those bytes, with a prefix of five bytes each, and ends with another HEADERS frame, the trailers, that tell the status.
"""

import socket
import struct
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes

PREFIX: Final = struct.Struct(">BI")
"""What gRPC puts before each message: whether it is compressed, and how long it is."""

WINDOW: Final = 1 << 24
"""Bytes that the server may send before we have taken any."""

RECEIVE: Final = 1 << 18
"""Bytes taken from the socket at once."""


class RpcError(Exception):
    """The server did not do its part; the message says which."""


class Connection:
    """An HTTP/2 connection over a unix socket, in blocking code."""

    def __init__(self, path: Path, timeout: float) -> None:
        """Connect. Whenever nothing at all comes for ``timeout`` seconds, ``receive`` raises TimeoutError."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http2.initiate_connection()
        self.http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: WINDOW, SettingCodes.MAX_FRAME_SIZE: RECEIVE})
        self.http2.increment_flow_control_window(WINDOW - 65_535)


class Rpc:
    """One RPC: messages in both directions over one HTTP/2 stream. The next one begins when this one has ended.

    ``send`` and ``half_close`` only note what is to be done; ``receive`` and ``flush`` do it.
    """

    def __init__(self, connection: Connection, path: str) -> None:
        self._socket, self._http2 = connection.socket, connection.http2
        self._stream: int = self._http2.get_next_available_stream_id()
        self._out = bytearray()
        self._in = b""
        self._closing = self._closed = False
        self._trailers: dict[str, str] = {}
        self.ended = False
        headers = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        self._http2.send_headers(self._stream, [*headers, ("te", "trailers"), ("content-type", "application/grpc")])

    def send(self, message: bytes) -> None:
        self._out += PREFIX.pack(0, len(message))
        self._out += message

    def flush(self) -> None:
        """Send what may be sent, now."""
        self._write()

    def half_close(self) -> None:
        """There is no more to send; the server answers what it has and ends the RPC."""
        self._closing = True

    def receive(self) -> list[bytes]:
        """Send what may be sent, wait for anything, and return the messages that came; at the end of the RPC, none."""
        while not self.ended:
            self._write()
            data = self._socket.recv(RECEIVE)
            if not data:
                raise RpcError("the server closed the connection")
            messages = self._read(data)
            if messages:
                return messages
        return []

    def finish(self) -> None:
        """The end of an RPC that is over. Raises: RpcError unless its status is OK."""
        status = self._trailers.get("grpc-status", "missing")
        if status != "0":
            message = unquote(self._trailers.get("grpc-message", ""))
            raise RpcError(f"the RPC ended with gRPC status {status}: {message}")

    def _write(self) -> None:
        """As many whole frames as the windows of the stream and of the connection allow."""
        http2, stream = self._http2, self._stream
        while self._out:
            size = min(len(self._out), http2.local_flow_control_window(stream), http2.max_outbound_frame_size)
            if size <= 0:
                break
            http2.send_data(stream, bytes(self._out[:size]))
            del self._out[:size]
        if self._closing and not self._out and not self._closed:
            http2.end_stream(stream)
            self._closed = True
        self._socket.sendall(http2.data_to_send())

    def _read(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        for event in self._http2.receive_data(data):
            if isinstance(event, DataReceived):
                self._http2.acknowledge_received_data(event.flow_controlled_length, self._stream)
                messages += self._split(event.data)
            elif isinstance(event, (ResponseReceived, TrailersReceived)):
                # An RPC that fails at once has its trailers in its headers.
                self._trailers = dict(cast(list[tuple[str, str]], event.headers))
            elif isinstance(event, StreamEnded):
                self.ended = True
            elif isinstance(event, StreamReset) and not self.ended:
                raise RpcError(f"the server reset the stream with HTTP/2 error {event.error_code}")
        return messages

    def _split(self, data: bytes) -> list[bytes]:
        """Messages do not care about frames: one may span many frames, and a frame may hold many."""
        data = self._in + data
        messages, position = [], 0
        while len(data) - position >= PREFIX.size:
            start = position + PREFIX.size
            stop = start + PREFIX.unpack_from(data, position)[1]
            if stop > len(data):
                break
            messages.append(data[start:stop])
            position = stop
        self._in = data[position:]
        return messages
