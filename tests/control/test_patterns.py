"""Regular expressions of users: which are taken, and that those take no time on any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.control.patterns import LENGTH_MOST, TEXT_MOST, check_pattern
from segue.core.errors import Invalid

TAKEN = [
    *("^[0-]*$", "^test.*@.*\\.(com|net|org|io)$", "foo.*bar", "^(?:qa|test)[0-9]{1,3}@x\\.com$", "x{2,}", "é+", "a|b"),
    *("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}$", "^\\w+@(ex|test)\\.com$", "^(\\d{3}){2}$", "(a|b)?c", "\\bnull\\b"),
]


@pytest.mark.parametrize("pattern", TAKEN)
def test_what_people_write_is_taken(pattern):
    check_pattern(pattern, "blocked[0]")


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a+)+", "^(a|a)*$", "^(a|ab){30}$", "^(ab?)*$", "a.*b.*c", "^.*.*.*$", "|.*.*"),
        *("^" + "a?" * 30, "^.{0,500}x{0,500}y*"),
    ],
)
def test_what_could_take_long_is_refused(pattern):
    with pytest.raises(Invalid, match=r"^blocked\[0\]: could take very long"):
        check_pattern(pattern, "blocked[0]")


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a)\\1", "(?i)a", "(?P<n>a)", "[[]", "a{1000}", "\\Aa", "a{,3}", "\\"])
def test_what_is_not_understood_is_refused(pattern):
    with pytest.raises(Invalid, match="is not understood here"):
        check_pattern(pattern, "blocked[0]")


@pytest.mark.parametrize("pattern", ["", "(", "a**", ")", "a{3,2}", "[b-a]", "x" * (LENGTH_MOST + 1)])
def test_what_is_no_regular_expression_is_refused(pattern):
    with pytest.raises(Invalid, match="regular expression"):
        check_pattern(pattern, "blocked[0]")


PIECES = st.sampled_from(
    ["a", "b", ".", "[ab]", "a*", "b?", ".*", "(a|b)", "(?:ab)+", "a{2,9}", "|", "^", "$", "(a", ")"]
)


@settings(max_examples=400, deadline=None)
@given(
    pattern=st.lists(PIECES, min_size=1, max_size=8).map("".join),
    text=st.sampled_from(["a", "ab", "b", "aab"]).map(lambda piece: (piece * TEXT_MOST)[: TEXT_MOST - 1] + "!"),
)
def test_a_pattern_that_is_taken_comes_to_an_end_on_every_text(pattern, text):
    try:
        check_pattern(pattern, "")
    except Invalid:
        return
    re.compile(pattern).search(text)  # some 50 ms at most; what is refused could take years
