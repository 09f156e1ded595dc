"""JSON that comes back as it was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.sandbox import exact

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_was_encoded_is_decoded_to_the_same(value: Any) -> None:
    assert exact.decode(exact.encode(value)) == value


@pytest.mark.parametrize(
    "text", ["1.50", "1e999", "0.1000000000000000055511151231257827", "-0.0", "12345678901234567890123", "9" * 5000]
)
def test_a_number_keeps_its_digits(text: str) -> None:
    sent = f'{{"n":{text},"list":[{text}]}}'.encode()
    assert exact.encode(exact.decode(sent)) == sent


def test_a_number_computes_as_a_float() -> None:
    number = exact.decode(b"1.50")
    assert isinstance(number, float)
    assert number + 1 == 2.5


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b'"\\ud800"', "\ufffd"),
        (b'"a\\udc00b"', "a\ufffdb"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\u0000"', "\0"),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(sent: bytes, text: str) -> None:
    assert exact.decode(sent) == text
    assert exact.decode(b"[" + sent + b",1.50,{" + sent + b":null}]") == [text, 1.5, {text: None}]
    exact.encode(exact.decode(sent))


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b'"\xff"', b"[" * 3000 + b"]" * 3000, b"{'a':1}"])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        exact.decode(body)


def test_of_a_name_given_twice_the_last_value_counts() -> None:
    assert exact.decode(b'{"a":1,"a":2}') == json.loads('{"a":2}')
