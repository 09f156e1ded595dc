"""Paths: how they are written and what they lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.paths import can_be_written, entries, path_text, segments


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        (r"a\.b", ("a.b",)),
        (r"a\\.b", ("a.b",)),
        (r"a\.b.c", ("a.b", "c")),
        (r"a\b", (r"a\b",)),
        ("a.$.b", ("a", "$", "b")),
        ("a..b", ("a", "", "b")),
        (" a ", (" a ",)),
    ],
)
def test_dots_part_names_unless_a_stroke_stands_before(text, path):
    assert segments(text) == path


@given(st.lists(st.text("ab.\\$", min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_can_be_written_is_read_back(path):
    if can_be_written(path):
        assert segments(path_text(path)) == tuple(path)
    else:
        assert "\\" in "".join(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", [{"b": 2, "0": "zero"}]),
        ("a.b", [2]),
        ("a.0", ["zero"]),
        ("a.b.c", [None]),
        ("missing.a", [None]),
        ("none.a", [None]),
        ("list", [[1, None, {"x": [3, 4]}]]),
        ("list.0", [None]),
        ("list.$", [1, None, {"x": [3, 4]}]),
        ("list.$.x", [None, None, [3, 4]]),
        ("list.$.x.$", [3, 4]),
        ("a.$", []),
        ("missing.$", []),
    ],
)
def test_a_path_leads_to_one_value_or_to_every_entry(path, found):
    document = {"a": {"b": 2, "0": "zero"}, "list": [1, None, {"x": [3, 4]}], "none": None}
    assert entries(document, segments(path)) == found


def test_a_path_into_what_is_no_object_is_null():
    for document in (None, 5, "text", [1], True):
        assert entries(document, ("a",)) == [None]
