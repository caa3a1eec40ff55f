"""A call that takes inputs while it runs: what its stream and its runner share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..wire.buffers import Outgoing
    from .hub import Rpc
    from .line import Line


class Inbox:
    """One call's inputs on their way to its handler. Each runner derives its own from this.

    There may be one for each of a million keys, so it holds only what it needs.
    """

    __slots__ = ("call", "held", "latest", "left", "line", "rpc")

    def __init__(self, rpc: Rpc, call: Any) -> None:
        self.rpc = rpc
        self.call = call
        """What the flow knows of the call."""

        self.left = False
        """Whether the stream is over: nobody waits for replies."""

        self.line: Line | None = None
        """Where results that are made after the last input wait for their turn. Set before ``close()``."""

        self.held: list[Outgoing] | None = None
        """Those that do."""

        self.latest: Any = None
        """The input that the handler was given last."""

    # -- the transport's thread

    def feed(self, inputs: Sequence[Any], size: int) -> None:
        """More inputs, in order; decoded, except for worker processes. They took ``size`` bytes on the wire."""
        raise NotImplementedError

    def close(self) -> None:
        """There are no more inputs: the call is to come to its end."""
        raise NotImplementedError

    def leave(self) -> None:
        """The stream is over."""
        raise NotImplementedError

    # -- where the call runs

    def inputs(self, view: Callable[[Any], Any] | None = None) -> Any:
        """The inputs, for the handler, as they come, each looked at through ``view``: an iterator that blocks until
        there are some, or an async iterator. It ends with the call, or when the stream is over."""
        raise NotImplementedError

    def drain(self) -> Any:
        """Pass over what the handler has not read, to the end of the call; return whether its stream is still there,
        for async handlers an awaitable of that."""
        raise NotImplementedError

    def told_closed(self) -> None:
        """The handler has been told that there are no more inputs: what it makes now waits for its turn."""
        if self.line is not None:
            self.line.join(self)

    def reply(self, message: Outgoing) -> None:
        """A result of the handler's."""
        if self.line is None or not self.line.hold(self, message):
            self.rpc.reply(message)

    def reply_with(self, messages: list[Outgoing]) -> None:
        """Several results of the handler's."""
        if self.line is None:
            self.rpc.reply_with(messages)
        else:
            for message in messages:
                self.reply(message)

    def step_out(self) -> None:
        """Wait in the line no longer: the results are too many to be held."""
        if self.line is not None:
            self.line.step_out(self)
