"""Metadata: groups of keys with bytes values, the user's to write, the system's to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.values.metadata import SystemMetadata, UserMetadata

groups = st.dictionaries(
    st.text(max_size=5), st.dictionaries(st.text(max_size=5), st.binary(max_size=5), max_size=3), max_size=3
)


@given(groups)
def test_holds_what_it_is_given(content: dict[str, dict[str, bytes]]) -> None:
    for metadata in (UserMetadata(content), SystemMetadata(content)):
        assert metadata.as_dict() == content
        assert metadata.groups() == list(metadata) == list(content)
        assert len(metadata) == len(content)
        for group, values in content.items():
            assert group in metadata
            assert metadata.keys(group) == list(values)
            assert dict(metadata[group]) == values
            for key, value in values.items():
                assert metadata.value(group, key) == value


@given(groups)
def test_is_a_copy(content: dict[str, dict[str, bytes]]) -> None:
    before = {group: dict(values) for group, values in content.items()}
    metadata = UserMetadata(content)
    metadata.add_key("new group", "key", b"value")
    for group in metadata:
        metadata.add_key(group, "added", b"")
    copy = metadata.as_dict()
    copy.clear()
    assert content == before
    assert "new group" in metadata


@given(groups, groups)
def test_equal_by_value_within_a_type(one: dict[str, dict[str, bytes]], other: dict[str, dict[str, bytes]]) -> None:
    assert (UserMetadata(one) == UserMetadata(other)) == (one == other)
    assert UserMetadata(one) != SystemMetadata(one)


def test_missing_group_and_key() -> None:
    metadata = UserMetadata({"group": {"key": b"1"}})
    assert metadata.value("nope", "key") is None
    assert metadata.value("group", "nope") is None
    assert metadata.keys("nope") == []
    assert metadata.remove_key("nope", "key") is None
    assert metadata.remove_group("nope") is None
    with pytest.raises(KeyError):
        metadata["nope"]
    with pytest.raises(KeyError):
        del metadata["nope"]


def test_change() -> None:
    metadata = UserMetadata()
    metadata.add_key("a", "x", b"1")
    metadata["b"] = {"y": bytearray(b"2")}  # type: ignore[dict-item]
    assert metadata.as_dict() == {"a": {"x": b"1"}, "b": {"y": b"2"}}
    assert type(metadata.value("b", "y")) is bytes
    metadata["a"]["z"] = b"3"
    assert metadata.value("a", "z") == b"3"
    assert metadata.remove_key("a", "x") == b"1"
    assert metadata.remove_key("a", "z") == b"3"
    assert "a" not in metadata, "a group left empty goes too"
    assert metadata.remove_group("b") == {"y": b"2"}
    metadata["c"] = {}
    metadata.clear()
    assert len(metadata) == 0


def test_system_metadata_cannot_be_changed() -> None:
    metadata = SystemMetadata({"group": {"key": b"1"}})
    dict(metadata["group"])["key"] = b"2"
    for change in ("__setitem__", "__delitem__", "add_key", "remove_key", "clear"):
        assert not hasattr(metadata, change)
    assert metadata.value("group", "key") == b"1"


@pytest.mark.parametrize("value", ["text", 1, None.__class__, object()])
def test_value_that_is_not_bytes(value: object) -> None:
    metadata = UserMetadata()
    with pytest.raises(TypeError, match="g/k must be bytes-like"):
        metadata.add_key("g", "k", value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="g/k must be bytes-like"):
        metadata["g"] = {"k": value}  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="g/k must be bytes-like"):
        UserMetadata({"g": {"k": value}})  # type: ignore[dict-item]
    assert len(metadata) == 0, "what failed leaves nothing behind"


def test_names_are_str() -> None:
    metadata = UserMetadata()
    with pytest.raises(TypeError, match="group must be a str"):
        metadata.add_key(1, "k", b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key must be a str"):
        metadata.add_key("g", b"k", b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="group must be a str"):
        UserMetadata({2: {}})  # type: ignore[dict-item]


def test_iterating_while_removing() -> None:
    metadata = UserMetadata({"a": {}, "b": {}})
    for group in metadata:
        metadata.remove_group(group)
    assert len(metadata) == 0


def test_is_not_hashable_and_shows_itself() -> None:
    metadata = UserMetadata({"g": {"k": b"\xff"}})
    with pytest.raises(TypeError, match="unhashable"):
        hash(metadata)
    assert repr(metadata) == "UserMetadata({'g': {'k': b'\\xff'}})"
