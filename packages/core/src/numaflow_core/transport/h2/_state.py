"""What ``h2`` keeps of a connection: its settings, and the states of its streams."""

from struct import Struct
from typing import Final

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.events import Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import StreamClosedBy, StreamInputs

from ...wire.headers import RESPONSE, Headers, trailers
from ...wire.status import OK
from ._headers import HeaderDecoder

FRAME: Final = Struct(">HBBBI")
"""A frame's header: the length in two parts, 16 bits and 8, type, flags and stream."""

DATA, HEADERS, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 7, 8, 9
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8

MAX_FRAME: Final = 128 * 1024
MAX_STREAMS: Final = 16_384

MAX_METADATA: Final = 64 * 1024
"""Bytes of a request's headers, as HTTP/2 counts them: 32 more for each. More ends the call."""

_MAX_HEADERS: Final = 1 << 20
"""More than this is not even decoded, and ends the connection: what is not decoded leaves its table in disorder."""

FIRST_WINDOW: Final = 1024
"""What a peer may send on a stream before the server has looked at it: as much as each of ``MAX_STREAMS`` may hold."""

MAX_WINDOW: Final = (1 << 31) - 1

_SETTINGS: Final = {
    SettingCodes.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
    SettingCodes.MAX_FRAME_SIZE: MAX_FRAME,
    SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: MAX_METADATA,
}


def _literal_block(headers: Headers) -> bytes:
    """Headers in HPACK's plainest form, "literal without indexing, new name" (RFC 7541, 6.2.2), which says the same on
    any connection. Names and values are shorter than 127 bytes."""
    parts = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in parts)


RESPONSE_BLOCK: Final = _literal_block(RESPONSE)
OK_TRAILERS: Final = trailers(OK)
OK_BLOCK: Final = _literal_block(OK_TRAILERS)


class H2State(H2Connection):
    """The state machine of ``h2``, with what it would refuse or count at the price of the whole connection left to us:
    too many streams, and headers that are too large."""

    _recount_at = 64

    def __init__(self) -> None:
        # Our own headers are well-formed, and to have them checked is a third of what a short RPC costs.
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        super().__init__(config)
        # In force from the first frame on: `update_settings` would first announce h2's defaults.
        self.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self.max_inbound_frame_size = self.local_settings.max_frame_size
        self.decoder = HeaderDecoder(_MAX_HEADERS)
        self._parted = False  # a GOAWAY was sent

    def receive(self, frame: bytes) -> list[Event]:
        """Take a frame. Raises: ProtocolError, with a GOAWAY to send."""
        try:
            events: list[Event] = self.receive_data(frame)
        except ProtocolError:
            self._parted = True
            raise
        return events

    def part(self, code: int) -> None:
        """Have a GOAWAY to send, unless there was one."""
        if not self._parted:
            self._parted = True
            self.close_connection(code)

    @property
    def open_inbound_streams(self) -> int:
        """What ``h2`` asks for whenever a stream is opened, to end the connection when there are too many. It is told
        of none; but what it has kept of streams that have ended is cleared now and then."""
        if len(self.streams) >= self._recount_at:
            self._recount_at = 2 * super().open_inbound_streams + 64
        return 0

    def take_content_length(self, stream_id: int) -> int | None:
        """How many bytes the request has announced. ``h2`` forgets it: it would compare it with the DATA frames that it
        does not see."""
        stream = self.streams[stream_id]
        expected: int | None = stream._expected_content_length
        stream._expected_content_length = None
        return expected

    def ended_by_peer(self, stream_id: int) -> None:
        """Tell ``h2`` of an END_STREAM that came on a frame which it has not seen. Raises: ProtocolError."""
        self.streams[stream_id].state_machine.process_input(StreamInputs.RECV_END_STREAM)

    def may_still_send(self, stream_id: int) -> bool:
        """Of a stream that is over: whether we have cut it off, so that its peer may not have known when it sent."""
        return self._stream_closed_by(stream_id) in (None, StreamClosedBy.SEND_RST_STREAM)

    def constant_headers(self, stream_id: int, block: bytes, flags: int) -> bytes:
        """The frame of a header block that is the same every time. ``h2`` only has to hear that it is sent: to have it
        encoded would be a third of what a short RPC costs."""
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        if self.encoder.header_table.resized:  # which the peer has to be told of before anything else
            block = bytes(self.encoder.encode([])) + block
        state = self.streams[stream_id].state_machine
        state.process_input(StreamInputs.SEND_HEADERS)
        if flags & END_STREAM:
            state.process_input(StreamInputs.SEND_END_STREAM)
        return FRAME.pack(0, len(block), HEADERS, flags, stream_id) + block
