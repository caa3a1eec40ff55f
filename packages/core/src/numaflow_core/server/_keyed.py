"""Handlers of keyed kinds: a function that is called for each open key, or a class that is made for each."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..kind import Push
from ..runners.mailboxes import Collecting
from ..runners.output import Outlet, Putting
from ._handlers import (
    check_colour,
    check_signature,
    find_handler,
    handler_name,
    is_async,
    is_async_generator,
    signature_of,
)
from ._types import HandlerRule, PerKey, PushObject

_MESSAGES = "datums"
_OUTPUT = "output"


def check_per_key(rule: HandlerRule, given: PerKey) -> Callable[..., Any]:
    """What the server is to call for each key: an async handler with ``rule.parameters``; in place of a sync one,
    what makes a ``Push``, with the same parameters without the messages.

    Raises:
        TypeError: saying what is wrong with the handler and what to do.
    """
    handler: Any = given.handler
    args, kwargs = _init_arguments(rule, given)
    if isinstance(handler, functools.partial) and isinstance(handler.func, type):
        handler, args, kwargs = handler.func, (*handler.args, *args), {**handler.keywords, **kwargs}
    if isinstance(handler, type):
        return _check_class(rule, handler, args, kwargs)
    if args or kwargs:
        raise TypeError(
            f"{rule.server}: init_args and init_kwargs are for a class, {handler_name_of(handler)} is called as it is: "
            "pass the class, or bind the arguments with functools.partial"
        )
    if isinstance(handler, (rule.base, rule.push or rule.base)):
        name = type(handler).__name__
        raise TypeError(
            f"{rule.server} takes the class {name}, got an instance: each key and window gets one of its own. "
            f"Pass {name}, and what it is made with as init_args"
        )
    target = find_handler(rule, handler)
    name = handler_name(target)
    if rule.state and is_async(target):
        raise TypeError(
            f"{rule.server} takes a subclass of {rule.base.__name__}, which has {' and '.join(rule.state)}; {name} is "
            "an async function: write such a class"
        )
    return _check_function(rule, target, target, name)


def _init_arguments(rule: HandlerRule, given: PerKey) -> tuple[tuple[object, ...], dict[str, object]]:
    args: Any = given.args
    kwargs: Any = given.kwargs
    if not isinstance(args, (tuple, list)):
        meant = ""  # the second positional argument of servers that are not keyed
        if isinstance(args, int) and "MultiProc" in rule.server:
            meant = "; the number of workers is server_count=..."
        elif isinstance(args, str):
            meant = "; the socket is sock_path=..."
        raise TypeError(
            f"{rule.server} init_args must be a tuple of what the class is made with, got {type(args).__name__}: "
            f"{args!r:.80}; write init_args=({args!r:.80},){meant}"
        )
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(
            f"{rule.server} init_kwargs must be a mapping of names to what the class is made with, got "
            f"{type(kwargs).__name__}: {kwargs!r:.80}"
        )
    return tuple(args), dict(kwargs or {})


def handler_name_of(handler: object) -> str:
    """The handler's name, whatever it is."""
    return handler_name(handler) if callable(handler) else repr(handler)


def _check_class(
    rule: HandlerRule, handler: Any, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Callable[..., Any]:
    name = handler.__qualname__
    pushes = rule.push is not None and all(callable(getattr(handler, each, None)) for each in ("add", "finish"))
    method = getattr(handler, rule.method, None)
    if not pushes and not callable(method):
        bases = rule.base.__name__ if rule.push is None else f"{rule.base.__name__} or {rule.push.__name__}"
        raise TypeError(f"{rule.server} takes a function or a subclass of {bases}, got the class {name}")
    if inspect.isabstract(handler):
        missing = ", ".join(sorted(handler.__abstractmethods__))
        raise TypeError(f"{rule.server}: {name} does not define {missing}")
    missing = ", ".join(each for each in rule.state if not callable(getattr(handler, each, None)))
    if missing:
        raise TypeError(f"{rule.server}: {name} does not define {missing}")
    signature = signature_of(handler)
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{rule.server} makes a {name} with init_args {args!r} and init_kwargs {dict(kwargs)!r}, which does "
                f"not fit {name}{signature}: {error}"
            ) from None
    if pushes:
        if rule.wants_async is True:
            raise TypeError(f"{rule.server} takes an async handler, messages are pushed to {name}: use {rule.instead}")
        for each in ("add", "finish", *rule.state):
            if is_async(getattr(handler, each)):
                raise TypeError(f"{rule.server} calls {name}.{each} on a thread, it is 'async def': write 'def'")
        return _Pushed(handler, args, kwargs)

    assert callable(method)

    @functools.wraps(method)
    def make(*arguments: Any) -> Any:
        made = handler(*args, **kwargs)
        return made if rule.state else getattr(made, rule.method)(*arguments)

    unbound = inspect.getattr_static(handler, rule.method)
    bound = method if isinstance(unbound, (staticmethod, classmethod)) else functools.partial(method, None)
    if rule.state and not is_async(bound):
        pushed = "" if rule.push is None else f", or derive from {rule.push.__name__}"
        raise TypeError(f"{rule.server}: {handler_name(method)} is not async: write 'async def'{pushed}")
    return _check_function(rule, bound, make, handler_name(method))


def _check_function(
    rule: HandlerRule, target: Callable[..., Any], called: Callable[..., Any], name: str
) -> Callable[..., Any]:
    """``target`` tells what the handler is, ``called`` is what is called."""
    puts = rule.with_output and rule.wants_async is not False and _takes_output(rule, target)
    if puts:
        rule = rule._replace(parameters=rule.with_output, generates=False)
    check_colour(rule, target, name)
    check_signature(rule, target, name, rule.parameters)
    if puts:
        return _putting(rule, called)
    if rule.wants_async or is_async(target):
        return called
    if not rule.collects:
        assert rule.push is not None
        either = "" if rule.wants_async is False else ", or write 'async def'"
        raise TypeError(
            f"{rule.server} pushes messages to sync handlers as they come, {name} would get them all at the end: "
            f"derive a class from {rule.push.__name__}{either}"
        )
    return _Collected(called, rule.parameters.index(_MESSAGES))


def _takes_output(rule: HandlerRule, target: Callable[..., Any]) -> bool:
    """Whether a handler wants to be called with an output; whether it yields says more than how many arguments it
    could take."""
    if is_async_generator(target):
        return False
    signature = signature_of(target)
    if signature is None:
        return False
    try:
        signature.bind(*rule.with_output)
    except TypeError:
        return False
    return is_async(target) or len(rule.with_output) == sum(
        parameter.default is parameter.empty for parameter in signature.parameters.values()
    )


def _putting(rule: HandlerRule, called: Callable[..., Any]) -> Callable[..., Any]:
    position = rule.with_output.index(_OUTPUT)

    @functools.wraps(called)
    def call(*arguments: Any) -> Putting:
        outlet = Outlet()
        return Putting(outlet, called(*arguments[:position], outlet, *arguments[position:]))

    return call


class _Pushed:
    """Makes an object of the user's class for each key."""

    def __init__(self, made: Any, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        self._made = made
        self._args = args
        self._kwargs = kwargs
        self._told: tuple[str, ...] = made._told if issubclass(made, PushObject) else ()
        self._plain = made.__new__ is object.__new__
        self.__wrapped__ = made

    def __call__(self, *arguments: Any) -> Push:
        made, args, kwargs = self._made, self._args, self._kwargs
        new: Any = made.__new__(made) if self._plain else made.__new__(made, *args, **kwargs)
        for name, argument in zip(self._told, arguments, strict=False):
            setattr(new, name, argument)
        new.__init__(*args, **kwargs)
        return new  # type: ignore[no-any-return]


class _Collected:
    """Makes what collects a key's messages for a plain function."""

    def __init__(self, function: Callable[..., Any], position: int) -> None:
        self._function = function
        self._position = position
        self.__wrapped__ = function

    def __call__(self, *arguments: Any) -> Push:
        return Collecting(self._function, self._position, arguments)
