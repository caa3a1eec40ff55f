"""Flows cut a stream of messages into calls. They know the order of messages on a stream and do no IO."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from .strategy import OpenCall
from .wire.buffers import Buffer, Outgoing, count_bytes
from .wire.status import ProtocolError, StatusCode

_T = TypeVar("_T")


@dataclass(frozen=True)
class Handshake:
    """The first message of a stream, in both directions."""

    is_request: Callable[[Buffer], bool]
    """Whether a message is the client's handshake. May raise ``ProtocolError`` for what cannot be parsed."""

    reply: bytes
    """What the server answers."""


class Flow(Protocol):
    """One stream's state, where every call is one message."""

    endless: bool
    """Whether only the peer may end the stream well; the server ends it as unfinished."""

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """Take what has arrived; return the calls in it, and what is to be answered at once.

        Raises:
            ProtocolError: the peer broke the order of messages; the stream ends with the error's status.
        """

    def half_closed(self) -> list[Buffer]:
        """The peer has sent its last message: the calls that have waited for that. Raises: ProtocolError."""


class UnaryFlow:
    """After the handshake every message is a call of its own, in any order."""

    __slots__ = ("_handshake", "_method")

    endless = False

    def __init__(self, method: str, handshake: Handshake) -> None:
        self._method = method
        self._handshake: Handshake | None = handshake

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """The handshake is answered at once; raises ``ProtocolError`` where it is missing."""
        handshake = self._handshake
        if handshake is None:
            return messages, []
        reply = shake_hands(self._method, handshake, messages[0])
        self._handshake = None
        return messages[1:], [reply]

    def half_closed(self) -> list[Buffer]:
        """Nothing waits."""
        return []


class SingleFlow:
    """A unary RPC: one message, which is a call as soon as it is known to be the only one. No handshake."""

    __slots__ = ("_message", "_method")

    endless = True  # it ends with its reply; a good end without one is a breach of gRPC

    def __init__(self, method: str) -> None:
        self._method = method
        self._message: Buffer | None = None

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """Raises ``ProtocolError`` for a second message."""
        if self._message is not None or len(messages) > 1:
            raise self._violation("more than one came")
        (self._message,) = messages
        return [], []

    def half_closed(self) -> list[Buffer]:
        """The call. Raises ``ProtocolError`` where there was no message."""
        if self._message is None:
            raise self._violation("none came")
        return [self._message]

    def _violation(self, what: str) -> ProtocolError:
        """The code is the one that gRPC prescribes (``doc/statuscodes.md`` of grpc: request cardinality)."""
        return ProtocolError(f"{self._method}: expected one message, {what}", StatusCode.UNIMPLEMENTED)


class PipedFlow:
    """The flow of a worker process: the handshake was answered by its parent, every message is a call."""

    __slots__ = ()

    endless = False

    def receive(self, messages: list[Buffer]) -> tuple[list[Buffer], list[bytes]]:
        """All of them are calls."""
        return messages, []

    def half_closed(self) -> list[Buffer]:
        """Nothing waits."""
        return []


def shake_hands(method: str, handshake: Handshake, message: Buffer) -> bytes:
    """The answer to a stream's first message. Raises ``ProtocolError`` where that is not a handshake."""
    if not handshake.is_request(message):
        raise ProtocolError(f"{method}: expected handshake as the first message")
    return handshake.reply


class Desk(Protocol):
    """Where a flow opens its calls, feeds them and ends them: the stream that it belongs to."""

    def begin(self, token: Any) -> OpenCall:
        """Open a call."""

    def feed(self, call: OpenCall, inputs: Sequence[Any], size: int) -> None:
        """Messages of a call, in order; they took ``size`` bytes."""

    def complete(self, call: OpenCall) -> None:
        """The call has all its messages. ``OpenFlow.finished`` follows when it has made its replies."""

    def consumed(self, size: int) -> None:
        """A message of ``size`` bytes that was not fed to a call has been dealt with."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back in that many seconds, unless the stream is over by then."""


class OpenFlow(Protocol):
    """One stream's state, where calls take messages while they run."""

    def receive(self, messages: list[Buffer]) -> Sequence[Outgoing]:
        """Take what has arrived, and tell the desk; return what is to be answered at once.

        Raises:
            ProtocolError: the peer broke the order of messages; the stream ends with the error's status.
        """

    def half_closed(self) -> None:
        """The peer has sent its last message: end the calls that are open."""

    def finished(self, call: OpenCall) -> Sequence[Outgoing]:
        """A call has made its replies; what follows them. Raises ``ProtocolError`` as ``receive`` does."""

    def closed(self) -> Sequence[Outgoing]:
        """The peer has sent its last message and all calls are finished; what ends the stream."""


class _Greeting:
    """The handshake at the beginning of a stream of open calls."""

    __slots__ = ("_desk", "_handshake", "_method")

    def __init__(self, desk: Desk, method: str, handshake: Handshake) -> None:
        self._desk = desk
        self._method = method
        self._handshake: Handshake | None = handshake

    def take(self, messages: list[Buffer], answers: list[Outgoing]) -> list[Buffer]:
        """Answer the handshake, if it is due; the messages after it."""
        handshake = self._handshake
        if handshake is None:
            return messages
        answers.append(shake_hands(self._method, handshake, messages[0]))
        self._handshake = None
        self._desk.consumed(len(messages[0]))
        return messages[1:]


class SerialFlow:
    """After the handshake every message is a call, one at a time: what comes while one runs waits its turn."""

    def __init__(self, desk: Desk, method: str, handshake: Handshake, read: Callable[[Buffer], Any]) -> None:
        """``read`` parses a message to its call's token. Raises ``ProtocolError``; an empty message must be one that it
        refuses: flow control does not bound how many of those wait."""
        self._desk = desk
        self._greeting = _Greeting(desk, method, handshake)
        self._read = read
        self._waiting: deque[tuple[Any, int]] = deque()
        self._running = False

    def receive(self, messages: list[Buffer]) -> Sequence[Outgoing]:
        """The handshake is answered at once."""
        answers: list[Outgoing] = []
        messages = self._greeting.take(messages, answers)
        self._waiting.extend([(self._read(message), len(message)) for message in messages])
        self._begin_next()
        return answers

    def half_closed(self) -> None:
        """Calls need nothing more of the peer."""

    def finished(self, call: OpenCall) -> Sequence[Outgoing]:
        """The next call."""
        self._running = False
        self._begin_next()
        return ()

    def closed(self) -> Sequence[Outgoing]:
        """Nothing ends the stream."""
        return ()

    def _begin_next(self) -> None:
        if self._waiting and not self._running:
            self._running = True
            token, size = self._waiting.popleft()
            self._desk.consumed(size)
            self._desk.complete(self._desk.begin(token))


class Batch(Protocol[_T]):
    """What a kind has to say about batches: N messages, then an eot that asks for the answers."""

    def read(self, message: Buffer) -> _T | None:
        """Parse a message; ``None`` for the eot. Raises ``ProtocolError``."""

    def new_token(self) -> Any:
        """A new batch's token."""

    def take(self, token: Any, requests: Sequence[_T]) -> None:
        """Note requests in the batch's token."""

    eot: bytes
    """What is sent after the answers."""


class BatchFlow(Generic[_T]):
    """Batches, strictly one after the other: what comes after an eot waits until the batch before is answered.

    An empty batch is answered without a call.
    """

    def __init__(self, desk: Desk, method: str, handshake: Handshake, batch: Batch[_T], *, decode: bool) -> None:
        """``decode``: whether calls are fed with decoded messages, or with what came."""
        self._desk = desk
        self._greeting = _Greeting(desk, method, handshake)
        self._batch = batch
        self._decode = decode
        self._call: OpenCall | None = None
        self._ended = False  # the call has had its eot, and is not finished
        self._waiting: list[Buffer] = []

    def receive(self, messages: list[Buffer]) -> Sequence[Outgoing]:
        """The handshake and empty batches are answered at once."""
        answers: list[Outgoing] = []
        messages = self._greeting.take(messages, answers)
        if self._ended:
            self._waiting += messages
            return answers
        first = 0
        read = self._batch.read
        requests: list[_T] = []
        for position, message in enumerate(messages):
            request = read(message)
            if request is not None:
                requests.append(request)
                continue
            self._feed(requests, messages[first:position])
            self._desk.consumed(len(message))
            if self._call is not None:
                self._finish_input()
                self._waiting = messages[position + 1 :]
                return answers
            answers.append(self._batch.eot)
            first = position + 1
        self._feed(requests, messages[first:])
        return answers

    def half_closed(self) -> None:
        """What has come of a batch is the batch."""
        if self._call is not None and not self._ended:
            self._finish_input()

    def finished(self, call: OpenCall) -> Sequence[Outgoing]:
        """The eot, and the next batch."""
        self._call = None
        self._ended = False
        waiting, self._waiting = self._waiting, []
        return [self._batch.eot, *(self.receive(waiting) if waiting else ())]

    def closed(self) -> Sequence[Outgoing]:
        """Nothing ends a stream of batches."""
        return ()

    def _feed(self, requests: list[_T], messages: list[Buffer]) -> None:
        if requests:
            if self._call is None:
                self._call = self._desk.begin(self._batch.new_token())
            self._batch.take(self._call.token, requests)
            self._desk.feed(self._call, requests if self._decode else messages, count_bytes(messages))

    def _finish_input(self) -> None:
        assert self._call is not None
        self._ended = True
        self._desk.complete(self._call)


class PartFlow(Generic[_T]):
    """A worker process's part of one batch: all messages are its, and the parent half-closes at the eot, which it also
    answers."""

    def __init__(self, desk: Desk, batch: Batch[_T]) -> None:
        self._desk = desk
        self._batch = batch
        self._call: OpenCall | None = None

    def receive(self, messages: list[Buffer]) -> Sequence[Outgoing]:
        """All of them are the call's."""
        if self._call is None:
            self._call = self._desk.begin(self._batch.new_token())
        requests = [request for request in map(self._batch.read, messages) if request is not None]
        assert len(requests) == len(messages), "the parent keeps the eot"
        self._batch.take(self._call.token, requests)
        self._desk.feed(self._call, requests, count_bytes(messages))
        return ()

    def half_closed(self) -> None:
        """The eot."""
        if self._call is not None:
            self._desk.complete(self._call)

    def finished(self, call: OpenCall) -> Sequence[Outgoing]:
        """The parent says what follows."""
        return ()

    def closed(self) -> Sequence[Outgoing]:
        """The parent says what ends the stream."""
        return ()
