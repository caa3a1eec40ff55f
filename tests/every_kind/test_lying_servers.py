"""The clients hold a server to what the platform expects of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from every_kind.cases import CASES
from numaflow_mapper._proto.map_pb2 import MapResponse
from numaflow_sinker._proto.sink_pb2 import SinkResponse
from numaflow_sinker.testing import RpcEndedError
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformResponse


class Liar(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers any RPC with what it was given, and ends it when the client has said everything: well, or with an error
    or, if it is to hang, when the client gives up."""

    def __init__(self, replies: list[bytes], *, hang: bool, error: str) -> None:
        self._replies = replies
        self._hang = hang
        self._error = error

    def service(self, details: Any) -> Any:
        return grpc.stream_stream_rpc_method_handler(self._answer)

    def _answer(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        over = Event()
        context.add_callback(over.set)
        yield from self._replies
        for _ in requests:
            pass
        if self._hang:
            over.wait()
        if self._error:
            context.abort(grpc.StatusCode.INTERNAL, self._error)


@contextmanager
def lying(folder: Path, *replies: Any, hang: bool = False, error: str = "") -> Iterator[str]:
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers(
            (Liar([reply.SerializeToString() for reply in replies], hang=hang, error=error),)
        )
        path = str(folder / "liar.sock")
        server.add_insecure_port(f"unix:{path}")
        server.start()
        try:
            yield path
        finally:
            server.stop(None).wait()


def map_reply(id: str = "", results: int = 0, eot: bool = False) -> MapResponse:
    reply = MapResponse(id=id, results=[MapResponse.Result(value=b"v")] * results)
    if eot:
        reply.status.eot = True
    return reply


def sink_reply(*ids: str, eot: bool = False) -> SinkResponse:
    reply = SinkResponse(results=[SinkResponse.Result(id=each) for each in ids])
    if eot:
        reply.status.eot = True
    return reply


def transform_reply(id: str, *results: SourceTransformResponse.Result) -> SourceTransformResponse:
    return SourceTransformResponse(id=id, results=results)


LIES: dict[str, tuple[str, list[Any], str]] = {
    "map, another id": ("map", [map_reply("other")], "answered the id 'other', which was not asked for"),
    "map, an id twice": (
        "map",
        [map_reply("request-0"), map_reply("request-0")],
        "answered the id 'request-0', which was answered before",
    ),
    "map, more than asked for": (
        "map",
        [map_reply("request-0"), map_reply("request-1"), map_reply("request-1")],
        "sent 1 replies more than it was asked for",
    ),
    "stream, another id": ("map stream", [map_reply("other", 1)], "which was not asked for"),
    "stream, results after the eot": (
        "map stream",
        [map_reply("request-0", eot=True), map_reply("request-0", 1)],
        "'request-0', which was answered before",
    ),
    "stream, results with the eot": (
        "map stream",
        [map_reply("request-0", 2, eot=True)],
        "sent 2 results with the eot",
    ),
    "batch, another id": ("batch map", [map_reply("other")], "which was not asked for"),
    "batch, a missing id": (
        "batch map",
        [map_reply("request-1"), map_reply(eot=True)],
        "ended a batch without answers for request-0",
    ),
    "batch, results with the eot": (
        "batch map",
        [map_reply("request-0"), map_reply("request-1", 1, eot=True)],
        "sent 1 results with the eot",
    ),
    "transform, no results": (
        "transform",
        [transform_reply("request-0"), transform_reply("request-1")],
        "the id 'request-0' has no results",
    ),
    "transform, no event time": (
        "transform",
        [transform_reply(f"request-{number}", SourceTransformResponse.Result()) for number in (0, 1)],
        "has no event time",
    ),
    "sink, another id": ("sink", [sink_reply("request-0", "other")], "'other', which was not asked for"),
    "sink, an id twice": ("sink", [sink_reply("request-0", "request-0")], "which was answered before"),
    "sink, missing ids": (
        "sink",
        [sink_reply(eot=True)],
        "ended a batch without answers for request-0, request-1",
    ),
    "sink, two ends": (
        "sink",
        [sink_reply("request-0", "request-1"), sink_reply(eot=True), sink_reply(eot=True)],
        "sent 1 replies more",
    ),
}


@pytest.mark.parametrize(("name", "replies", "complaint"), LIES.values(), ids=LIES)
def test_lies(tmp_path: Path, name: str, replies: list[Any], complaint: str) -> None:
    case = CASES[name]
    handshake = type(replies[0])()
    handshake.handshake.sot = True
    with (
        lying(tmp_path, handshake, *replies) as path,
        case.client(path) as client,
        pytest.raises(AssertionError, match=complaint),
    ):
        case.ask(client, [b"a", b"b"], timeout=60)


@pytest.mark.parametrize(
    ("name", "reply"), [("map", map_reply("x")), ("sink", sink_reply("x")), ("transform", transform_reply("x"))]
)
def test_no_handshake(tmp_path: Path, name: str, reply: Any) -> None:
    case = CASES[name]
    with (
        lying(tmp_path, reply) as path,
        case.client(path) as client,
        pytest.raises(AssertionError, match="first reply is not a handshake"),
    ):
        case.ask(client, [b"a"], timeout=60)


def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    handshake = map_reply()
    handshake.handshake.sot = True
    for name in ("map", "batch map", "map stream"):
        case = CASES[name]
        with (
            lying(tmp_path, handshake, hang=True) as path,
            case.client(path) as client,
            pytest.raises(TimeoutError, match=r"MapFn: not everything was answered in 0\.3 s"),
        ):
            case.ask(client, [b"a"], timeout=0.3)


def test_end_without_answers(tmp_path: Path) -> None:
    handshake = map_reply()
    handshake.handshake.sot = True
    for name in ("map", "map stream"):
        case = CASES[name]
        with (
            lying(tmp_path, handshake) as path,
            case.client(path) as client,
            pytest.raises(RpcEndedError, match=r"^OK$"),
        ):
            case.ask(client, [b"a"])


def test_error_after_all_answers(tmp_path: Path) -> None:
    handshake = map_reply()
    handshake.handshake.sot = True
    answers = {
        "map": [map_reply("request-0")],
        "map stream": [map_reply("request-0", eot=True)],
        "batch map": [map_reply("request-0"), map_reply(eot=True)],
    }
    for name, replies in answers.items():
        case = CASES[name]
        with (
            lying(tmp_path, handshake, *replies, error="too late") as path,
            case.client(path) as client,
            pytest.raises(RpcEndedError, match="INTERNAL: too late"),
        ):
            case.ask(client, [b"a"])


def test_answers_in_another_order(tmp_path: Path) -> None:
    """Which a server may give; the client puts them right."""
    handshake = map_reply()
    handshake.handshake.sot = True
    replies = [map_reply("request-1", 1), map_reply("request-0", 2)]
    for name, end in (("map", []), ("batch map", [map_reply(eot=True)])):
        case = CASES[name]
        with lying(tmp_path, handshake, *replies, *end) as path, case.client(path) as client:
            assert [len(messages) for messages in case.ask(client, [b"a", b"b"])] == [2, 1]
