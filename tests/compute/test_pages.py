"""What the pages on audiences and computed traits show: every definition can be used, and every table is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.compute import Kind, Mistaken, check, parse
from segue.compute.comparators import comparator, holds
from segue.compute.evaluate import is_member
from segue.compute.grammar import KEYWORDS, METHODS, WORDS
from segue.compute.history import History
from segue.compute.tree import Compare
from segue.core.profile import ExternalId

from .test_comparators import NOON_MS

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts"
KINDS: dict[str, Kind] = {"audiences": "audience", "computed-traits": "trait"}
CODE = re.compile(r"`([^`]+)`")
WHOLE = re.compile(r"(?:event|trait|audience|NOT )\(.+\).*[^:]")
FIELD = re.compile(r"(?:trait|audience)\('[^']*'\)")
"""Which is a part of a definition."""


def text_of(page: str) -> str:
    return (CONCEPTS / f"{page}.md").read_text("utf-8")


def tables(page: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Each table of a page: its head and its rows, as cells."""
    lines: list[list[str]] = []
    for line in [*text_of(page).splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split("|")])
        elif lines:
            yield lines[0], lines[2:]
            lines = []


def column(page: str, name: str) -> list[str]:
    """The code in the cells of every column of this name."""
    return [
        code
        for head, rows in tables(page)
        if name in head
        for row in rows
        for code in CODE.findall(row[head.index(name)])
    ]


@pytest.mark.parametrize("page", KINDS)
def test_every_example_can_be_used(page):
    examples = column(page, "Example")
    assert len(examples) > 10
    for example in examples:
        assert check(parse(example, KINDS[page]), KINDS[page]) == [], example


@pytest.mark.parametrize("page", KINDS)
def test_every_definition_in_the_text_can_be_used(page):
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    found = [code for code in CODE.findall(text) if WHOLE.fullmatch(code) and not FIELD.fullmatch(code)]
    assert found
    for code in found:
        parse(code, "audience")


@pytest.mark.parametrize("page", KINDS)
def test_what_is_called_refused_is_refused(page):
    refused = column(page, "Refused")
    assert len(refused) >= 3
    for text in refused:
        with pytest.raises(Mistaken):
            parse(text, KINDS[page])


def test_every_word_of_the_language_stands_on_a_page():
    text = "".join(map(text_of, KINDS))
    later = {"ANY", "ALL", "entity"}  # which the page refuses
    for word in (*KEYWORDS, *WORDS, *METHODS):
        assert re.search(rf"\b{word}\b", text) or word in later, word
    examples = "".join(code for page in KINDS for name in ("Example",) for code in column(page, name))
    for method in METHODS:
        assert f".{method}(" in examples, method


def comparisons() -> list[tuple[str, str, bool]]:
    """(value, comparison, whether the page says that it is true) of every table of values."""
    return [
        (CODE.findall(row[0])[0], CODE.findall(comparison)[0], cell == "true")
        for head, rows in tables("audiences")
        if head[0] == "Value"
        for row in rows
        for comparison, cell in zip(head[1:], row[1:], strict=True)
    ]


@pytest.mark.parametrize(("value", "comparison", "expected"), comparisons())
def test_every_cell_of_the_tables_of_values_is_right(value, comparison, expected):
    tree = parse(f"trait('a'){'' if comparison[0] == '.' else ' '}{comparison}", "audience")
    assert isinstance(tree, Compare)
    assert holds(tree.op, comparator(tree.op, tree.args), [json.loads(value)], NOON_MS) is expected


def test_what_is_said_of_a_user_without_a_value_is_right():
    nobody = History(ids=[ExternalId("user_id", "u1")])
    (rows,) = [rows for head, rows in tables("audiences") if head[-1] == "of a user without `plan`"]
    for condition, answer in rows:
        tree = parse(CODE.findall(condition)[0], "audience")
        assert is_member(tree, nobody, NOON_MS) is (answer == "true"), condition
