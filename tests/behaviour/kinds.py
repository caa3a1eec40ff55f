"""What the behaviour suite has to know of each kind. A new kind adds a ``KindCase`` here and a builder to
one of the modules of handlers; every test of this folder then runs for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Final, Literal, NamedTuple

from numaflow_accumulator._proto.accumulator_pb2 import AccumulatorResponse
from numaflow_accumulator._version import __version__ as accumulator_version
from numaflow_mapper import __version__ as mapper_version
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_reducer._proto.reduce_pb2 import ReduceResponse
from numaflow_reducer._version import __version__ as reducer_version
from numaflow_servingstore._version import __version__ as servingstore_version
from numaflow_sessionreducer._proto.sessionreduce_pb2 import SessionReduceResponse
from numaflow_sessionreducer._version import __version__ as sessionreducer_version
from numaflow_sideinput._version import __version__ as sideinput_version
from numaflow_sinker import __version__ as sinker_version
from numaflow_sinker._proto.sink_pb2 import SinkRequest, SinkResponse
from numaflow_sourcer._proto.source_pb2 import ReadRequest, ReadResponse
from numaflow_sourcer._version import __version__ as sourcer_version
from numaflow_sourcetransformer import __version__ as transformer_version
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse

from .enclosures import enclosure
from .messages import (
    Answer,
    accumulator_answers,
    accumulator_close,
    accumulator_request,
    eot,
    get_request,
    handshake,
    map_answers,
    map_request,
    read_answers,
    read_request,
    reduce_answers,
    reduce_request,
    session_answers,
    session_close,
    session_request,
    side_input_answers,
    sink_answers,
    sink_request,
    store_answers,
    transform_answers,
    transform_request,
)

ServerType = Literal["sync", "async", "multiproc"]
TransportName = Literal["h2", "grpcio"]

TYPES: Final[tuple[ServerType, ...]] = ("sync", "async", "multiproc")

SCRIPT: Final = Path(__file__).with_name("servers.py")

THREADS: Final = 4
CONCURRENCY: Final = 12
WORKERS: Final = 2
"""What ``servers.py`` is started with, where a test does not say otherwise."""

RPCS_AT_ONCE: Final = 60
"""How many RPCs a test has open at once, at most: each costs its client some threads."""


@dataclass(frozen=True, kw_only=True)
class KindCase:
    """One kind, in messages that are encoded already."""

    name: str
    flow: str
    """The order of messages on its streams. Kinds that share one differ in their messages only."""

    types: Sequence[ServerType] = TYPES
    script: Path = SCRIPT
    """What runs a server of the kind."""

    service: str
    method: str
    sdk: str
    minimum_numaflow_version: str = "1.4.0-z"
    info_metadata: Mapping[str, str] = field(default_factory=dict)

    opening: tuple[bytes, ...]
    """What a client sends first."""

    is_opening_reply: Callable[[bytes], bool]
    """Recognises the server's answer to it."""

    request: Callable[[str, bytes], bytes]
    """A request with an id and a payload that reaches the handler. In keyed kinds the id is the key."""

    answers: Callable[[bytes], list[Answer]]
    """Ids and payloads in a reply; none in what belongs to no request."""

    end_of_request: Callable[[str], tuple[bytes, ...]] = lambda id_: ()
    """What a client sends after the request with an id, so that its key is closed."""

    closing: tuple[bytes, ...] = ()
    """What a client sends after requests, so that they are answered. Where there is such a thing, a call of the handler
    is what comes before it, and there is one at a time on a stream; elsewhere every request is a call."""

    is_end: Callable[[bytes], bool] = lambda reply: False
    """Recognises what the server says when a call has all its answers, in kinds that say so."""

    calls_are_rpcs: bool = False
    """Whether every call of the handler, or all those that end together, have an RPC of their own, which the client
    half-closes to have its answers, and which ends with them."""

    is_unary: bool = False
    """Whether such an RPC is one message and one reply. The call begins when the client has half-closed."""

    reads_requests: bool = True
    """Whether the server looks at what is in a request, so that there can be something wrong with it."""

    is_serial: bool = False
    """Whether no call runs beside another, whatever the settings say, and there is one client at a time: what a stream
    is waiting for ends with nothing when another one asks, and is given to the next that asks if it comes after all."""

    is_keyed: bool = False
    """Whether there is a call for each key, which lives on while its key is open, and belongs to one of the workers."""

    joins_same_ids: bool = False
    """Whether requests with the same id become one call with one answer."""

    answers_at_close: bool = False
    """Whether a key is answered when it is closed; otherwise each of its datums is at once."""

    @property
    def rpc(self) -> str:
        return f"/{self.service}/{self.method}"

    @property
    def takes_streams(self) -> bool:
        """Whether calls are side by side only on streams of their own."""
        return bool(self.closing) or self.calls_are_rpcs

    def count(self, wanted: int) -> int:
        """How many requests a test sends at once where it would send so many as messages."""
        return min(wanted, RPCS_AT_ONCE) if self.is_unary else wanted

    def encode(self, requests: Iterable[tuple[str, bytes]]) -> list[bytes]:
        """What a client sends to have requests answered, as far as a half-close is not needed."""
        messages = [(self.request(id_, payload), *self.end_of_request(id_)) for id_, payload in requests]
        return [*chain.from_iterable(messages), *self.closing]


class Combination(NamedTuple):
    """One server that the whole suite has to hold for."""

    kind: KindCase
    type: ServerType
    transport: TransportName

    @property
    def id(self) -> str:
        return f"{self.kind.name.replace(' ', '')}-{self.type}-{self.transport}"

    @property
    def concurrency(self) -> int:
        """How many handlers run at once, with the defaults of this suite; where there is no limit, as many as where
        there is. The ids "0", "1" ... of so many requests are keys of which each worker has its share."""
        if self.kind.is_serial:
            return 1
        return {"sync": THREADS, "async": CONCURRENCY, "multiproc": WORKERS * THREADS}[self.type]

    @property
    def is_bounded(self) -> bool:
        """Whether there is a limit to how many handlers run at once. Async ones of keyed kinds wait for their keys'
        next datums, and cost no thread: there is one for each open key."""
        return not (self.kind.is_keyed and self.type == "async")

    def at_once(self, offered: int, limit: int) -> int:
        """How many handlers run when so many calls are there, where the limit is such."""
        if self.kind.is_serial:
            return min(offered, 1)
        return min(offered, limit) if self.is_bounded else offered

    @property
    def concurrency_of_a_stream(self) -> int:
        """How many of them a single stream can have."""
        if not self.kind.closing:
            return self.concurrency
        return WORKERS if self.type == "multiproc" else 1

    @property
    def collects_answers(self) -> bool:
        """Whether a handler has made all answers before the first of them is sent: where it returns those of a batch,
        or those of a window are made at its close, or each has a stream of its own, which waits for no other."""
        return self.kind.joins_same_ids or self.kind.is_unary or (bool(self.kind.closing) and self.type == "async")

    @property
    def cancels_handlers(self) -> bool:
        """Whether handlers are cancelled when their client has gone: an async one that waits for the end of its key
        must not take the end of the stream for it. Handlers elsewhere return in their own time."""
        return self.kind.is_keyed and self.type == "async"

    @property
    def stalls(self) -> int:
        """How many handlers can be stuck in ``time.sleep`` at once: one blocks the whole loop of async ones."""
        return 1 if self.type == "async" else self.concurrency


MAP: Final = KindCase(
    name="map",
    flow="bidi",
    service="map.v1.Map",
    method="MapFn",
    sdk=f"numaflow-mapper {mapper_version}",
    info_metadata={"MAP_MODE": "unary-map"},
    opening=(handshake(MapRequest()),),
    is_opening_reply=lambda reply: MapResponse.FromString(reply).handshake.sot,
    request=map_request,
    answers=map_answers,
)

MAP_STREAM: Final = replace(
    MAP,
    name="map stream",
    flow="streamed",
    info_metadata={"MAP_MODE": "stream-map"},
    is_end=lambda reply: MapResponse.FromString(reply).status.eot,
)

BATCH_MAP: Final = replace(
    MAP_STREAM, name="batch map", flow="batch", info_metadata={"MAP_MODE": "batch-map"}, closing=(eot(MapRequest()),)
)

TRANSFORM: Final = KindCase(
    name="source transform",
    flow="bidi",
    service="sourcetransformer.v1.SourceTransform",
    method="SourceTransformFn",
    sdk=f"numaflow-sourcetransformer {transformer_version}",
    opening=(handshake(SourceTransformRequest()),),
    is_opening_reply=lambda reply: SourceTransformResponse.FromString(reply).handshake.sot,
    request=transform_request,
    answers=transform_answers,
)

SINK: Final = KindCase(
    name="sink",
    flow="batch",
    service="sink.v1.Sink",
    method="SinkFn",
    sdk=f"numaflow-sinker {sinker_version}",
    opening=(handshake(SinkRequest()),),
    is_opening_reply=lambda reply: SinkResponse.FromString(reply).handshake.sot,
    request=sink_request,
    answers=sink_answers,
    closing=(eot(SinkRequest()),),
    is_end=lambda reply: SinkResponse.FromString(reply).status.eot,
)

REDUCE: Final = KindCase(
    name="reduce",
    flow="keyed",
    service="reduce.v1.Reduce",
    method="ReduceFn",
    sdk=f"numaflow-reducer {reducer_version}",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=reduce_request,
    answers=reduce_answers,
    is_end=lambda reply: ReduceResponse.FromString(reply).EOF,
    calls_are_rpcs=True,
    is_keyed=True,
    joins_same_ids=True,
    answers_at_close=True,
)

REDUCE_STREAM: Final = replace(REDUCE, name="reduce stream", joins_same_ids=False, answers_at_close=False)

SESSION_REDUCE: Final = KindCase(
    name="session reduce",
    flow="session",
    service="sessionreduce.v1.SessionReduce",
    method="SessionReduceFn",
    sdk=f"numaflow-sessionreducer {sessionreducer_version}",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=session_request,
    end_of_request=lambda key: (session_close(key),),
    answers=session_answers,
    is_end=lambda reply: SessionReduceResponse.FromString(reply).EOF,
    is_keyed=True,
    answers_at_close=True,
)

ACCUMULATOR: Final = KindCase(
    name="accumulator",
    flow="accumulator",
    service="accumulator.v1.Accumulator",
    method="AccumulateFn",
    sdk=f"numaflow-accumulator {accumulator_version}",
    minimum_numaflow_version="1.5.0-z",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=accumulator_request,
    end_of_request=lambda key: (accumulator_close(key),),
    answers=accumulator_answers,
    is_end=lambda reply: AccumulatorResponse.FromString(reply).EOF,
    is_keyed=True,
)

SOURCE: Final = KindCase(
    name="source",
    flow="serial",
    types=("sync", "async"),
    service="source.v1.Source",
    method="ReadFn",
    sdk=f"numaflow-sourcer {sourcer_version}",
    opening=(handshake(ReadRequest()),),
    is_opening_reply=lambda reply: ReadResponse.FromString(reply).handshake.sot,
    request=read_request,
    answers=read_answers,
    is_end=lambda reply: ReadResponse.FromString(reply).status.eot,
    is_serial=True,
)

SIDE_INPUT: Final = KindCase(
    name="side input",
    flow="unary",
    service="sideinput.v1.SideInput",
    method="RetrieveSideInput",
    sdk=f"numaflow-sideinput {sideinput_version}",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=enclosure,
    answers=side_input_answers,
    calls_are_rpcs=True,
    is_unary=True,
    reads_requests=False,
)

SERVING_STORE: Final = KindCase(
    name="serving store",
    flow="unary",
    service="serving.v1.ServingStore",
    method="Get",
    sdk=f"numaflow-servingstore {servingstore_version}",
    minimum_numaflow_version="1.5.0-z",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=get_request,
    answers=store_answers,
    calls_are_rpcs=True,
    is_unary=True,
)

KINDS: Final = (
    *(MAP, MAP_STREAM, BATCH_MAP, TRANSFORM, SINK),
    *(REDUCE, REDUCE_STREAM, SESSION_REDUCE, ACCUMULATOR),
    *(SOURCE, SIDE_INPUT, SERVING_STORE),
)
TRANSPORTS: Final[tuple[TransportName, ...]] = ("h2", "grpcio")


def combinations(*kinds: KindCase) -> list[Combination]:
    """The kinds with each server type over each transport."""
    return [Combination(kind, type_, name) for kind in kinds for type_ in kind.types for name in TRANSPORTS]


def one_kind_of_each_flow(offered: Sequence[Combination], number: int) -> list[Combination]:
    """For each flow, server type and transport one of the combinations that have them; which, depends on a number."""
    groups: dict[tuple[str, ServerType, TransportName], list[Combination]] = {}
    for each in offered:
        groups.setdefault((each.kind.flow, each.type, each.transport), []).append(each)
    return [group[(number + place) % len(group)] for place, group in enumerate(groups.values())]


def each_once(offered: Sequence[Combination], number: int) -> list[Combination]:
    """As few of these combinations as each flow, each server type and each transport is seen with; which ones depends
    on ``number``."""
    start = number % len(offered) if offered else 0
    rotated = [*offered[start:], *offered[:start]]
    unseen = {part for each in offered for part in (each.kind.flow, each.type, each.transport)}
    chosen: list[Combination] = []
    while unseen:
        best = max(rotated, key=lambda each: len(unseen & {each.kind.flow, each.type, each.transport}))
        chosen.append(best)
        unseen -= {best.kind.flow, best.type, best.transport}
    return sorted(chosen, key=offered.index)
