"""Checks where users hand values over."""

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.values.validate import check_bytes, check_positive, check_strings


@given(st.binary())
def test_bytes_like_becomes_bytes(value: bytes) -> None:
    for each in (value, bytearray(value), memoryview(value), memoryview(bytearray(value))):
        checked = check_bytes(each, "field")
        assert checked == value
        assert type(checked) is bytes


def test_subclass_of_bytes_becomes_bytes() -> None:
    class Payload(bytes):
        pass

    assert type(check_bytes(Payload(b"x"), "field")) is bytes


def test_view_with_gaps_is_copied() -> None:
    assert check_bytes(memoryview(b"abcdef")[::2], "field") == b"ace"


@given(st.one_of(st.text(), st.integers(), st.lists(st.integers()), st.floats(), st.booleans()))
def test_anything_else_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=rf"^field must be bytes-like, got {type(value).__name__}: "):
        check_bytes(value, "field")


def test_str_gets_a_hint() -> None:
    with pytest.raises(TypeError, match=r"encode the str first: text\.encode\(\)"):
        check_bytes("text", "field")


@given(st.lists(st.text()))
def test_sequences_of_str_become_new_lists(values: list[str]) -> None:
    for each in (values, tuple(values)):
        checked = check_strings(each, "field")
        assert checked == values
        assert checked is not values
    assert check_strings(None, "field") == []


@pytest.mark.parametrize("values", [{"a"}, {"a": 1}, iter(["a"]), 7, b"bytes", array.array("b", [1]), object()])
def test_other_collections_are_type_errors(values: object) -> None:
    with pytest.raises(TypeError, match=r"^field must be a sequence of str, got "):
        check_strings(values, "field")  # type: ignore[arg-type]


def test_a_single_str_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"did you mean \['abc'\]\?"):
        check_strings("abc", "field")


@pytest.mark.parametrize("item", [b"x", 1, None, ["x"]])
def test_items_are_checked(item: object) -> None:
    with pytest.raises(TypeError, match=f"got an item of {type(item).__name__}"):
        check_strings(["fine", item], "field")  # type: ignore[list-item]


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(TypeError) as caught:
        check_bytes(["x" * 10_000], "field")
    assert len(str(caught.value)) < 200


@given(st.integers(1))
def test_positive(value: int) -> None:
    assert check_positive(value, "field") == value


@pytest.mark.parametrize("value", [0, -1, -(10**30)])
def test_not_positive(value: int) -> None:
    with pytest.raises(ValueError, match=rf"^field must be at least 1, got {value}$"):
        check_positive(value, "field")


@pytest.mark.parametrize("value", [1.0, "1", None, True, [1]])
def test_not_an_int(value: object) -> None:
    with pytest.raises(TypeError, match=rf"^field must be an int, got {type(value).__name__}"):
        check_positive(value, "field")
