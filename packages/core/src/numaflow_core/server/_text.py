"""Text of a user's, made short and printable. Everything here takes time by what is kept and not by what came."""

from collections.abc import Callable, Iterable, Sequence, Sized
from itertools import islice
from typing import Any, Final

_ITEMS: Final = 10
_DEPTH: Final = 3
_PART: Final = 200

_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)}
_ONE_LINE: Final = {**_CONTROLS, 9: "\\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def shorten(text: str, limit: int, head: float = 0.5) -> str:
    """At most ``limit`` characters: the beginning, ``head`` of what is kept, and the end."""
    size = str.__len__(text)  # of a subclass, whose own methods are not called
    if size <= limit:
        return str.__getitem__(text, slice(None))
    mark = f" [... {size - limit} characters ...] "
    kept = max(limit - len(mark), 0)
    first = int(kept * head)
    return str.__getitem__(text, slice(first)) + mark + str.__getitem__(text, slice(size - kept + first, None))


def clean(text: str, limit: int) -> str:
    """At most ``limit`` characters, on lines, all of which can be encoded and printed."""
    return shorten(_encodable(shorten(text, limit)).translate(_CONTROLS), limit)


def clean_line(text: str, limit: int) -> str:
    """The same on one line."""
    return shorten(_encodable(shorten(text, limit)).translate(_ONE_LINE), limit)


def utf8_size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode("utf-8", "backslashreplace"))


def fit(text: str, limit: int, size: Callable[[str], int] = utf8_size, *, head: float = 0.5, mark: str = "...") -> str:
    """What has at most the size ``limit``: the beginning, ``head`` of what is kept, and the end. ``text`` is short
    already: each of its characters may be looked at."""
    if size(text) <= limit:
        return text
    room = limit - size(mark)
    first = _how_many(text, int(room * head), size)
    last = _how_many(reversed(text), room - size(text[:first]), size)
    return text[:first] + mark + text[len(text) - last :]


def brief(value: Any, depth: int = _DEPTH) -> str:
    """As ``repr``, but of containers, text and bytes no more than their beginning is looked at.

    Raises: what the ``__repr__`` of an object raises.
    """
    sort: type = type(value)
    if sort in (str, bytes, bytearray):
        return repr(value[:_PART]) + "..." * (len(value) > _PART)
    if sort is dict:
        items = [f"{brief(key, depth - 1)}: {brief(item, depth - 1)}" for key, item in _first(value.items(), depth)]
        return "{" + _joined(items, value) + "}"
    if sort in (list, tuple, set, frozenset):
        items = [brief(item, depth - 1) for item in _first(value, depth)]
        begin, end = "[]" if sort is list else "()" if sort is tuple else "{}"
        return begin + _joined(items, value) + end
    return shorten(repr(value), _PART)


def _first(items: Iterable[Any], depth: int) -> Iterable[Any]:
    return islice(items, _ITEMS if depth > 0 else 0)


def _joined(items: Sequence[str], whole: Sized) -> str:
    left = len(whole) - len(items)
    return ", ".join([*items, f"... {left} more"] if left else items)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _how_many(characters: Iterable[str], room: int, size: Callable[[str], int]) -> int:
    count = 0
    for character in characters:
        room -= size(character)
        if room < 0:
            break
        count += 1
    return count
