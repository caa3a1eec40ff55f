"""What a sink's handler is given and what it returns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from every_kind.samples import NOW
from numaflow_sinker import (
    Datum,
    Message,
    NackOptions,
    Response,
    Responses,
    Status,
    SystemMetadata,
    UserMetadata,
)


def datum(id: str = "1", system: SystemMetadata | None = None) -> Datum:
    return Datum(["k"], b"v", NOW, NOW, system_metadata=system, id=id)


# -- retry count


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ({}, 0),
        ({"sink": {}}, 0),
        ({"sink": {"retry_count": b"0"}}, 0),
        ({"sink": {"retry_count": b"1"}}, 1),
        ({"sink": {"retry_count": b"65535"}}, 65_535),
        ({"sink": {"retry_count": b""}}, 0),
        ({"sink": {"retry_count": b"-1"}}, 0),
        ({"sink": {"retry_count": b"many"}}, 0),
        ({"sink": {"retry_count": b"\xb2"}}, 0),
        ({"other": {"retry_count": b"7"}}, 0),
    ],
)
def test_retry_count(groups: dict[str, dict[str, bytes]], count: int) -> None:
    assert datum(system=SystemMetadata(groups)).retry_count == count


# -- Response


def test_each_status() -> None:
    message, options = Message(b"m"), NackOptions(reason="busy")
    made = {
        Status.SUCCESS: Response.as_success("1"),
        Status.FAILURE: Response.as_failure("1", "why"),
        Status.FALLBACK: Response.as_fallback("1"),
        Status.SERVE: Response.as_serve("1", b"p"),
        Status.ON_SUCCESS: Response.as_on_success("1", message),
        Status.NACK: Response.as_nack("1", options),
    }
    assert set(made) == set(Status)
    for status, response in made.items():
        assert (response.id, response.status) == ("1", status)
        assert response.success == (status is Status.SUCCESS)
        assert response.fallback == (status is Status.FALLBACK)
        assert response.on_success == (status is Status.ON_SUCCESS)
        assert response.err == ("why" if status is Status.FAILURE else "")
        assert response.serve_response == (b"p" if status is Status.SERVE else None)
        assert response.on_success_msg is (message if status is Status.ON_SUCCESS else None)
        assert response.nack_options is (options if status is Status.NACK else None)
        assert [each for each, other in made.items() if other == response] == [status]


def test_numbers_of_statuses_are_the_wires() -> None:
    assert {status.name: status.value for status in Status} == {
        "SUCCESS": 0,
        "FAILURE": 1,
        "FALLBACK": 2,
        "SERVE": 3,
        "ON_SUCCESS": 4,
        "NACK": 5,
    }


def test_what_may_be_left_out() -> None:
    assert Response.as_failure("1").err == ""
    assert Response.as_serve("1").serve_response is None
    assert Response.as_on_success("1").on_success_msg is None
    assert Response.as_nack("1").nack_options is None
    for status in Status:
        assert Response("1", status) == getattr(Response, f"as_{status.name.lower()}")("1")


def test_nothing_to_serve_is_not_an_empty_payload() -> None:
    assert Response.as_serve("1", b"").serve_response == b""
    assert Response.as_serve("1", b"") != Response.as_serve("1")
    assert Response.as_serve("1", memoryview(b"p")).serve_response == b"p"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Response.as_success(1), "Response id must be a str, got int: 1"),  # type: ignore[arg-type]
        (lambda: Response.as_success(datum()), r"Response id must be a str, got Datum: Datum\(id='1'"),  # type: ignore[arg-type]
        (lambda: Response.as_nack(b"1"), "Response id must be a str, got bytes"),  # type: ignore[arg-type]
        (lambda: Response.as_failure("1", ValueError("x")), "as_failure err_msg must be a str, got ValueError"),  # type: ignore[arg-type]
        (lambda: Response.as_failure("1", None), "as_failure err_msg must be a str, got NoneType"),  # type: ignore[arg-type]
        (lambda: Response.as_serve("1", "text"), "as_serve payload must be bytes-like, got str"),  # type: ignore[arg-type]
        (lambda: Response.as_on_success("1", b"v"), "as_on_success takes a Message or None, got bytes"),  # type: ignore[arg-type]
        (lambda: Response.as_nack("1", "why"), "as_nack takes NackOptions, got str"),  # type: ignore[arg-type]
        (lambda: Response("1", 0), "Response status must be a Status, got int: 0"),  # type: ignore[arg-type]
    ],
)
def test_wrong_types(make: Callable[[], Response], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    "name", ["id", "status", "success", "fallback", "on_success", "err", "on_success_msg", "serve_response", "other"]
)
def test_response_is_read_only(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Response.as_success("1"), name, "x")


def test_equality_and_repr() -> None:
    assert Response.as_success("1") == Response.as_success("1")
    assert Response.as_success("1") != Response.as_success("2")
    assert Response.as_failure("1", "a") != Response.as_failure("1", "b")
    assert Response.as_on_success("1", Message(b"a")) != Response.as_on_success("1", Message(b"b"))
    assert Response.as_success("1") != "1"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Response.as_success("1"))
    assert repr(Response.as_success("1")) == "Response('1', SUCCESS)"
    assert repr(Response.as_failure("1", "disk full")) == "Response('1', FAILURE, err='disk full')"
    assert repr(Response.as_serve("1", b"\xff")) == "Response('1', SERVE, serve_response=b'\\xff')"
    assert repr(Response.as_on_success("1", Message(b"m", ["k"]))) == (
        "Response('1', ON_SUCCESS, on_success_msg=Message(value=b'm', keys=['k']))"
    )
    assert "nack_options=NackOptions(reason='busy'" in repr(Response.as_nack("1", NackOptions("busy")))
    assert len(repr(Response.as_serve("1", bytes(10_000_000)))) < 1000


# -- Message


def test_message_keeps_none_for_the_metadata_of_the_original() -> None:
    assert Message(b"v").user_metadata is None
    assert Message(b"v") != Message(b"v", user_metadata=UserMetadata())


def test_message_is_changed_by_its_methods_only() -> None:
    message = Message(b"v", ["old"])
    metadata = UserMetadata({"g": {"k": b"v"}})
    assert message.with_keys(("a", "b")).with_user_metadata(metadata) is message
    assert message.keys == ["a", "b"]
    assert message.user_metadata is metadata
    assert message.with_keys(None).with_user_metadata(None) == Message(b"v")
    with pytest.raises(TypeError, match="Message keys must be a sequence of str"):
        message.with_keys("k")
    with pytest.raises(TypeError, match="Message user_metadata must be a UserMetadata, got dict"):
        message.with_user_metadata({})  # type: ignore[arg-type]


# -- handlers


def test_handlers_are_tested_without_a_server() -> None:
    def handler(datums: Iterator[Datum]) -> Responses:
        return Responses(*(Response.as_success(each.id) for each in datums))

    async def async_handler(datums: AsyncIterator[Datum]) -> Responses:
        return Responses(*[Response.as_success(each.id) async for each in datums])

    async def arriving() -> AsyncIterator[Datum]:
        for each in ("1", "2"):
            yield datum(each)

    expected = Responses(Response.as_success("1"), Response.as_success("2"))
    assert handler(iter([datum("1"), datum("2")])) == expected
    assert asyncio.run(async_handler(arriving())) == expected
