"""Responses, their bytes, and which handlers the servers take."""

from typing import Any

import pytest

from numaflow_sideinput import (
    Response,
    SideInput,
    SideInputAsyncServer,
    SideInputMultiProcServer,
    SideInputServer,
)
from numaflow_sideinput._codec import RETRIEVE
from numaflow_sideinput._proto.sideinput_pb2 import SideInputResponse
from protobuf_bytes import field


def test_response() -> None:
    response = Response.broadcast_message(bytearray(b"v"))
    assert (response.value, response.no_broadcast) == (b"v", False)
    assert response == Response(b"v") != Response.no_broadcast_message()
    assert Response.no_broadcast_message().no_broadcast
    assert [repr(response), repr(Response.no_broadcast_message())] == [
        "Response.broadcast_message(b'v')",
        "Response.no_broadcast_message()",
    ]
    assert len({response, Response(b"v")}) == 1


@pytest.mark.parametrize("value", ["text", None, 1, [b"v"]])
def test_value_is_checked(value: Any) -> None:
    with pytest.raises(TypeError, match="Response value must be bytes-like"):
        Response.broadcast_message(value)


def test_bytes_are_those_of_the_schema() -> None:
    encode: Any = RETRIEVE.codec.encode  # type: ignore[union-attr]
    assert encode(None, Response.broadcast_message(b"v")) == field(1, b"v")
    assert encode(None, Response.no_broadcast_message()) == field(2, 1)
    assert encode(None, Response.broadcast_message(b"")) == b""
    assert SideInputResponse.FromString(field(3, field(1, "in"))).metadata.previous_vertex == "in"


@pytest.mark.parametrize("result", [None, b"bare"])
def test_other_results_are_errors(result: object) -> None:
    encode: Any = RETRIEVE.codec.encode  # type: ignore[union-attr]
    with pytest.raises(TypeError, match=r"must return Response\.broadcast_message"):
        encode(None, result)


class Sync(SideInput):
    def retrieve_handler(self) -> Response:
        return Response.no_broadcast_message()


class Async(SideInput):
    async def retrieve_handler(self) -> Response:
        return Response.no_broadcast_message()


async def function() -> Response:
    return Response.no_broadcast_message()


@pytest.mark.parametrize("handler", [Sync(), Sync().retrieve_handler, lambda: Response(b""), lambda option=1: None])
def test_sync_handlers(handler: Any) -> None:
    SideInputServer(handler)
    SideInputServer(side_input_instance=handler, side_input_dir_path="/elsewhere")
    SideInputMultiProcServer(handler, 1)
    with pytest.raises(TypeError, match="async handler"):
        SideInputAsyncServer(handler)


@pytest.mark.parametrize("handler", [Async(), function])
def test_async_handlers(handler: Any) -> None:
    SideInputAsyncServer(handler)
    SideInputMultiProcServer(handler, 1)
    with pytest.raises(TypeError, match="sync handler"):
        SideInputServer(handler)


@pytest.mark.parametrize("wrong", [Sync, 1, None, lambda datum: None])
def test_others_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="SideInputServer"):
        SideInputServer(wrong)
