"""Payloads, bytes of the schema, and which stores the servers take."""

from typing import Any

import pytest

from numaflow_servingstore import (
    Payload,
    ServingStore,
    ServingStoreAsyncServer,
    ServingStoreMultiProcServer,
    ServingStoreServer,
)
from numaflow_servingstore._codec import GET, PUT
from protobuf_bytes import field


def test_payload() -> None:
    payload = Payload("vertex", bytearray(b"v"))
    assert (payload.origin, payload.value) == ("vertex", b"v")
    assert payload == Payload("vertex", b"v") != Payload("vertex", b"w")
    assert len({payload, Payload("vertex", b"v")}) == 1
    assert repr(payload) == "Payload(origin='vertex', value=b'v')"


@pytest.mark.parametrize(
    ("arguments", "text"), [((1, b""), "origin must be a str"), (("a", "b"), "must be bytes-like")]
)
def test_payload_is_checked(arguments: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Payload(*arguments)


def test_bytes_are_those_of_the_schema() -> None:
    put: Any = PUT.codec
    get: Any = GET.codec
    one, two = field(1, "v") + field(2, b"1"), field(2, b"\xff")
    _, arguments = put.decode(field(1, "id") + field(2, one) + field(2, two))
    assert arguments == ("id", [Payload("v", b"1"), Payload("", b"\xff")])
    assert put.encode(None, None) == field(1, 1)
    token, arguments = get.decode(field(1, "other"))
    assert arguments == ("other",)
    payloads = (Payload("v", b"1"), Payload("", b"\xff"))
    assert get.encode(token, payloads) == field(1, "other") + field(2, one) + field(2, two)
    assert get.encode("", []) == b""


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "must return an iterable of Payload, got NoneType"),
        ([b"bare"], "must return an iterable of Payload, got bytes in it"),
    ],
)
def test_other_results_are_errors(result: object, text: str) -> None:
    get: Any = GET.codec
    with pytest.raises(TypeError, match=text):
        get.encode("id", result)


class Sync(ServingStore):
    def put(self, id: str, payloads: list[Payload]) -> None: ...

    def get(self, id: str) -> list[Payload]:
        return []


class Async(ServingStore):
    async def put(self, id: str, payloads: list[Payload]) -> None: ...

    async def get(self, id: str) -> list[Payload]:
        return []


class Duck:
    put = Sync.put
    get = Sync.get


class Mixed(Sync):
    async def get(self, id: str) -> list[Payload]:  # type: ignore[override]
        return []


def test_stores() -> None:
    for store in (Sync(), Duck()):
        ServingStoreServer(store)
        ServingStoreMultiProcServer(store, 1)
    ServingStoreAsyncServer(Async())
    ServingStoreMultiProcServer(Async(), 1)


@pytest.mark.parametrize(
    ("server", "store", "text"),
    [
        (ServingStoreServer, Async(), "put is 'async def'"),
        (ServingStoreServer, Mixed(), "get is 'async def'"),
        (ServingStoreAsyncServer, Sync(), "put is not"),
        (ServingStoreMultiProcServer, Mixed(), "both"),
        (ServingStoreServer, Sync, "takes an instance"),
        (ServingStoreServer, lambda key, payloads: None, "an object with a put method"),
        (ServingStoreServer, object(), "an object with a put method"),
    ],
)
def test_others_are_refused(server: Any, store: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        server(store)
