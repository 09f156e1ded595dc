"""The canonical text of a value: one spelling, that Python and SQL read alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.canonical import _written as written_slowly
from segue.core.canonical import canonical, text_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**37), 10**37)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("given_as", "written"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("5.0", "5"),
        ("5e0", "5"),
        ("-1.50", "-1.5"),
        ("1e3", "1000"),
        ("0.1", "0.1"),
        ("0.10", "0.1"),
        ("1E21", "1e+21"),
        ("1e15", "1000000000000000.0"),
        ("999999999999999.0", "999999999999999"),
        ("9007199254740993", "9007199254740993"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("123456789012345678901234567890123456789", "1.2345678901234568e+38"),
        ("-12345678901234567890123456789012345678", "-12345678901234567890123456789012345678"),
        ("1e400", '"1e400"'),
        ("-1e400", '"-1e400"'),
        ("9" * 400, f'"{"9" * 400}"'),
        ("9" * 5000, f'"{"9" * 5000}"'),
        ("true", "true"),
        ("null", "null"),
        ('"5.0"', '"5.0"'),
        ('"é"', '"é"'),
        ('"\\u00e9\\/"', '"é/"'),
        ('"\\u0001\\n"', '"\\u0001\\n"'),
        ('{ "b" : 1.0, "a": [1, 2.50 ,"x"] }', '{"b":1,"a":[1,2.5,"x"]}'),
        ('{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
        ("[]", "[]"),
    ],
)
def test_a_value_is_written_in_one_way(given_as: str, written: str):
    assert canonical(given_as.encode()) == written


@given(JSON, st.booleans())
def test_the_canonical_text_is_its_own_canonical_text_and_means_the_same(value: object, ascii_only: bool):
    once = canonical(json.dumps(value, ensure_ascii=ascii_only, indent=2 if ascii_only else None).encode())
    assert canonical(once.encode()) == once
    assert json.loads(once) == value


@given(JSON, st.sampled_from([None, 1, (", ", ":")]), st.booleans())
def test_the_quick_way_writes_what_the_slow_one_does(value: object, spaces: Any, ascii_only: bool):
    separators = spaces if isinstance(spaces, tuple) else (",", ":")
    raw = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()
    for spelling in (raw, raw.replace(b"1", b"1.0"), raw.replace(b"1", b"0.00001"), raw.replace(b"2", b"-0")):
        try:
            json.loads(spelling)
        except ValueError:
            continue
        assert canonical(spelling) == written_slowly(spelling)


@given(st.text(), st.booleans())
def test_a_text_is_read_however_it_is_escaped(text: str, ascii_only: bool):
    raw = json.dumps(text, ensure_ascii=ascii_only).encode()
    assert text_of(raw) == text
    assert canonical(raw) == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize("other", [b"5", b"null", b"true", b"{}", b"[]"])
def test_what_is_no_text_has_none(other: bytes):
    assert text_of(other) is None
