"""The order of messages on a session reduce stream: which session each belongs to, and what becomes of sessions.

The platform has one stream for all sessions of all keys, for as long as it lives. A session is known by its bounds and
its keys. EXPAND gives it other bounds; MERGE makes a new one of several, whose bounds the platform does not send, so
they are computed here exactly as it does. A session that has become part of another leaves its accumulator to that and
makes no results any more; what the platform sends to the new one in the meantime waits until all accumulators are
there. So a merge waits for nothing but its own members, and nothing else waits for it.

A session that is not known is no error: after a restart of the server, or of the platform, either may have forgotten
what the other remembers, and an error would end both. A message for such a session opens it; closing it is answered
with its EOF; a MERGE makes a session of the members that are known, with the bounds of all, or does nothing where none
is. An OPEN of a session that is open adds to it, and an EXPAND to the bounds of one makes one of the two.

The sessions of one key close one after the other: the platform numbers the results of a key as they come, up to the
EOF, and takes the number for their identity when it has to replay them.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from numaflow_core.flows.keyed import KeyedParentFlow, Keys, Shares
from numaflow_core.kind import Begin, Close, Event, Flow, Release, Reply
from numaflow_core.values.times import timestamp_to_ns
from numaflow_core.wire.buffers import Buffer
from numaflow_core.wire.protobuf import SIZES, reader, tag
from numaflow_core.wire.status import ProtocolError

from ._datatypes import Datum
from ._proto.sessionreduce_pb2 import KeyedWindow, SessionReduceRequest, SessionReduceResponse

METHOD: Final = "SessionReduceFn"

_OPEN: Final = SessionReduceRequest.WindowOperation.OPEN
_CLOSE: Final = SessionReduceRequest.WindowOperation.CLOSE
_EXPAND: Final = SessionReduceRequest.WindowOperation.EXPAND
_MERGE: Final = SessionReduceRequest.WindowOperation.MERGE
_APPEND: Final = SessionReduceRequest.WindowOperation.APPEND
_COUNTS: Final = {_OPEN: "one window", _CLOSE: "one window", _EXPAND: "two windows", _APPEND: "one window"}
_WINDOW: Final = tag(SessionReduceResponse.KEYEDWINDOW_FIELD_NUMBER)
_EOF: Final = SessionReduceResponse(EOF=True).SerializeToString()

_parse = reader(SessionReduceRequest)
_view = Datum._view

Identity = tuple[int, int, Keys]
"""Start and end in nanoseconds, and the keys."""

Input = Datum | tuple[bytes, Datum]
"""What a call is fed with: a message; where its session has got new bounds, what responses begin with from it on."""


class Session:
    """What there is a call for. Where it says so, the side of the handler writes and the flow reads."""

    __slots__ = (
        "accumulator",
        "accumulators",
        "begun",
        "ended",
        "identity",
        "into",
        "latest",
        "members",
        "missing",
        "response",
        "waiting",
    )

    def __init__(self, identity: Identity, response: bytes, members: Sequence["Session"] = ()) -> None:
        self.identity = identity
        self.latest = response
        """What responses begin with, by the bounds that came last."""

        self.response = response
        """The same by the bounds that the handler has come to: the handler's side."""

        self.members = members
        """The sessions that this one is made of, the earliest first, until their accumulators are here."""

        self.missing = len(members)
        """How many of them have not left their accumulator yet."""

        self.accumulators: list[Any] = []
        """Those of the members, when the call begins."""

        self.begun = False
        """Whether the call has begun: all accumulators are there."""

        self.waiting: list[tuple[Input, int]] = []
        """What came before that, and how many bytes it took."""

        self.ended = False
        """Whether the call is to end as soon as it has begun."""

        self.into: Session | None = None
        """The session that this one has become part of: it is to leave its accumulator. Set before the call ends."""

        self.accumulator: Any = None
        """The handler's side."""

    @property
    def keys(self) -> Keys:
        """The keys of its messages."""
        return self.identity[2]


class _Closing(NamedTuple):
    """A CLOSE that has come."""

    eof: bytes
    size: int
    session: Session | None


class SessionFlow(Flow):
    """Has a call for each session. It is the same in a worker process, which gets all messages of its keys."""

    endless = True

    def __init__(self) -> None:
        self._shares = Shares()
        self._sessions: dict[Identity, Session] = {}
        self._closing: dict[Keys, deque[_Closing]] = {}  # the first is in progress, the others wait for it

    # -- Flow

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        events: list[Event] = []
        for message in messages:
            request = read(message)
            event, windows = request.operation.event, request.operation.keyedWindows
            size = len(message)
            if event in (_APPEND, _OPEN):
                wire = windows[0]
                identity = _identity(wire)
                session = self._sessions.get(identity) or self._open(identity, wire, events)
                self._add(session, _view(request.payload, ""), size)
            elif event == _EXPAND:
                wire = windows[1]
                session = self._expand(_identity(windows[0]), _identity(wire), wire, events)
                self._add(session, (session.latest, _view(request.payload, "")), size)
            elif event == _MERGE:
                self._merge(windows, events)
                events.append(Release(1, size))
            else:
                wire = windows[0]
                known = self._sessions.pop(_identity(wire), None)
                self._close(wire.keys, _Closing(_response(wire) + _EOF, size, known), events)
        self._shares.flush(events)
        return events

    def half_closed(self) -> Iterable[Event]:
        """The platform does not do this while sessions are open; other clients mean by it that all of them close."""
        events: list[Event] = []
        for identity in sorted(self._sessions, key=lambda each: (each[2], each[:2])):
            session = self._sessions.pop(identity)
            self._close(identity[2], _Closing(session.latest + _EOF, 0, session), events)
        return events

    def done(self, call: Session) -> Iterable[Event]:
        """The EOF, unless the session has become part of another; and what has waited for this."""
        events: list[Event] = []
        whole = call.into
        if whole is None:
            queue = self._closing[call.keys]
            self._answer(queue.popleft(), events)
            self._close_next(call.keys, queue, events)
            return events
        whole.missing -= 1
        if not whole.missing:
            whole.accumulators = [each.accumulator for each in whole.members]
            whole.members = ()
            self._begin(whole, events)
        return events

    # -- operations

    def _open(
        self, identity: Identity, wire: KeyedWindow, events: list[Event], members: Sequence[Session] = ()
    ) -> Session:
        session = self._sessions[identity] = Session(identity, _response(wire), members)
        if not members:
            session.begun = True
            events.append(Begin(session))
        return session

    def _expand(self, old: Identity, new: Identity, wire: KeyedWindow, events: list[Event]) -> Session:
        session = self._sessions.pop(old, None)
        other = self._sessions.get(new)
        if session is None:
            return other or self._open(new, wire, events)
        if other is not None:
            return self._unite([session, other], new, wire, events)
        session.identity = new
        session.latest = _response(wire)
        self._sessions[new] = session
        return session

    def _merge(self, windows: Sequence[KeyedWindow], events: list[Event]) -> None:
        first = min(windows, key=lambda wire: timestamp_to_ns(wire.start))
        last = max(windows, key=lambda wire: timestamp_to_ns(wire.end))
        union = KeyedWindow(start=first.start, end=last.end, slot=first.slot, keys=first.keys)
        target = _identity(union)
        names = dict.fromkeys((*map(_identity, windows), target))
        members = [session for name in names if (session := self._sessions.get(name)) is not None]
        if members and not (len(members) == 1 and members[0].identity == target):
            self._unite(members, target, union, events)

    def _unite(self, members: list[Session], target: Identity, wire: KeyedWindow, events: list[Event]) -> Session:
        """Have sessions become part of a new one."""
        self._shares.flush(events)
        members.sort(key=lambda each: each.identity[:2])
        for member in members:
            self._sessions.pop(member.identity, None)
        whole = self._open(target, wire, events, members)
        for member in members:
            member.into = whole
            self._end(member, events)
        return whole

    def _close(self, keys: Sequence[str], closing: _Closing, events: list[Event]) -> None:
        key = tuple(keys)
        queue = self._closing.get(key)
        if queue is not None:
            queue.append(closing)
        elif closing.session is None:
            self._answer(closing, events)
        else:
            self._closing[key] = queue = deque((closing,))
            self._shares.flush(events)
            self._close_next(key, queue, events)

    def _close_next(self, keys: Keys, queue: deque[_Closing], events: list[Event]) -> None:
        """Begin to close what is next of a key's, after the EOFs of what needs no call for that."""
        while queue:
            session = queue[0].session
            if session is not None:
                self._end(session, events)
                return
            self._answer(queue.popleft(), events)
        del self._closing[keys]

    def _answer(self, closing: _Closing, events: list[Event]) -> None:
        events.append(Reply((closing.eof,)))
        if closing.size:
            events.append(Release(1, closing.size))

    # -- calls

    def _add(self, session: Session, given: Input, size: int) -> None:
        if session.begun:
            self._shares.add(session, given, size)
        else:
            session.waiting.append((given, size))

    def _begin(self, session: Session, events: list[Event]) -> None:
        """All accumulators are there."""
        session.begun = True
        events.append(Begin(session))
        for given, size in session.waiting:
            self._shares.add(session, given, size)
        session.waiting.clear()
        self._shares.flush(events)
        if session.ended:
            self._end(session, events)

    def _end(self, session: Session, events: list[Event]) -> None:
        if session.begun:
            events.append(Close((session,), silently=session.into is not None))
        else:
            session.ended = True


def new_parent_flow() -> KeyedParentFlow:
    """In front of workers: each has the sessions of its keys."""
    return KeyedParentFlow(lambda message: read(message).operation.keyedWindows[0].keys)


def read(message: Buffer) -> SessionReduceRequest:
    """Parse a message. Raises ``ProtocolError`` for one that makes no sense."""
    request = _parse(message)
    event, windows = request.operation.event, request.operation.keyedWindows
    if event == _MERGE:
        if not windows:
            raise ProtocolError(f"{METHOD}: expected a MERGE with windows, got none")
        if any(wire.keys != windows[0].keys for wire in windows):
            raise ProtocolError(f"{METHOD}: expected a MERGE of windows with the same keys")
    elif event not in _COUNTS:
        raise ProtocolError(f"{METHOD}: expected one of the events OPEN, CLOSE, EXPAND, MERGE and APPEND, got {event}")
    elif len(windows) != (2 if event == _EXPAND else 1):
        raise ProtocolError(f"{METHOD}: expected a message with {_COUNTS[event]}, got {len(windows)}")
    elif event != _CLOSE and not request.HasField("payload"):
        raise ProtocolError(f"{METHOD}: expected a message with a payload")
    elif event == _EXPAND and windows[0].keys != windows[1].keys:
        raise ProtocolError(f"{METHOD}: expected an EXPAND to a window with the same keys")
    for wire in windows:
        if not wire.HasField("start") or not wire.HasField("end"):
            raise ProtocolError(f"{METHOD}: expected a window with a start and an end")
    return request


def _identity(wire: KeyedWindow) -> Identity:
    return timestamp_to_ns(wire.start), timestamp_to_ns(wire.end), tuple(wire.keys)


def _response(wire: KeyedWindow) -> bytes:
    """What responses for a window begin with."""
    data = wire.SerializeToString()
    return b"%b%b%b" % (_WINDOW, SIZES[len(data)], data)
