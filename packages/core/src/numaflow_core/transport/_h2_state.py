"""What ``h2`` keeps of a connection: its settings, and the states of its streams."""

from struct import Struct
from typing import Final

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.settings import SettingCodes, Settings
from h2.stream import StreamInputs

from ..transport import INITIAL_WINDOW
from ..wire.headers import RESPONSE, Headers, trailers
from ..wire.status import OK

FRAME: Final = Struct(">HBBBI")
"""A frame's header: the length in two parts, 16 bits and 8, type, flags and stream."""

DATA: Final = 0
HEADERS: Final = 1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4

MAX_FRAME: Final = 128 * 1024
_MAX_STREAMS: Final = 16_384
_MAX_HEADER_LIST: Final = 64 * 1024

_SETTINGS: Final = {
    SettingCodes.INITIAL_WINDOW_SIZE: INITIAL_WINDOW,
    SettingCodes.MAX_FRAME_SIZE: MAX_FRAME,
    SettingCodes.MAX_CONCURRENT_STREAMS: _MAX_STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADER_LIST,
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
    """``h2`` counts the open streams anew, one by one, whenever a stream is opened; this counts when it has to."""

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

    @property
    def open_inbound_streams(self) -> int:
        if len(self.streams) < min(self._recount_at, _MAX_STREAMS):
            return len(self.streams)
        count: int = super().open_inbound_streams
        self._recount_at = 2 * len(self.streams) + 64
        return count

    def ended_by_peer(self, stream_id: int) -> None:
        """Tell ``h2`` of an END_STREAM that came on a frame which it has not seen. Raises: ProtocolError."""
        self.streams[stream_id].state_machine.process_input(StreamInputs.RECV_END_STREAM)

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
