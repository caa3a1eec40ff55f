"""What a side input handler returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from numaflow_core.values.messages import shown_bytes
from numaflow_core.values.validate import check_bytes


class Response:
    """A new value of the side input, or none; read-only. Made by the class's methods."""

    __slots__ = ("_no_broadcast", "_value")

    def __init__(self, value: bytes | bytearray | memoryview, no_broadcast: bool = False) -> None:
        """Use ``broadcast_message`` and ``no_broadcast_message`` instead.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
        """
        if not isinstance(no_broadcast, bool):
            raise TypeError(f"Response no_broadcast must be a bool, got {type(no_broadcast).__name__}")
        self._value = _check_value(value)
        self._no_broadcast = no_broadcast

    @classmethod
    def broadcast_message(cls, value: bytes | bytearray | memoryview) -> Response:
        """A value for the vertices that list the side input. The platform's store takes about 1 MB, unless it is
        configured for more.

        Raises:
            TypeError: the value is not bytes-like.
        """
        return cls(value)

    @classmethod
    def no_broadcast_message(cls) -> Response:
        """The vertices are to keep the value that they have."""
        return cls(b"", no_broadcast=True)

    @property
    def value(self) -> bytes:
        """The value; empty where there is none."""
        return self._value

    @property
    def no_broadcast(self) -> bool:
        """Whether the vertices are to keep the value that they have."""
        return self._no_broadcast

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self._value, self._no_broadcast) == (other._value, other._no_broadcast)

    def __hash__(self) -> int:
        return hash((self._value, self._no_broadcast))

    def __repr__(self) -> str:
        if self._no_broadcast:
            return "Response.no_broadcast_message()"
        return f"Response.broadcast_message({shown_bytes(self._value)})"


def _check_value(value: object) -> bytes:
    if value is None:  # which an encoder would take for empty, and the vertices for a value
        raise TypeError("Response value must be bytes-like, got None: use no_broadcast_message() for no value")
    return check_bytes(value, "Response value")


class SideInputHandler(Protocol):
    """A sync handler, called when the side input's schedule says, on one of the server's threads."""

    def __call__(self) -> Response: ...


class SideInputAsyncHandler(Protocol):
    """An async handler, called when the side input's schedule says, on the event loop."""

    def __call__(self) -> Awaitable[Response]: ...


class SideInputHandlerObject(Protocol):
    """An object whose ``retrieve_handler`` method is a sync handler."""

    def retrieve_handler(self) -> Response: ...


class SideInputAsyncHandlerObject(Protocol):
    """An object whose ``retrieve_handler`` method is an async handler."""

    def retrieve_handler(self) -> Awaitable[Response]: ...


class SideInput(ABC):
    """Base of handlers that are classes. Override ``retrieve_handler`` with ``def``, or with ``async def`` for
    ``SideInputAsyncServer``."""

    @abstractmethod
    def retrieve_handler(self) -> Response | Awaitable[Response]:
        """Retrieve the value, or say that there is no new one."""

    if not TYPE_CHECKING:  # a type checker is to see whether the handler is async, which this would hide

        def __call__(self):
            return self.retrieve_handler()
