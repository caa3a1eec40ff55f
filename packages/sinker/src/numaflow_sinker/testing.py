"""For your own tests: talk to a running sink server as the platform does.

A handler by itself needs none of this: call it with ``iter([Datum(...), ...])``. Import this module in tests only: it
imports ``grpc``.
"""

from collections.abc import Iterable, Iterator

from numaflow_core.testing import KindClient, Outcome, RpcEndedError
from numaflow_core.values.durations import Duration
from numaflow_core.values.metadata import UserMetadata, groups_from_wire
from numaflow_core.values.nack import NackOptions

from ._datatypes import Datum, Message, Response, Status
from ._proto.sink_pb2 import SinkRequest, SinkResponse
from ._servers import KIND

__all__ = ["Outcome", "RpcEndedError", "SinkClient"]


class SinkClient(KindClient[Datum, SinkRequest, SinkResponse]):
    """Sends batches of messages to a sink server and returns the outcome of each message.

    >>> with SinkClient("/tmp/sink.sock") as client:  # doctest: +SKIP
    ...     client.sink([b"a", b"b"])
    {'request-0': Response('request-0', SUCCESS), 'request-1': Response('request-1', SUCCESS)}

    Its methods block. Beside a server in the same process that runs async handlers (``SinkAsyncServer.serving()``),
    call them on another thread: ``await asyncio.to_thread(client.sink, [b"a", b"b"])``. A server in another role than
    the primary sink's listens somewhere else: pass its ``sock_path``.
    """

    _kind = KIND
    _datum_type = Datum
    _request_type = SinkRequest
    _reply_type = SinkResponse

    def sink(self, batch: Iterable[bytes | Datum], *, timeout: Duration = 30.0) -> dict[str, Response]:
        """Write one batch; the responses are by id, in the order of the batch. It is sent once: a failure is not
        tried again.

        Bytes are the value of a message without keys and watermark, with the current time as its event time. A
        ``Datum`` is sent as it is. A datum without an id gets one: ``request-0`` and so on, counted for each client.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` has the status and, after an error of the handler,
                the traceback.
            TimeoutError: not everything was answered within ``timeout``.
            ValueError: two messages of the batch have the same id.
        """
        return self.sink_batches([batch], timeout=timeout)[0]

    def sink_batches(
        self, batches: Iterable[Iterable[bytes | Datum]], *, timeout: Duration = 30.0
    ) -> list[dict[str, Response]]:
        """Write batches over one stream, each when the one before is answered, as the platform does. An empty batch,
        which the platform never sends, is answered without a call of the handler."""
        return self._ask_batches(batches, _answers, timeout)


def _answers(reply: SinkResponse) -> Iterator[tuple[str, Response]]:
    for wire in reply.results:
        yield wire.id, _response(wire)


def _response(wire: SinkResponse.Result) -> Response:
    status = Status(wire.status)
    if status is Status.FAILURE:
        return Response.as_failure(wire.id, wire.err_msg)
    if status is Status.SERVE:
        return Response.as_serve(wire.id, wire.serve_response if wire.HasField("serve_response") else None)
    if status is Status.ON_SUCCESS:
        return Response.as_on_success(wire.id, _message(wire) if wire.HasField("on_success_msg") else None)
    if status is Status.NACK:
        options = NackOptions.read(wire.nack_options) if wire.HasField("nack_options") else None
        return Response.as_nack(wire.id, options)
    return Response(wire.id, status)


def _message(wire: SinkResponse.Result) -> Message:
    message = wire.on_success_msg
    metadata = UserMetadata(groups_from_wire(message.metadata.user_metadata))
    return Message(message.value, message.keys, metadata if message.HasField("metadata") else None)
