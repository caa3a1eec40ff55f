"""The vocabulary between a kind and the core: what a kind consists of, and what its flows and its codec say.

Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .constants import RUN_DIR

if TYPE_CHECKING:
    from .wire.buffers import Buffer, Outgoing


# -- Events: what a flow says. ``call`` is an object of the flow's own, known by its identity.


class Calls(NamedTuple):
    """Each message is a call with one input."""

    messages: list[Buffer]


class Begin(NamedTuple):
    """A call that takes inputs while it runs."""

    call: Any


class Feed(NamedTuple):
    """Inputs of calls, in order: for each call its inputs, and how many bytes they took as messages."""

    shares: Sequence[tuple[Any, Sequence[Any], int]]


class Close(NamedTuple):
    """Calls that have all their inputs. The results that they make after this leave in the order of ``calls``."""

    calls: Sequence[Any]

    silently: bool = False
    """Whether what the calls make after this is dropped: they have become part of another call."""


class Reply(NamedTuple):
    """What is answered at once: the handshake, the end of a batch, the end of a window."""

    messages: Sequence[Outgoing]


class Release(NamedTuple):
    """Window for ``number`` messages of ``size`` bytes in all that no call has taken."""

    number: int
    size: int


class Wake(NamedTuple):
    """A call of ``Flow.wake`` is wanted after that many seconds."""

    seconds: float


Event = Calls | Begin | Feed | Close | Reply | Release | Wake
"""Carried out in their order, but for replies, which leave together when all events of one step are carried out."""


class Flow:
    """One stream's protocol: messages in, events out. A flow does no IO, is called on one thread, and never calls back.

    Every method may raise ``ProtocolError``: the peer broke the order of messages, and the stream ends with the error's
    status.
    """

    endless = False
    """Whether only the peer may end the stream well; the server ends it as unfinished."""

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        """What has arrived, at least one message."""
        raise NotImplementedError

    def done(self, call: Any) -> Iterable[Event]:
        """A call that was begun and closed has made its last reply."""
        return ()

    def half_closed(self) -> Iterable[Event]:
        """The peer has sent its last message. The stream ends when no call is open any more."""
        return ()

    def wake(self) -> Iterable[Event]:
        """The time that ``Wake`` asked for has passed."""
        return ()


# -- What a kind hands to the core.


@dataclass(frozen=True)
class Codec:
    """A kind's translation between one message and one call of the handler, with one reply."""

    decode: Callable[[Buffer], tuple[Any, tuple[Any, ...]]]
    """A message to a token for ``encode``, and what the handler is called with. Raises ``ProtocolError`` for a message
    that makes no sense."""

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
    """Call the handler with an undecoded message or, for a call that a flow has begun, with its ``Inbox``; return a
    token, and what the handler returned: an iterable or an async iterable of results, or an awaitable of an iterable
    of them."""

    items: Callable[[Any], Iterable[Any]]
    """The results in what a handler returned. Raises ``TypeError`` where it is nothing of the kind."""

    encoder: Callable[[Any], Encoder]
    """A token to the encoder of the call."""

    view: Callable[[Buffer], Any] | None = None
    """A message as the handler sees it, for the report of an error; ``None`` where calls have an ``Inbox``."""


class Push(Protocol):
    """What takes the inputs of one key without holding a thread between them. Made and called on threads, but never
    on two at once."""

    def add(self, message: Any, /) -> Any:
        """The next input. Returns results, or ``None``."""

    def finish(self) -> Any:
        """There are no more inputs. Returns results, or ``None``."""


MakePush = Callable[[Callable[..., Any], Any], tuple[Any, Push]]
"""Makes what takes a call's inputs, of the user's handler and the call's ``Inbox``; and the token of its encoder."""


@dataclass(frozen=True, kw_only=True)
class RpcSpec:
    """How the streams of an RPC are served."""

    new_flow: Callable[[], Flow]
    """A flow for each stream."""

    codec: Codec | StreamCodec
    """The latter where a call makes more than one reply, or takes more than one input."""

    new_parent_flow: Callable[[], Flow] | None = None
    """A flow for each stream in front of worker processes, which feeds its calls with messages as they came; default:
    ``new_flow``."""

    new_worker_flow: Callable[[], Flow] | None = None
    """A flow for what one worker gets: the messages of a stream or, where calls take inputs while they run, of one of
    the parent's calls. Default: every message is a call."""

    limit: int | None = None
    """How many calls run at once; ``None`` leaves it to the server's settings."""

    make_push: MakePush | None = None
    """What takes the inputs of a call where the handler is sync. An RPC that has it is *keyed*: there is a call for
    each key, for as long as the key is open. So the number of calls that run at once is not limited, the end of a call
    is told from the end of its stream, and inputs of one key stay in one worker: ``new_parent_flow`` feeds its calls
    with pairs, a number that is the same for inputs that belong together and the message."""

    @property
    def keyed(self) -> bool:
        """Whether there is a call for each open key."""
        return self.make_push is not None


class Method(NamedTuple):
    """An RPC of a kind. Each has a runner of its own, so that no call waits for another RPC's."""

    name: str
    """The RPC on the wire: ``/service/name``."""

    load: Callable[[], RpcSpec]
    """Imports the kind's codec, and with it protobuf: most of what importing a kind would cost."""

    takes_late: bool = False
    """Whether the server takes its messages to the end of the grace period, when it refuses those of other methods:
    they complete what was accepted before."""


class Kind(NamedTuple):
    """One UDF kind, as the server needs to know it."""

    name: str
    """As users say it: ``map``."""

    distribution: str
    version: str
    """The distribution that serves the kind, and its version."""

    package_root: str
    """The folder of the kind's package; its frames are left out of tracebacks."""

    service: str
    """The service on the wire."""

    socket_name: str
    info_name: str
    """File names in ``RUN_DIR``."""

    methods: tuple[Method, ...]
    """The RPCs but the probe."""

    info_metadata: Mapping[str, str] = {}
    """What the kind adds to the server-info file."""

    minimum_numaflow_version: str = "1.4.0-z"

    def path(self, method: str) -> str:
        """An RPC's full name."""
        return f"/{self.service}/{method}"

    @property
    def sock_path(self) -> str:
        """Where the dataplane connects."""
        return f"{RUN_DIR}/{self.socket_name}"

    @property
    def info_path(self) -> str:
        """Where the dataplane reads what it is talking to."""
        return f"{RUN_DIR}/{self.info_name}"

    @property
    def rpc(self) -> str:
        """The full name of the first RPC, the only one of most kinds."""
        return self.path(self.methods[0].name)

    @property
    def ready_rpc(self) -> str:
        """The probe's full name."""
        return self.path("IsReady")
