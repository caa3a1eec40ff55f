"""What the handlers of every kind return: messages, and containers of what they return."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import numaflow_mapper
import numaflow_sinker
import numaflow_sourcetransformer
from every_kind.samples import NOW
from numaflow_core.values.messages import BaseMessages
from numaflow_mapper import BatchResponse, BatchResponses, NackOptions, SystemMetadata, UserMetadata
from numaflow_sinker import Response, Responses

Make = Callable[..., Any]

transformed = partial(numaflow_sourcetransformer.Message, event_time=NOW)
TAGGED: dict[str, Make] = {"mapper": numaflow_mapper.Message, "sourcetransformer": transformed}
MAKES: dict[str, Make] = {**TAGGED, "sinker": numaflow_sinker.Message}

every_message = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
every_tagged_message = pytest.mark.parametrize("make", TAGGED.values(), ids=TAGGED)


# -- messages


@every_message
def test_message(make: Make) -> None:
    metadata = UserMetadata({"g": {"k": b"v"}})
    message = make(b"v", keys=["k1", "k2"], user_metadata=metadata)
    assert message.value == b"v"
    assert message.keys == ["k1", "k2"]
    assert message.user_metadata is metadata
    assert make(b"v").keys == []


@every_tagged_message
def test_tagged_message(make: Make) -> None:
    assert make(b"v", tags=("t",)).tags == ["t"]
    assert make(b"v").tags == []
    assert make(b"v").nack_options is None
    assert len(make(b"v").user_metadata) == 0


@every_message
def test_empty_user_metadata_is_kept_and_not_replaced(make: Make) -> None:
    metadata = UserMetadata()
    message = make(b"v", user_metadata=metadata)
    metadata.add_key("late", "k", b"v")
    assert message.user_metadata.value("late", "k") == b"v"


@every_message
@pytest.mark.parametrize("value", [bytearray(b"v"), memoryview(b"v"), b"v"])
def test_message_takes_any_buffer(make: Make, value: object) -> None:
    assert make(value).value == b"v"
    assert type(make(value).value) is bytes


@every_message
def test_message_takes_any_sequence_of_str(make: Make) -> None:
    assert make(b"", keys=("a", "b")).keys == ["a", "b"]


@every_message
@pytest.mark.parametrize(
    ("value", "more", "complaint"),
    [
        ("v", {}, "Message value must be bytes-like, got str: 'v' .encode the str first"),
        (1, {}, "Message value must be bytes-like, got int: 1"),
        ([1], {}, "Message value must be bytes-like, got list"),
        (b"", {"keys": "k"}, "Message keys must be a sequence of str, got str: 'k' .did you mean"),
        (b"", {"keys": [b"k"]}, "Message keys .* got an item of bytes: b'k'"),
        (b"", {"keys": {"k"}}, "Message keys must be a sequence of str, got set"),
        (b"", {"keys": 0}, "Message keys must be a sequence of str, got int"),
        (b"", {"keys": ""}, "Message keys must be a sequence of str, got str"),
        (b"", {"keys": b""}, "Message keys must be a sequence of str, got bytes"),
        (b"", {"user_metadata": {}}, "Message user_metadata must be a UserMetadata, got dict"),
        (b"", {"user_metadata": SystemMetadata()}, "must be a UserMetadata, got SystemMetadata"),
    ],
)
def test_message_refuses_wrong_types_where_it_is_made(
    make: Make, value: object, more: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=complaint):
        make(value, **more)


@every_tagged_message
def test_tags_are_checked(make: Make) -> None:
    with pytest.raises(TypeError, match="Message tags must be a sequence of str, got str: 't'"):
        make(b"", tags="t")
    with pytest.raises(TypeError, match=r"Message tags .* got an item of NoneType"):
        make(b"", tags=[None])


@every_message
def test_message_is_read_only(make: Make) -> None:
    message = make(b"v", keys=["k"])
    for name in ("value", "keys", "tags", "other"):
        with pytest.raises(AttributeError):
            setattr(message, name, b"")
    message.keys.append("more")
    assert message.keys == ["k"]


@every_message
def test_message_does_not_keep_the_list_it_was_given(make: Make) -> None:
    keys = ["k"]
    message = make(b"", keys=keys)
    keys.append("more")
    assert message.keys == ["k"]


@every_message
def test_message_equality_and_repr(make: Make) -> None:
    assert make(b"v", keys=["k"]) == make(b"v", keys=("k",))
    assert make(b"v") != make(b"w")
    assert make(b"v") != make(b"v", keys=["k"])
    assert make(b"v") != make(b"v", user_metadata=UserMetadata({"g": {}}))
    assert make(b"v") != b"v"
    assert all(make(b"v") != other(b"v") for other in MAKES.values() if other is not make)
    with pytest.raises(TypeError, match="unhashable"):
        hash(make(b"v"))
    assert repr(make(b"\xff", keys=["k"])).startswith("Message(value=b'\\xff', keys=['k']")
    assert len(repr(make(bytes(10_000_000)))) < 1000


@every_tagged_message
def test_tags_and_empty_metadata_in_equality_and_repr(make: Make) -> None:
    assert make(b"v") == make(b"v", user_metadata=UserMetadata())
    assert make(b"v") != make(b"v", tags=["t"])
    assert "tags=['t']" in repr(make(b"v", tags=["t"]))


def reserved(name: str, *options: Any) -> list[Any]:
    """The message that a class method of each kind makes."""
    made = [
        getattr(numaflow_mapper.Message, name)(*options),
        getattr(numaflow_sourcetransformer.Message, name)(NOW, *options),
    ]
    assert made[1].event_time == NOW
    return made


def test_reserved_messages() -> None:
    for name, tag in (("to_drop", "U+005C__DROP__"), ("to_nack", "U+005C__NACK__"), ("to_fail", "U+005C__FAIL__")):
        for message in reserved(name):
            assert message.tags == [tag]
            assert (message.value, message.keys, message.nack_options) == (b"", [], None)


def test_nack_takes_options() -> None:
    options = NackOptions(reason="busy", max_deliveries=3, delay=timedelta(milliseconds=1500), nack_map={"k": "v"})
    for message, without in zip(reserved("to_nack", options), reserved("to_nack"), strict=True):
        assert message.nack_options == options
        assert message != without
    with pytest.raises(TypeError, match="to_nack takes NackOptions, got str"):
        reserved("to_nack", "why")


def test_class_methods_make_their_own_class() -> None:
    class Mapped(numaflow_mapper.Message):
        pass

    class Transformed(numaflow_sourcetransformer.Message):
        pass

    for name in ("to_drop", "to_nack", "to_fail"):
        assert type(getattr(Mapped, name)()) is Mapped
        assert type(getattr(Transformed, name)(NOW)) is Transformed


# -- NackOptions


def test_nack_options() -> None:
    assert NackOptions(delay=timedelta(seconds=1.5)).delay_ms == 1500
    assert NackOptions().delay_ms is None
    assert NackOptions("r", 1, timedelta(0), {"k": "v"}) == NackOptions(
        reason="r", max_deliveries=1, delay=timedelta(0), nack_map={"k": "v"}
    )
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match="max_deliveries must be between"):
            NackOptions(max_deliveries=wrong)
    with pytest.raises(
        TypeError, match=r"delay must be a timedelta, such as timedelta\(milliseconds=1500\), or None, got"
    ):
        NackOptions(delay=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="delay must not be negative"):
        NackOptions(delay=timedelta(seconds=-1))


@pytest.mark.parametrize("field", ["reason", "max_deliveries", "delay", "nack_map"])
def test_nack_options_refuse_wrong_types(field: str) -> None:
    with pytest.raises(TypeError, match=f"{field} must be an? .* or None, got float: 1.5"):
        NackOptions(**{field: 1.5})  # type: ignore[arg-type]


# -- containers

CONTAINERS: dict[str, tuple[type[BaseMessages[Any]], Callable[[str], Any]]] = {
    "mapper.Messages": (numaflow_mapper.Messages, lambda text: numaflow_mapper.Message(text.encode())),
    "mapper.BatchResponses": (BatchResponses, BatchResponse),
    "sourcetransformer.Messages": (numaflow_sourcetransformer.Messages, lambda text: transformed(text.encode())),
    "sinker.Responses": (Responses, Response.as_success),
}

every_container = pytest.mark.parametrize(("container", "item"), CONTAINERS.values(), ids=CONTAINERS)


@every_container
def test_container_is_a_sequence(container: Make, item: Make) -> None:
    one, two, three = map(item, "123")
    held = container(one, two)
    held.append(three)
    assert isinstance(held, Sequence)
    assert len(held) == 3
    assert list(held) == [one, two, three]
    assert held[0] is one
    assert held[-1] is three
    assert held[1:] == [two, three]
    assert two in held
    assert held.index(three) == 2
    assert held == container(*map(item, "123"))
    assert held != container(one, two)
    assert held != [one, two, three]
    assert not container()
    extended = container()
    extended.extend(each for each in held)
    assert extended == held
    assert repr(container(one, two)) == f"{container.__name__}({one!r}, {two!r})"
    with pytest.raises(TypeError, match="unhashable"):
        hash(held)


@every_container
@pytest.mark.parametrize("wrong", [b"v", "v", None, 1, []])
def test_container_holds_only_its_own(container: Make, item: Make, wrong: object) -> None:
    complaint = f"{container.__name__} holds {type(item('1')).__name__} objects, got {type(wrong).__name__}"
    with pytest.raises(TypeError, match=complaint):
        container(wrong)
    with pytest.raises(TypeError, match=complaint):
        container().append(wrong)
    with pytest.raises(TypeError, match=complaint):
        container().extend([wrong])


def test_messages_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="Messages holds Message objects"):
        numaflow_mapper.Messages(transformed(b""))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Messages holds Message objects"):
        numaflow_sourcetransformer.Messages(numaflow_mapper.Message(b""))  # type: ignore[arg-type]


@every_container
def test_items_is_deprecated_and_works(container: Make, item: Make) -> None:
    with pytest.warns(DeprecationWarning, match=r"items\(\) is deprecated"):
        assert container(item("1")).items() == [item("1")]
