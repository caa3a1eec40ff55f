"""For your own tests: talk to a running source server as the platform does, and a clock that you control.
Import this module in tests only: it imports ``grpc``."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from time import monotonic
from typing import NamedTuple

from numaflow_core.testing import BaseClient, Outcome, RawStream, RpcEndedError
from numaflow_core.values.durations import Duration, seconds
from numaflow_core.values.metadata import UserMetadata, groups_from_wire
from numaflow_core.values.times import timestamp_to_ns

from ._datatypes import Message, Nack, Offset
from ._proto import source_pb2 as wire
from ._servers import KIND

__all__ = ["ManualClock", "Outcome", "Partitions", "RpcEndedError", "SourceClient"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Partitions(NamedTuple):
    """What a source says of its partitions."""

    active: list[int]
    total: int | None


class ManualClock:
    """A clock for ``OffsetLedger`` that moves on only when ``advance`` is called."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self._now

    def advance(self, duration: Duration) -> None:
        """Let time pass. A plain number is seconds."""
        self._now += seconds(duration, "duration", "timedelta(seconds=5)")


class SourceClient(BaseClient):
    """Reads from a source and acknowledges, as the platform does: one stream for reads, one for acknowledgements, both
    opened with the first use and kept open.

    Its methods block; beside a server in the same process that runs async handlers, call them on another thread.

    All of them raise ``RpcEndedError`` when the server ends the RPC, and ``TimeoutError`` when there is no answer in
    ``timeout``.
    """

    _kind = KIND

    def __init__(self, sock_path: str | None = None) -> None:
        """As ``BaseClient``."""
        super().__init__(sock_path)
        self._reads: RawStream | None = None
        self._acks: RawStream | None = None

    def read(self, num_records: int = 500, timeout_in_ms: int = 1000, *, timeout: Duration = 30.0) -> list[Message]:
        """One read."""
        end = monotonic() + seconds(timeout, "timeout")
        if self._reads is None:
            hello = wire.ReadRequest(handshake=wire.Handshake(sot=True))
            self._reads = self._open(KIND.rpc, hello.SerializeToString(), wire.ReadResponse, timeout)
        request = wire.ReadRequest(
            request=wire.ReadRequest.Request(num_records=num_records, timeout_in_ms=timeout_in_ms)
        )
        self._reads.send(request.SerializeToString())
        messages: list[Message] = []
        while True:
            reply = wire.ReadResponse.FromString(self._reads.receive(max(0.0, end - monotonic())))
            if reply.status.eot:
                return messages
            messages.append(_message(reply.result))

    def ack(self, offsets: Iterable[Offset], *, timeout: Duration = 30.0) -> None:
        """Acknowledge messages."""
        if self._acks is None:
            hello = wire.AckRequest(handshake=wire.Handshake(sot=True))
            self._acks = self._open(KIND.path("AckFn"), hello.SerializeToString(), wire.AckResponse, timeout)
        request = wire.AckRequest(request=wire.AckRequest.Request(offsets=map(_offset, offsets)))
        self._acks.send(request.SerializeToString())
        self._acks.receive(timeout)

    def nack(self, nacks: Iterable[Offset | Nack], *, timeout: Duration = 30.0) -> None:
        """Have messages delivered again."""
        request = wire.NackRequest()
        for nack in nacks:
            offset, options = (nack, None) if isinstance(nack, Offset) else nack
            part = request.request.add(offsets=[_offset(offset)])
            if options is not None:
                options.write(part.nack_options)
        reply = self._client.call(KIND.path("NackFn"), request.SerializeToString(), timeout=timeout)
        if not wire.NackResponse.FromString(reply).HasField("result"):
            raise AssertionError("the server's answer to a nack has no result")

    def pending(self, *, timeout: Duration = 30.0) -> int:
        """How many messages wait."""
        reply = self._client.call(KIND.path("PendingFn"), b"", timeout=timeout)
        return wire.PendingResponse.FromString(reply).result.count

    def partitions(self, *, timeout: Duration = 30.0) -> Partitions:
        """The source's partitions."""
        reply = wire.PartitionsResponse.FromString(self._client.call(KIND.path("PartitionsFn"), b"", timeout=timeout))
        if not reply.HasField("result"):
            raise AssertionError("the server's answer about its partitions has no result")
        total = reply.result.total_partitions if reply.result.HasField("total_partitions") else None
        return Partitions(list(reply.result.partitions), total)

    def disconnect(self) -> None:
        """Cut the streams off; the next use opens new ones."""
        for stream in (self._reads, self._acks):
            if stream is not None:
                stream.cancel()
        self._reads = self._acks = None

    def close(self) -> None:
        """Close the streams and the connection."""
        self.disconnect()
        super().close()

    def _open(
        self, rpc: str, handshake: bytes, response: type[wire.ReadResponse] | type[wire.AckResponse], timeout: Duration
    ) -> RawStream:
        stream = self._client.open(rpc)
        stream.send(handshake)
        if not response.FromString(stream.receive(timeout)).handshake.sot:
            raise AssertionError(f"the server's first reply to {rpc} is not a handshake")
        return stream


def _offset(offset: Offset) -> wire.Offset:
    return wire.Offset(offset=offset.offset, partition_id=offset.partition_id)


def _message(result: wire.ReadResponse.Result) -> Message:
    return Message(
        result.payload,
        Offset(result.offset.offset, result.offset.partition_id),
        _EPOCH + timedelta(microseconds=timestamp_to_ns(result.event_time) // 1000),
        keys=result.keys,
        headers=dict(result.headers),
        user_metadata=UserMetadata(groups_from_wire(result.metadata.user_metadata)),
    )
