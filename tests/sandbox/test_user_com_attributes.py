"""What the typing of User.com's attributes must hold: the table of conversions, row by row."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.sandbox import exact
from segue.sandbox.user_com_attributes import (
    IGNORED,
    VALUE_TYPES,
    Definition,
    convert,
    name_is_usable,
    name_std,
)

CHOICES = ("gold", "silver", 3)


def converted(value_type: str, value: Any, *, multiple: bool = False) -> Any:
    definition = Definition(
        content_type="clientuser",
        name="x",
        value_type=value_type,
        choices=CHOICES,
        allow_multiple_choices=multiple,
    )
    return convert(definition, value)


TAKEN = [
    ("string", "as is ", "as is "),
    ("string", 999, "999"),
    ("string", 1.5, "1.5"),
    ("string", True, "true"),
    ("string", ["a", 1, None], '["a",1,null]'),
    ("string", {"é": 1.5}, '{"é":1.5}'),
    ("integer", 5, 5),
    ("integer", "123", 123),
    ("integer", " 123 ", 123),
    ("integer", "-7", -7),
    ("integer", 12.0, 12),
    ("integer", "12.0", 12),
    ("integer", 9007199254740993, 9007199254740993),
    ("float", 5, 5.0),
    ("float", "12.7", 12.7),
    ("float", "123", 123.0),
    ("float", "1e3", 1000.0),
    ("number", "12.7", 12.7),
    ("number", "123", 123),
    ("number", 123, 123),
    ("boolean", True, True),
    ("boolean", "TRUE", True),
    ("boolean", "false", False),
    ("boolean", 1, True),
    ("boolean", 0, False),
    ("boolean", "1", True),
    ("boolean", "0", False),
    ("date", "2023-11-25", "2023-11-25"),
    ("date", "2023-11-25T23:59:59+02:00", "2023-11-25"),
    ("datetime", "2023-11-25T10:00:00+02:00", "2023-11-25T08:00:00.000Z"),
    ("datetime", "2023-11-25T10:00:00", "2023-11-25T10:00:00.000Z"),
    ("datetime", "2023-11-25", "2023-11-25T00:00:00.000Z"),
    ("datetime", 1700913600, "2023-11-25T12:00:00.000Z"),
    ("fixed", "gold", "gold"),
    ("fixed", 3, 3),
    ("json", {"a": 1}, {"a": 1}),
    ("json", [1], [1]),
    ("json", '{"a": [1]}', {"a": [1]}),
]

LEFT_OUT = [
    ("string", None),
    *(("integer", value) for value in (12.7, "12.7", "abc", "", True, None, "1_000", "٣")),
    *(("float", value) for value in ("abc", "", True, None, math.inf, "nan", "Infinity", "1e999", 10**400)),
    *(("number", value) for value in ("abc", True, None, math.nan)),
    *(("boolean", value) for value in ("yes", 2, None, [], 0.5)),
    *(("date", value) for value in ("25/11/2023", 20231125, None, "")),
    *(("datetime", value) for value in ("tomorrow", True, None, 1.5, 10**18, [])),
    *(("fixed", value) for value in ("bronze", ["gold"], None, "3")),
    *(("json", value) for value in ("{a: 1}", "", 5, None, "NaN", "[" * 100_000)),
]


@pytest.mark.parametrize(("value_type", "value", "stored"), TAKEN)
def test_a_value_that_can_be_converted_is_stored_in_the_type(value_type: str, value: Any, stored: Any) -> None:
    found = converted(value_type, value)
    assert found == stored
    assert isinstance(found, type(stored))


@pytest.mark.parametrize(("value_type", "value"), LEFT_OUT, ids=lambda value: repr(value)[:20])
def test_a_value_that_cannot_be_converted_is_ignored(value_type: str, value: Any) -> None:
    assert converted(value_type, value) is IGNORED


def test_a_list_of_choices_is_taken_only_where_several_are_allowed() -> None:
    assert converted("fixed", ["gold", 3], multiple=True) == ["gold", 3]
    assert converted("fixed", "silver", multiple=True) == "silver"
    assert converted("fixed", ["gold", "bronze"], multiple=True) is IGNORED
    assert converted("fixed", [], multiple=True) is IGNORED


def test_a_number_in_a_text_attribute_keeps_the_digits_it_was_sent_with() -> None:
    assert converted("string", exact.decode(b"1.50")) == "1.50"
    assert converted("string", exact.decode(b'{"a":0.10}')) == '{"a":0.10}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(VALUE_TYPES)), json_values)
def test_what_was_stored_is_stored_again_the_same(value_type: str, value: Any) -> None:
    first = converted(value_type, value)
    if first is IGNORED or value_type == "json":
        return
    again = converted(value_type, json.loads(exact.encode(first)))
    assert again == first


@given(st.sampled_from(sorted(VALUE_TYPES)), st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_is_an_error_in_any_type(value_type: str, text: str) -> None:
    converted(value_type, text)


def test_the_standard_name_is_lower_case_with_underscores_for_blanks() -> None:
    assert name_std("My Attribute") == "my_attribute"
    assert name_std("custom_integer") == "custom_integer"


def test_a_name_has_1_to_32_characters() -> None:
    assert name_is_usable("a" * 32)
    assert not name_is_usable("a" * 33)
    assert not name_is_usable("")
    assert not name_is_usable("  ")
