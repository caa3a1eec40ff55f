"""What the behaviour suite has to know of each kind. A new kind adds a ``KindCase`` here and a builder to
``servers.py``; every test of this folder then runs for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from numaflow_mapper._proto.map_pb2 import MapRequest, MapResponse
from numaflow_mapper._version import __version__ as mapper_version

ServerType = Literal["sync", "async", "multiproc"]
TransportName = Literal["h2", "grpcio"]

EVENT_TIME_SECONDS: Final = 1_700_000_000

THREADS: Final = 4
CONCURRENCY: Final = 40
WORKERS: Final = 2
"""What ``servers.py`` is started with, where a test does not say otherwise."""


class Answer(NamedTuple):
    """A reply to one request."""

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
    """A request with an id and a payload that reaches the handler."""

    answer: Callable[[bytes], Answer | None]
    """A reply's id and payload; ``None`` for what belongs to no request."""

    closing: tuple[bytes, ...] = ()
    """What a client sends after requests, so that they are answered."""

    @property
    def rpc(self) -> str:
        return f"/{self.service}/{self.method}"


class Combination(NamedTuple):
    """One server that the whole suite has to hold for."""

    kind: KindCase
    type: ServerType
    transport: TransportName

    @property
    def id(self) -> str:
        return f"{self.kind.name}-{self.type}-{self.transport}"

    @property
    def concurrency(self) -> int:
        """How many handlers run at once, with the defaults of this suite."""
        return {"sync": THREADS, "async": CONCURRENCY, "multiproc": WORKERS * THREADS}[self.type]

    @property
    def stalls(self) -> int:
        """How many handlers can be stuck in ``time.sleep`` at once: one blocks the whole loop of async ones."""
        return 1 if self.type == "async" else self.concurrency


def _map_request(id: str, payload: bytes) -> bytes:
    message = MapRequest(id=id)
    message.request.value = payload
    message.request.keys.append("key")
    message.request.event_time.seconds = EVENT_TIME_SECONDS
    message.request.watermark.seconds = EVENT_TIME_SECONDS
    return message.SerializeToString()


def _map_handshake() -> bytes:
    message = MapRequest()
    message.handshake.sot = True
    return message.SerializeToString()


def _map_answer(reply: bytes) -> Answer | None:
    message = MapResponse.FromString(reply)
    if message.HasField("handshake") or message.HasField("status"):
        return None
    return Answer(message.id, b"".join(result.value for result in message.results))


MAP: Final = KindCase(
    name="map",
    service="map.v1.Map",
    method="MapFn",
    sdk=f"numaflow-mapper {mapper_version}",
    info_metadata={"MAP_MODE": "unary-map"},
    opening=(_map_handshake(),),
    is_opening_reply=lambda reply: MapResponse.FromString(reply).handshake.sot,
    request=_map_request,
    answer=_map_answer,
)

KINDS: Final = (MAP,)
TYPES: Final[tuple[ServerType, ...]] = ("sync", "async", "multiproc")
TRANSPORTS: Final[tuple[TransportName, ...]] = ("h2", "grpcio")
COMBINATIONS: Final = [Combination(kind, type_, name) for kind in KINDS for type_ in TYPES for name in TRANSPORTS]
