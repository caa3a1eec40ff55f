"""gRPC over HTTP/2 on one connection: the ``h2`` library, with DATA frames moved beside it.

``h2`` keeps the state of the connection: headers, settings, pings, resets, GOAWAY. The payload of DATA frames goes
around it in both directions, because there it would cost thirty microseconds a frame and copy each byte several
times. Every check that ``h2`` would have made on such a frame is made here: the stream is open, the padding fits, the
frame is not too large and no window is overrun. What fails a check is given to ``h2`` after all; of END_STREAM it is
told.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from socket import SO_SNDBUF, SOL_SOCKET
from struct import Struct
from typing import Final, Protocol, cast

from h2.errors import ErrorCodes
from h2.events import (
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError as H2ProtocolError

from ..transport import INITIAL_WINDOW, Accept
from ..wire.headers import RESPONSE, check_request, parse_timeout, shorten, trailers
from ..wire.messages import MessageReader
from ..wire.status import ProtocolError, Status, StatusCode
from ._h2_state import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    HEADERS,
    MAX_FRAME,
    OK_BLOCK,
    OK_TRAILERS,
    RESPONSE_BLOCK,
    H2State,
)
from ._h2_stream import H2Stream

logger = logging.getLogger(__name__)

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW_UPDATE: Final = Struct(">HBBBII")
_FRAME_SIZE: Final = 9

_WINDOW_UPDATE_TYPE, _CONTINUATION = 8, 9
_PADDED = 0x8

_RECEIVE_BUFFER: Final = 2 * MAX_FRAME
_CONNECTION_WINDOW: Final = 1 << 30
_WIDENED_LIMIT: Final = 64 << 20

_SEND_BUFFER: Final = 1 << 20
"""Bytes of the kernel's. By default it takes some 100 KB, and a large reply would wait for the peer ten times."""

_WRITE_HIGH_WATER: Final = 1 << 20
_WRITE_LIMIT: Final = 8 << 20
"""More than this waiting for a peer that does not read can only be answers to its control frames."""

_PARTING_TIMEOUT: Final = 2.0
"""Seconds that a peer gets to read our last word and to close."""

_HEADERS_WAIT: Final = 0.001
"""Seconds that the headers of a response wait for its first message, to go out with it: a short RPC is one write."""

_CONTROL_BURST: Final = 1000
_CONTROL_PER_SECOND: Final = 500.0
"""PING, SETTINGS, PRIORITY and RST_STREAM cost us an answer or work; a well-behaved peer sends a few a second."""


def _as_text(headers: Iterable[tuple[bytes | str, bytes | str]]) -> dict[str, str]:
    """Headers as str; whatever bytes a peer puts in them have a character each."""
    pairs = cast("Iterable[tuple[bytes, bytes]]", headers)
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}


class Owner(Protocol):
    """What a connection asks of its server."""

    max_message_size: int
    methods: Mapping[str, Accept]
    connections: "set[H2Protocol]"


class H2Protocol(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.loop = asyncio.get_running_loop()
        self._h2 = H2State()
        self._buffer = bytearray(_RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._greeted = False
        self._in_headers = False
        self._streams: dict[int, H2Stream] = {}
        self._last_stream = 0
        self._received: dict[H2Stream, None] = {}
        self._credit = _CONNECTION_WINDOW
        self._widened = 0  # by how much the streams' windows have grown
        self._sock: asyncio.Transport | None = None
        self._out: list[bytes | bytearray | memoryview] = []
        self._ready: dict[H2Stream, None] = {}
        self._flush_due = False
        self._headers_due: asyncio.TimerHandle | None = None
        self._paused = False
        self._leaving = False
        self._parting: asyncio.TimerHandle | None = None  # set when our last word is said
        self._control_left = float(_CONTROL_BURST)
        self._control_at = self.loop.time()
        self.closed = self.loop.create_future()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sock = cast(asyncio.Transport, transport)
        self._sock.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        self._sock.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)
        self._owner.connections.add(self)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - 65_535)
        self._take_h2_output()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._parting is not None:
            return  # what a peer sends after our last word is read and forgotten
        self._filled += nbytes
        try:
            used = self._frames()
        except H2ProtocolError as error:
            self._abandon(f"HTTP/2 protocol error: {error}")
            return
        left = self._filled - used
        if used and left:
            self._buffer[:left] = self._buffer[used : self._filled]
        self._filled = left
        if self._received:
            received, self._received = self._received, {}
            for stream in received:
                stream.deliver()
                stream.replenish()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connections.discard(self)
        self._out.clear()
        if self._parting is not None:
            self._parting.cancel()
        for stream in list(self._streams.values()):
            stream.lost()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._ready:
            self._schedule_flush()

    # -- frames in

    def _frames(self) -> int:
        """Work through the whole frames in the buffer; return how many bytes they take."""
        position, end = 0, self._filled
        if not self._greeted:
            if not _PREFACE.startswith(self._buffer[: min(end, len(_PREFACE))]):
                raise H2ProtocolError("the peer does not speak HTTP/2 with prior knowledge")
            if end < len(_PREFACE):
                return 0
            self._greeted = True
            position = len(_PREFACE)
            self._h2.receive_data(_PREFACE)
        unpack, buffer = FRAME.unpack_from, self._buffer
        while end - position >= _FRAME_SIZE:
            high, low, kind, flags, stream_id = unpack(buffer, position)
            size = high << 8 | low
            body = position + _FRAME_SIZE
            if size > MAX_FRAME:
                self._events(self._h2.receive_data(bytes(buffer[position:body])))
                raise H2ProtocolError(f"a frame of {size} bytes, the limit is {MAX_FRAME}")
            stop = body + size
            if stop > end:
                break
            stream_id &= 0x7FFFFFFF
            if kind != DATA or self._in_headers:
                self._control(kind, flags, bytes(buffer[position:stop]))
            elif stream_id in self._streams:
                self._data(self._streams[stream_id], flags, body, stop)
            elif 0 < stream_id <= self._last_stream and stream_id & 1:
                self._count_connection(size)  # sent before the peer knew that the stream had ended
            else:
                self._events(self._h2.receive_data(bytes(buffer[position:stop])))
            position = stop
            if self._parting is not None:
                return 0
        return position

    def _data(self, stream: H2Stream, flags: int, start: int, stop: int) -> None:
        size = stop - start
        self._count_connection(size)
        if stream.half_closed or stream.done:
            if stream.half_closed:
                self._reset(stream, ErrorCodes.STREAM_CLOSED, "sent data after the end of its stream")
            return
        if not stream.charge(size):
            self._reset(stream, ErrorCodes.FLOW_CONTROL_ERROR, "overran its flow control window")
            return
        if flags & _PADDED:
            padding = self._buffer[start] if size else 0
            if padding >= size:
                self._h2.close_connection(ErrorCodes.PROTOCOL_ERROR)
                raise H2ProtocolError("a DATA frame whose padding is longer than the frame")
            start += 1
            stop -= padding
        if start == stop and not flags & END_STREAM:
            self._spend_control()
        if stream.trailers is None:
            try:
                stream.arrived(self._view[start:stop])
            except ProtocolError as error:
                stream.fail(error)
        self._received[stream] = None
        if flags & END_STREAM:
            stream.half_closed = True
            self._h2.ended_by_peer(stream.id)

    def _count_connection(self, size: int) -> None:
        self._credit -= size
        if self._credit < 0:
            self._h2.close_connection(ErrorCodes.FLOW_CONTROL_ERROR)
            raise H2ProtocolError("the peer overran the connection's flow control window")
        if self._credit < _CONNECTION_WINDOW // 2:
            self._write_window_update(0, _CONNECTION_WINDOW - self._credit)
            self._credit = _CONNECTION_WINDOW

    def _control(self, kind: int, flags: int, frame: bytes) -> None:
        if kind in (HEADERS, _CONTINUATION):
            self._in_headers = not flags & END_HEADERS
        elif kind != _WINDOW_UPDATE_TYPE:
            self._spend_control()
        self._events(self._h2.receive_data(frame))

    def _spend_control(self) -> None:
        now = self.loop.time()
        earned = (now - self._control_at) * _CONTROL_PER_SECOND
        self._control_left = min(_CONTROL_BURST, self._control_left + earned) - 1
        self._control_at = now
        if self._control_left < 0:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            raise H2ProtocolError("a flood of control frames")

    def _events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived):
                self._request(event.stream_id, _as_text(event.headers))
            elif isinstance(event, StreamEnded):
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.half_closed = True
                    self._received[stream] = None
            elif isinstance(event, StreamReset):
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.lost()
            elif isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
                self._schedule_flush()
        self._take_h2_output()

    def _request(self, stream_id: int, headers: dict[str, str]) -> None:
        self._last_stream = stream_id
        # h2 would compare a declared length with the DATA frames that it does not see.
        self._h2.streams[stream_id]._expected_content_length = None
        name = headers.get(":path", "")
        refusal = check_request(headers)
        accept = self._owner.methods.get(name)
        if not refusal and accept is None:
            refusal = [*RESPONSE, *trailers(Status(StatusCode.UNIMPLEMENTED, f"unknown method {shorten(name)}"))]
        if refusal or accept is None:
            logger.warning("refused a request for %r: %s", shorten(name), dict(refusal))
            self._h2.send_headers(stream_id, refusal, end_stream=True)
            self._drop_rest(stream_id)
            return
        reader = MessageReader(self._owner.max_message_size, headers.get("grpc-encoding", "identity"))
        stream = self._streams[stream_id] = H2Stream(self, stream_id, name, reader)
        self._out.append(self._h2.constant_headers(stream_id, RESPONSE_BLOCK, END_HEADERS))
        if self._headers_due is None and not self._flush_due:
            self._headers_due = self.loop.call_later(_HEADERS_WAIT, self._flush)
        try:
            if "grpc-timeout" in headers:
                timeout = parse_timeout(headers["grpc-timeout"])
                stream.deadline = self.loop.call_later(timeout, self._deadline_passed, stream)
        except ProtocolError as error:
            stream.fail(error)
            return
        stream.receiver = accept(stream)

    def _deadline_passed(self, stream: H2Stream) -> None:
        stream.finish(Status(StatusCode.DEADLINE_EXCEEDED, "the deadline of the call has passed"))
        if stream.receiver is not None:
            stream.receiver.cancelled()

    # -- what streams ask for

    def output_ready(self, stream: H2Stream) -> None:
        self._ready[stream] = None
        self._schedule_flush()

    def grant(self, stream: H2Stream, size: int) -> None:
        self._write_window_update(stream.id, size)

    def may_widen(self, size: int) -> bool:
        if self._widened + size > _WIDENED_LIMIT:
            return False
        self._widened += size
        return True

    def narrowed(self, size: int) -> None:
        self._widened -= size

    def forget(self, stream: H2Stream) -> None:
        if stream.id in self._streams:
            self._widened -= stream.window - INITIAL_WINDOW
        self._streams.pop(stream.id, None)
        self._ready.pop(stream, None)
        if self._leaving and not self._streams:
            self.loop.call_soon(self._goodbye)

    def _reset(self, stream: H2Stream, code: ErrorCodes, what: str) -> None:
        logger.warning("%s: the peer %s; stream reset", stream.name, what)
        self._h2.reset_stream(stream.id, code)
        stream.lost()
        self._take_h2_output()

    # -- frames out

    def _take_h2_output(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._out.append(data)
            self._schedule_flush()

    def _write_window_update(self, stream_id: int, size: int) -> None:
        self._out.append(_WINDOW_UPDATE.pack(0, 4, _WINDOW_UPDATE_TYPE, 0, stream_id, size))
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
        sock = self._sock
        if sock is None or sock.is_closing() or self._parting is not None:
            return
        if not self._paused:
            self._write_streams()
        if self._out:
            out, self._out = self._out, []
            sock.writelines(out)
            if sock.get_write_buffer_size() > _WRITE_LIMIT:
                self._abandon("the peer does not read what it asks for")

    def _write_streams(self) -> None:
        """Write what streams have, by turns: what all of them have together may be more than a peer is to be sent ahead
        of its reading."""
        room = _WRITE_HIGH_WATER
        for stream in list(self._ready):
            room -= self._write_stream(stream)
            if room <= 0:
                self._schedule_flush()  # which goes on as soon as the socket takes more
                return

    def _write_stream(self, stream: H2Stream) -> int:
        """Write as much of a stream's output as the windows and the socket's buffer allow, then its trailers; return
        how many bytes of output that were."""
        connection = self._h2
        state = connection.streams.get(stream.id)
        if state is None:
            stream.lost()
            return 0
        window = min(connection.outbound_flow_control_window, state.outbound_flow_control_window)
        size = min(stream.out_size, window, _WRITE_HIGH_WATER)
        if size > 0:
            stream.carve(size, connection.max_outbound_frame_size, self._out)
            connection.outbound_flow_control_window -= size
            state.outbound_flow_control_window -= size
            stream.written(size)
        if not stream.out_size and stream.trailers is not None:
            if stream.trailers == OK_TRAILERS:
                self._out.append(connection.constant_headers(stream.id, OK_BLOCK, END_HEADERS | END_STREAM))
            else:
                connection.send_headers(stream.id, stream.trailers, end_stream=True)
            self._drop_rest(stream.id)
            stream.close()
        elif size >= 0:
            self._ready.pop(stream, None)
            if stream.out_size:
                self._ready[stream] = None  # behind the others
        return max(size, 0)

    def _drop_rest(self, stream_id: int) -> None:
        """We have ended the stream; tell a peer that still sends to stop."""
        state = self._h2.streams.get(stream_id)
        if state is not None and not state.closed:
            self._h2.reset_stream(stream_id, ErrorCodes.NO_ERROR)
        self._take_h2_output()

    # -- the end

    def _abandon(self, reason: str) -> None:
        """Close the connection because of what the peer did: a GOAWAY if ``h2`` has one to send, then the end."""
        if self._parting is not None:
            return
        logger.warning("connection closed: %s", reason)
        for stream in list(self._streams.values()):
            stream.lost()
        self._part()

    def leave(self) -> None:
        """Close once every stream has ended and everything queued has been written."""
        self._leaving = True
        if not self._streams:
            self._goodbye()

    def _goodbye(self) -> None:
        if self._parting is None:
            self._flush()
            try:
                self._h2.close_connection()
            except H2ProtocolError:
                pass  # a connection that never got past its preface
            self._part()

    def _part(self) -> None:
        """Write what is left, say that it was the last, and let the peer close.

        A socket closed with something unread in it breaks the connection under a peer that is still sending, and it
        may never read how its streams ended.
        """
        sock = self._sock
        if sock is None or sock.is_closing():
            return
        self._filled = 0
        self._parting = self.loop.call_later(_PARTING_TIMEOUT, self.abort)
        if sock.get_write_buffer_size() > _WRITE_LIMIT:
            sock.abort()
            return
        sock.writelines([*self._out, self._h2.data_to_send()])
        self._out.clear()
        sock.write_eof()

    def abort(self) -> None:
        """Close without another word."""
        if self._sock is not None:
            self._sock.abort()
