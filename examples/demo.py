"""Counts the words of a text with a UDF in another process, over the protocol that Numaflow speaks to it.

usage: python -m examples.demo [INPUT] [--messages N] [--in-flight N] [--top N]

The UDF is ``examples/map/word_count``; this program takes the platform's part. It starts the UDF, waits for its
server-info file, connects to its unix socket, asks whether it is ready, and then sends the text over one stream: a line
a message, each with an id, and never more than ``--in-flight`` of them unanswered. Answers come in any order and are
matched by their ids. Whatever is to be sent goes out in as few HTTP/2 frames as there are moments to send: that is what
lets a client in Python keep up with the server.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from pathlib import Path
from types import TracebackType
from typing import Final

from h2.exceptions import ProtocolError

from numaflow_core._proto.ready_pb2 import ReadyResponse
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse

from .run import load
from .wire import Connection, Rpc, RpcError

HERE: Final = Path(__file__).resolve().parent
TEXT: Final = HERE / "data" / "declaration.txt"
UDF: Final = HERE / "map" / "word_count" / "udf.py"

INFO_END: Final = b"U+005C__END__"
"""Ends a server-info file; without it, the file is still being written."""

PATIENCE: Final = 30.0
"""Seconds that the UDF may take to start, to answer anything at all, and to stop."""


class DemoError(Exception):
    """Something that the user is to read, without a traceback."""


class UdfProcess:
    """The UDF, a process of its own with its socket in a folder of its own, for the time of a ``with`` block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="numaflow-demo-")
        folder = Path(self._folder.name)
        self.sock_path = folder / "map.sock"
        self._info_path = folder / "mapper-server-info"
        self._log_path = folder / "log"

    def __enter__(self) -> "UdfProcess":
        run = [sys.executable, str(HERE / "run.py"), str(UDF)]
        paths = ["--sock", str(self.sock_path), "--info", str(self._info_path)]
        with self._log_path.open("wb") as log:
            # A session of its own: Ctrl-C is for us, and we tell the UDF.
            self._process = subprocess.Popen(
                [*run, *paths], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_listening(self) -> None:
        """Wait for the server-info file, as the platform does; it is written once the socket listens."""
        deadline = time.monotonic() + PATIENCE
        while not (self._info_path.exists() and self._info_path.read_bytes().endswith(INFO_END)):
            if self._process.poll() is not None:
                raise DemoError("the UDF ended before it listened")
            if time.monotonic() > deadline:
                raise DemoError(f"the UDF does not listen after {PATIENCE:.0f} s")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it as Kubernetes does, with SIGTERM. Raises: DemoError unless its exit status is 0."""
        self._process.terminate()
        status = self._process.wait(PATIENCE)
        if status != 0:
            raise DemoError(f"the UDF ended with status {status} after SIGTERM")

    def obituary(self) -> str:
        """What it left behind: its exit status, if it has ended, and the end of its log."""
        try:
            status = f"its exit status is {self._process.wait(1.0)}"
        except subprocess.TimeoutExpired:
            status = "it is still running"
        log = self._log_path.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"The UDF was process {self.pid}; {status}. The end of its log:", *(f"  {x}" for x in log)])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # does nothing to a process that has ended and been waited for
        self._process.wait()
        self._folder.cleanup()


@dataclass
class Tally:
    """What came back."""

    words: Counter[bytes] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the messages stayed below."""
        return sorted(self.latencies)[min(int(len(self.latencies) * share), len(self.latencies) - 1)] * 1000


class Progress:
    """How far we are, on stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._tty = sys.stderr.isatty()
        self._every = 0.1 if self._tty else 1.0
        self._start = self._last = time.perf_counter()

    def show(self, done: int, now: float) -> None:
        if now - self._last < self._every and done < self._total:
            return
        self._last = now
        rate = done / (now - self._start)
        text = f"{done:,} of {self._total:,} lines answered, {rate:,.0f} a second"
        sys.stderr.write(f"\r{text}\x1b[K" if self._tty else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self._tty:
            sys.stderr.write("\n")


def check_ready(connection: Connection) -> None:
    """Ask ``IsReady`` as the platform does, before it opens a stream and ever after."""
    rpc = Rpc(connection, "/map.v1.Map/IsReady")
    rpc.send(b"")
    rpc.half_close()
    replies = rpc.receive()
    while not rpc.ended:
        replies += rpc.receive()
    rpc.finish()
    if not (len(replies) == 1 and ReadyResponse.FromString(replies[0]).ready):
        raise DemoError("the UDF says that it is not ready")


def count_words(connection: Connection, lines: list[bytes], passes: int, in_flight: int) -> Tally:
    """Send every line ``passes`` times and count the words that come back."""
    rpc = Rpc(connection, "/map.v1.Map/MapFn")
    handshake = MapRequest()
    handshake.handshake.sot = True
    rpc.send(handshake.SerializeToString())
    first = rpc.receive()
    if not first:
        rpc.finish()
    if [MapResponse.FromString(reply).handshake.sot for reply in first] != [True]:
        raise DemoError("the UDF did not answer the handshake with a handshake")

    total = len(lines) * passes
    source = enumerate(chain.from_iterable(repeat(lines, passes)))
    waiting: dict[str, float] = {}  # id to the time at which it was sent
    request, tally, progress = MapRequest(), Tally(), Progress(total)
    request.request.event_time.GetCurrentTime()
    start = now = time.perf_counter()
    try:
        while len(tally.latencies) < total:
            for number, line in islice(source, in_flight - len(waiting)):
                request.id = name = f"line-{number}"
                request.request.value = line
                rpc.send(request.SerializeToString())
                waiting[name] = now
            replies = rpc.receive()
            now = time.perf_counter()
            for reply in map(MapResponse.FromString, replies):
                sent = waiting.pop(reply.id, None)
                if sent is None:
                    raise DemoError(f"the UDF answered {reply.id!r}, which was not asked, or answered before")
                tally.latencies.append(now - sent)
                tally.words.update([result.value for result in reply.results])
            progress.show(len(tally.latencies), now)
            if rpc.ended:
                break
        tally.seconds = now - start
    finally:
        progress.close()
    rpc.half_close()
    if rpc.receive():
        raise DemoError("the UDF sent more answers than there were lines")
    rpc.finish()
    if waiting:
        raise DemoError(f"the UDF ended the stream and left {len(waiting):,} lines unanswered")
    return tally


def count_directly(lines: list[bytes]) -> Counter[bytes]:
    """The same count without a server in between, with the UDF's own idea of a word."""
    words = load(UDF).words
    return Counter(word.encode() for line in lines for word in words(line))


def run(arguments: argparse.Namespace) -> None:
    text: Path = arguments.input
    try:
        lines = text.read_bytes().splitlines()
    except OSError as error:
        raise DemoError(f"cannot read {text}: {error.strerror}") from None
    if not lines:
        raise DemoError(f"{text} has no lines")
    passes = -(-arguments.messages // len(lines))
    total = len(lines) * passes
    times = "once" if passes == 1 else f"{passes:,} times over, to have something to measure"
    print(f"{os.path.relpath(text)}: {len(lines):,} lines, sent {times}: {total:,} messages, a line each", flush=True)

    with UdfProcess() as udf:
        try:
            udf.wait_listening()
            print(f"the UDF is process {udf.pid}; sending, with up to {arguments.in_flight} in flight", flush=True)
            connection = Connection(udf.sock_path, PATIENCE)
            check_ready(connection)
            tally = count_words(connection, lines, passes, arguments.in_flight)
            connection.socket.close()  # as long as somebody is connected, it would serve on
            udf.stop()
        except TimeoutError:
            raise DemoError(f"nothing came from the UDF in {PATIENCE:.0f} s\n{udf.obituary()}") from None
        except (DemoError, RpcError, OSError, ProtocolError) as error:
            raise DemoError(f"{error}\n{udf.obituary()}") from None

    direct = count_directly(lines)
    if tally.words != Counter({word: count * passes for word, count in direct.items()}):
        raise DemoError("every line was answered exactly once, but the counts are not those of a direct count")
    print("every line was answered exactly once, and the counts are those of a direct count in Python\n")
    words_out = sum(tally.words.values())
    print(f"the most frequent of the {len(direct):,} words of the text:")
    for word, count in direct.most_common(arguments.top):
        print(f"{count:9,}  {word.decode()}")
    print(f"\n{total:,} messages in {tally.seconds:.1f} s: {total / tally.seconds:,.0f} messages a second,")
    print(f"which came back as {words_out:,} messages, a word each: {words_out / tally.seconds:,.0f} a second")
    print(f"latency: p50 {tally.latency_ms(0.5):.1f} ms, p99 {tally.latency_ms(0.99):.1f} ms")


def interrupt(*_: object) -> None:
    """Turn a signal into an exception, so that the UDF is ended too."""
    raise KeyboardInterrupt


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="demo", description="Count the words of a text with a UDF in another process."
    )
    parser.add_argument("input", nargs="?", type=Path, default=TEXT, help="a text file")
    parser.add_argument("--messages", type=positive, default=200_000, help="send the text until it makes so many lines")
    parser.add_argument("--in-flight", type=positive, default=500, help="how many lines may wait for their answer")
    parser.add_argument("--top", type=positive, default=10, help="how many words to print")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        run(arguments)
    except DemoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        print("demo: interrupted; the UDF was ended", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
