"""Reads by hand: a stream, its requests and its replies."""

from behaviour.kinds import SOURCE
from numaflow_core.testing import RawStream
from numaflow_sourcer._proto import source_pb2 as wire
from numaflow_sourcer.testing import SourceClient

READ_HELLO = wire.ReadRequest(handshake=wire.Handshake(sot=True)).SerializeToString()


def read_request(num_records: int, timeout_in_ms: int) -> bytes:
    request = wire.ReadRequest()
    request.request.num_records, request.request.timeout_in_ms = num_records, timeout_in_ms
    return request.SerializeToString()


def open_reads(client: SourceClient) -> RawStream:
    stream = client._client.open(f"/{SOURCE.service}/ReadFn")
    stream.send(READ_HELLO)
    assert wire.ReadResponse.FromString(stream.receive()).handshake.sot
    return stream


def received(stream: RawStream) -> bytes | None:
    """The next payload; ``None`` at the end of the read."""
    reply = wire.ReadResponse.FromString(stream.receive())
    return None if reply.status.eot else reply.result.payload
