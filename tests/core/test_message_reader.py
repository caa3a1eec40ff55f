"""gRPC's length-prefixed messages: however the bytes are cut, the same messages come out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.wire.buffers import Buffer, Pieces
from numaflow_core.wire.messages import MessageReader, frame_messages
from numaflow_core.wire.status import ProtocolError, StatusCode

LIMIT = 3 << 20


def prefix(size: int, flag: int = 0) -> bytes:
    return bytes([flag]) + size.to_bytes(4, "big")


def framed(body: bytes, flag: int = 0) -> bytes:
    return prefix(len(body), flag) + body


def feed(reader: MessageReader, data: bytes, cuts: list[int]) -> list[bytes]:
    messages: list[Buffer] = []
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    start = 0
    for end in ends:
        chunk = bytearray(data[start:end])
        reader.feed(memoryview(chunk), messages)
        chunk[:] = b"\xee" * len(chunk)  # the buffer is used again: nothing may be left in it
        start = end
    return [bytes(message) for message in messages]


bodies = st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 5000).map(bytes)), max_size=12)
cuts = st.lists(st.integers(0, 1 << 16), max_size=40)


@given(bodies, cuts)
def test_any_chunks_give_the_same_messages(messages: list[bytes], where: list[int]) -> None:
    reader = MessageReader(LIMIT)
    assert feed(reader, b"".join(map(framed, messages)), where) == messages
    assert not reader.incomplete


@given(st.binary(max_size=300), cuts)
def test_garbage_raises_nothing_but_protocol_errors(data: bytes, where: list[int]) -> None:
    reader = MessageReader(1000)
    with suppress(ProtocolError):
        feed(reader, data, where)


@given(bodies, st.binary(min_size=1, max_size=200), st.integers(1, 200), cuts)
def test_incomplete_until_the_last_byte(messages: list[bytes], last: bytes, missing: int, where: list[int]) -> None:
    data = b"".join(map(framed, messages))
    tail = framed(last)
    missing = min(missing, len(tail) - 1)
    reader = MessageReader(LIMIT)
    assert feed(reader, data + tail[:-missing], where) == messages
    assert reader.incomplete
    assert feed(reader, tail[-missing:], []) == [last]
    assert not reader.incomplete


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, LIMIT])
@pytest.mark.parametrize("step", [1000, 16_384, 1 << 20, 5 << 20])
def test_large_messages(size: int, step: int) -> None:
    body = bytes(index * 7 % 256 for index in range(1024)) * (size // 1024 + 1)
    body = body[:size]
    data = framed(b"before") + framed(body) + framed(b"after")
    assert feed(MessageReader(LIMIT), data, list(range(step, len(data), step))) == [b"before", body, b"after"]


@pytest.mark.parametrize("announced", [LIMIT + 1, 1 << 31, (1 << 32) - 1])
def test_too_large_is_refused_by_its_prefix(announced: int) -> None:
    with pytest.raises(ProtocolError, match="max_message_size") as caught:
        feed(MessageReader(LIMIT), prefix(announced), [])
    assert caught.value.status.code == StatusCode.RESOURCE_EXHAUSTED
    assert str(announced) in str(caught.value)
    assert str(LIMIT) in str(caught.value)


def test_limit_itself_is_allowed() -> None:
    assert feed(MessageReader(10), framed(b"x" * 10), []) == [b"x" * 10]
    with pytest.raises(ProtocolError):
        feed(MessageReader(10), framed(b"x" * 11), [])


@pytest.mark.parametrize("flag", [2, 3, 127, 255])
def test_unknown_flag(flag: int) -> None:
    with pytest.raises(ProtocolError, match=f"flag {flag}") as caught:
        feed(MessageReader(LIMIT), framed(b"x", flag), [])
    assert caught.value.status.code == StatusCode.INTERNAL


@pytest.mark.parametrize("body", [b"", b"\x1f\x8b and so on", bytes(100_000)])
def test_compressed_message_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="compressed") as caught:
        feed(MessageReader(LIMIT), framed(body, 1), [7])
    assert caught.value.status.code == StatusCode.INTERNAL


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_what_is_pending_and_what_is_missing(size: int, come: int) -> None:
    reader = MessageReader(LIMIT)
    feed(reader, framed(bytes(size))[: 5 + min(come, size)], [100, 1000])
    assert reader.pending == (min(come, size) if come < size else 0)
    assert reader.missing == max(size - come, 0)


def test_prefix_makes_nothing_be_allocated() -> None:
    reader = MessageReader(1 << 40)
    feed(reader, prefix((1 << 32) - 1) + b"x", [])
    assert reader.missing == (1 << 32) - 2


@given(st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=3), max_size=8), st.booleans())
def test_what_we_frame_is_read_again(messages: list[list[bytes]], in_pieces: bool) -> None:
    outgoing = [Pieces(*parts) if in_pieces else b"".join(parts) for parts in messages]
    data = b"".join(map(bytes, frame_messages(outgoing)))
    assert feed(MessageReader(LIMIT), data, []) == [b"".join(parts) for parts in messages]
