"""Protobuf's wire format, where it is taken apart by hand."""

import pytest

from numaflow_core.wire.protobuf import first_field
from protobuf_bytes import field

TAG = 0x0A  # field 1, of bytes
REST = field(2, b"rest")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_256, 16_383])
def test_first_field(size: int) -> None:
    content = b"\xa5" * size
    assert first_field(field(1, content) + REST, TAG) == (content, REST)


def test_first_field_and_nothing_else() -> None:
    assert first_field(field(1, b"x"), TAG) == (b"x", b"")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x0a",
        b"\x0a\x80",
        field(1, b""),
        field(2, b"x") + field(1, b"x"),
        field(1, 300) + REST,
        field(1, bytes(16_384)) + REST,
        bytearray(field(1, b"x") + REST),
    ],
)
def test_what_is_left_to_the_parser(message: bytes) -> None:
    assert first_field(message, TAG) == (b"", b"")


def test_content_that_is_cut_off_has_nothing_behind_it() -> None:
    assert first_field(field(1, b"content")[:-1], TAG)[1] == b""
    assert first_field(field(1, bytes(300))[:-1], TAG)[1] == b""
