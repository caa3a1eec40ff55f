"""For your own tests: talk to a running session reduce server as the platform does.

A handler by itself needs none of this: call it with ``Datum(...)``. Import this module in tests only: it imports
``grpc``.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

from numaflow_core.testing import BaseClient, Outcome, RawStream, RpcEndedError
from numaflow_core.values.durations import Duration, seconds
from numaflow_core.values.times import datetime_to_ns, timestamp_to_ns
from numaflow_core.values.windows import IntervalWindow

from ._datatypes import Datum, Message
from ._proto.sessionreduce_pb2 import KeyedWindow, SessionReduceRequest, SessionReduceResponse
from ._servers import KIND

__all__ = [
    "Operation",
    "Outcome",
    "RpcEndedError",
    "Session",
    "SessionReduceClient",
    "SessionResult",
    "SessionStream",
    "SessionWindower",
]

_MS: Final = 1_000_000
_EVENTS: Final = SessionReduceRequest.WindowOperation.Event


class Session(NamedTuple):
    """What the platform knows a session by."""

    window: IntervalWindow
    keys: tuple[str, ...]

    def overlaps(self, other: "Session") -> bool:
        """Whether both have some time in common; windows that only touch have none."""
        mine, its = self.window, other.window
        return self.keys == other.keys and mine.start_ns < its.end_ns and its.start_ns < mine.end_ns

    def union(self, other: "Session") -> "Session":
        """From the earlier start to the later end."""
        mine, its = self.window, other.window
        window = IntervalWindow.from_ns(min(mine.start_ns, its.start_ns), max(mine.end_ns, its.end_ns))
        return Session(window, self.keys)


class Operation(NamedTuple):
    """What the platform tells the server."""

    event: str
    """``"OPEN"``, ``"APPEND"``, ``"EXPAND"``, ``"MERGE"`` or ``"CLOSE"``."""

    sessions: tuple[Session, ...]
    """One; the old and the new bounds for EXPAND; two or more for MERGE."""

    datum: Datum | None = None
    """For OPEN, APPEND and EXPAND."""


class SessionResult(NamedTuple):
    """A reply of the server."""

    session: Session
    message: Message | None
    """``None`` says that the session is closed."""


class SessionWindower:
    """Decides about sessions as the platform does: a datum belongs to its key's session from its event time, rounded
    down to the millisecond, for ``timeout``."""

    def __init__(self, timeout: Duration) -> None:
        self._timeout_ns = round(seconds(timeout, "timeout") * 1_000_000) // 1000 * _MS
        self.open: list[Session] = []
        """The sessions that are open."""

    def assign(self, datum: Datum) -> Operation:
        """What a datum leads to: it opens a session, or falls into one, which may make that longer."""
        start = datum.event_time_ns // _MS * _MS
        new = Session(IntervalWindow.from_ns(start, start + self._timeout_ns), tuple(datum.keys))
        for session in sorted(self.open, key=_end):
            if session.overlaps(new):
                union = session.union(new)
                if union == session:
                    return Operation("APPEND", (session,), datum)
                self._replace([session], union)
                return Operation("EXPAND", (session, union), datum)
        self.open.append(new)
        return Operation("OPEN", (new,), datum)

    def close(self, watermark: datetime | None = None) -> list[Operation]:
        """What a watermark leads to: sessions that end up to then are merged where they overlap, and closed unless
        they reach into one that goes on. ``None`` is the end of time."""
        limit = None if watermark is None else datetime_to_ns(watermark)
        expired = sorted((each for each in self.open if limit is None or _end(each) <= limit), key=_end, reverse=True)
        operations = []
        while expired:
            merged = expired.pop(0)
            group = [merged]
            while touching := [each for each in expired if each.overlaps(merged)]:
                group += touching
                for each in touching:
                    expired.remove(each)
                    merged = merged.union(each)
            if len(group) > 1:
                operations.append(Operation("MERGE", tuple(sorted(group, key=_end, reverse=True))))
                self._replace(group, merged)
            going_on = next((each for each in self.open if each != merged and each.overlaps(merged)), None)
            if going_on is None:
                operations.append(Operation("CLOSE", (merged,)))
                self.open.remove(merged)
            else:
                operations.append(Operation("MERGE", (merged, going_on)))
                self._replace([merged, going_on], merged.union(going_on))
        return operations

    def _replace(self, old: Sequence[Session], new: Session) -> None:
        self.open = [each for each in self.open if each not in old and each != new]
        self.open.append(new)


class SessionReduceClient(BaseClient):
    """Sends datums and operations on sessions to a session reduce server and gives back what the handler made of them.

    >>> with SessionReduceClient("/tmp/sessionreduce.sock") as client:  # doctest: +SKIP
    ...     client.reduce([Datum(["a"], b"1", now, now), Datum(["a"], b"2", now, now)], timedelta(seconds=10))
    [SessionResult(session=..., message=Message(value=b'2', keys=['a'], tags=[]))]

    Its methods block. Beside a server in the same process that runs async handlers
    (``SessionReduceAsyncServer.serving()``), call them on another thread.
    """

    _kind = KIND

    def reduce(
        self, datums: Iterable[Datum], session_timeout: Duration, *, timeout: Duration = 30.0
    ) -> list[SessionResult]:
        """Send datums, in this order, then close all sessions: the results, as they came. Datums that do not come in
        the order of their event times may lead to sessions that have to be merged.

        Raises:
            RpcEndedError: the server ended the stream; ``outcome`` has the status and, after an error of the handler,
                the traceback.
            TimeoutError: the sessions were not closed within ``timeout``.
        """
        windower = SessionWindower(seconds(session_timeout, "session_timeout"))
        operations = [*map(windower.assign, datums), *windower.close()]
        with self.open() as stream:
            stream.send(*operations)
            closing = [operation.sessions[0] for operation in operations if operation.event == "CLOSE"]
            return stream.receive_closed(closing, timeout)

    @contextmanager
    def open(self) -> Iterator["SessionStream"]:
        """Open a stream, for operations one by one. It is cancelled at the end of the ``with`` block, as when the
        platform's connection ends."""
        stream = SessionStream(self._client.open(KIND.rpc))
        try:
            yield stream
        finally:
            stream.cancel()


class SessionStream:
    """A stream of a ``SessionReduceClient``."""

    def __init__(self, stream: RawStream) -> None:
        self.raw = stream
        """The stream below: undecoded messages."""

    def send(self, *operations: Operation) -> None:
        """Send operations; does not wait."""
        self.raw.send(*map(encode, operations))

    def receive(self, timeout: Duration = 30.0) -> SessionResult:
        """The next reply.

        Raises:
            RpcEndedError: the server ended the stream.
            TimeoutError: none came within ``timeout``.
        """
        return decode(self.raw.receive(timeout))

    def receive_closed(self, sessions: Iterable[Session], timeout: Duration = 30.0) -> list[SessionResult]:
        """Receive until all of these sessions are closed: the results, as they came. Raises as ``receive``; and an
        ``AssertionError`` where another one is said to be closed."""
        end = monotonic() + seconds(timeout, "timeout")
        waiting = list(sessions)
        results = []
        while waiting:
            result = self.receive(max(0.0, end - monotonic()))
            if result.message is not None:
                results.append(result)
            elif result.session in waiting:
                waiting.remove(result.session)
            else:
                raise AssertionError(f"the server closed {result.session}, which was not asked for")
        return results

    def cancel(self) -> None:
        """End the stream from the client's side, at once."""
        self.raw.cancel()


def encode(operation: Operation) -> bytes:
    """An operation as the platform sends it."""
    request = SessionReduceRequest()
    request.operation.event = _EVENTS.Value(operation.event)
    for session in operation.sessions:
        wire = request.operation.keyedWindows.add(slot="0", keys=session.keys)
        for target, ns in ((wire.start, session.window.start_ns), (wire.end, session.window.end_ns)):
            target.seconds, target.nanos = divmod(ns, 1_000_000_000)
            target.SetInParent()
    if operation.datum is not None:
        request.payload.CopyFrom(operation.datum._request)
    return request.SerializeToString()


def decode(reply: bytes) -> SessionResult:
    """A reply as the platform reads it, which fails for want of a window."""
    response = SessionReduceResponse.FromString(reply)
    wire = response.keyedWindow
    if not (response.HasField("keyedWindow") and wire.HasField("start") and wire.HasField("end")):
        raise AssertionError(f"a reply without a whole window: {response}")
    if response.EOF:
        return SessionResult(_session(wire), None)
    result = response.result
    return SessionResult(_session(wire), Message(result.value, keys=result.keys, tags=result.tags))


def _session(wire: KeyedWindow) -> Session:
    return Session(IntervalWindow.from_ns(timestamp_to_ns(wire.start), timestamp_to_ns(wire.end)), tuple(wire.keys))


def _end(session: Session) -> int:
    return session.window.end_ns
