"""Measure a source, a side input or a serving store, as the platform calls them.

usage: python -m benchmarks.rpc_load KIND SOCK [SECONDS]
KIND   source | sideinput | servingstore

A source is read in batches of 500 and each batch is acknowledged in one request, one after the other, over a connection
for reads and one for acknowledgements: messages per second that were read and acknowledged. The other kinds are called
one call after the other: the median of a call.

It is made to cost little beside the server: HTTP/2 on the ``h2`` library, and protobuf's own parser. Needs
``numaflow-sourcer`` for its messages, and the examples' client.
"""

import sys
import time
from pathlib import Path
from statistics import median

from examples.wire import Connection, Rpc

from numaflow_sourcer._proto.source_pb2 import AckRequest, Handshake, Offset, ReadRequest, ReadResponse

BATCH = 500
TIMEOUT = 60.0


def source(sock: Path, seconds: float) -> None:
    """The servers number their messages from 1 on, so that the acknowledgement of a batch is put together while the
    server makes it. The first and the last message of a batch are checked, and the number of messages."""
    reads = Rpc(Connection(sock, TIMEOUT), "/source.v1.Source/ReadFn")
    acks = Rpc(Connection(sock, TIMEOUT), "/source.v1.Source/AckFn")
    reads.send(ReadRequest(handshake=Handshake(sot=True)).SerializeToString())
    acks.send(AckRequest(handshake=Handshake(sot=True)).SerializeToString())
    assert reads.receive()
    assert acks.receive()
    request = ReadRequest(request=ReadRequest.Request(num_records=BATCH, timeout_in_ms=1000)).SerializeToString()
    acked = before = 0
    read_times: list[float] = []
    ack_times: list[float] = []
    begin, warm = 0.0, time.perf_counter() + 1.0
    while not begin or time.perf_counter() < begin + seconds:
        start = time.perf_counter()
        if not begin and start > warm:
            begin, before = start, acked
            read_times, ack_times = [], []
        reads.send(request)
        expected = range(acked + 1, acked + BATCH + 1)
        messages: list[bytes] = []
        reads.flush()
        ack = AckRequest(request=AckRequest.Request(offsets=[Offset(offset=b"%d" % number) for number in expected]))
        acks.send(ack.SerializeToString())
        while len(messages) < BATCH + 1:
            messages += reads.receive()
        read = time.perf_counter()
        assert ReadResponse.FromString(messages[-1]).status.eot
        for number, message in ((expected[0], messages[0]), (expected[-1], messages[-2])):
            assert ReadResponse.FromString(message).result.offset.offset == b"%d" % number
        read_times.append(read - start)
        assert len(acks.receive()) == 1
        acked += BATCH
        ack_times.append(time.perf_counter() - read)
    rate = (acked - before) / (time.perf_counter() - begin)
    read, ack_time = median(read_times) * 1e3, median(ack_times) * 1e3
    print(f"{rate:,.0f} msg/s read and acked; medians of a read {read:.2f} ms, of an ack {ack_time:.2f} ms")


def calls(sock: Path, path: str, message: bytes, seconds: float) -> None:
    connection = Connection(sock, TIMEOUT)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        rpc = Rpc(connection, path)
        rpc.send(message)
        rpc.half_close()
        replies = rpc.receive()
        assert len(replies) == 1, replies
        while not rpc.ended:
            rpc.receive()
        rpc.finish()
        times.append(time.perf_counter() - start)
    times.sort()
    p50, p99 = median(times) * 1e6, times[len(times) * 99 // 100] * 1e6
    print(f"{path}: p50 {p50:.0f} us, p99 {p99:.0f} us, {len(times)} calls")


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    kind, sock = sys.argv[1], Path(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) == 4 else 5.0
    if kind == "source":
        source(sock, seconds)
    elif kind == "sideinput":
        calls(sock, "/sideinput.v1.SideInput/RetrieveSideInput", b"", seconds)
    elif kind == "servingstore":
        calls(sock, "/serving.v1.ServingStore/Put", b"\x0a\x02id\x12\x0a\x0a\x02in\x12\x04done", seconds)
        calls(sock, "/serving.v1.ServingStore/Get", b"\x0a\x02id", seconds)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
