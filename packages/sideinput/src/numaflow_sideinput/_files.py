"""Side inputs as a vertex sees them: files that are replaced while they are read.

The platform keeps ``<name>`` a symlink to ``<name>_<nanoseconds>``. For a new value it writes a new file, points a new
symlink to it, renames that over the old one and removes the old file
(``rust/numaflow-sideinput/src/synchronize/persistence.rs``). So a target never changes, and its name is its version;
and a target that is gone when it is to be opened means that there is a newer one.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, Generic, TypeVar

from numaflow_core.values.durations import positive_seconds

logger = logging.getLogger(__name__)

SIDE_INPUT_DIR_PATH: Final = "/var/numaflow/side-inputs"
"""Where a vertex finds its side inputs, a file each (``pkg/apis/numaflow/v1alpha1/const.go``)."""

_ATTEMPTS: Final = 1000
"""How often a target may be gone when it is to be opened. Each time another value has come; more than this in one go is
no side input."""

_Value = TypeVar("_Value")
_Version = str | tuple[int, int, int, int]


class SideInputFile(Generic[_Value]):
    """The current value of one side input, decoded.

    ``value`` is always current: it looks whether the file was swapped, which costs one system call, and decodes a value
    once. Any number of threads may use one object. To be called with new values, use ``on_change`` with ``watch``, or
    ``changes`` in async code; values that follow each other faster than ``interval`` may be passed over, the last one
    is never missed.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "limit").write_bytes(b"10")
    >>> limit = SideInputFile("limit", int, directory=folder)
    >>> limit.value
    10
    """

    def __init__(
        self,
        name: str,
        decode: Callable[[bytes], _Value],
        *,
        directory: str | os.PathLike[str] = SIDE_INPUT_DIR_PATH,
        interval: timedelta | float = 1.0,
    ) -> None:
        """
        Args:
            name: the side input's, as in the pipeline's ``sideInputs``.
            decode: the file's content to a value. Called once for each version, on the thread that found it.
            directory: where the file is.
            interval: time between two looks, for ``watch`` and ``changes``. A plain number is seconds.

        Raises:
            TypeError, ValueError: an argument is not what it should be; the message names it.
        """
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {type(name).__name__}: {name!r:.80}")
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"name must be the name of a side input, got {name!r}")
        if not callable(decode):
            raise TypeError(f"decode must be callable, got {type(decode).__name__}: {decode!r:.80}")
        self._directory = os.fspath(directory)
        self._decode = decode
        self._interval = positive_seconds(interval, "interval", "timedelta(seconds=5)")
        self._lock = threading.RLock()  # reentrant: listeners may look at the value
        self._seen: _Version | None = None  # the version that was read last, even if it could not be decoded
        self._current: tuple[_Value] | None = None
        self._listeners: list[Callable[[_Value], object]] = []
        self.path: Final = os.path.join(self._directory, name)

    @property
    def value(self) -> _Value:
        """The current value. One that cannot be decoded is logged, and the value before it stays.

        Raises:
            FileNotFoundError: there is no such side input: the vertex does not list it.
            Exception: what ``decode`` raises, where there is no value before.
        """
        self.refresh()
        current = self._current
        assert current is not None, "refresh() has loaded a value, or raised"
        return current[0]

    def refresh(self) -> bool:
        """Look for a new value, load it, and tell the listeners, on this thread; return whether there was one.

        Raises:
            As ``value``, and what a listener raises.
        """
        if self._current is not None and self._seen == self._version():
            return False
        with self._lock:
            found = self._read_new()
            if found is None:
                return False
            version, data = found
            try:
                value = self._decode(data)
            except Exception:
                if self._current is None:
                    raise
                self._seen = version
                logger.exception("side input %s: cannot decode the new value; the one before stays", self.path)
                return False
            current = self._current = (value,)
            self._seen = version
            for listener in list(self._listeners):
                listener(value)
                if self._current is not current:
                    break  # it has looked, and found a newer value, of which all have been told
            return True

    def on_change(self, listener: Callable[[_Value], object]) -> None:
        """Have ``listener`` called with each new value, on the thread that finds it: that of ``watch``, or any that
        looks at ``value``. It is to return soon; other threads that look for a new value wait for it."""
        with self._lock:
            self._listeners.append(listener)

    @contextmanager
    def watch(self) -> Iterator[SideInputFile[_Value]]:
        """Look for new values every ``interval``, on a thread that ends with the ``with`` block. What goes
        wrong there is logged, and looked at again the next time."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(self._interval):
                self._refresh_logging()

        thread = threading.Thread(target=look, name="numaflow-side-input", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    async def changes(self) -> AsyncIterator[_Value]:
        """The current value, then each new one, for ever. Files are read, and values decoded, on a thread.

        Raises:
            As ``value``, at the first value; afterwards what goes wrong is logged.
        """
        import asyncio  # it takes longer than everything else here, and most users do without

        await asyncio.to_thread(self.refresh)
        last = self._current
        assert last is not None, "refresh() has loaded a value, or raised"
        yield last[0]
        while True:
            await asyncio.sleep(self._interval)
            await asyncio.to_thread(self._refresh_logging)
            current = self._current
            if current is not last and current is not None:  # whoever has found it
                last = current
                yield current[0]

    def _refresh_logging(self) -> None:
        try:
            self.refresh()
        except Exception:
            logger.exception("side input %s: cannot take the new value", self.path)

    def _version(self) -> _Version:
        """The version that the name leads to: the target's name. A plain file, as in a test, has no such name."""
        try:
            return os.readlink(self.path)
        except OSError:
            found = os.stat(self.path)
            return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _read_new(self) -> tuple[_Version, bytes] | None:
        """The version there is now and its content; ``None`` where that was read."""
        for _ in range(_ATTEMPTS):
            version = self._version()
            if version == self._seen and self._current is not None:
                return None
            source = os.path.join(self._directory, version) if isinstance(version, str) else self.path
            try:
                with open(source, "rb") as file:
                    return version, file.read()
            except FileNotFoundError:
                continue  # swapped in the meantime
        raise FileNotFoundError(f"{self.path} leads to files that are not there")
