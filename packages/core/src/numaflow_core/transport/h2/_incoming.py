"""Frames that come in: cut out of what was read, checked, and given to ``h2`` or to their streams.

``h2`` keeps the state of the connection: headers, settings, pings, resets. The payload of DATA frames goes around it in
both directions, because there it would cost thirty microseconds a frame and copy each byte several times; so do
WINDOW_UPDATEs. Every check that ``h2`` would have made on such a frame is made here. What fails a check is given to
``h2`` after all, or ends the connection as it would have done; of END_STREAM it is told.
"""

import logging
from typing import Final

from h2.errors import ErrorCodes
from h2.events import Event, RemoteSettingsChanged, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import FlowControlError, FrameTooLargeError
from h2.exceptions import ProtocolError as H2ProtocolError

from ...wire.status import ProtocolError
from ._budgets import Patience
from ._outgoing import FramesOut
from ._requests import Requests
from ._state import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    GOAWAY,
    HEADERS,
    MAX_FRAME,
    MAX_WINDOW,
    PADDED,
    WINDOW_UPDATE,
    H2State,
)
from ._stream import H2Stream

logger = logging.getLogger(__name__)

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD: Final = 9
"""Bytes of a frame's header."""

_BUFFER: Final = 2 * MAX_FRAME
_CONNECTION_WINDOW: Final = 1 << 30
"""As good as none: it is the streams' windows that bound what a connection holds."""

_DEFAULT_WINDOW: Final = 65_535
_EARLY: Final = MAX_FRAME
"""Bytes that a peer may send in all beyond its streams' windows. Before it knows of our settings, it takes the windows
to be HTTP/2's own, which are larger (RFC 9113, 6.9.2)."""

_HEADER_BLOCK: Final = 1 << 20
"""Bytes of an encoded block of headers, in all its frames."""


class FramesIn:
    """What a connection reads."""

    def __init__(self, state: H2State, patience: Patience, out: FramesOut, requests: Requests) -> None:
        self._state = state
        self._patience = patience
        self._out = out
        self._streams = out.streams
        self._requests = requests
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._greeted = False
        self._block = 0  # bytes of the block of headers that has begun and not ended
        self._credit = _CONNECTION_WINDOW
        self._early = _EARLY
        self._received: dict[H2Stream, None] = {}
        self.peer_leaves = False
        """Whether the peer has said that it opens no more streams."""

    def begin(self) -> None:
        """The connection is there: say what the peer may send."""
        self._state.initiate_connection()
        self._state.increment_flow_control_window(_CONNECTION_WINDOW - _DEFAULT_WINDOW)
        self._out.take_from_state()

    def drop(self) -> None:
        """What is read from now on is forgotten."""
        self._filled = 0

    def room(self) -> memoryview:
        """Where to read to."""
        return self._view[self._filled :]

    def give_back(self) -> None:
        """Let go of the buffer: the connection is lost, and what is left of it waits for the garbage collector."""
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)

    def read(self, size: int) -> None:
        """So many bytes were read. Raises: h2's ProtocolError."""
        self._filled += size
        used = self._frames()
        left = self._filled - used
        if used and left:
            self._buffer[:left] = self._buffer[used : self._filled]
        self._filled = left
        if self._received:
            received, self._received = self._received, {}
            for stream in received:
                stream.deliver()
                stream.replenish()

    def _frames(self) -> int:
        """Work through the whole frames in the buffer; return how many bytes they take."""
        position, end = 0, self._filled
        if not self._greeted:
            position = self._preface()
            if not position:
                return 0
        unpack, buffer, streams = FRAME.unpack_from, self._buffer, self._streams.by_id
        while end - position >= _HEAD:
            high, low, kind, flags, stream_id = unpack(buffer, position)
            size = high << 8 | low
            if size > MAX_FRAME:
                raise FrameTooLargeError(f"a frame of {size} bytes, the limit is {MAX_FRAME}")
            body = position + _HEAD
            stop = body + size
            if stop > end:
                break
            stream_id &= 0x7FFFFFFF
            if kind == DATA and not self._block:
                stream = streams.get(stream_id)
                if stream is not None:
                    self._data(stream, flags, body, stop)
                elif not (0 < stream_id <= self._requests.last and stream_id & 1):
                    self._tell_state(bytes(buffer[position:stop]))
                else:
                    self._late_data(stream_id, flags, body, stop)
            elif kind == WINDOW_UPDATE and not self._block:
                self._patience.spend(Patience.CHEAP)
                if size != 4 or not self._window_update(stream_id, int.from_bytes(buffer[body:stop], "big")):
                    self._tell_state(bytes(buffer[position:stop]))
            else:
                self._control(kind, flags, bytes(buffer[position:stop]))
            position = stop
        return position

    def _preface(self) -> int:
        """Look at how the connection begins; return the bytes that this takes, once they are all there."""
        start = self._buffer[: min(self._filled, len(_PREFACE))]
        if not _PREFACE.startswith(start):
            raise H2ProtocolError("the peer does not speak HTTP/2 with prior knowledge")
        if len(start) < len(_PREFACE):
            return 0
        self._greeted = True
        self._state.receive(_PREFACE)
        return len(_PREFACE)

    # -- DATA

    def _data(self, stream: H2Stream, flags: int, start: int, stop: int) -> None:
        size = stop - start
        self._count(size)
        if stream.half_closed:
            self._cut(stream, ErrorCodes.STREAM_CLOSED, "sent data after the end of its stream")
            return
        if not stream.charge(size) and not self._is_early(size):
            self._cut(stream, ErrorCodes.FLOW_CONTROL_ERROR, "overran its flow control window")
            return
        if flags & PADDED:
            start, stop = self._unpadded(start, stop)
        if start == stop and not flags & END_STREAM:
            self._patience.spend(Patience.COSTLY)
        if stream.announced is not None:
            stream.announced -= stop - start
        if stream.trailers is None:
            try:
                stream.arrived(self._view[start:stop])
            except ProtocolError as error:
                stream.fail(error)
        self._received[stream] = None
        if flags & END_STREAM:
            self._state.ended_by_peer(stream.id)
            self._ended(stream)

    def _late_data(self, stream_id: int, flags: int, start: int, stop: int) -> None:
        """DATA for a stream that is over."""
        self._count(stop - start)
        self._patience.spend(Patience.CHEAP)
        if flags & PADDED:
            self._unpadded(start, stop)
        if not self._state.may_still_send(stream_id):
            self._patience.spend(Patience.COSTLY)
            code = ErrorCodes.STREAM_CLOSED
            self._out.append(FRAME.pack(0, 4, 3, 0, stream_id) + int(code).to_bytes(4, "big"))

    def _count(self, size: int) -> None:
        """Count a DATA frame against the connection's window."""
        self._credit -= size
        if self._credit < _CONNECTION_WINDOW // 2:
            if self._credit < 0:
                raise FlowControlError("the peer overran the connection's flow control window")
            more = _CONNECTION_WINDOW - self._credit
            self._out.append(FRAME.pack(0, 4, WINDOW_UPDATE, 0, 0) + more.to_bytes(4, "big"))
            self._credit = _CONNECTION_WINDOW

    def _is_early(self, size: int) -> bool:
        """Whether a frame that is too much for its stream was sent before the peer knew of our settings."""
        self._early -= size
        return self._early >= 0

    def _unpadded(self, start: int, stop: int) -> tuple[int, int]:
        """Where the content of a padded frame begins and ends."""
        padding = self._buffer[start] if stop > start else 0
        if padding >= stop - start:
            raise H2ProtocolError("a DATA frame whose padding is longer than the frame")
        return start + 1, stop - padding

    def _ended(self, stream: H2Stream) -> None:
        """The peer has sent its last."""
        stream.half_closed = True
        self._received[stream] = None
        if stream.announced:
            self._cut(stream, ErrorCodes.PROTOCOL_ERROR, "sent another number of bytes than it had announced")

    def _cut(self, stream: H2Stream, code: ErrorCodes, what: str) -> None:
        logger.warning("%s: the peer %s; stream reset", stream.name, what)
        self._out.reset(stream.id, code)
        stream.lost()

    # -- other frames

    def _window_update(self, stream_id: int, increment: int) -> bool:
        """Widen a window of ours. False: ``h2`` has to say what is wrong."""
        if stream_id == 0:
            window = self._state.outbound_flow_control_window + increment
        elif stream_id in self._streams.by_id:
            state = self._state.streams[stream_id]
            window = state.outbound_flow_control_window + increment
        else:
            return False
        if not 0 < increment <= MAX_WINDOW or window > MAX_WINDOW:
            return False
        if stream_id == 0:
            self._state.outbound_flow_control_window = window
        else:
            state.outbound_flow_control_window = window
        if self._streams.ready:
            self._out.wake()
        return True

    def _control(self, kind: int, flags: int, frame: bytes) -> None:
        if kind in (HEADERS, CONTINUATION):
            self._block += len(frame)
            if self._block > _HEADER_BLOCK:
                raise FrameTooLargeError(f"headers of more than {_HEADER_BLOCK} bytes")
            if flags & END_HEADERS:
                self._block = 0
            elif len(frame) == _HEAD:
                self._patience.spend(Patience.COSTLY)
        else:
            self._patience.spend(Patience.COSTLY)
        if kind == GOAWAY and not self._block and self._greeted and self._goaway(frame):
            return
        self._tell_state(frame)

    def _goaway(self, frame: bytes) -> bool:
        """The peer opens no more streams; what is open ends as always. ``h2`` would take it for the end of everything.
        False: it has to say what is wrong."""
        if len(frame) < _HEAD + 8 or any(frame[5:9]):
            return False
        self.peer_leaves = True
        return True

    def _tell_state(self, frame: bytes) -> None:
        for event in self._state.receive(frame):
            self._happened(event)
        self._out.take_from_state()

    def _happened(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._requests.begin(event)
        elif isinstance(event, StreamEnded):
            stream = self._streams.by_id.get(event.stream_id)
            if stream is not None:
                self._ended(stream)
        elif isinstance(event, StreamReset):
            stream = self._streams.by_id.get(event.stream_id)
            if stream is not None:
                stream.lost()
        elif isinstance(event, RemoteSettingsChanged):
            self._out.wake()
