"""Where a handler is written, for reports."""

import functools
import inspect
import os
from types import CodeType
from typing import Any, Final, NamedTuple

_DEEPEST: Final = 50
"""Decorators, partials and so on that are looked through."""


class Place(NamedTuple):
    """A handler's name, and where it is defined."""

    name: str
    file: str = ""
    """Empty where there is none: a builtin."""

    line: int = 0

    def __str__(self) -> str:
        return f"{self.name} ({os.path.basename(self.file)}:{self.line})" if self.file else self.name


def place_of(handler: object) -> Place | None:
    """The place of a function, a method, a class, an object that can be called or has handlers, or of what they are
    decorated with ``functools.wraps`` or bound by ``functools.partial``. Never raises; ``None`` where there is
    nothing to say."""
    try:
        return None if handler is None else _find(handler)
    except Exception:  # whatever a user's __getattr__ does
        return None


def _find(handler: Any) -> Place:
    target = handler
    for _ in range(_DEEPEST):
        if isinstance(target, functools.partial):
            target = target.func
        elif inspect.ismethod(target):
            target = target.__func__
        elif "__wrapped__" in getattr(target, "__dict__", {}):
            target = target.__wrapped__
        elif not inspect.isroutine(target) and not isinstance(target, type):
            method = vars(type(target)).get("__call__")
            target = method if inspect.isfunction(method) else type(target)
        else:
            break
    code = _code(target)
    name = str(getattr(target, "__qualname__", type(target).__qualname__)).rpartition("<locals>.")[2]
    return Place(name) if code is None else Place(name, code.co_filename, code.co_firstlineno)


def _code(target: Any) -> CodeType | None:
    """Of a class its first method's."""
    members = vars(target).values() if isinstance(target, type) else [target]
    codes = [each.__code__ for each in members if inspect.isfunction(each)]
    return min(codes, key=lambda code: code.co_firstlineno, default=None)
