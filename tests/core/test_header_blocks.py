"""Large blocks of headers are decoded as small ones are, in time."""

from contextlib import suppress

import pytest
from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.transport.h2._headers import HeaderDecoder, pieces

MEBIBYTE = 1 << 20

names = st.sampled_from(["x", "content-type", ":path", "x-long-" + "n" * 200])
fields = st.tuples(names, st.sampled_from(["", "v", "application/grpc", "w" * 130, "z" * 3000]))


@given(st.lists(st.lists(st.tuples(fields, st.integers(1, 20)), max_size=6), max_size=3), st.booleans())
def test_as_without_pieces(blocks: list[list[tuple[tuple[str, str], int]]], huffman: bool) -> None:
    encoder, whole, in_pieces = Encoder(), Decoder(1 << 30), HeaderDecoder(1 << 30)
    for block in blocks:
        data = encoder.encode([field for field, times in block for _ in range(times)], huffman=huffman)
        assert b"".join(pieces(data)) == data
        assert list(in_pieces.decode(data)) == list(whole.decode(data))
    assert in_pieces.header_table.dynamic_entries == whole.header_table.dynamic_entries


@given(st.binary(max_size=200), st.integers(1, 60))
def test_what_is_no_block(noise: bytes, times: int) -> None:
    data = noise * times
    assert b"".join(pieces(data)) == data
    with suppress(HPACKError):
        HeaderDecoder(1 << 30).decode(data)


def test_block_of_many_short_fields_and_a_long_one() -> None:
    """It takes hpack more than a minute."""
    short = b"\x04\x00" * 20_000
    long = b"\x04\x7f\x81\x89\x3d" + bytes(1_000_000 - 1_000_000 % 128 + 128)
    with pytest.raises(HPACKError):
        HeaderDecoder(MEBIBYTE).decode(short + long)


def test_headers_of_more_than_the_limit() -> None:
    data = Encoder().encode([("x", "v" * 10_000)] * 200, huffman=False)
    with pytest.raises(OversizedHeaderListError):
        HeaderDecoder(MEBIBYTE).decode(data)
