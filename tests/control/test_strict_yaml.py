"""Strict YAML: what is refused, with which line, and what is never quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.control.strict_yaml import read_yaml
from segue.core.errors import Invalid


def test_maps_lists_and_scalars_are_read_with_their_lines():
    document = read_yaml("a: 1\nb:\n  - x\n  - {c: true, d: null, e: 1.5}\n")
    assert document.value == {"a": 1, "b": ["x", {"c": True, "d": None, "e": 1.5}]}
    assert document.lines["a"] == 1
    assert document.lines["b[1].d"] == 4
    assert document.line_of("b[1].nothing[3].here") == 4
    assert document.line_of("nothing") == 1


def test_a_date_is_a_text():
    assert read_yaml("a: 2026-11-21").value == {"a": "2026-11-21"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"^a: this key is given twice \(line 3\)$"),
        ("s:\n  a: {x: 1, x: 2}", r"^s.a.x: this key is given twice \(line 2\)$"),
        ("a: &here {x: 1}\nb: *here\n", "aliases are not supported"),
        ("a: &here [*here]\n", "aliases are not supported"),
        ("a: {<<: {x: 1}}", "a key must be a text"),
        ("1: x", "a key must be a text"),
        ("yes: x", "a key must be a text"),
        ("? [a]\n: x", "a key must be a text"),
        ("a: !!python/object:os.system x", "a tag"),
        ("a: !!binary eA==", "a tag"),
        ("a: !thing {x: 1}", "tags are not supported"),
        ("a: !!set {x}", "tags are not supported"),
        ("a: .inf", "no number"),
        ("a: .nan", "no number"),
        ("a: !!int x", "no number"),
        ("a: [1", "not valid YAML.*line 1"),
        ("a: 1\n b: 2\n", "not valid YAML.*line 2"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: \x01", r"control character \(line 1\)"),
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("[" * 5000, "nested too deep"),
        ("{a: " * 5000, "nested too deep"),
    ],
)
def test_what_could_be_overlooked_is_refused(text, message):
    with pytest.raises(Invalid, match=message):
        read_yaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: *SECRETVALUE",
        "a: !SECRETVALUE!x y",
        'a: "SECRETVALUE\nb: 1',
        "a: %SECRETVALUE",
        "a: {SECRETVALUE",
        "a: @SECRETVALUE",
    ],
)
def test_an_error_never_quotes_the_file(text):
    with pytest.raises(Invalid) as caught:
        read_yaml(text)
    assert "SECRETVALUE" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        read_yaml(text)
    except Invalid:
        pass
