"""Strategies run calls: on an event loop, on threads, in worker processes.

A strategy gets batches of undecoded calls from the transport's thread and gives replies back through ``Caller``, from
wherever the handler ran. It knows neither gRPC nor protobuf; a kind's codec, bound to the user's handler, is passed
in.

Most calls are one message and its one reply. Others are *open*: they take messages while they run, and make any
number of replies. ``OpenCall`` is what the two ends of such a call share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..wire.buffers import Buffer, Outgoing
from ..wire.status import ProtocolError
from ._line import Line


class Caller(Protocol):
    """The stream that a call came from. Its methods may be called on any thread, unless they say otherwise."""

    ready: bool
    """Whether the stream takes replies now. If not, it is over, or its peer does not read."""

    gone: bool
    """Whether the stream is over: nobody waits for replies."""

    def reply(self, message: Outgoing) -> None:
        """A reply. In a kind with one reply to a call, its call is over; elsewhere ``finished`` says so."""

    def reply_with(self, messages: list[Outgoing]) -> None:
        """Some replies, in a kind whose calls end with ``finished``."""

    def finished(self, call: Any) -> None:
        """The call has made its last reply."""

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Call back on the transport's thread, once everything replied so far is on its way and ``ready`` is true, or
        the stream is over."""

    def broken(self, error: ProtocolError) -> None:
        """The call could not be understood; the stream ends."""

    def reply_all(self, replies: Sequence[Outgoing], finished: int) -> None:
        """Replies that a worker process has made, with which that many calls of one message are over. On the
        transport's thread."""


class MessageCaller(Caller, Protocol):
    """A stream on which every message is a call."""

    def postpone(self, calls: list[Buffer]) -> None:
        """Give calls back that were not started because ``ready`` is false: they are submitted anew when the stream is
        ready, or forgotten."""


def rest_of(caller: MessageCaller, queue: deque[tuple[MessageCaller, Buffer]]) -> list[Buffer]:
    """Cut off the calls at the front of a queue that are one caller's."""
    rest = []
    while queue and queue[0][0] is caller:
        rest.append(queue.popleft()[1])
    return rest


class OpenCaller(Caller, Protocol):
    """A stream of open calls."""

    def released(self, count: int, size: int) -> None:
        """A handler is done with that many inputs, which took ``size`` bytes on the wire."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """On the transport's thread: call back there in that many seconds, unless the stream is over by then."""


@dataclass(frozen=True)
class Codec:
    """A kind's translation between one message and one call of the handler, with one reply."""

    call: Callable[[Callable[..., Any], Buffer], tuple[Any, Any]]
    """Decode a message and call the handler with it; return a token, and what the handler returned: its result, or an
    awaitable of it. Raises ``ProtocolError`` for a message that makes no sense, and what the handler raises."""

    encode: Callable[[Any, Any], Outgoing]
    """(token, the handler's result) to the reply. Raises ``TypeError`` for a result that makes no sense."""


class Encoder(Protocol):
    """Makes replies of one call's results, one after the other."""

    def add(self, result: Any, /) -> Outgoing | list[Outgoing] | None:
        """A result to a reply, to several of them, or to nothing yet. Raises ``TypeError`` or ``ValueError`` for one
        that makes no sense."""

    def finish(self) -> Sequence[Outgoing]:
        """There are no more results: what is left to reply. Raises ``ValueError`` where results are missing."""


@dataclass(frozen=True)
class StreamCodec:
    """A kind's translation for calls that make any number of replies."""

    call: Callable[[Callable[..., Any], Any], tuple[Any, Any]]
    """Call the handler with an undecoded message or, where calls are open, with an ``OpenCall``; return a token, and
    what the handler returned: an iterable or an async iterable of results, or an awaitable of an iterable of them."""

    items: Callable[[Any], Iterable[Any]]
    """The results in what a handler returned. Raises ``TypeError`` where it is nothing of the kind."""

    encoder: Callable[[Any], Encoder]
    """A token to the encoder of the call."""


class Push(Protocol):
    """What takes the messages of one key without holding a thread between them. Made and called on threads, but never
    on two at once."""

    def add(self, message: Any, /) -> Any:
        """The next message. Returns results, or ``None``."""

    def finish(self) -> Any:
        """There are no more messages. Returns results, or ``None``."""


class OpenCall:
    """A call that takes messages while it runs: the side that the stream's flow sees, on the transport's thread.

    A strategy derives the other side from it, which the handler reads.
    """

    __slots__ = ("caller", "held", "left", "line", "token")

    def __init__(self, caller: OpenCaller, token: Any) -> None:
        self.caller = caller
        self.token = token
        """What the flow knows of the call: the codec's business."""

        self.left = False
        """Whether the stream is over: nobody waits for replies."""

        self.line: Line | None = None
        """Where results that are made after the last message wait for their turn. Set before ``end()``."""

        self.held: list[Outgoing] | None = None
        """Those that do."""

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        """More messages, in order; decoded, except for worker processes. They took ``size`` bytes on the wire."""
        raise NotImplementedError

    def end(self) -> None:
        """There are no more messages: the call is to come to its end."""
        raise NotImplementedError

    def leave(self) -> None:
        """The stream is over."""
        raise NotImplementedError

    def inputs(self, view: Callable[[Any], Any] | None = None) -> Any:
        """The messages, for the handler, as they come, each looked at through ``view``: an iterator that blocks until
        there are some, or an async iterator. It ends with the call, or when the stream is over."""
        raise NotImplementedError

    # -- for the strategy that runs the call, where the call runs

    def drain(self) -> Any:
        """Pass over what the handler has not read, to the end of the call; return whether its stream is still there,
        for async handlers an awaitable of that."""
        raise NotImplementedError

    def closing(self) -> None:
        """The handler has been told that there are no more messages."""
        if self.line is not None:
            self.line.join(self)

    def reply(self, message: Outgoing) -> None:
        """A result of the handler's."""
        if self.line is None or not self.line.hold(self, message):
            self.caller.reply(message)

    def reply_with(self, messages: list[Outgoing]) -> None:
        """Several results of the handler's."""
        if self.line is None:
            self.caller.reply_with(messages)
        else:
            for message in messages:
                self.reply(message)

    def step_out(self) -> None:
        """Wait in the line no longer: the results are too many to be held."""
        if self.line is not None:
            self.line.step_out(self)


class Strategy(Protocol):
    """Runs calls. All methods are called on the transport's thread, and none may block it."""

    async def open(self) -> None:
        """Get ready, before the first call. Raises: StartError."""

    def submit(self, caller: MessageCaller, calls: list[Buffer]) -> None:
        """Take calls, in order."""

    def left(self, caller: MessageCaller) -> None:
        """The stream is over; what has not been started of its calls need not be."""

    async def close(self, patience: float) -> None:
        """Start nothing more and let go of threads, tasks and processes. Called when no call is unanswered, or when
        what is unanswered does not matter any more. What has not ended after ``patience`` seconds is killed, if it can
        be."""


class OpenStrategy(Protocol):
    """Runs open calls. As in ``Strategy``, nothing here may block."""

    async def open(self) -> None:
        """Get ready, before the first call. Raises: StartError."""

    def begin(self, caller: OpenCaller, token: Any) -> OpenCall:
        """A new call."""

    def kick(self) -> None:
        """What has been fed and ended since the last time is to be seen to: once for a batch."""

    async def close(self, patience: float) -> None:
        """As ``Strategy.close``."""


OnFailure = Callable[[BaseException], None]
"""Told, on the thread where it happened, that a handler has raised. The server ends."""

SyncHandler = Callable[..., object]
AsyncHandler = Callable[..., Awaitable[object]]
