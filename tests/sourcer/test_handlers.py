"""Which sources the servers take, and what they say of those that they do not."""

from typing import Any

import pytest

from numaflow_sourcer import Message, PartitionsResponse, PendingResponse, SourceAsyncServer, Sourcer, SourceServer


class Sync(Sourcer):
    def read_handler(self, datum: Any) -> list[Message]:
        return []

    def ack_handler(self, ack_request: Any) -> None: ...

    def nack_handler(self, nack_request: Any) -> None: ...

    def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class Async(Sourcer):
    async def read_handler(self, datum: Any, output: Any) -> None: ...

    async def ack_handler(self, ack_request: Any) -> None: ...

    async def nack_handler(self, nack_request: Any) -> None: ...

    async def pending_handler(self) -> PendingResponse:
        return PendingResponse(-1)


class Putting(Sync):
    def read_handler(self, datum: Any, output: Any) -> None: ...  # type: ignore[override]


class Older(Sync):
    def partitions_handler(self) -> PartitionsResponse:
        return PartitionsResponse([8])


class Newer(Older):
    def active_partitions_handler(self) -> PartitionsResponse:
        return PartitionsResponse([9])


class Duck:
    """No base class."""

    read_handler = Sync.read_handler
    ack_handler = Sync.ack_handler
    nack_handler = Sync.nack_handler
    pending_handler = Sync.pending_handler


class Generator(Async):
    async def read_handler(self, datum: Any) -> Any:  # type: ignore[override]
        yield 1


@pytest.mark.parametrize("source", [Sync(), Putting(), Older(), Newer(), Duck()])
def test_sync_server_takes(source: Any) -> None:
    SourceServer(source)
    SourceServer(sourcer_instance=source, sock_path="/tmp/s", max_threads=3)
    with pytest.raises(TypeError, match="SourceAsyncServer takes an async handler"):
        SourceAsyncServer(source)


@pytest.mark.parametrize("source", [Async(), Generator()])
def test_async_server_takes(source: Any) -> None:
    SourceAsyncServer(source)
    with pytest.raises(TypeError, match="SourceServer takes a sync handler"):
        SourceServer(source)


def partitions_of(source: Any) -> object:
    return SourceServer(source)._handlers["PartitionsFn"]()


def test_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMAFLOW_REPLICA", "4")
    assert partitions_of(Sync()) == partitions_of(Duck()) == (PartitionsResponse([4]), None)
    assert partitions_of(Older()) == (PartitionsResponse([8]), None)
    assert partitions_of(Newer()) == (PartitionsResponse([9]), None)


def without(name: str) -> Any:
    source = Sync()
    setattr(source, name, None)
    return source


@pytest.mark.parametrize("name", ["read_handler", "ack_handler", "nack_handler", "pending_handler"])
def test_missing_handlers_are_named(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} method"):
        SourceServer(without(name))


@pytest.mark.parametrize("wrong", [Sync, lambda datum: [], None, object()])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="SourceServer takes"):
        SourceServer(wrong)


def test_handlers_of_the_wrong_shape_are_refused() -> None:
    class Mixed(Sync):
        async def ack_handler(self, ack_request: Any) -> None: ...  # type: ignore[override]

    class NoParameter(Sync):
        def nack_handler(self) -> None: ...  # type: ignore[override]

    class TooMany(Sync):
        def read_handler(self, datum: Any, output: Any, more: Any) -> list[Message]:  # type: ignore[override]
            return []

    for wrong, text in (
        (Mixed(), "ack_handler is 'async def'"),
        (NoParameter(), r"\(ack_request\)|\(nack_request\)"),
        (TooMany(), r"with \(datum\)"),
    ):
        with pytest.raises(TypeError, match=text):
            SourceServer(wrong)  # type: ignore[arg-type]


def test_source_without_its_handlers_cannot_be_made() -> None:
    class Half(Sourcer):
        def ack_handler(self, ack_request: Any) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
