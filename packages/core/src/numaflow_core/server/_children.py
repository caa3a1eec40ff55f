"""What processes that a handler forks do not get: the server's signal handlers and file descriptors.

``multiprocessing``, ``concurrent.futures`` and ``os.fork`` copy the whole process. A copy that held the server's socket
would keep its clients connected, and one with its signal handlers could not be terminated. Programs that are executed
(``subprocess``) get none of it anyway.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class _Ours(NamedTuple):
    descriptors: Callable[[], Iterable[int]]
    signals: Mapping[int, Any]
    pause: Callable[[], None]
    resume: Callable[[], None]


_ours: list[_Ours] = []
_masks = threading.local()
_registered = False


def _nothing() -> None:
    pass


def keep_from_children(
    descriptors: Callable[[], Iterable[int]],
    signals: Mapping[int, Any] | None = None,
    pause: Callable[[], None] = _nothing,
    resume: Callable[[], None] = _nothing,
) -> Callable[[], None]:
    """Keep what is the server's from processes that this one forks.

    Args:
        descriptors: file descriptors that a child lets go of.
        signals: the handlers that a child gets.
        pause: called before a fork, to stop what a child must not find running.
        resume: called after it, in this process.

    Returns:
        What undoes it. It may be called twice, and in a child.
    """
    global _registered  # noqa: PLW0603 - what is registered there is so for the life of the process
    if not _registered:
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        _registered = True
    ours = _Ours(descriptors, signals or {}, pause, resume)
    _ours.append(ours)

    def undo() -> None:
        if ours in _ours:
            _ours.remove(ours)

    return undo


def _before() -> None:
    """A signal that reached a child before it has let go of our handlers would be told to the server: none does."""
    if _ours:
        _masks.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    for each in _ours[:]:
        each.pause()


def _in_parent() -> None:
    for each in _ours[:]:
        each.resume()
    mask = _masks.__dict__.pop("mask", None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    ours = _ours[:]
    _ours.clear()
    try:
        for each in ours:
            if each.signals:
                signal.set_wakeup_fd(-1)
            for number, handler in each.signals.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _let_go(ours)
    finally:
        _in_parent()  # where nothing is ours any more


def _let_go(ours: list[_Ours]) -> None:
    """Let go of descriptors. Their numbers stay taken: objects that the child has copies of close them in their time,
    and must not close another file."""
    if not ours:
        return
    try:
        null = os.open(os.devnull, os.O_RDWR)
    except OSError:
        return  # there are no descriptors left
    for each in ours:
        for descriptor in each.descriptors():
            try:
                os.dup2(null, descriptor, inheritable=False)
            except OSError:
                continue  # closed in the meantime
    os.close(null)
