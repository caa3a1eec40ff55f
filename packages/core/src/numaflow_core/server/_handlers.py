"""Checks of a user's handler at construction, so that a mistake shows at once and not at the first message."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ._types import HandlerRule, PerKey


def check_handler(rule: HandlerRule, handler: object) -> Callable[..., Any]:
    """What the server is to call for this handler.

    Raises:
        TypeError: saying what is wrong with the handler and what to do.
    """
    server = rule.server
    if isinstance(handler, PerKey):
        from ._keyed import check_per_key

        return check_per_key(rule, handler)
    if isinstance(handler, type):
        raise TypeError(f"{server} takes an instance, got the class {handler.__name__}: pass {handler.__name__}()")
    target = find_handler(rule, handler)
    name = handler_name(target)
    check_colour(rule, target, name)
    check_signature(rule, target, name, rule.parameters)
    return target


def find_handler(rule: HandlerRule, handler: object) -> Callable[..., Any]:
    """What is called of a function, or of an object with a handler method. Raises: TypeError where it is neither."""
    method = getattr(handler, rule.attribute, None)
    if not rule.functions:
        target: Any = method
    else:
        target = method if callable(method) and (isinstance(handler, rule.base) or not callable(handler)) else handler
    if not callable(target):
        article = "an" if rule.attribute[0] in "aeiou" else "a"
        wanted = f"an object with {article} {rule.attribute} method"
        raise TypeError(
            f"{rule.server} takes {'a function, or ' * rule.functions}{wanted}, "
            f"got {type(handler).__name__}: {handler!r:.80}"
        )
    return target  # type: ignore[no-any-return]


def check_signature(rule: HandlerRule, target: Callable[..., Any], name: str, arguments: Sequence[object]) -> None:
    """Raises: TypeError where the handler cannot be called with as many positional arguments."""
    signature = signature_of(target)
    if signature is None:
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        wanted = ", ".join(rule.parameters)
        raise TypeError(
            f"{rule.server} calls its handler with ({wanted}); {name}{signature} does not fit: {error}"
        ) from None


def signature_of(target: Callable[..., Any]) -> inspect.Signature | None:
    """The signature; ``None`` of a builtin that does not tell."""
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def check_colour(rule: HandlerRule, target: Callable[..., Any], name: str) -> None:
    """Raises: TypeError where the handler is async and should not be, or the other way round."""
    server, wants = rule.server, rule.wants_async
    generates = is_async_generator(target)
    returns = any(inspect.iscoroutinefunction(each) for each in _definitions(target))
    if generates and rule.generates is False:
        raise TypeError(f"{server} takes a handler that returns its result; {name} is an async generator")
    if returns and rule.generates is True and wants is not False:
        raise TypeError(
            f"{server} takes a handler that yields its results; {name} returns, it has no 'yield': "
            "write an async generator"
        )
    coloured = generates or returns
    if wants is True and not coloured:
        raise TypeError(f"{server} takes an async handler, {name} is not: write 'async def', or use {rule.instead}")
    if wants is False and coloured:
        raise TypeError(f"{server} takes a sync handler, {name} is 'async def': write 'def', or use {rule.instead}")


def handler_name(handler: Callable[..., object]) -> str:
    """The handler's name, as the user wrote it."""
    return getattr(handler, "__qualname__", None) or type(handler).__qualname__


def is_async(handler: Callable[..., object]) -> bool:
    """Whether calling the handler gives an awaitable or an async generator, as far as its definition tells; decorators
    that use ``functools.wraps`` are looked through."""
    return any(
        inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target) for target in _definitions(handler)
    )


def is_async_generator(handler: Callable[..., object]) -> bool:
    """Whether calling the handler gives an async generator, as far as its definition tells."""
    return any(inspect.isasyncgenfunction(target) for target in _definitions(handler))


def _definitions(handler: Callable[..., object]) -> list[Any]:
    """The handler, what it wraps, and what calling it as an object runs."""
    found: list[Any] = []
    for candidate in (handler, inspect.unwrap(handler)):
        target = candidate
        while isinstance(target, functools.partial):
            target = target.func
        found.append(target)
        if not inspect.isroutine(target):
            found.append(type(target).__call__)
    return found
