"""Checks where users hand values over, so that a wrong type fails on their line and not in an encoder."""

from collections.abc import Sequence
from typing import Any

Buffer = bytes | bytearray | memoryview
"""Bytes, whoever holds them."""


def check_bytes(value: object, field: str) -> bytes:
    """``value`` as bytes; ``None`` is empty.

    Raises:
        TypeError: not a bytes-like object.
    """
    if type(value) is bytes:
        return value
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    hint = " (encode the str first: text.encode())" if isinstance(value, str) else ""
    raise TypeError(f"{field} must be bytes-like, got {type(value).__name__}: {_short(value)}{hint}")


def check_strings(values: Sequence[str] | None, field: str) -> list[str]:
    """``values`` as a new list of str; ``None`` is empty.

    Raises:
        TypeError: not a sequence of str; a single str counts as a mistake.
    """
    if values is None:
        return []
    if type(values) is not list and (
        isinstance(values, (str, bytes, bytearray, memoryview)) or not isinstance(values, Sequence)
    ):
        hint = f" (did you mean [{values!r}]?)" if isinstance(values, str) else ""
        raise TypeError(f"{field} must be a sequence of str, got {type(values).__name__}: {_short(values)}{hint}")
    for item in values:
        if not isinstance(item, str):
            raise TypeError(f"{field} must be a sequence of str, got an item of {type(item).__name__}: {_short(item)}")
    return list(values)


def check_positive(value: Any, field: str) -> int:
    """A whole number of at least one.

    Raises:
        TypeError: not an int.
        ValueError: below one.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field} must be an int, got {type(value).__name__}: {_short(value)}")
    if value < 1:
        raise ValueError(f"{field} must be at least 1, got {value}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
