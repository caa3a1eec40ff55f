"""What a source's handlers are given and what they return."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from numaflow_core.constants import ENV_REPLICA
from numaflow_core.values.messages import BaseMessage, check_nack_options, check_user_metadata, shown_bytes
from numaflow_core.values.times import datetime_to_ns, ns_to_datetime
from numaflow_core.values.validate import check_bytes, check_strings

if TYPE_CHECKING:
    from numaflow_core.values.metadata import UserMetadata
    from numaflow_core.values.nack import NackOptions

_MAX_PARTITION: Final = 0xFFFF
"""The platform keeps the low 16 bits (``rust/numaflow-core/src/source/user_defined.rs``)."""

_MAX_READ: Final = 2**64 - 1
_MAX_TIMEOUT: Final = 2**32 - 1


def get_default_partitions() -> list[int]:
    """The partitions of a source that has none of its own: one for each replica, here this one's."""
    return [int(os.environ.get(ENV_REPLICA) or 0)]


class Offset:
    """Names a message until it is acknowledged; read-only, and equal by value."""

    __slots__ = ("_offset", "_partition_id")

    def __init__(self, offset: bytes | bytearray | memoryview, partition_id: int) -> None:
        """
        Args:
            offset: any bytes, unique among the unacknowledged messages of the partition.
            partition_id: one of those that ``active_partitions_handler`` returns.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
            ValueError: ``partition_id`` is not one that the platform keeps: 0 to 65535.
        """
        if type(partition_id) is not int:
            raise TypeError(
                f"Offset partition_id must be an int, got {type(partition_id).__name__}: {partition_id!r:.80}"
            )
        if not 0 <= partition_id <= _MAX_PARTITION:
            raise ValueError(f"Offset partition_id must be between 0 and {_MAX_PARTITION}, got {partition_id}")
        self._offset = offset if type(offset) is bytes else check_bytes(offset, "Offset offset")
        self._partition_id = partition_id

    @classmethod
    def offset_with_default_partition_id(cls, offset: bytes | bytearray | memoryview) -> Offset:
        """An offset in the partition of this replica."""
        return cls(offset, get_default_partitions()[0])

    @classmethod
    def _of(cls, offset: bytes, partition_id: int) -> Offset:
        """What the platform sends back, whatever it is."""
        self = cls.__new__(cls)
        self._offset = offset
        self._partition_id = partition_id
        return self

    @property
    def offset(self) -> bytes:
        """The bytes."""
        return self._offset

    @property
    def partition_id(self) -> int:
        """The partition."""
        return self._partition_id

    @property
    def as_dict(self) -> dict[str, bytes | int]:
        """The parts by name."""
        return {"offset": self._offset, "partition_id": self._partition_id}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._offset == other._offset and self._partition_id == other._partition_id

    def __hash__(self) -> int:
        return hash((self._offset, self._partition_id))

    def __repr__(self) -> str:
        return f"Offset({shown_bytes(self._offset)}, partition_id={self._partition_id})"


class Message(BaseMessage):
    """One message that was read; read-only."""

    __slots__ = ("_event_time_ns", "_headers", "_offset")

    def __init__(
        self,
        payload: bytes | bytearray | memoryview,
        offset: Offset,
        event_time: datetime,
        keys: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        user_metadata: UserMetadata | None = None,
    ) -> None:
        """
        Args:
            payload: any bytes-like object.
            offset: by which the message is acknowledged; not empty.
            event_time: when the event happened. A naive datetime is local time.
            keys: keys of the message.
            headers: copied. A trace is continued by ``traceparent`` and ``tracestate``.
            user_metadata: kept, not copied, and sent along.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
            ValueError: the offset is empty. The platform would end its own process for that, as for a missing time.
        """
        self._value = payload if type(payload) is bytes else check_bytes(payload, "Message payload")
        if not isinstance(offset, Offset):
            raise TypeError(f"Message offset must be an Offset, got {type(offset).__name__}: {offset!r:.80}")
        if not offset._offset:
            raise ValueError("Message offset must not be empty: the platform acknowledges messages by their offsets")
        self._offset = offset
        if not isinstance(event_time, datetime):
            raise TypeError(
                f"Message event_time must be a datetime, got {type(event_time).__name__}: {event_time!r:.80}"
            )
        self._event_time_ns = datetime_to_ns(event_time)
        self._keys = check_strings(keys, "Message keys") if keys is not None else []
        self._headers = _check_headers(headers) if headers is not None else None
        self._user_metadata = check_user_metadata(user_metadata) if user_metadata is not None else None

    @property
    def payload(self) -> bytes:
        """The payload; the same as ``value``."""
        return self._value

    @property
    def offset(self) -> Offset:
        """By which the message is acknowledged."""
        return self._offset

    @property
    def event_time(self) -> datetime:
        """When the event happened: aware, UTC."""
        return ns_to_datetime(self._event_time_ns)

    @property
    def event_time_ns(self) -> int:
        """When the event happened: nanoseconds since the epoch."""
        return self._event_time_ns

    @property
    def headers(self) -> dict[str, str]:
        """The headers, as a new dict."""
        return dict(self._headers or {})

    @property
    def user_metadata(self) -> UserMetadata | None:
        """The metadata that is sent along, if any."""
        return self._user_metadata

    def _parts(self) -> tuple[object, ...]:
        return (*super()._parts(), self._offset, self._event_time_ns, self.headers)

    def _shown(self) -> str:
        payload = shown_bytes(self._value)
        return f"payload={payload}, offset={self._offset!r}, event_time={self.event_time.isoformat()}"


class ReadRequest:
    """How much is to be read, and in what time; read-only."""

    __slots__ = ("_num_records", "_timeout_in_ms")

    def __init__(self, num_records: int, timeout_in_ms: int) -> None:
        """
        Args:
            num_records: messages, at most.
            timeout_in_ms: milliseconds.

        Raises:
            TypeError, ValueError: an argument is no whole number, or one that the wire cannot carry.
        """
        self._num_records = _check_int(num_records, "ReadRequest num_records", 0, _MAX_READ)
        self._timeout_in_ms = _check_int(timeout_in_ms, "ReadRequest timeout_in_ms", 0, _MAX_TIMEOUT)

    @property
    def num_records(self) -> int:
        """Messages to read, at most. What is read beyond it is kept for the next read."""
        return self._num_records

    @property
    def timeout_in_ms(self) -> int:
        """Milliseconds after which the read is to end, with what there is. What is read later is kept for the next
        read."""
        return self._timeout_in_ms

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self._num_records, self._timeout_in_ms) == (other._num_records, other._timeout_in_ms)

    def __hash__(self) -> int:
        return hash((self._num_records, self._timeout_in_ms))

    def __repr__(self) -> str:
        return f"ReadRequest(num_records={self._num_records}, timeout_in_ms={self._timeout_in_ms})"


class AckRequest(NamedTuple):
    """Messages that the platform has processed: they need not be read again."""

    offsets: Sequence[Offset]
    """Some may be unknown after a restart, or acknowledged already: the platform repeats a request whose answer was
    lost."""


class Nack(NamedTuple):
    """A message that is to be delivered again, and how."""

    offset: Offset
    options: NackOptions | None = None
    """The options that the pipeline gave."""


class NackRequest:
    """Messages that the source is to deliver again; read-only. The platform does not ask for them."""

    __slots__ = ("_nacks",)

    def __init__(self, offsets: Sequence[Offset | Nack]) -> None:
        """``offsets``: each by itself, or with its options.

        Raises:
            TypeError: one is neither.
        """
        self._nacks = [_check_nack(each) for each in offsets]

    @property
    def nacks(self) -> list[Nack]:
        """Each message with its options, as a new list."""
        return list(self._nacks)

    @property
    def offsets(self) -> list[Offset]:
        """The messages without their options, as a new list."""
        return [nack.offset for nack in self._nacks]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._nacks == other._nacks

    __hash__ = None  # type: ignore[assignment]  # options are mutable

    def __repr__(self) -> str:
        return f"NackRequest({self._nacks!r})"


class PendingResponse:
    """How many messages wait to be read; read-only."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        """``count``: a negative one is "not known", -1 by custom.

        Raises:
            TypeError, ValueError: no whole number, or one that the wire cannot carry.
        """
        self._count = _check_int(count, "PendingResponse count", -(2**63), 2**63 - 1)

    @property
    def count(self) -> int:
        """Messages; negative where that is not known."""
        return self._count

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._count == other._count

    def __hash__(self) -> int:
        return hash(self._count)

    def __repr__(self) -> str:
        return f"PendingResponse({self._count})"


class PartitionsResponse:
    """The partitions that this replica reads; read-only."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: Sequence[int]) -> None:
        """
        Raises:
            TypeError, ValueError: not a sequence of whole numbers between 0 and 65535.
        """
        if not isinstance(partitions, Sequence) or isinstance(partitions, (str, bytes)):
            raise TypeError(
                f"PartitionsResponse partitions must be a sequence of int, got {type(partitions).__name__}: "
                f"{partitions!r:.80}"
            )
        self._partitions = [
            _check_int(each, "a partition of PartitionsResponse", 0, _MAX_PARTITION) for each in partitions
        ]

    @property
    def partitions(self) -> list[int]:
        """The partitions, as a new list."""
        return list(self._partitions)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._partitions == other._partitions

    __hash__ = None  # type: ignore[assignment]  # a list by any other name

    def __repr__(self) -> str:
        return f"PartitionsResponse({self._partitions})"


def _check_int(value: object, field: str, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field} must be an int, got {type(value).__name__}: {value!r:.80}")
    if not lowest <= value <= highest:
        raise ValueError(f"{field} must be between {lowest} and {highest}, got {value}")
    return value


def _check_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"Message headers must be a mapping, got {type(headers).__name__}: {headers!r:.80}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"Message headers must be of str, got {name!r:.80}: {value!r:.80}")
    return dict(headers)


def _check_nack(value: object) -> Nack:
    if isinstance(value, Offset):
        return Nack(value)
    if not isinstance(value, Nack):
        raise TypeError(f"NackRequest holds Offset or Nack objects, got {type(value).__name__}: {value!r:.80}")
    if not isinstance(value.offset, Offset):
        raise TypeError(f"Nack offset must be an Offset, got {type(value.offset).__name__}: {value.offset!r:.80}")
    check_nack_options(value.options, "Nack")
    return value
