"""What a handler is given: a view of one message, converted only where it is looked at."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from .metadata import SystemMetadata, UserMetadata, groups_from_wire
from .times import NO_TIME_NS, datetime_to_ns, ns_to_datetime, timestamp_to_ns, to_datetime
from .validate import Buffer, check_bytes, check_strings

_D = TypeVar("_D", bound="BaseDatum")


class BaseDatum:
    """One message. Kinds derive from it and give it their protobuf message.

    Reading is cheap and repeatable; nothing is shared with other messages.
    """

    __slots__ = ("_id", "_request", "_system_metadata", "_user_metadata")

    _user_metadata: UserMetadata  # made when it is first looked at
    _system_metadata: SystemMetadata

    def __init__(
        self,
        keys: Sequence[str],
        value: Buffer,
        event_time: datetime,
        watermark: datetime | None,
        headers: Mapping[str, str] | None = None,
        user_metadata: UserMetadata | None = None,
        system_metadata: SystemMetadata | None = None,
        *,
        id: str = "",
        previous_vertex: str = "",
    ) -> None:
        """Make a datum by hand, to test a handler with. Naive datetimes are local time. A ``watermark`` of ``None`` is
        none, as in a MonoVertex.

        Raises:
            TypeError: an argument is of the wrong type; the message names it.
        """
        for name, time in (("event_time", event_time), ("watermark", watermark)):
            if not isinstance(time, datetime) and (time is not None or name == "event_time"):
                raise TypeError(f"Datum {name} must be a datetime, got {type(time).__name__}: {time!r}")
        request = self._new_request()
        request.keys.extend(check_strings(keys, "Datum keys"))
        request.value = check_bytes(value, "Datum value")
        request.headers.update(headers or {})
        for target, time in ((request.event_time, event_time), (request.watermark, watermark)):
            if time is None:
                continue
            seconds, nanos = divmod(datetime_to_ns(time), 1_000_000_000)
            target.seconds, target.nanos = seconds, nanos
            target.SetInParent()
        metadata = request.metadata
        metadata.previous_vertex = previous_vertex
        for groups, given in (
            (metadata.user_metadata, user_metadata),
            (metadata.sys_metadata, system_metadata),
        ):
            if given is not None:
                for group in given:
                    groups[group].key_value.update(given[group])
        self._request: Any = request
        self._id = id

    @staticmethod
    def _new_request() -> Any:
        """An empty request of the kind. Imports protobuf, which a server does anyway."""
        raise NotImplementedError

    @classmethod
    def _view(cls: type[_D], request: Any, id: str) -> _D:
        """A datum over a decoded request."""
        self = cls.__new__(cls)
        self._request = request
        self._id = id
        return self

    @property
    def id(self) -> str:
        """The platform's name for the message; opaque."""
        return self._id

    @property
    def keys(self) -> list[str]:
        """The message's keys, as a new list."""
        return list(self._request.keys)

    @property
    def value(self) -> bytes:
        """The payload."""
        value: bytes = self._request.value
        return value

    @property
    def event_time_ns(self) -> int:
        """When the event happened: nanoseconds since the epoch, exactly as sent."""
        return timestamp_to_ns(self._request.event_time)

    @property
    def event_time(self) -> datetime:
        """When the event happened: aware, UTC, rounded down to the microsecond, clamped to the years 1 to 9999."""
        time = self._request.event_time
        return to_datetime(time.seconds, time.nanos)

    @property
    def has_watermark(self) -> bool:
        """Whether there is a watermark. A MonoVertex has none."""
        return bool(self._request.HasField("watermark"))

    @property
    def watermark_ns(self) -> int:
        """No earlier event is expected: nanoseconds since the epoch; -1 ms where ``has_watermark`` is false."""
        request = self._request
        return timestamp_to_ns(request.watermark) if request.HasField("watermark") else NO_TIME_NS

    @property
    def watermark(self) -> datetime:
        """No earlier event is expected: aware, UTC, as ``event_time``; 1 ms before 1970 where there is none."""
        return ns_to_datetime(self.watermark_ns)

    @property
    def headers(self) -> dict[str, str]:
        """The message's headers, as a new dict."""
        return dict(self._request.headers)

    @property
    def user_metadata(self) -> UserMetadata:
        """The user's metadata, a copy of this datum's own. Give it to a ``Message`` to pass it on."""
        try:
            return self._user_metadata
        except AttributeError:
            self._user_metadata = UserMetadata(groups_from_wire(self._request.metadata.user_metadata))
            return self._user_metadata

    @property
    def system_metadata(self) -> SystemMetadata:
        """The platform's metadata; read-only."""
        try:
            return self._system_metadata
        except AttributeError:
            self._system_metadata = SystemMetadata(groups_from_wire(self._request.metadata.sys_metadata))
            return self._system_metadata

    @property
    def previous_vertex(self) -> str:
        """The vertex that the message came from; empty at the first one."""
        return str(self._request.metadata.previous_vertex)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._id == other._id and self._request == other._request)

    __hash__ = None  # type: ignore[assignment]  # equal by value, and protobuf messages have no hash

    def __repr__(self) -> str:
        value = self.value
        shown = repr(value) if len(value) <= 64 else f"{value[:61]!r}... {len(value)} bytes"
        return (
            f"{type(self).__name__}(id={self._id!r}, keys={self.keys!r}, value={shown}, "
            f"event_time={self.event_time.isoformat()})"
        )
