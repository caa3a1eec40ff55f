"""Protobuf by hand, so that tests of codecs do not depend on what they test."""


def varint(number: int) -> bytes:
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def field(number: int, content: bytes | str | int) -> bytes:
    """A field: a varint, or bytes, a string or a message."""
    if isinstance(content, int):
        return varint(number * 8) + varint(content)
    data = content.encode() if isinstance(content, str) else content
    return varint(number * 8 + 2) + varint(len(data)) + data
