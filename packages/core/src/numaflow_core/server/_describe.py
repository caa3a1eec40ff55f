"""An exception of a user's as text. Nothing that it or its class defines is trusted: only ``__str__`` and, of what it
holds, ``__repr__`` are called, each guarded; everything else is read past the class, from ``BaseException`` itself.

What is kept is bounded in all directions: characters, frames, causes, notes, members of groups.
"""

import builtins
import linecache
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Final, NamedTuple

from ..kind import Kind
from ..values.about import About
from ._places import Place, place_of
from ._report import Report
from ._text import brief, clean, clean_line, fit, shorten

_MESSAGE: Final = 1000
"""Characters of an exception's text."""

_FRAME: Final = 400
_BLOCK: Final = 2048
_DETAIL: Final = 8192
"""Bytes of a frame, of a cause, of everything. What ends a detail, the last frames and the exception itself, has to fit
into the part of it that the trailers have room for: see ``_report``."""

_OUTER: Final = 4
_INNER: Final = 26
"""Frames that are kept of a traceback, of its beginning and of its end."""

_LONGEST_LINE: Final = 1000
"""Of source: longer ones are shown without what ``traceback`` draws below them."""

_LINKS: Final = 1000
_NEAR: Final = 4
"""How far a chain of causes is followed, and how many are kept beside the last."""

_MEMBERS: Final = 5
_DEEP: Final = 3
"""Of exception groups: how many exceptions of each are shown, and how many levels."""

_NOTES: Final = 4
_NOTE: Final = 200
_NAME: Final = 200
_KEYS: Final = 8

_PACKAGE_ROOT: Final = os.path.dirname(os.path.dirname(__file__))
_GROUP: Final[Any] = getattr(builtins, "BaseExceptionGroup", None)  # since Python 3.11

_MARK: Final = "\n  ... cut ...\n"

_CAUSED: Final = "The above exception was the direct cause of the following exception:"
_MEANWHILE: Final = "During handling of the above exception, another exception occurred:"


def describe(
    error: BaseException,
    kind: Kind,
    handler: object = None,
    about: Callable[[], About | None] | None = None,
    payload: int = 0,
) -> Report:
    """Put an exception of a handler into words. Never raises.

    Args:
        error: the exception.
        kind: its name begins the report, and its package's frames are left out.
        handler: what was called.
        about: tells what it was called with; may raise.
        payload: how many bytes of the payload are shown.
    """
    subject = f"{kind.name} handler"
    try:
        place = place_of(handler)
        if place is not None:
            subject = clean_line(f"{subject} {place}", 2 * _NAME)
        where, head = _about_call(about, payload)
        trace = _Trace((_PACKAGE_ROOT, kind.package_root))
        users = trace.has_user_frames(error)
        # The SDK raises these for what a handler returned, and no line of the user's is on the stack any more.
        wrong_result = not users and type(error) in (TypeError, ValueError)
        said = _attempt(lambda: clean_line(_headline(error), _MESSAGE), "an exception that cannot be described")
        summary = f"{subject}{': ' if wrong_result else ' raised '}{said}{where}"
        detail = _attempt(lambda: trace.show(error, place if wrong_result else None), said + "\n")
        return Report(summary, head + fit(detail, _DETAIL, head=0.2, mark=_MARK))
    except BaseException:  # no memory, most likely
        return Report(f"{subject} raised an exception that cannot be described", "")


def _attempt(function: Callable[[], str], instead: str) -> str:
    try:
        return function()
    except BaseException:  # whatever a user's class raises
        return instead


def _about_call(tell: Callable[[], About | None] | None, payload: int) -> tuple[str, str]:
    """What the call was about, and its payload."""
    try:
        about = None if tell is None else tell()
        return ("", "") if about is None else (_subject_of_call(about), _payload(about, payload))
    except BaseException:  # it cannot be decoded, or there is no memory
        return "", ""


def _subject_of_call(about: About) -> str:
    parts = [f"message id {clean_line(about.id, _NAME)!r}"] if about.id else []
    if about.keys:
        more = f", and {len(about.keys) - _KEYS} more" if len(about.keys) > _KEYS else ""
        parts.append(f"keys {[clean_line(key, _NAME // 2) for key in about.keys[:_KEYS]]!r}{more}")
    return f" ({', '.join(parts)})" if parts else ""


def _payload(about: About, limit: int) -> str:
    if about.value is None or not limit:
        return ""
    size = len(about.value)
    shown = f"the first {limit} of {size} bytes" if size > limit else f"{size} bytes"
    return f"payload ({shown}): {bytes(about.value[:limit])!r}\n"


def _own(error: BaseException, name: str) -> Any:
    """An attribute as ``BaseException`` knows it, whatever the class says."""
    return vars(BaseException)[name].__get__(error)


def _name(error: BaseException) -> str:
    cls = type(error)
    name = str.__getitem__(vars(type)["__qualname__"].__get__(cls), slice(None))
    module = _attempt(lambda: str.__getitem__(vars(type)["__module__"].__get__(cls), slice(None)), "")
    return name if module in ("builtins", "__main__", "") else f"{module}.{name}"


def _headline(error: BaseException) -> str:
    """The last line of a traceback."""
    message = _message(error)
    if _GROUP is not None and issubclass(type(error), _GROUP):
        first = error
        for _ in range(_DEEP):
            if issubclass(type(first), _GROUP):
                first = _GROUP.exceptions.__get__(first)[0]
        message = f"{message}, the first: {_name(first)}: {_message(first)}"
    return f"{_name(error)}: {message}" if message else _name(error)


def _message(error: BaseException) -> str:
    arguments = _own(error, "args")
    try:
        method = type(error).__str__
        # Of these the text is that of their arguments, which may be large.
        if method is BaseException.__str__ and (len(arguments) != 1 or type(arguments[0]) in _PLAIN):
            (argument,) = arguments if len(arguments) == 1 else (arguments or "",)
            return shorten(argument, _MESSAGE) if type(argument) is str else brief(argument)
        if method is KeyError.__str__ and len(arguments) == 1:
            return brief(arguments[0])
        return shorten(str(error), _MESSAGE)
    except BaseException as broken:
        seen = _attempt(lambda: brief(arguments), "")
        return f"{seen} (its text cannot be had: {_name(broken)})".lstrip()


_PLAIN: Final = (str, bytes, bytearray, list, tuple, set, frozenset, dict)


class _Trace:
    """Writes exceptions with their causes, without the frames of the SDK."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(root + os.sep for root in roots)

    def has_user_frames(self, error: BaseException) -> bool:
        """Whether a line of the user's was on the stack."""
        return any(self._is_users(trace) for trace in _frames(error))

    def show(self, error: BaseException, place: Place | None) -> str:
        """The exception after what led to it. ``place`` stands in for the frames where there are none."""
        chain = list(islice(_chain(error), _LINKS))
        kept = chain if len(chain) <= _NEAR + 2 else [*chain[: _NEAR + 1], chain[-1]]
        blocks: list[str] = []
        for number, link in reversed(list(enumerate(kept))):
            text = self._block(link.error, place if number == 0 else None, 0)
            blocks.append(fit(text, _DETAIL if number == 0 else _BLOCK, head=0.2, mark=_MARK))
            if number == len(kept) - 1 and len(kept) < len(chain):
                blocks.append(f"\n... {len(chain) - len(kept)} exceptions ...\n")
            if number > 0:
                blocks.append(f"\n{kept[number - 1].joint}\n\n")
        return "".join(blocks)

    def _block(self, error: BaseException, place: Place | None, level: int) -> str:
        """An exception, without what led to it."""
        frames = _attempt(lambda: self._stack(error, place), "")
        text = f"Traceback (most recent call last):\n{frames}" if frames else ""
        text += fit(_attempt(lambda: clean(_headline(error), _MESSAGE), "?"), _MESSAGE) + "\n"
        text += _attempt(lambda: _notes(error), "")
        if _GROUP is not None and issubclass(type(error), _GROUP) and level < _DEEP:
            text += _attempt(lambda: self._members(error, level + 1), "")
        return text

    def _members(self, group: BaseException, level: int) -> str:
        members = _GROUP.exceptions.__get__(group)
        text = ""
        for number, member in enumerate(members[:_MEMBERS], start=1):
            block = fit(self._block(member, None, level), _BLOCK // level, head=0.2, mark=_MARK)
            text += f"{number} of {len(members)}:\n" + "".join(f"  {line}\n" for line in block.splitlines())
        return text

    def _is_users(self, trace: TracebackType) -> bool:
        return not trace.tb_frame.f_code.co_filename.startswith(self._roots)

    def _stack(self, error: BaseException, place: Place | None) -> str:
        if place is not None and place.file:
            source = linecache.getline(place.file, place.line).strip()
            line = f"    {source}\n" if source else ""
            return fit(clean(f'  File "{place.file}", line {place.line}, in {place.name}\n{line}', _FRAME), _FRAME)
        found = [trace for trace in _frames(error) if self._is_users(trace)] or list(_frames(error))
        runs = list(_runs(found))
        cut = len(runs) - _OUTER - _INNER
        text = ""
        for number, (trace, count) in enumerate(runs):
            if cut > 0 and _OUTER <= number < _OUTER + cut:
                text += f"  ... {cut} more ...\n" if number == _OUTER else ""
                continue
            text += _frame(trace)
            if count > 1:
                text += f"  [Previous line repeated {count - 1} more times]\n"
        return text


class _Link(NamedTuple):
    error: BaseException
    joint: str
    """What stands between its cause and it."""


def _chain(error: BaseException) -> Iterator[_Link]:
    """The exception, its cause, and so on."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        cause = _own(here, "__cause__")
        yield _Link(here, _CAUSED if cause is not None else _MEANWHILE)
        if cause is None and not _own(here, "__suppress_context__"):
            cause = _own(here, "__context__")
        here = cause


def _frames(error: BaseException) -> Iterator[TracebackType]:
    here = _own(error, "__traceback__")
    while here is not None:
        yield here
        here = here.tb_next


def _runs(traces: Sequence[TracebackType]) -> Iterator[tuple[TracebackType, int]]:
    """The same line many times over is a recursion, and shown once."""
    last: TracebackType | None = None
    count = 0
    for trace in traces:
        if last is not None and (trace.tb_frame.f_code, trace.tb_lineno) == (last.tb_frame.f_code, last.tb_lineno):
            count += 1
            continue
        if last is not None:
            yield last, count
        last, count = trace, 1
    if last is not None:
        yield last, count


def _frame(trace: TracebackType) -> str:
    frame, code = trace.tb_frame, trace.tb_frame.f_code
    plain = f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}\n'

    def full() -> str:
        source = linecache.getline(code.co_filename, trace.tb_lineno, frame.f_globals)
        if len(source) > _LONGEST_LINE:
            return f"{plain}    {shorten(source.strip(), _NAME)}\n"
        return "".join(traceback.format_tb(TracebackType(None, frame, trace.tb_lasti, trace.tb_lineno)))

    return fit(clean(_attempt(full, plain), _FRAME), _FRAME)


def _notes(error: BaseException) -> str:
    notes: Any = dict.get(_own(error, "__dict__"), "__notes__")
    if type(notes) not in (list, tuple):
        return ""
    text = "".join(clean(note, _NOTE) + "\n" for note in notes[:_NOTES] if issubclass(type(note), str))
    left = len(notes) - _NOTES
    return fit(text, _FRAME) + (f"... {left} more notes\n" if left > 0 else "")
