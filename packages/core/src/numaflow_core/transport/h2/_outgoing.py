"""Frames on their way out: what waits for the socket, and the streams' turns to write."""

import asyncio
from collections.abc import Callable
from typing import Final

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2ProtocolError

from ...wire.buffers import Buffer
from ...wire.headers import Headers
from ._budgets import Patience
from ._state import DATA, END_HEADERS, END_STREAM, FRAME, OK_BLOCK, OK_TRAILERS, RESPONSE_BLOCK, H2State
from ._stream import H2Stream, Streams

_WRITE_HIGH_WATER: Final = 1 << 20
"""Bytes that wait in the socket before the streams are asked for no more."""

_WRITE_LIMIT: Final = 8 << 20
"""More than this waiting for a peer that does not read can only be answers to its control frames."""

_HEADERS_WAIT: Final = 0.001
"""Seconds that the headers of a response wait for its first message, to go out with it: a short RPC is one write."""


class FramesOut:
    """What a connection writes."""

    def __init__(
        self,
        state: H2State,
        patience: Patience,
        call_soon: Callable[[Callable[[], None]], object],
        call_later: Callable[..., asyncio.TimerHandle],
        emptied: Callable[[], None],
    ) -> None:
        self._state = state
        self._patience = patience
        self._call_soon = call_soon
        self._call_later = call_later
        self._pieces: list[Buffer] = []
        self._flush_due = False
        self._headers_due: asyncio.TimerHandle | None = None
        self._paused = False
        self._sock: asyncio.Transport | None = None
        self.streams = Streams(self._pieces, self.wake, call_later, emptied)

    def begin(self, sock: asyncio.Transport) -> None:
        """The connection is there."""
        self._sock = sock
        sock.set_write_buffer_limits(high=_WRITE_HIGH_WATER)

    def pause(self, paused: bool) -> None:
        """The socket takes no more, or more again."""
        self._paused = paused
        if not paused and self.streams.ready:
            self.wake()

    # -- what is to be written

    def take_from_state(self) -> None:
        """``h2`` has frames to be written."""
        data = self._state.data_to_send()
        if data:
            self._pieces.append(data)
            self.wake()

    def append(self, frame: bytes) -> None:
        """A frame to be written."""
        self._pieces.append(frame)
        self.wake()

    def begin_response(self, stream: H2Stream) -> None:
        """The headers of a response, which may wait for what comes with them."""
        self._pieces.append(self._state.constant_headers(stream.id, RESPONSE_BLOCK, END_HEADERS))
        if self._headers_due is None and not self._flush_due:
            self._headers_due = self._call_later(_HEADERS_WAIT, self.flush)

    def refuse(self, stream_id: int, headers: Headers) -> None:
        """A response that is nothing but its end."""
        self._state.send_headers(stream_id, headers, end_stream=True)
        self._drop_rest(stream_id)

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Cut a stream off."""
        self._state.reset_stream(stream_id, code)
        self.take_from_state()

    def _drop_rest(self, stream_id: int) -> None:
        """We have ended the stream; tell a peer that still sends to stop."""
        state = self._state.streams.get(stream_id)
        if state is not None and not state.closed:
            self._state.reset_stream(stream_id, ErrorCodes.NO_ERROR)
        self.take_from_state()

    # -- writing

    def wake(self) -> None:
        """There is something to write: do so once all is there that comes at once."""
        if not self._flush_due:
            self._flush_due = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        self._flush_due = False
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
        sock = self._sock
        if sock is None or sock.is_closing():
            return
        if not self._paused:
            self._write_streams()
        if self._pieces:
            sock.writelines(self._pieces)
            self._pieces.clear()
            if sock.get_write_buffer_size() > _WRITE_LIMIT:
                raise H2ProtocolError("the peer does not read what it asks for")

    def _write_streams(self) -> None:
        """Write what streams have, by turns: what all of them have together may be more than a peer is to be sent ahead
        of its reading."""
        room = _WRITE_HIGH_WATER
        for stream in list(self.streams.ready):
            room -= self._write_stream(stream)
            if room <= 0:
                self.wake()  # which goes on as soon as the socket takes more
                return

    def _write_stream(self, stream: H2Stream) -> int:
        """Write as much of a stream's output as the windows and the socket's buffer allow, then its trailers; return
        how many bytes of output that were."""
        connection = self._state
        state = connection.streams.get(stream.id)
        if state is None:
            stream.lost()
            return 0
        window = min(connection.outbound_flow_control_window, state.outbound_flow_control_window)
        size = min(stream.out_size, window, _WRITE_HIGH_WATER)
        if size > 0:
            self._patience.earn(carve(stream, size, connection.max_outbound_frame_size, self._pieces))
            connection.outbound_flow_control_window -= size
            state.outbound_flow_control_window -= size
            stream.written(size)
        if not stream.out_size and stream.trailers is not None:
            if stream.trailers == OK_TRAILERS:
                self._pieces.append(connection.constant_headers(stream.id, OK_BLOCK, END_HEADERS | END_STREAM))
            elif stream.trailers:
                connection.send_headers(stream.id, stream.trailers, end_stream=True)
            else:
                connection.end_stream(stream.id)
            self._drop_rest(stream.id)
            stream.close()
        elif size >= 0:
            self.streams.ready.pop(stream, None)
            if stream.out_size:
                self.streams.ready[stream] = None  # behind the others
        return max(size, 0)

    # -- the end

    def finish(self) -> bool:
        """Write what is left, with the GOAWAY, and say that it was the last. False: the peer will not read it."""
        sock = self._sock
        if sock is None or sock.get_write_buffer_size() > _WRITE_LIMIT:
            return False
        sock.writelines([*self._pieces, self._state.data_to_send()])
        self._pieces.clear()
        sock.write_eof()
        self._sock = None
        return True

    def drop(self) -> None:
        """The connection is gone."""
        self._sock = None
        self._pieces.clear()
        if self._headers_due is not None:
            self._headers_due.cancel()


def carve(stream: H2Stream, size: int, limit: int, to: list[Buffer]) -> int:
    """Cut ``size`` bytes of a stream's output into DATA frames of no more than ``limit`` bytes; return how many."""
    source = stream.out
    frames = 0
    while size:
        frame = min(size, limit)
        to.append(FRAME.pack(frame >> 8, frame & 0xFF, DATA, 0, stream.id))
        size -= frame
        frames += 1
        while frame:
            head = source[0]
            if len(head) <= frame:
                to.append(head)
                source.popleft()
                frame -= len(head)
            else:
                view = memoryview(head)
                to.append(view[:frame])
                source[0] = view[frame:]
                frame = 0
    return frames
