"""What `segue.destinations._stringify` must hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.destinations._stringify import stringified

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(value=JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_it_is_the_shortest_text_however_the_value_was_written(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert stringified(written) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        (r'"caf\u00e9 \u20AC"', '"café €"'),
        (r'"\uD83D\uDE00"', '"😀"'),
        (r'"a\/b\\u0041\\\u0041"', r'"a/b\\u0041\\A"'),
        (r'"\u0022\u005c\u0008\u000a\u001F\u007f"', '"\\"\\\\\\b\\n\\u001f\x7f"'),
        ("[ 1.0, 1e5, 12345678901234567890, -0, 0.10 ]", "[1.0,1e5,12345678901234567890,-0,0.10]"),
    ],
)
def test_escapes_that_need_not_be_go_and_numbers_stay(given_text: str, expected: str) -> None:
    assert stringified(given_text.encode()) == expected.encode()
