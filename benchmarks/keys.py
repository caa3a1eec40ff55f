"""Open and close very many keys, a hundred at a time, and see what the server's memory does meanwhile.

usage: python -m benchmarks.keys KIND MODE [KEYS]
KIND   reduce | sessionreduce | accumulator
MODE   sync | async | multiproc
KEYS   in all (default: 1000000)

Reduce gets a stream for each window of a hundred keys, the other kinds one stream in which a hundred keys are opened
and closed before the next hundred. Each key has one message, and its result is checked. Prints the resident memory of
the server, workers included, after the first hundredth of the keys and at the end; exits with 1 if it grew by more than
10 %.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.soak import resident

from numaflow_core.testing import RawStream, UdfClient

KEYS_AT_ONCE: Final = 100
VALUE: Final = bytes(100)
START: Final = 1_700_000_000
SERVER: Final = Path(__file__).with_name("server.py")


def fill(request: Any, keys: list[str], number: int) -> None:
    payload = request.payload
    payload.keys.extend(keys)
    payload.value = VALUE
    payload.event_time.seconds = payload.watermark.seconds = START + number


def reduce(client: UdfClient) -> Iterator[Callable[[int, list[str]], int]]:
    from numaflow_reducer._proto.reduce_pb2 import ReduceRequest, ReduceResponse

    events = ReduceRequest.WindowOperation.Event

    def window(number: int, keys: list[str]) -> int:
        stream = client.open("/reduce.v1.Reduce/ReduceFn")
        for key in keys:
            request = ReduceRequest()
            fill(request, [key], number)
            request.operation.event = events.APPEND if key != keys[0] else events.OPEN
            window = request.operation.windows.add()
            window.start.seconds, window.end.seconds, window.slot = START + number, START + number + 1, "slot-0"
            stream.send(request.SerializeToString())
        stream.half_close()
        replies = [ReduceResponse.FromString(reply) for reply in stream.rest(60)]
        assert replies[-1].EOF
        assert stream.status().code == "OK"
        return sum(reply.result.value == b"1" for reply in replies)

    yield window


def keyed(
    client: UdfClient, rpc: str, request_type: Any, add_window: Callable[[Any], Any], count: Callable[[RawStream], int]
) -> Iterator[Callable[[int, list[str]], int]]:
    stream = client.open(rpc)
    events = request_type.WindowOperation.Event

    def window(number: int, keys: list[str]) -> int:
        for event in (events.OPEN, events.CLOSE):
            for key in keys:
                request = request_type()
                if event == events.OPEN:
                    fill(request, [key], number)
                request.operation.event = event
                window = add_window(request.operation)
                window.start.seconds, window.end.seconds, window.slot = START + number, START + number + 1, "slot-0"
                window.keys.append(key)
                stream.send(request.SerializeToString())
        return count(stream)

    yield window
    stream.half_close()
    assert list(stream.rest(60)) == []
    assert stream.status().code == "OK"


def sessionreduce(client: UdfClient) -> Iterator[Callable[[int, list[str]], int]]:
    from numaflow_sessionreducer._proto.sessionreduce_pb2 import SessionReduceRequest, SessionReduceResponse

    def count(stream: RawStream) -> int:
        results = ends = 0
        while ends < KEYS_AT_ONCE:
            reply = SessionReduceResponse.FromString(stream.receive(60))
            results += reply.result.value == b"1"
            ends += reply.EOF
        return results

    rpc = "/sessionreduce.v1.SessionReduce/SessionReduceFn"
    return keyed(client, rpc, SessionReduceRequest, lambda operation: operation.keyedWindows.add(), count)


def accumulator(client: UdfClient) -> Iterator[Callable[[int, list[str]], int]]:
    from numaflow_accumulator._proto.accumulator_pb2 import AccumulatorRequest, AccumulatorResponse

    def count(stream: RawStream) -> int:
        results = ends = 0
        while ends < KEYS_AT_ONCE:
            reply = AccumulatorResponse.FromString(stream.receive(60))
            results += reply.payload.value == VALUE
            ends += reply.EOF
        return results

    rpc = "/accumulator.v1.Accumulator/AccumulateFn"
    return keyed(client, rpc, AccumulatorRequest, lambda operation: operation.keyedWindow, count)


KINDS: Final = {"reduce": reduce, "sessionreduce": sessionreduce, "accumulator": accumulator}


def main() -> None:
    kinds, modes = tuple(KINDS), ("sync", "async", "multiproc")
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in kinds or sys.argv[2] not in modes:
        raise SystemExit(__doc__)
    kind, mode, keys = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 1_000_000
    windows = max(keys // KEYS_AT_ONCE, 100)
    with tempfile.TemporaryDirectory() as folder:
        sock = f"{folder}/sock"
        with subprocess.Popen([sys.executable, SERVER, kind, mode, sock]) as server, UdfClient(sock) as client:
            try:
                client.wait_ready(30)
                conversation = KINDS[kind](client)
                window = next(conversation)
                before = 0
                for number in range(windows):
                    results = window(number, [f"key-{number}-{key}" for key in range(KEYS_AT_ONCE)])
                    assert results == KEYS_AT_ONCE, f"{results} results for {KEYS_AT_ONCE} keys"
                    if number == windows // 100:
                        before = resident(server.pid)
                assert next(conversation, None) is None
                after = resident(server.pid)
            finally:
                server.terminate()
    print(
        f"{kind} {mode}: {windows * KEYS_AT_ONCE:,} keys, {before / 1e6:.1f} MB in the beginning, "
        f"{after / 1e6:.1f} MB at the end: {after / before - 1:+.1%}"
    )
    raise SystemExit(after > 1.1 * before or server.returncode != 0)


if __name__ == "__main__":
    main()
