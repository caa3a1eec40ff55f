"""What a serving store is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable
from typing import Protocol

from numaflow_core.values.messages import shown_bytes
from numaflow_core.values.validate import check_bytes


class Payload:
    """One result of a request to a serving pipeline; read-only."""

    __slots__ = ("_origin", "_value")

    def __init__(self, origin: str, value: bytes | bytearray | memoryview) -> None:
        """
        Args:
            origin: the vertex that the result comes from.
            value: the result; any bytes-like object.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
        """
        if not isinstance(origin, str):
            raise TypeError(f"Payload origin must be a str, got {type(origin).__name__}: {origin!r:.80}")
        self._origin = origin
        self._value = check_bytes(value, "Payload value")

    @property
    def origin(self) -> str:
        """The vertex that the result comes from."""
        return self._origin

    @property
    def value(self) -> bytes:
        """The result."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self._origin, self._value) == (other._origin, other._value)

    def __hash__(self) -> int:
        return hash((self._origin, self._value))

    def __repr__(self) -> str:
        return f"Payload(origin={self._origin!r}, value={shown_bytes(self._value)})"


class ServingStoreObject(Protocol):
    """An object with the two methods of a store, both sync. They are called concurrently, on the server's threads."""

    def put(self, id: str, payloads: list[Payload], /) -> None: ...

    def get(self, id: str, /) -> Iterable[Payload]: ...


class ServingStoreAsyncObject(Protocol):
    """An object with the two methods of a store, both async. They are called concurrently, on the event loop."""

    def put(self, id: str, payloads: list[Payload], /) -> Awaitable[None]: ...

    def get(self, id: str, /) -> Awaitable[Iterable[Payload]]: ...


class ServingStore(ABC):
    """Base of stores that are classes. Override both methods with ``def``, or with ``async def`` for
    ``ServingStoreAsyncServer``.

    One pipeline has several servers, each with a store object of its own: in the pod that serves requests, where
    ``get`` is called, and in each pod of the sink vertices, where ``put`` is called. So the payloads have to be kept
    outside of them.
    """

    @abstractmethod
    def put(self, id: str, payloads: list[Payload], /) -> Awaitable[None] | None:
        """Keep results of the request ``id``, **beside** those that are kept for it already: a request has as many
        results as messages that are made of it, and each is passed in a call of its own (with one payload). Calls are
        concurrent, also for one id. An exception ends the sink vertex's pod, so that the message comes again: the same
        payload may be put twice."""

    @abstractmethod
    def get(self, id: str, /) -> Iterable[Payload] | Awaitable[Iterable[Payload]]:
        """All results of the request ``id``, in the order in which they are to be returned; none for an unknown id."""
