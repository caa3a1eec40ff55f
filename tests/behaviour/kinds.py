"""What the behaviour suite has to know of each kind. A new kind adds a ``KindCase`` here and a builder to
``handlers.py``; every test of this folder then runs for it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, TypeVar

from numaflow_mapper import __version__ as mapper_version
from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_reducer._proto.reduce_pb2 import ReduceRequest, ReduceResponse
from numaflow_reducer._version import __version__ as reducer_version
from numaflow_sinker import __version__ as sinker_version
from numaflow_sinker._proto.sink_pb2 import SinkRequest, SinkResponse
from numaflow_sourcetransformer import __version__ as transformer_version
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse

ServerType = Literal["sync", "async", "multiproc"]
TransportName = Literal["h2", "grpcio"]

_T = TypeVar("_T")

EVENT_TIME_SECONDS: Final = 1_700_000_000

THREADS: Final = 4
CONCURRENCY: Final = 40
WORKERS: Final = 2
"""What ``servers.py`` is started with, where a test does not say otherwise."""


class Answer(NamedTuple):
    """The reply to one request."""

    id: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class KindCase:
    """One kind, in messages that are encoded already."""

    name: str
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

    closing: tuple[bytes, ...] = ()
    """What a client sends after requests, so that they are answered. Where there is such a thing, a call of the handler
    is what comes before it, and there is one at a time on a stream; elsewhere every request is a call."""

    is_end: Callable[[bytes], bool] = lambda reply: False
    """Recognises what the server says when a call has all its answers, in kinds that say so."""

    calls_are_rpcs: bool = False
    """Whether every call of the handler, or all those that end together, have an RPC of their own, which the client
    half-closes to have its answers, and which ends with them."""

    is_keyed: bool = False
    """Whether there is a call for each key: it lives on while its key is open, so async handlers are not limited in
    number; and a key belongs to one of the workers."""

    joins_same_ids: bool = False
    """Whether requests with the same id become one call with one answer."""

    @property
    def rpc(self) -> str:
        return f"/{self.service}/{self.method}"

    @property
    def takes_streams(self) -> bool:
        """Whether calls are side by side only on streams of their own."""
        return bool(self.closing) or self.calls_are_rpcs

    def encode(self, requests: Iterable[tuple[str, bytes]]) -> list[bytes]:
        """What a client sends to have requests answered, as far as a half-close is not needed."""
        return [*(self.request(*request) for request in requests), *self.closing]


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
        return {"sync": THREADS, "async": CONCURRENCY, "multiproc": WORKERS * THREADS}[self.type]

    @property
    def concurrency_of_a_stream(self) -> int:
        """How many of them a single stream can have."""
        if not self.kind.closing:
            return self.concurrency
        return WORKERS if self.type == "multiproc" else 1

    @property
    def cancels_handlers(self) -> bool:
        """Whether handlers are cancelled when their client has gone: an async one that waits for the end of its key
        must not take the end of the stream for it. Handlers elsewhere return in their own time."""
        return self.kind.is_keyed and self.type == "async"

    @property
    def stalls(self) -> int:
        """How many handlers can be stuck in ``time.sleep`` at once: one blocks the whole loop of async ones."""
        return 1 if self.type == "async" else self.concurrency


def _fill(body: Any, payload: bytes) -> None:
    """What requests of all kinds have."""
    body.value = payload
    body.keys.append("key")
    body.event_time.seconds = EVENT_TIME_SECONDS


def _handshake(message: Any) -> bytes:
    message.handshake.sot = True
    data: bytes = message.SerializeToString()
    return data


def _eot(message: Any) -> bytes:
    message.status.eot = True
    data: bytes = message.SerializeToString()
    return data


def _map_request(id: str, payload: bytes) -> bytes:
    message = MapRequest(id=id)
    _fill(message.request, payload)
    message.request.watermark.seconds = EVENT_TIME_SECONDS
    return message.SerializeToString()


def _map_answers(reply: bytes) -> list[Answer]:
    message = MapResponse.FromString(reply)
    if message.HasField("handshake") or message.HasField("status"):
        return []
    return [Answer(message.id, b"".join(result.value for result in message.results))]


def _transform_request(id: str, payload: bytes) -> bytes:
    message = SourceTransformRequest()
    message.request.id = id
    _fill(message.request, payload)
    return message.SerializeToString()


def _transform_answers(reply: bytes) -> list[Answer]:
    message = SourceTransformResponse.FromString(reply)
    if message.HasField("handshake"):
        return []
    assert all(result.HasField("event_time") for result in message.results), "the platform fails without one"
    assert message.results, "the platform fails without results"
    return [Answer(message.id, b"".join(result.value for result in message.results))]


def _sink_request(id: str, payload: bytes) -> bytes:
    message = SinkRequest()
    message.request.id = id
    _fill(message.request, payload)
    message.request.watermark.seconds = EVENT_TIME_SECONDS
    return message.SerializeToString()


def _sink_answers(reply: bytes) -> list[Answer]:
    message = SinkResponse.FromString(reply)
    return [Answer(result.id, result.serve_response) for result in message.results]


def _reduce_request(key: str, payload: bytes) -> bytes:
    """The first of a window; the platform says APPEND in those that follow it, which makes no difference."""
    message = ReduceRequest()
    message.payload.value = payload
    message.payload.keys.append(key)
    message.payload.event_time.seconds = message.payload.watermark.seconds = EVENT_TIME_SECONDS
    window = message.operation.windows.add(slot="0")
    window.start.seconds, window.end.seconds = EVENT_TIME_SECONDS, EVENT_TIME_SECONDS + 60
    return message.SerializeToString()


def _reduce_answers(reply: bytes) -> list[Answer]:
    message = ReduceResponse.FromString(reply)
    assert message.window.HasField("start"), "the platform fails without one"
    assert message.window.HasField("end"), "the platform fails without one"
    return [] if message.EOF else [Answer(message.result.keys[0], message.result.value)]


MAP: Final = KindCase(
    name="map",
    service="map.v1.Map",
    method="MapFn",
    sdk=f"numaflow-mapper {mapper_version}",
    info_metadata={"MAP_MODE": "unary-map"},
    opening=(_handshake(MapRequest()),),
    is_opening_reply=lambda reply: MapResponse.FromString(reply).handshake.sot,
    request=_map_request,
    answers=_map_answers,
)

MAP_STREAM: Final = replace(
    MAP,
    name="map stream",
    info_metadata={"MAP_MODE": "stream-map"},
    is_end=lambda reply: MapResponse.FromString(reply).status.eot,
)

BATCH_MAP: Final = replace(
    MAP_STREAM, name="batch map", info_metadata={"MAP_MODE": "batch-map"}, closing=(_eot(MapRequest()),)
)

TRANSFORM: Final = KindCase(
    name="source transform",
    service="sourcetransformer.v1.SourceTransform",
    method="SourceTransformFn",
    sdk=f"numaflow-sourcetransformer {transformer_version}",
    opening=(_handshake(SourceTransformRequest()),),
    is_opening_reply=lambda reply: SourceTransformResponse.FromString(reply).handshake.sot,
    request=_transform_request,
    answers=_transform_answers,
)

SINK: Final = KindCase(
    name="sink",
    service="sink.v1.Sink",
    method="SinkFn",
    sdk=f"numaflow-sinker {sinker_version}",
    opening=(_handshake(SinkRequest()),),
    is_opening_reply=lambda reply: SinkResponse.FromString(reply).handshake.sot,
    request=_sink_request,
    answers=_sink_answers,
    closing=(_eot(SinkRequest()),),
    is_end=lambda reply: SinkResponse.FromString(reply).status.eot,
)

REDUCE: Final = KindCase(
    name="reduce",
    service="reduce.v1.Reduce",
    method="ReduceFn",
    sdk=f"numaflow-reducer {reducer_version}",
    opening=(),
    is_opening_reply=lambda reply: False,
    request=_reduce_request,
    answers=_reduce_answers,
    is_end=lambda reply: ReduceResponse.FromString(reply).EOF,
    calls_are_rpcs=True,
    is_keyed=True,
    joins_same_ids=True,
)

REDUCE_STREAM: Final = replace(REDUCE, name="reduce stream", joins_same_ids=False)

KINDS: Final = (MAP, MAP_STREAM, BATCH_MAP, TRANSFORM, SINK)
KEYED_KINDS: Final = (REDUCE, REDUCE_STREAM)
TYPES: Final[tuple[ServerType, ...]] = ("sync", "async", "multiproc")
TRANSPORTS: Final[tuple[TransportName, ...]] = ("h2", "grpcio")


def part(rows: Iterable[Sequence[_T]]) -> list[_T]:
    """All of them, or a part, as the environment's ``BEHAVIOUR_PART`` says: ``0/6`` to ``5/6`` have every kind once
    where a row holds the six ways to run one, which differ from part to part and from kind to kind."""
    number, _, of = os.environ.get("BEHAVIOUR_PART", "0/1").partition("/")
    return [
        each
        for row_number, row in enumerate(rows)
        for index, each in enumerate(row)
        if (index + row_number) % int(of) == int(number)
    ]


def combinations(*kinds: KindCase) -> list[Combination]:
    """The kinds with each server type over each transport, or a part of them."""
    return part([Combination(kind, type_, name) for type_ in TYPES for name in TRANSPORTS] for kind in kinds)


COMBINATIONS: Final = combinations(*KINDS)
KEYED_COMBINATIONS: Final = combinations(*KEYED_KINDS)
