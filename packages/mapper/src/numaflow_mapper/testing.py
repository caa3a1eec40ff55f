"""For tests of your own: talk to a running map server as the platform does.

A handler by itself needs none of this: call it with a ``Datum(...)``. Import this module in tests only: it imports
``grpc``.
"""

from collections.abc import Iterable
from datetime import datetime, timezone
from time import monotonic

from numaflow_core.metadata import UserMetadata, groups_from_wire
from numaflow_core.nack import NackOptions
from numaflow_core.testing import KindClient, Outcome, RawStream, RpcEndedError

from ._datatypes import Datum, Message, Messages
from ._proto.map_pb2 import MapRequest, MapResponse
from ._servers import KIND, MAP_SOCK_PATH

__all__ = ["MapClient", "Outcome", "RpcEndedError"]


class MapClient(KindClient):
    """Sends messages to a map server and gives back what the handler made of them.

    >>> with MapClient("/tmp/map.sock") as client:  # doctest: +SKIP
    ...     client.map([b"a,b"])
    [Messages(Message(value=b'a', keys=[], tags=[]), Message(value=b'b', keys=[], tags=[]))]

    Its methods block. Beside a server in the same process that runs async handlers (``MapAsyncServer.serving()``), call
    them on another thread: ``await asyncio.to_thread(client.map, [b"a,b"])``.
    """

    _service = KIND.service

    def __init__(self, sock_path: str = MAP_SOCK_PATH) -> None:
        super().__init__(sock_path)

    def map(self, requests: Iterable[bytes | Datum], *, timeout: float = 30.0) -> list[Messages]:
        """Map messages over one stream; the results are in the order of ``requests``.

        Bytes are the value of a message without keys, with the current time as its event time. A ``Datum`` is sent as
        it is, under its id or, where that is empty, one that is made up.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` tells with which status and, after an error of the
                handler, with which traceback.
            TimeoutError: not everything was answered within ``timeout`` seconds.
            ValueError: two requests have the same id.
        """
        end = monotonic() + timeout
        messages = {}
        for number, request in enumerate(requests):
            message = _message(request, f"request-{number}")
            if message.id in messages:
                raise ValueError(f"two requests have the id {message.id!r}")
            messages[message.id] = message
        stream = self._client.open(KIND.rpc)
        try:
            stream.send(_handshake(), *(message.SerializeToString() for message in messages.values()))
            stream.half_close()
            return _results(stream, list(messages), end)
        finally:
            stream.cancel()


def _results(stream: RawStream, ids: list[str], end: float) -> list[Messages]:
    first = MapResponse.FromString(stream.receive(max(0.0, end - monotonic())))
    if not first.handshake.sot:
        raise AssertionError(f"the server's first reply is not a handshake: {first}")
    found: dict[str, Messages] = {}
    expected = set(ids)
    while len(found) < len(ids):
        reply = MapResponse.FromString(stream.receive(max(0.0, end - monotonic())))
        if reply.id not in expected or reply.id in found:
            raise AssertionError(f"the server answered the id {reply.id!r}, which was not asked for, or not twice")
        found[reply.id] = Messages(*map(_result, reply.results))
    outcome = stream.status(max(0.0, end - monotonic()))
    if outcome.code != "OK":
        raise RpcEndedError(outcome)
    return [found[request_id] for request_id in ids]


def _handshake() -> bytes:
    message = MapRequest()
    message.handshake.sot = True
    return message.SerializeToString()


def _message(request: bytes | Datum, id: str) -> MapRequest:
    if isinstance(request, Datum):
        return MapRequest(request=request._request, id=request.id or id)
    now = datetime.now(timezone.utc)
    return MapRequest(request=Datum([], request, event_time=now, watermark=now)._request, id=id)


def _result(wire: MapResponse.Result) -> Message:
    metadata = UserMetadata(groups_from_wire(wire.metadata.user_metadata))
    message = Message(wire.value, keys=wire.keys, tags=wire.tags, user_metadata=metadata)
    if wire.HasField("nack_options"):
        message._as_nack(NackOptions.read(wire.nack_options))
    return message
