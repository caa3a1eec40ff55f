"""What the transport on ``grpc.aio`` has to get right by itself; what all transports share is tested elsewhere."""

import asyncio
import errno
import logging
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from numaflow_core.transport import INITIAL_WINDOW, MESSAGE_COST, OUTPUT_LIMIT, Stream
from numaflow_core.transport._grpcio import GrpcioTransport
from numaflow_core.wire.buffers import Buffer, Pieces, count_bytes
from numaflow_core.wire.status import OK, ProtocolError, Status, StatusCode

WAIT = 10.0
KIB = 1024


class Recorder:
    """A receiver that writes down what it hears, and does what a test wants of it."""

    def __init__(self, stream: Stream, on_received: "OnReceived | None" = None) -> None:
        self.stream = stream
        self.heard: list[str] = []
        self.told: SimpleQueue[str] = SimpleQueue()
        self.messages: list[Buffer] = []
        self._on_received = on_received

    def received(self, messages: list[Buffer]) -> None:
        self.messages += messages
        self._note("received")
        if self._on_received is not None:
            self._on_received(self)

    def half_closed(self) -> None:
        self._note("half_closed")
        self.stream.finish(OK)

    def cancelled(self) -> None:
        self._note("cancelled")

    def drained(self) -> None:
        self._note("drained")

    def _note(self, what: str) -> None:
        self.heard.append(what)
        self.told.put(what)

    def wait_for(self, what: str, times: int = 1) -> None:
        while times:
            times -= self.told.get(timeout=WAIT) == what


OnReceived = Callable[[Recorder], None]


class Served:
    """A transport on a thread of its own, with one recorded method and one that echoes; and a channel to it."""

    def __init__(self, path: str) -> None:
        self.accepted: SimpleQueue[Recorder] = SimpleQueue()
        self.on_received: OnReceived | None = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.transport = GrpcioTransport(64 * KIB * KIB)
        self.run(self.transport.listen(path, {"/test/Record": self._record, "/test/Echo": self._echo}))
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(f"unix:{path}", options)
        self.record: Any = self.channel.stream_stream("/test/Record")

    def run(self, doing: Awaitable[None]) -> None:
        async def run() -> None:
            await doing

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(WAIT)

    def on_loop(self, function: Callable[..., object], *arguments: object) -> None:
        async def call() -> None:
            function(*arguments)

        self.run(call())

    def next_accepted(self) -> Recorder:
        return self.accepted.get(timeout=WAIT)

    def echo(self, message: bytes = b"echo") -> bytes:
        answer: bytes = self.channel.unary_unary("/test/Echo")(message, timeout=WAIT)
        return answer

    def end(self) -> None:
        self.run(self.transport.close(1.0))
        self.channel.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(WAIT)
        left = asyncio.all_tasks(self.loop)
        self.loop.close()
        assert not left

    def _record(self, stream: Stream) -> Recorder:
        recorder = Recorder(stream, self.on_received)
        self.accepted.put(recorder)
        return recorder

    def _echo(self, stream: Stream) -> Recorder:
        return Recorder(stream, lambda recorder: stream.send(recorder.messages))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(str(tmp_path / "test.sock"))
    yield served
    served.end()


class Requests:
    """The client's side of a stream, which stays open until it is closed."""

    def __init__(self, *messages: bytes) -> None:
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self.send(*messages)

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self._queue.put(message)

    def close(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> "Requests":
        return self

    def __next__(self) -> bytes:
        message = self._queue.get()
        if message is None:
            raise StopIteration
        return message


def error_of(call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    return caught.value


def test_unary_client(served: Served) -> None:
    assert served.echo(b"") == b""


def test_message_larger_than_the_window_passes_and_so_does_the_end_after_it(served: Served) -> None:
    assert served.echo(b"x" * (INITIAL_WINDOW * 3)) == b"x" * (INITIAL_WINDOW * 3)


def test_lost_peer_is_never_taken_for_the_end_of_input(served: Served) -> None:
    requests = [Requests(b"one") for _ in range(40)]
    calls = [served.record(each) for each in requests]
    recorders = [served.next_accepted() for _ in calls]
    for recorder in recorders:
        recorder.wait_for("received")
    for call in calls[:20]:
        call.cancel()
    for recorder in recorders:
        if recorder.heard == ["received"]:
            served.echo()
    served.channel.close()
    for recorder in recorders:
        recorder.wait_for("cancelled")
        assert recorder.heard == ["received", "cancelled"]
    for each in requests:
        each.close()


def test_deadline_cancels(served: Served) -> None:
    requests = Requests(b"one")
    call = served.record(requests, timeout=1.0)
    recorder = served.next_accepted()
    recorder.wait_for("cancelled")
    assert error_of(call).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert recorder.heard == ["received", "cancelled"]
    requests.close()


def test_status_follows_what_was_sent_and_only_the_first_counts(served: Served) -> None:
    def answer(recorder: Recorder) -> None:
        recorder.stream.send([b"a", bytearray(b"b"), memoryview(b"c"), Pieces(b"d", b"e")])
        recorder.stream.finish(Status(StatusCode.INTERNAL, "böse: 100%\n\ud800", b"\x00details\xff"))
        recorder.stream.finish(OK)
        recorder.stream.send([b"late"])

    served.on_received = answer
    requests = Requests(b"one")
    call = served.record(requests)
    assert [next(call) for _ in range(4)] == [b"a", b"b", b"c", b"de"]
    error = error_of(call)
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "böse: 100%\n?")
    assert dict(error.trailing_metadata())["grpc-status-details-bin"] == b"\x00details\xff"
    assert served.next_accepted().heard == ["received"]
    requests.close()


def test_broken_protocol_ends_the_rpc(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(recorder: Recorder) -> None:
        raise ProtocolError("expected something else")

    served.on_received = refuse
    requests = Requests(b"one", b"two")
    error = error_of(served.record(requests))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "expected something else")
    assert served.next_accepted().heard == ["received", "cancelled"]
    assert "/test/Record: stream ended with INVALID_ARGUMENT: expected something else" in caplog.text
    requests.close()


def test_unknown_method(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        served.channel.unary_unary("/test/Nothing")(b"", timeout=WAIT)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "/test/Nothing" in caplog.text


@pytest.mark.parametrize("size", [0, 256 * KIB])
def test_reading_waits_for_release(served: Served, size: int) -> None:
    """Of messages without content, too: each takes memory."""
    message = b"x" * size
    fits = INITIAL_WINDOW // (size + MESSAGE_COST) + 1
    count = fits + 10
    requests = Requests(*[message] * count)
    call = served.record(requests)
    recorder = served.next_accepted()
    recorder.wait_for("received", fits)
    for _ in range(20):
        served.echo()
    assert len(recorder.messages) == fits
    served.on_loop(recorder.stream.release, fits, count_bytes(recorder.messages))
    recorder.wait_for("received", count - fits)
    requests.close()
    assert list(call) == []


def test_peer_that_does_not_read_stops_the_reading(served: Served) -> None:
    message = b"x" * (256 * KIB)

    def flood(recorder: Recorder) -> None:
        if len(recorder.messages) == 1:
            recorder.stream.send([message] * (4 * OUTPUT_LIMIT // len(message)))
            assert recorder.stream.congested

    served.on_received = flood
    requests = Requests(b"first")
    call = served.record(requests)
    recorder = served.next_accepted()
    recorder.wait_for("received")
    for _ in range(20):
        requests.send(b"more")
        served.echo()
    assert recorder.heard == ["received"]
    requests.close()
    assert count_bytes(list(call)) == 4 * OUTPUT_LIMIT
    assert recorder.heard == ["received", "drained"] + ["received"] * 20 + ["half_closed"]


def test_close_lets_out_what_is_queued(served: Served) -> None:
    call = served.record(Requests())
    recorder = served.next_accepted()

    def answer_and_close() -> None:
        recorder.stream.send([b"x" * KIB] * 500)
        recorder.stream.finish(OK)

    served.on_loop(answer_and_close)
    served.run(served.transport.close(WAIT))
    assert count_bytes(list(call)) == 500 * KIB


def test_close_ends_open_rpcs(served: Served) -> None:
    requests = Requests(b"one")
    call = served.record(requests)
    recorder = served.next_accepted()
    recorder.wait_for("received")
    served.run(served.transport.close(WAIT))
    assert error_of(call).code() == grpc.StatusCode.UNAVAILABLE
    assert recorder.heard == ["received", "cancelled"]
    requests.close()


def test_close_does_not_wait_for_a_peer_that_does_not_read(served: Served) -> None:
    requests = Requests()
    call = served.record(requests)
    recorder = served.next_accepted()
    served.on_loop(recorder.stream.send, [b"x" * KIB * KIB] * 32)
    served.on_loop(recorder.stream.finish, OK)
    served.run(served.transport.close(0.2))
    assert recorder.heard == []
    error_of(call)
    requests.close()


def test_receiver_that_fails(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    def fail(recorder: Recorder) -> None:
        raise ZeroDivisionError

    served.on_received = fail
    requests = Requests(b"one")
    assert error_of(served.record(requests)).code() == grpc.StatusCode.UNKNOWN
    assert "ZeroDivisionError" in caplog.text
    requests.close()


@pytest.mark.parametrize("name", ["a b%20c", "#?", "größe", "[x]"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    served = Served(str(path))
    try:
        assert path.is_socket()
    finally:
        served.end()


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("missing/test.sock", errno.ENOENT, "No such file or directory"),
        ("file", errno.EADDRINUSE, "Address already in use"),
        ("x" * 200, None, "AF_UNIX path too long"),
    ],
)
def test_socket_that_cannot_be_bound(tmp_path: Path, name: str, number: int | None, text: str) -> None:
    (tmp_path / "file").write_text("in the way")

    async def listen() -> None:
        await GrpcioTransport(KIB).listen(str(tmp_path / name), {})

    with pytest.raises(OSError, match=text) as caught:
        asyncio.run(listen())
    assert caught.value.errno == number
    assert (tmp_path / "file").read_text() == "in the way"


def test_peer_that_leaves_is_not_an_error(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    served.on_received = lambda recorder: recorder.stream.finish(OK)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            requests = Requests(b"one")
            call = served.record(requests)
            served.next_accepted()
            call.cancel()
            requests.close()
        served.echo()
    assert not caplog.records


def test_grpc_is_imported_only_when_wanted() -> None:
    code = "import sys, numaflow_core.server, numaflow_core.transport.h2; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
