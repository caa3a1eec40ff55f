"""Requests as they come in: refused, or begun as RPCs."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from h2.errors import ErrorCodes
from h2.events import RequestReceived

from ...transport import Accept
from ...wire.buffers import Buffer
from ...wire.headers import RESPONSE, Headers, check_request, is_grpc, not_grpc, parse_timeout, shorten, trailers
from ...wire.messages import MessageReader
from ...wire.status import ProtocolError, Status, StatusCode
from ._budgets import Patience
from ._headers import header_size
from ._outgoing import FramesOut
from ._state import MAX_METADATA, MAX_STREAMS, H2State
from ._stream import H2Stream

logger = logging.getLogger(__name__)


class Requests:
    """What becomes of the requests of a connection."""

    def __init__(
        self,
        state: H2State,
        patience: Patience,
        out: FramesOut,
        methods: Mapping[str, Accept],
        max_message_size: int,
    ) -> None:
        self._state = state
        self._patience = patience
        self._out = out
        self._methods = methods
        self._max_message_size = max_message_size
        self.last = 0
        """The last stream that the peer has opened."""

    def begin(self, request: RequestReceived) -> None:
        """Serve a request, or refuse it."""
        stream_id = self.last = request.stream_id
        announced = self._state.take_content_length(stream_id)
        raw = cast("Iterable[tuple[bytes, bytes]]", request.headers)
        size = sum(header_size(name, value) for name, value in raw)
        if len(self._out.streams.by_id) >= MAX_STREAMS:
            self._patience.spend(Patience.COSTLY)
            self._out.reset(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        if size > MAX_METADATA:
            text = f"the request's metadata has {size} bytes, the limit is {MAX_METADATA}"
            self._refuse(stream_id, "", [*RESPONSE, *trailers(Status(StatusCode.RESOURCE_EXHAUSTED, text))])
            return
        # Whatever bytes a peer puts in headers have a character each.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        name = headers.get(":path", "")
        if not is_grpc(headers):
            self._patience.spend(Patience.COSTLY)
            stream = H2Stream(self._out.streams, stream_id, name, _NoReader(0))
            stream.announced = announced
            stream.receiver = _NotGrpc(lambda: self._answer(stream, not_grpc(headers)))
            return
        refusal = check_request(headers)
        accept = self._methods.get(name)
        if accept is None and not refusal:
            refusal = [*RESPONSE, *trailers(Status(StatusCode.UNIMPLEMENTED, f"unknown method {shorten(name)}"))]
        if refusal or accept is None:
            self._refuse(stream_id, name, refusal)
            return
        stream = H2Stream(self._out.streams, stream_id, name, MessageReader(self._max_message_size))
        stream.announced = announced
        self._out.begin_response(stream)
        try:
            if "grpc-timeout" in headers:
                stream.set_deadline(parse_timeout(headers["grpc-timeout"]))
        except ProtocolError as error:
            stream.fail(error)
            return
        stream.receiver = accept(stream)

    def _refuse(self, stream_id: int, name: str, answer: Headers) -> None:
        self._patience.spend(Patience.COSTLY)
        logger.warning("refused a request for %r: %s", shorten(name), dict(answer))
        self._out.refuse(stream_id, answer)

    def _answer(self, stream: H2Stream, headers: Headers) -> None:
        """Answer a request that is not gRPC."""
        logger.warning("refused a request for %r: %s", shorten(stream.name), dict(headers))
        self._state.send_headers(stream.id, headers)
        self._out.take_from_state()
        stream.end_with(b"this server speaks gRPC only\n")


class _NoReader(MessageReader):
    """For what nobody wants to read."""

    __slots__ = ()

    def feed(self, data: memoryview, messages: list[Buffer]) -> None:
        """Forget the data."""


class _NotGrpc:
    """Receives a request that is not gRPC. It is answered at its end, as those are that are: a client of HTTP may not
    read before it has sent."""

    def __init__(self, answer: Callable[[], None]) -> None:
        self._answer = answer

    def received(self, messages: list[Buffer]) -> None:
        """There are none."""

    def half_closed(self) -> None:
        self._answer()

    def cancelled(self) -> None:
        """Nothing is left to do."""

    def drained(self) -> None:
        """Nothing waits."""
