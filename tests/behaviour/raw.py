"""A peer that writes frames as it likes, right or wrong: sockets, ``hyperframe`` and ``hpack``, no protocol logic."""

import select
import socket
from collections.abc import Iterable
from time import monotonic
from types import TracebackType

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

from .harness import PATIENCE, ServerProcess

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def message(body: bytes, flag: int = 0) -> bytes:
    """A gRPC message as it stands in DATA frames."""
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


class RawPeer:
    """One connection to a server."""

    def __init__(self, server: ServerProcess, *, greet: bool = True, header_table: int = 4096) -> None:
        """``header_table``: how many bytes of headers that were sent before the server may refer to."""
        self.kind = server.combination.kind
        self.transport = server.combination.transport
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(PATIENCE)
        self._sock.connect(str(server.sock))
        self._buffer = b""
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = header_table
        self.frames: list[Frame] = []
        if greet:
            settings = {SettingsFrame.HEADER_TABLE_SIZE: header_table} if header_table != 4096 else {}
            self.write(PREFACE, SettingsFrame(0, settings=settings))

    def write(self, *parts: bytes | Frame) -> None:
        """Write frames and bytes. A server that has closed the connection is not complained of here."""
        data = b"".join(part if isinstance(part, bytes) else part.serialize() for part in parts)
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def request(
        self,
        stream: int,
        *,
        path: str | None = None,
        end: bool = False,
        method: str = "POST",
        content_type: str | None = "application/grpc",
        more: Iterable[tuple[str, str]] = (),
    ) -> HeadersFrame:
        """The HEADERS frame of a call."""
        headers = [
            (":method", method),
            (":scheme", "http"),
            (":path", path if path is not None else self.kind.rpc),
            (":authority", "[::1]:50051"),
            ("te", "trailers"),
        ]
        if content_type is not None:
            headers.append(("content-type", content_type))
        frame = HeadersFrame(stream, self._encoder.encode([*headers, *more]))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def data(self, stream: int, body: bytes, *, end: bool = False) -> DataFrame:
        frame = DataFrame(stream, body)
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def read(self, timeout: float = PATIENCE) -> Frame | None:
        """The next frame; ``None`` when the server has closed the connection."""
        end = monotonic() + timeout
        while True:
            if len(self._buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
                if len(self._buffer) >= 9 + length:
                    frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
                    self._buffer = self._buffer[9 + length :]
                    self.frames.append(frame)
                    return frame
            left = end - monotonic()
            if left <= 0:
                raise TimeoutError(f"no frame in {timeout} s; so far: {self.frames}")
            self._sock.settimeout(left)
            try:
                chunk = self._sock.recv(65536)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self._buffer += chunk

    def trailers(self, stream: int) -> dict[str, str]:
        """Headers and trailers that the server sends until the stream is over; ``:reset`` holds the code of a
        RST_STREAM that came in place of trailers, ``:closed`` says that the connection ended."""
        found: dict[str, str] = {}
        while True:
            frame = self.read()
            if frame is None:
                return {**found, ":closed": "yes"}
            if isinstance(frame, (HeadersFrame, ContinuationFrame, PushPromiseFrame)):
                block = self._decoder.decode(frame.data)
                if frame.stream_id == stream:
                    for name, value in block:
                        found[_text(name)] = _text(value)
                    if "END_STREAM" in frame.flags:
                        return found
            elif isinstance(frame, DataFrame) and frame.stream_id == stream and "END_STREAM" in frame.flags:
                return found
            elif isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                return {**found, ":reset": str(frame.error_code)}
            elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                acknowledgement = SettingsFrame(0)
                acknowledgement.flags.add("ACK")
                self.write(acknowledgement)

    def raw_until_closed(self) -> bytes:
        """Everything that the server writes until it closes the connection."""
        data = self._buffer
        while True:
            try:
                chunk = self._sock.recv(65536)
            except ConnectionResetError:
                return data
            if not chunk:
                return data
            data += chunk

    def until_closed(self) -> list[Frame]:
        """All frames until the server closes the connection."""
        while self.read() is not None:
            pass
        return self.frames

    def is_closed(self) -> bool:
        """Whether the server has closed the connection; without reading what it has written before."""
        poll = select.poll()
        poll.register(self._sock, 0)
        return bool(poll.poll(0))

    def goaway(self) -> GoAwayFrame | None:
        """The GOAWAY that came before the end of the connection."""
        return next((frame for frame in self.until_closed() if isinstance(frame, GoAwayFrame)), None)

    def is_served(self) -> bool:
        """Whether the server answers a PING on this connection."""
        ping = PingFrame(0, b"are you?")
        self.write(ping)
        while (frame := self.read()) is not None:
            if isinstance(frame, PingFrame) and "ACK" in frame.flags and frame.opaque_data == b"are you?":
                return True
        return False

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
