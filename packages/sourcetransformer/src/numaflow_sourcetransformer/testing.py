"""For your own tests: talk to a running source transform server as the platform does.

A handler by itself needs none of this: call it with a ``Datum(...)``. Import this module in tests only: it imports
``grpc``.
"""

from collections.abc import Iterable

from numaflow_core.testing import KindClient, Outcome, RpcEndedError, read_result
from numaflow_core.values.durations import Duration
from numaflow_core.values.times import ns_to_datetime, timestamp_to_ns

from ._datatypes import Datum, Message, Messages
from ._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse
from ._servers import KIND

__all__ = ["Outcome", "RpcEndedError", "SourceTransformClient"]


class SourceTransformClient(KindClient[Datum, SourceTransformRequest, SourceTransformResponse]):
    """Sends messages to a source transform server and gives back what the handler made of them.

    >>> with SourceTransformClient("/tmp/sourcetransform.sock") as client:  # doctest: +SKIP
    ...     client.transform([b"a"])
    [Messages(Message(value=b'A', keys=[], tags=[], event_time=2024-07-01T12:00:00+00:00))]

    Its methods block. Beside a server in the same process that runs async handlers
    (``SourceTransformAsyncServer.serving()``), call them on another thread:
    ``await asyncio.to_thread(client.transform, [b"a"])``.
    """

    _kind = KIND
    _datum_type = Datum
    _request_type = SourceTransformRequest
    _reply_type = SourceTransformResponse

    def transform(self, requests: Iterable[bytes | Datum], *, timeout: Duration = 30.0) -> list[Messages]:
        """Transform messages over one stream; the results are in the order of ``requests``.

        Bytes are the value of a message without keys and watermark, with the current time as its event time. A
        ``Datum`` is sent as it is, under its id or, if that is empty, under a generated one.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` has the status and, after an error of the handler,
                the traceback.
            TimeoutError: not everything was answered within ``timeout``.
            ValueError: two requests have the same id.
        """
        return [_messages(reply) for reply in self._ask(requests, timeout)]


def _messages(reply: SourceTransformResponse) -> Messages:
    if not reply.results:
        raise AssertionError(f"the answer to the id {reply.id!r} has no results, of which the platform dies")
    return Messages(*map(_result, reply.results))


def _result(wire: SourceTransformResponse.Result) -> Message:
    if not wire.HasField("event_time"):
        raise AssertionError("a result has no event time, of which the platform dies")
    ns = timestamp_to_ns(wire.event_time)
    message = Message(wire.value, ns_to_datetime(ns))
    message._event_time_ns = ns
    return read_result(message, wire)
