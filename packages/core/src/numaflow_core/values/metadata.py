"""Metadata that travels with a message: groups of keys with bytes values.

The user's metadata is theirs to read and to write. The system's metadata (trace context, a sink's retry count) is
the platform's: handlers read it, and what they would send back is ignored.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from .validate import check_bytes


class KeyValueGroup(Protocol):
    """A group as the wire carries it."""

    @property
    def key_value(self) -> Mapping[str, bytes]:
        """The group's content."""


class _Groups:
    """Groups of keys with bytes values, in the order in which they came."""

    __slots__ = ("_groups",)

    def __init__(self, groups: Mapping[str, Mapping[str, bytes]] | None = None) -> None:
        self._groups: dict[str, dict[str, bytes]] = {}
        for group, values in (groups or {}).items():
            self._groups[_check_name(group, "group")] = {
                _check_name(key, "key"): check_bytes(value, f"Metadata value of {group}/{key}")
                for key, value in values.items()
            }

    def groups(self) -> list[str]:
        """Names of all groups, as a new list."""
        return list(self._groups)

    def keys(self, group: str) -> list[str]:
        """Keys of a group, as a new list; empty for an unknown group."""
        return list(self._groups.get(group, ()))

    def value(self, group: str, key: str) -> bytes | None:
        """The value, or ``None`` where the group or the key is missing."""
        return self._groups.get(group, {}).get(key)

    def as_dict(self) -> dict[str, dict[str, bytes]]:
        """A deep copy as plain dicts."""
        return {group: dict(values) for group, values in self._groups.items()}

    def __contains__(self, group: object) -> bool:
        return group in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._groups))

    def __len__(self) -> int:
        return len(self._groups)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._groups == other._groups

    __hash__ = None  # type: ignore[assignment]  # equal by value, and user metadata is mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._groups!r})"


class SystemMetadata(_Groups):
    """The platform's metadata of a message; read-only."""

    __slots__ = ()

    def __getitem__(self, group: str) -> Mapping[str, bytes]:
        """A copy of the group. Raises: KeyError where it is missing."""
        return dict(self._groups[group])


class UserMetadata(_Groups):
    """The user's metadata of a message.

    >>> metadata = UserMetadata({"origin": {"host": b"a"}})
    >>> metadata.add_key("origin", "line", b"7")
    >>> metadata.value("origin", "line")
    b'7'
    """

    __slots__ = ()

    def __getitem__(self, group: str) -> dict[str, bytes]:
        """The group itself; changing it changes the metadata. Raises: KeyError where it is missing."""
        return self._groups[group]

    def __setitem__(self, group: str, values: Mapping[str, bytes]) -> None:
        """Set a whole group; the values are copied. Raises: TypeError for a value that is not bytes-like."""
        self._groups[_check_name(group, "group")] = {
            _check_name(key, "key"): check_bytes(value, f"Metadata value of {group}/{key}")
            for key, value in values.items()
        }

    def __delitem__(self, group: str) -> None:
        """Remove a group. Raises: KeyError where it is missing."""
        del self._groups[group]

    def add_key(self, group: str, key: str, value: bytes) -> None:
        """Set a value; the group is made when it is missing. Raises: TypeError for a value that is not bytes-like."""
        name = _check_name(key, "key")
        self._groups.setdefault(_check_name(group, "group"), {})[name] = check_bytes(
            value, f"Metadata value of {group}/{key}"
        )

    def remove_key(self, group: str, key: str) -> bytes | None:
        """Remove a key and return its value, or ``None`` where it is missing. A group left empty goes too."""
        values = self._groups.get(group)
        if values is None:
            return None
        value = values.pop(key, None)
        if not values:
            del self._groups[group]
        return value

    def remove_group(self, group: str) -> dict[str, bytes] | None:
        """Remove a group and return it, or ``None`` where it is missing."""
        return self._groups.pop(group, None)

    def clear(self) -> None:
        """Remove everything."""
        self._groups.clear()


def groups_from_wire(groups: Mapping[str, KeyValueGroup]) -> dict[str, dict[str, bytes]]:
    """Copy a protobuf map of groups into plain dicts."""
    return {name: dict(group.key_value) for name, group in groups.items()}


def _check_name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"Metadata {what} must be a str, got {type(name).__name__}: {name!r}")
    return name
