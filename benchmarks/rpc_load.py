"""Measure sources, side inputs or serving stores, as the platform calls them.

usage: python -m benchmarks.rpc_load KIND SECONDS SOCK [SOCK ...]
KIND   source | sideinput | servingstore

With several servers, they are called in turns, one batch or one call each, so that a busy machine is as busy for all of
them. For each: what it did per second of its own turns, and the medians.

A source is read in batches of 500 and each batch is acknowledged in one request, one after the other, over a connection
for reads and one for acknowledgements. The other kinds are called one call after the other.

It is made to cost little beside the server: HTTP/2 on the ``h2`` library, and as little as possible for each message.
Needs ``numaflow-sourcer`` for its messages, and the examples' client.
"""

import sys
import time
from pathlib import Path
from statistics import median

from examples.wire import Connection, Rpc

from numaflow_sourcer._proto.source_pb2 import AckRequest, Handshake, Offset, ReadRequest, ReadResponse

BATCH = 500
TIMEOUT = 60.0
WARM_UP = 1.0

READ = ReadRequest(request=ReadRequest.Request(num_records=BATCH, timeout_in_ms=1000)).SerializeToString()
CALLS = {
    "sideinput": [("/sideinput.v1.SideInput/RetrieveSideInput", b"")],
    "servingstore": [
        ("/serving.v1.ServingStore/Put", b"\x0a\x02id\x12\x0a\x0a\x02in\x12\x04done"),
        ("/serving.v1.ServingStore/Get", b"\x0a\x02id"),
    ],
}


class Source:
    """The servers number their messages from 1 on, so that the acknowledgement of a batch is put together while the
    server makes it. The first and the last message of a batch are checked, and the number of messages."""

    def __init__(self, sock: Path) -> None:
        self.reads = Rpc(Connection(sock, TIMEOUT), "/source.v1.Source/ReadFn")
        self.acks = Rpc(Connection(sock, TIMEOUT), "/source.v1.Source/AckFn")
        self.reads.send(ReadRequest(handshake=Handshake(sot=True)).SerializeToString())
        self.acks.send(AckRequest(handshake=Handshake(sot=True)).SerializeToString())
        assert self.reads.receive()
        assert self.acks.receive()
        self.acked = 0
        self.read_times: list[float] = []
        self.ack_times: list[float] = []

    def turn(self) -> None:
        start = time.perf_counter()
        self.reads.send(READ)
        self.reads.flush()
        expected = range(self.acked + 1, self.acked + BATCH + 1)
        ack = AckRequest(request=AckRequest.Request(offsets=[Offset(offset=b"%d" % number) for number in expected]))
        self.acks.send(ack.SerializeToString())
        messages: list[bytes] = []
        while len(messages) < BATCH + 1:
            messages += self.reads.receive()
        assert ReadResponse.FromString(messages[-1]).status.eot
        for number, message in ((expected[0], messages[0]), (expected[-1], messages[-2])):
            assert ReadResponse.FromString(message).result.offset.offset == b"%d" % number
        read = time.perf_counter()
        assert len(self.acks.receive()) == 1
        self.acked += BATCH
        self.read_times.append(read - start)
        self.ack_times.append(time.perf_counter() - read)

    def forget(self) -> None:
        self.read_times.clear()
        self.ack_times.clear()

    def report(self) -> str:
        rate = BATCH * len(self.read_times) / (sum(self.read_times) + sum(self.ack_times))
        read, ack = median(self.read_times), median(self.ack_times)
        typical = BATCH / (read + ack)
        return (
            f"{rate:,.0f} msg/s read and acked; by the medians {typical:,.0f} "
            f"(a read {read * 1e3:.2f} ms, an ack {ack * 1e3:.2f} ms)"
        )


class Caller:
    """Unary calls."""

    def __init__(self, sock: Path, path: str, message: bytes) -> None:
        self.connection = Connection(sock, TIMEOUT)
        self.path = path
        self.message = message
        self.times: list[float] = []

    def turn(self) -> None:
        start = time.perf_counter()
        rpc = Rpc(self.connection, self.path)
        rpc.send(self.message)
        rpc.half_close()
        replies = rpc.receive()
        assert len(replies) == 1, replies
        while not rpc.ended:
            rpc.receive()
        rpc.finish()
        self.times.append(time.perf_counter() - start)

    def forget(self) -> None:
        self.times.clear()

    def report(self) -> str:
        self.times.sort()
        p50, p99 = median(self.times) * 1e6, self.times[len(self.times) * 99 // 100] * 1e6
        return f"{self.path}: p50 {p50:.0f} us, p99 {p99:.0f} us, {len(self.times)} calls"


def main() -> None:
    if len(sys.argv) < 4 or sys.argv[1] not in ("source", *CALLS):
        raise SystemExit(__doc__)
    kind, seconds, socks = sys.argv[1], float(sys.argv[2]), [Path(sock) for sock in sys.argv[3:]]
    clients: list[tuple[Path, Source | Caller]] = []
    for sock in socks:
        if kind == "source":
            clients.append((sock, Source(sock)))
        else:
            clients += [(sock, Caller(sock, path, message)) for path, message in CALLS[kind]]
    for duration in (WARM_UP, seconds):
        for _, client in clients:
            client.forget()
        end = time.perf_counter() + duration
        while time.perf_counter() < end:
            for _, client in clients:
                client.turn()
    for sock, client in clients:
        print(f"{sock.name}: {client.report()}")


if __name__ == "__main__":
    main()
