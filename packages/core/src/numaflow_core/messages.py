"""What handlers return: messages, one or many."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar, overload

from .buffers import Buffer
from .constants import DROP, FAIL, NACK
from .metadata import UserMetadata
from .nack import NackOptions
from .validate import check_bytes, check_strings

_M = TypeVar("_M", bound="BaseMessage")


class BaseMessage:
    """One message to be forwarded; read-only. Kinds derive from it."""

    __slots__ = ("_keys", "_nack_options", "_tags", "_user_metadata", "_value")

    def __init__(
        self,
        value: Buffer,
        keys: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        user_metadata: UserMetadata | None = None,
    ) -> None:
        """
        Args:
            value: the payload; any bytes-like object.
            keys: keys of the message; they are not inherited from the input.
            tags: for the conditions on the edges of the pipeline.
            user_metadata: kept, not copied, and sent along; not inherited from the input.

        Raises:
            TypeError: saying which argument was given what.
        """
        self._value = value if type(value) is bytes else check_bytes(value, "Message value")
        self._keys = check_strings(keys, "Message keys") if keys is not None else []
        self._tags = check_strings(tags, "Message tags") if tags is not None else []
        if user_metadata is not None and not isinstance(user_metadata, UserMetadata):
            raise TypeError(
                f"Message user_metadata must be a UserMetadata, got {type(user_metadata).__name__}: {user_metadata!r}"
            )
        self._user_metadata = user_metadata
        self._nack_options: NackOptions | None = None

    @property
    def value(self) -> bytes:
        """The payload."""
        return self._value

    @property
    def keys(self) -> list[str]:
        """The keys, as a new list."""
        return list(self._keys)

    @property
    def tags(self) -> list[str]:
        """The tags, as a new list."""
        return list(self._tags)

    @property
    def user_metadata(self) -> UserMetadata:
        """The metadata that is sent along; empty where none was given."""
        if self._user_metadata is None:
            self._user_metadata = UserMetadata()
        return self._user_metadata

    @property
    def nack_options(self) -> NackOptions | None:
        """How a negative acknowledgement is to be handled; ``None`` for any other message."""
        return self._nack_options

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]  # equal by value, and metadata is mutable

    def __repr__(self) -> str:
        value = repr(self._value) if len(self._value) <= 64 else f"{self._value[:61]!r}... {len(self._value)} bytes"
        return f"{type(self).__name__}(value={value}, keys={self._keys!r}, tags={self._tags!r})"

    def _parts(self) -> tuple[object, ...]:
        return self._value, self._keys, self._tags, self.user_metadata, self._nack_options

    def _as_nack(self: _M, options: NackOptions | None) -> _M:
        if options is not None and not isinstance(options, NackOptions):
            raise TypeError(f"to_nack takes NackOptions, got {type(options).__name__}: {options!r}")
        self._nack_options = options
        return self


class ReservedMessages(BaseMessage):
    """Messages that tell the platform something, for kinds whose messages need nothing but a value."""

    __slots__ = ()

    @classmethod
    def to_drop(cls: type[_M]) -> _M:
        """A message that is acknowledged and not forwarded."""
        return cls(b"", tags=[DROP])

    @classmethod
    def to_nack(cls: type[_M], options: NackOptions | None = None) -> _M:
        """A negative acknowledgement of the whole input message: it will be delivered again. Other messages of the
        same result are still forwarded."""
        return cls(b"", tags=[NACK])._as_nack(options)

    @classmethod
    def to_fail(cls: type[_M]) -> _M:
        """Ask the platform to call again with the same message, as the ``retryStrategy`` of the vertex says; without
        one it does so at once and for ever. Other messages of the same result are discarded."""
        return cls(b"", tags=[FAIL])


class BaseMessages(Sequence[_M], Generic[_M]):
    """A list of messages that only holds messages of its kind."""

    __slots__ = ("_items",)

    _message_type: type[_M]

    def __init__(self, *items: _M) -> None:
        for item in items:
            self._check(item)
        self._items = list(items)

    def append(self, item: _M) -> None:
        """Add a message. Raises: TypeError for anything else."""
        self._check(item)
        self._items.append(item)

    def extend(self, items: Iterable[_M]) -> None:
        """Add messages. Raises: TypeError for anything else."""
        for item in items:
            self.append(item)

    def items(self) -> list[_M]:
        """Deprecated: iterate over or index the messages themselves."""
        warnings.warn("items() is deprecated; iterate over the messages", DeprecationWarning, stacklevel=2)
        return self._items

    def _check(self, item: object) -> None:
        if not isinstance(item, self._message_type):
            raise TypeError(f"{type(self).__name__} holds Message objects, got {type(item).__name__}: {item!r:.80}")

    @overload
    def __getitem__(self, index: int) -> _M: ...

    @overload
    def __getitem__(self, index: slice) -> list[_M]: ...

    def __getitem__(self, index: int | slice) -> _M | list[_M]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[_M]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._items == other._items

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._items))})"
