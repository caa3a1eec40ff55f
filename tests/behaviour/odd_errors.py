"""Exceptions that are hard to tell, by name. Each is raised by a function of the user's, ``raise_odd``."""

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn


class UntoldError(Exception):
    """Whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attributes")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class EndError(BaseException):
    """No ``Exception``: what catches those lets it pass."""


ODD_DETAILS: Final[tuple[Any, ...]] = ("odd", (b"file", "x", [], {}))


def _notes() -> BaseException:
    error = ValueError("with notes")
    error.__notes__ = 42  # type: ignore[attr-defined]
    return error


def _chain() -> BaseException:
    error = ValueError("first of many")
    for number in range(10_000):
        later = ValueError(f"number {number}")
        later.__cause__ = error
        error = later
    return error


def _circle() -> BaseException:
    error, other = ValueError("in a circle"), KeyError("the other")
    error.__cause__, other.__cause__ = other, error
    return error


def _undecodable() -> BaseException:
    return UnicodeDecodeError("utf-8", b"\xff" * 4_000_000, 0, 1, "invalid start byte")


ERRORS: Final[dict[str, tuple[Callable[[], BaseException], str]]] = {
    "surrogate": (lambda: ValueError(json.loads(r'"half \ud83d of it"')), r"ValueError: half \ud83d of it"),
    "untold": (lambda: UntoldError("some argument"), "some argument"),
    "notes": (_notes, "ValueError: with notes"),
    "chain": (_chain, "ValueError: number 9999"),
    "circle": (_circle, "ValueError: in a circle"),
    "syntax": (lambda: SyntaxError(*ODD_DETAILS), "SyntaxError: "),
    "undecodable": (_undecodable, "invalid start byte"),
    "long": (lambda: ValueError("é" * 8_000_000), "ValueError: éé"),
    "base": (lambda: EndError("no Exception"), "EndError: no Exception"),
}
"""What makes them, and a part of what is told of them."""


def raise_odd(name: str) -> NoReturn:
    raise ERRORS[name][0]()
