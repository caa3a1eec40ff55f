"""For your own tests: talk to a running map server as the platform does.

A handler by itself needs none of this: call it with a ``Datum(...)``. Import this module in tests only: it imports
``grpc``.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from numaflow_core.testing import KindClient, OpenIds, Outcome, RpcEndedError, check_eot, read_result
from numaflow_core.values.durations import Duration

from ._datatypes import Datum, Message, Messages
from ._proto.map_pb2 import MapRequest, MapResponse
from ._servers import BATCH_KIND, KIND, STREAM_KIND

__all__ = ["BatchMapClient", "MapClient", "MapStreamClient", "Outcome", "RpcEndedError"]


class _Client(KindClient[Datum, MapRequest, MapResponse]):
    _datum_type = Datum
    _request_type = MapRequest
    _reply_type = MapResponse

    def _request(self, name: str, datum: Datum) -> MapRequest:
        return MapRequest(request=datum._request, id=name)


class MapClient(_Client):
    """Sends messages to a map server and gives back what the handler made of them.

    >>> with MapClient("/tmp/map.sock") as client:  # doctest: +SKIP
    ...     client.map([b"a,b"])
    [Messages(Message(value=b'a', keys=[], tags=[]), Message(value=b'b', keys=[], tags=[]))]

    Its methods block. Beside a server in the same process that runs async handlers (``MapAsyncServer.serving()``), call
    them on another thread: ``await asyncio.to_thread(client.map, [b"a,b"])``.
    """

    _kind = KIND

    def map(self, requests: Iterable[bytes | Datum], *, timeout: Duration = 30.0) -> list[Messages]:
        """Map messages over one stream; the results are in the order of ``requests``.

        Bytes are the value of a message without keys and watermark, with the current time as its event time. A
        ``Datum`` is sent as it is, under its id or, if that is empty, under a generated one.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` has the status and, after an error of the handler,
                the traceback.
            TimeoutError: not everything was answered within ``timeout``.
            ValueError: two requests have the same id.
        """
        return [_messages(reply) for reply in self._ask(requests, timeout)]


class BatchMapClient(_Client):
    """Sends batches of messages to a batch map server and gives back what the handler made of each message.

    >>> with BatchMapClient("/tmp/batchmap.sock") as client:  # doctest: +SKIP
    ...     client.map([b"a", b"b"])
    [Messages(Message(value=b'A', keys=[], tags=[])), Messages(Message(value=b'B', keys=[], tags=[]))]

    Its methods block, as those of ``MapClient`` do.
    """

    _kind = BATCH_KIND

    def map(self, batch: Iterable[bytes | Datum], *, timeout: Duration = 30.0) -> list[Messages]:
        """Map one batch; the results are in its order. What it takes and raises is as in ``MapClient.map``."""
        return self.map_batches([batch], timeout=timeout)[0]

    def map_batches(
        self, batches: Iterable[Iterable[bytes | Datum]], *, timeout: Duration = 30.0
    ) -> list[list[Messages]]:
        """Map batches over one stream, each when the one before is answered, as the platform does. An empty batch,
        which the platform never sends, is answered without a call of the handler."""
        return [list(found.values()) for found in self._ask_batches(batches, _batch_answers, timeout)]


class MapStreamClient(_Client):
    """Sends messages to a map stream server and gives back what the handler made of them.

    >>> with MapStreamClient("/tmp/mapstream.sock") as client:  # doctest: +SKIP
    ...     for message in client.stream(b"a,b"):
    ...         print(message)
    Message(value=b'a', keys=[], tags=[])
    Message(value=b'b', keys=[], tags=[])

    Its methods block, as those of ``MapClient`` do.
    """

    _kind = STREAM_KIND

    def map(self, requests: Iterable[bytes | Datum], *, timeout: Duration = 30.0) -> list[Messages]:
        """Map messages over one stream; the results are in the order of ``requests``, and in the order in which each
        call yielded them. What it takes and raises is as in ``MapClient.map``."""
        named = self._requests(requests)
        found = {name: Messages() for name in named}
        for name, message in self._results(named, timeout):
            found[name].append(message)
        return list(found.values())

    def stream(self, request: bytes | Datum, *, timeout: Duration = 30.0) -> Iterator[Message]:
        """Map one message; its results are yielded as they arrive, and not read from the connection before they are
        asked for. Closing the iterator cancels the call. Raises as ``MapClient.map``, with ``timeout`` for all of
        it."""
        for _, message in self._results(self._requests([request]), timeout):
            yield message

    def _results(self, requests: dict[str, MapRequest], timeout: Duration) -> Iterator[tuple[str, Message]]:
        ids = OpenIds(requests)
        with self._exchange(timeout) as exchange:
            exchange.send(*requests.values())
            exchange.half_close()
            while ids:
                reply = exchange.receive()
                ids.check(reply.id)
                if reply.status.eot:
                    check_eot(reply)
                    ids.close(reply.id)
                for result in reply.results:
                    yield reply.id, _result(result)
            exchange.finish()


def _batch_answers(reply: MapResponse) -> Iterable[tuple[str, Messages]]:
    return ((reply.id, _messages(reply)),)


def _messages(reply: MapResponse) -> Messages:
    return Messages(*map(_result, reply.results))


def _result(wire: Any) -> Message:
    return read_result(Message(wire.value), wire)
