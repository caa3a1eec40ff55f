"""What handlers return: messages, one or many."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeVar, overload

from ..constants import DROP, FAIL, NACK
from .metadata import UserMetadata
from .nack import NackOptions
from .validate import Buffer, check_bytes, check_strings

_M = TypeVar("_M", bound="TaggedMessage")
_W = TypeVar("_W", bound="WindowMessage")
_T = TypeVar("_T")
_R_contra = TypeVar("_R_contra", contravariant=True)

_NONE: list[str] = []  # shared by all messages without keys or tags: nothing changes it


class BaseMessage:
    """What messages of all kinds have: a value, keys and the user's metadata. Kinds derive from it, and set its slots
    themselves: messages are made once per result, and a call of another constructor costs half as much again."""

    __slots__ = ("_keys", "_user_metadata", "_value")

    _value: bytes
    _keys: list[str]
    _user_metadata: UserMetadata | None

    @property
    def value(self) -> bytes:
        """The payload."""
        return self._value

    @property
    def keys(self) -> list[str]:
        """The keys, as a new list."""
        return list(self._keys)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]  # equal by value, and metadata is mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown()})"

    def _parts(self) -> tuple[object, ...]:
        return self._value, self._keys, self._user_metadata

    def _shown(self) -> str:
        return f"value={shown_bytes(self._value)}, keys={self._keys!r}"


class RoutedMessage(BaseMessage):
    """One message to be forwarded on the edges that its tags lead to."""

    __slots__ = ("_tags",)

    _tags: list[str]

    @property
    def tags(self) -> list[str]:
        """The tags, as a new list."""
        return list(self._tags)

    def _shown(self) -> str:
        return f"{super()._shown()}, tags={self._tags!r}"


class WindowMessage(RoutedMessage):
    """One result of a window; read-only. The platform gives it the window's time, no headers and no metadata."""

    __slots__ = ()

    def __init__(
        self,
        value: Buffer,
        keys: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            value: the payload; any bytes-like object.
            keys: keys of the message; they are not inherited from the window's messages.
            tags: for the conditions on the edges of the pipeline.

        Raises:
            TypeError: saying which argument was given what.
        """
        self._value = value if type(value) is bytes else check_bytes(value, "Message value")
        self._keys = check_strings(keys, "Message keys") if keys is not None else []
        self._tags = check_strings(tags, "Message tags") if tags is not None else []

    @classmethod
    def to_drop(cls: type[_W]) -> _W:
        """A message that is not forwarded."""
        return cls(b"", tags=[DROP])

    def _parts(self) -> tuple[object, ...]:
        return self._value, self._keys, self._tags


class TaggedMessage(RoutedMessage):
    """A message with all that a message can have; read-only. Kinds derive from it."""

    __slots__ = ("_nack_options",)

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
        if type(keys) is list and len(keys) == 1 and type(keys[0]) is str:
            self._keys = keys[:]
        else:
            self._keys = check_strings(keys, "Message keys") if keys is not None else _NONE
        self._tags = check_strings(tags, "Message tags") if tags is not None else _NONE
        self._user_metadata = check_user_metadata(user_metadata) if user_metadata is not None else None
        self._nack_options: NackOptions | None = None

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

    def _parts(self) -> tuple[object, ...]:
        return self._value, self._keys, self._tags, self.user_metadata, self._nack_options

    def _as_nack(self: _M, options: NackOptions | None) -> _M:
        self._nack_options = check_nack_options(options, "to_nack")
        return self


class ReservedMessages(TaggedMessage):
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


class BaseMessages(Sequence[_T], Generic[_T]):
    """A list of results that only holds those of its kind: messages, or what a kind has in their place."""

    __slots__ = ("_items",)

    _message_type: type[_T]

    def __init__(self, *items: _T) -> None:
        if len(items) != 1 or type(items[0]) is not self._message_type:
            for item in items:
                if not isinstance(item, self._message_type):
                    self._refuse(item)
        self._items = [*items]

    def append(self, item: _T) -> None:
        """Add one at the end. Raises: TypeError for anything else."""
        if not isinstance(item, self._message_type):
            self._refuse(item)
        self._items.append(item)

    def extend(self, items: Iterable[_T]) -> None:
        """Add some at the end. Raises: TypeError for anything else."""
        for item in items:
            self.append(item)

    def items(self) -> list[_T]:
        """Deprecated: iterate over the object itself, or index it."""
        name = type(self).__name__
        warnings.warn(f"items() is deprecated; iterate over the {name}", DeprecationWarning, stacklevel=2)
        return self._items

    def _refuse(self, item: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds {self._message_type.__name__} objects, "
            f"got {type(item).__name__}: {item!r:.80}"
        )

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[_T]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._items == other._items

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._items))})"


class Output(Protocol[_R_contra]):
    """Where a handler puts its results."""

    async def put(self, message: _R_contra, /) -> None:
        """Forward a message; waits while the platform takes no more of them.

        Raises:
            TypeError: no message of the kind.
        """


def check_user_metadata(value: object) -> UserMetadata:
    """The metadata of a message, kept and not copied.

    Raises:
        TypeError: not a UserMetadata.
    """
    if not isinstance(value, UserMetadata):
        raise TypeError(f"Message user_metadata must be a UserMetadata, got {type(value).__name__}: {value!r:.80}")
    return value


def check_nack_options(value: object, taker: str) -> NackOptions | None:
    """The options given to the method ``taker``, if any.

    Raises:
        TypeError: neither NackOptions nor ``None``.
    """
    if value is not None and not isinstance(value, NackOptions):
        raise TypeError(f"{taker} takes NackOptions, got {type(value).__name__}: {value!r:.80}")
    return value


def shown_bytes(value: bytes) -> str:
    """A payload as a repr shows it: its beginning and its size where it is long."""
    return repr(value) if len(value) <= 64 else f"{value[:61]!r}... {len(value)} bytes"


def messages_of(result: Any, container: type[BaseMessages[_T]], taker: str) -> Sequence[_T]:
    """The messages in what a handler returned: a ``container``, any iterable of messages, one message, or ``None``.

    Raises:
        TypeError: something else, or something else in it; begins with ``taker`` (``"a map handler"``).
    """
    if type(result) is container:
        return result._items
    wanted = container._message_type
    if isinstance(result, wanted):
        return (result,)
    if result is None:
        return ()
    try:
        messages = list(result)
    except TypeError:
        messages = [result]
    for message in messages:
        if not isinstance(message, wanted):
            came = type(result).__name__
            what = f"{came}: {result!r:.80}" if message is result else f"{came} with {message!r:.80}"
            name = wanted.__name__
            raise TypeError(
                f"{taker} must return {container.__name__}, an iterable of {name}, a {name} or None, got {what}"
            )
    return messages


def iterable(result: Any, complaint: str) -> Iterable[Any]:
    """What a handler returned, if it can be gone through; what is in it is checked by who does.

    Raises:
        TypeError: it cannot; begins with ``complaint`` (``"a sink handler must return Responses"``).
    """
    if isinstance(result, Iterable) and not isinstance(result, (str, bytes)):
        return result
    raise TypeError(f"{complaint}, got {type(result).__name__}: {result!r:.80}")
