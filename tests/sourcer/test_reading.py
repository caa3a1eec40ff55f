"""Reads by themselves: what is kept, what the handler may make, who waits for whom."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timezone
from time import monotonic
from typing import Any

import pytest

from numaflow_core.rpc import Inbox
from numaflow_sourcer import AckRequest, Message, NackRequest, Offset, ReadRequest
from numaflow_sourcer._delivered import LOST
from numaflow_sourcer._reading import AsyncReading, Handlers, SyncReading

TIME = datetime(2024, 1, 1, tzinfo=timezone.utc)


def message(number: int) -> Message:
    return Message(b"%d" % number, Offset(b"%d" % number, 0), TIME)


class Stream:
    """What a call comes from."""

    gone = False


def call(num_records: int, timeout_in_ms: int = 60_000, stream: Stream | None = None) -> Inbox:
    return Inbox(stream or Stream(), ReadRequest(num_records, timeout_in_ms))  # type: ignore[arg-type]


def fail(error: BaseException, _: object = None) -> None:
    raise AssertionError(f"the handler failed: {error!r}")


def handlers(
    read: Callable[..., Any], nack: Callable[..., Any] = lambda request: None, failed: Callable[..., None] = fail
) -> Handlers:
    return Handlers(read, lambda request: None, nack, failed, failed)


class Read:
    """Reads of a sync handler."""

    def __init__(self, handler: Callable[..., Any], *, takes_output: bool = False) -> None:
        self.reading = SyncReading(handlers(handler), takes_output=takes_output)

    def __call__(self, num_records: int, timeout_in_ms: int = 60_000) -> list[int]:
        batches = self.reading.read(call(num_records, timeout_in_ms))
        return [int(each.payload) for batch in batches for each in batch]


def wait_for(condition: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        time.sleep(0.001)


def test_handler_makes_one_more_than_was_asked_for_and_waits() -> None:
    made = []

    def handler(datum: ReadRequest) -> Iterator[Message]:
        for number in range(100):
            made.append(number)
            yield message(number)

    read = Read(handler)
    assert read(10) == list(range(10))
    wait_for(lambda: len(made) == 11)
    time.sleep(0.05)
    assert len(made) == 11
    assert read(1) == [10]
    assert read(20) == list(range(11, 31))
    read.reading.close()
    assert read.reading._thread is not None
    read.reading._thread.join(60)
    assert not read.reading._thread.is_alive()


def test_read_that_is_told_of_what_it_has_already_hears_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is taken, and the read waits for another, before the put that brought it has told of it."""
    taken, second, over = threading.Event(), threading.Event(), threading.Event()
    heard: list[bool] = []
    waits = 0

    def handler(datum: ReadRequest, output: Any) -> None:
        output.put(message(1))
        assert second.wait(60)
        output.put(message(2))
        heard.append(over.wait(60))  # before the call ends, which is announced as well

    reading = Read(handler, takes_output=True).reading
    keep, wait = reading._keep, reading._news.wait

    def keep_and_be_overtaken(message: object) -> None:
        keep(message)
        if not taken.is_set():
            with reading._news:
                reading._news.notify_all()
            assert taken.wait(60)

    def counted(timeout: float | None = None) -> bool:
        nonlocal waits
        waits += 1
        if waits == 2:
            taken.set()
        if waits == 3:
            second.set()  # told of the first, it has looked again in vain
        return wait(timeout)

    monkeypatch.setattr(reading, "_keep", keep_and_be_overtaken)
    monkeypatch.setattr(reading._news, "wait", counted)
    batches = reading.read(call(2, 60_000))
    assert [int(each.payload) for batch in batches for each in batch] == [1, 2]
    over.set()
    wait_for(lambda: bool(heard))
    assert heard == [True]
    reading.close()


def test_late_handler_that_keeps_to_its_number_never_waits() -> None:
    """A lock that it holds until it returns is free before the next read."""
    lock = threading.Lock()
    begun, go = threading.Event(), threading.Event()

    def handler(datum: ReadRequest) -> Iterator[Message]:
        with lock:
            begun.set()
            go.wait(60)
            for number in range(datum.num_records):
                yield message(number)

    read = Read(handler)
    assert read(50, 20) == []
    assert begun.wait(60)
    go.set()
    assert lock.acquire(timeout=60)
    lock.release()
    assert read(50, 0) == list(range(50))
    read.reading.close()


def test_handler_gets_what_is_left_of_a_read() -> None:
    asked = []

    def handler(datum: ReadRequest, output: Any) -> None:
        asked.append(datum)
        for number in range(3):
            output.put(message(number))

    read = Read(handler, takes_output=True)
    assert read(2, 5000) == [0, 1]
    assert read(10, 5000) == [2, 0, 1, 2]
    assert [datum.num_records for datum in asked] == [2, 9]
    assert 0 < asked[1].timeout_in_ms <= 5000
    read.reading.close()


def test_newer_read_ends_the_older_one() -> None:
    block = threading.Event()

    def handler(datum: ReadRequest) -> Iterator[Message]:
        block.wait(60)
        yield message(1)

    read = Read(handler)
    found: list[list[int]] = []
    older = threading.Thread(target=lambda: found.append(read(10, 60_000)))
    older.start()
    wait_for(lambda: read.reading._running)
    assert read(10, 50) == []
    older.join(60)
    assert found == [[]]
    block.set()
    assert read(1) == [1]
    read.reading.close()


def test_read_of_a_stream_that_left_takes_nothing() -> None:
    def handler(datum: ReadRequest) -> Iterator[Message]:
        yield message(1)

    reading = SyncReading(handlers(handler), takes_output=False)
    gone = call(10)
    gone.left = True
    assert list(reading.read(gone)) == []
    assert [len(batch) for batch in reading.read(call(10))] == [1]
    reading.close()


@pytest.mark.parametrize("wrong", [None, b"bytes", 3])
def test_what_is_no_message_is_an_error(wrong: object) -> None:
    errors: list[BaseException] = []
    reading = SyncReading(
        handlers(lambda datum: wrong, failed=lambda error, _: errors.append(error)), takes_output=False
    )
    assert list(reading.read(call(1, 200))) == []
    assert [type(error) for error in errors] == [TypeError]
    reading.close()


def test_async_handler_makes_one_more_than_was_asked_for_and_waits() -> None:
    made = []

    async def handler(datum: ReadRequest) -> AsyncIterator[Message]:
        for number in range(100):
            made.append(number)
            yield message(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reading = AsyncReading(handlers(handler), takes_output=False, loop=loop)

        async def read(count: int, timeout: int = 60_000) -> list[int]:
            return [int(each.payload) async for batch in reading.read(call(count, timeout)) for each in batch]

        assert await read(10) == list(range(10))
        await asyncio.sleep(0.02)
        assert len(made) == 11
        assert await read(1, 0) == [10]
        # The first call ends within this read, and one more begins.
        assert await read(300, 60_000) == [*range(11, 100), *range(100)]
        reading.close()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_async_close_ends_the_task() -> None:
    ended = []

    async def handler(datum: ReadRequest, output: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reading = AsyncReading(handlers(handler), takes_output=True, loop=loop)
        assert [batch async for batch in reading.read(call(1, 10))] == []
        reading.close()
        await asyncio.sleep(0.01)
        assert ended == [True]

    asyncio.run(main())


def numbers_of(request: NackRequest) -> list[int]:
    return [int(each.offset) for each in request.offsets]


def test_messages_of_a_stream_that_is_over_are_refused_before_the_next_read() -> None:
    order: list[object] = []

    def handler(datum: ReadRequest) -> Iterator[Message]:
        order.append("read")
        for number in range(datum.num_records):
            yield message(number)

    def refused(request: NackRequest) -> None:
        order.append([(int(offset.offset), options and options.reason) for offset, options in request.nacks])

    reading = SyncReading(handlers(handler, refused), takes_output=False)
    first, second = Stream(), Stream()
    assert [len(batch) for batch in reading.read(call(5, stream=first))] == [5]
    reading.ack(AckRequest([Offset(b"1", 0), Offset(b"never seen", 0), Offset(b"4", 7)]))
    reading.nack(NackRequest([Offset(b"0", 0)]))
    assert [len(batch) for batch in reading.read(call(1, 0, stream=second))] in ([], [1])  # the first is still there
    first.gone = True
    reading.ack(AckRequest([Offset(b"3", 0)]))
    list(reading.read(call(0, stream=second)))
    list(reading.read(call(0, stream=second)))
    assert [each for each in order if each != "read"] == [[(0, None)], [(2, LOST), (4, LOST)]]
    reading.close()


def test_refusals_of_server_and_platform_are_not_side_by_side() -> None:
    inside = threading.Lock()
    begun, go = threading.Event(), threading.Event()
    refused: list[list[int]] = []

    def nack(request: NackRequest) -> None:
        assert inside.acquire(blocking=False)
        begun.set()
        assert go.wait(60)
        refused.append(numbers_of(request))
        inside.release()

    reading = SyncReading(handlers(lambda datum: [message(1)], nack), takes_output=False)
    gone = Stream()
    assert len(list(reading.read(call(1, stream=gone)))) == 1
    gone.gone = True
    read = threading.Thread(target=lambda: list(reading.read(call(0))))
    read.start()
    assert begun.wait(60)
    platform = threading.Thread(target=reading.nack, args=[NackRequest([Offset(b"2", 0)])])
    platform.start()
    go.set()
    for thread in (read, platform):
        thread.join(60)
    assert refused == [[1], [2]]
    reading.close()


def test_async_messages_of_a_stream_that_is_over_are_refused_before_the_next_read() -> None:
    order: list[object] = []

    async def handler(datum: ReadRequest) -> AsyncIterator[Message]:
        order.append("read")
        for number in range(datum.num_records):
            yield message(number)

    async def refused(request: NackRequest) -> None:
        await asyncio.sleep(0)
        order.append(numbers_of(request))

    async def acked(request: AckRequest) -> None:
        pass

    async def main() -> None:
        reading = AsyncReading(
            Handlers(handler, acked, refused, fail, fail), takes_output=False, loop=asyncio.get_running_loop()
        )
        gone = Stream()
        assert [len(batch) async for batch in reading.read(call(3, stream=gone))] == [3]
        await reading.ack(AckRequest([Offset(b"1", 0)]))
        gone.gone = True
        assert [len(batch) async for batch in reading.read(call(1))] == [1]
        assert order == ["read", [0, 2], "read"]
        reading.close()
        await asyncio.sleep(0)

    asyncio.run(main())
