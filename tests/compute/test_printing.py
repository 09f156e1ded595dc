"""The normal form, and that reading and printing undo each other."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from segue.compute.checks import check
from segue.compute.parse import parse, read
from segue.compute.printing import print_definition
from segue.compute.tree import Definition, from_json, parts, to_json
from tests.compute.definitions import audiences, computed_traits


def goes_around(tree: Definition) -> None:
    """It reads back as itself, every part has its place in the text, and the JSON form loses nothing."""
    text = print_definition(tree)
    reading = read(text)
    assert reading.tree == tree
    assert print_definition(reading.tree) == text
    assert from_json(to_json(tree)) == tree
    lines = text.split("\n")
    for path, _, _ in parts(tree):
        line, column = reading.places[path]
        assert 1 <= column <= len(lines[line - 1])


@given(audiences(later=True))
def test_an_audience_of_any_form_reads_back_as_itself(tree):
    goes_around(tree)


@given(computed_traits(later=True))
def test_a_computed_trait_of_any_form_reads_back_as_itself(tree):
    goes_around(tree)


@given(audiences())
def test_what_is_well_formed_is_accepted_as_text_and_as_json(tree):
    assert check(tree, "audience") == []
    assert parse(print_definition(tree), "audience") == tree


@given(computed_traits())
def test_a_well_formed_computed_trait_is_accepted(tree):
    assert check(tree, "trait") == []
    assert parse(print_definition(tree), "trait") == tree


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("trait('a')==5", "trait('a') = 5"),
        ("trait('a').equals(literal(100))", "trait('a') = 100"),
        ("trait('a').at_least(5.0)", "trait('a') >= 5"),
        ('trait("it\'s").contains("say \\"hi\\"")', "trait('it\\'s').contains('say \"hi\"')"),
        ("trait('vip') = true", "trait('vip') = 'true'"),
        ("trait('a') = 1e3 or not trait('b') = -0.50", "trait('a') = 1000 OR NOT (trait('b') = -0.5)"),
        ("trait('a') = 1e21", "trait('a') = 1e+21"),
        ("trait('a').one_of(1,'b' , 2026-03-10)", "trait('a').one_of(1, 'b', 2026-03-10)"),
        ("trait('a').within_last(1 days)", "trait('a').within_last(1 day)"),
        ("event('A').within(24 hours).count() > 0", "event('A').within(24 hours).count() > 0"),
        ("event('A').between(0 days, 7 days).count() > 0", "event('A').between(0 days, 7 days).count() > 0"),
        (
            "event('A').within(1 hour).sources({exclude: 'a'}).where({property('p') = 1}).count() > 0",
            "event('A').where(property('p') = 1).sources(exclude: 'a').within(1 hour).count() > 0",
        ),
        (
            "event('A').where(property('p') = 1).where(property('q') = 2 OR property('r') = 3).count() > 0",
            "event('A').where(property('p') = 1 AND (property('q') = 2 OR property('r') = 3)).count() > 0",
        ),
        ("NOT trait('a') = 1 AND trait('b') = 2", "NOT (trait('a') = 1) AND trait('b') = 2"),
        ("ALL (NOT (trait('a') = 1))", "ALL NOT (trait('a') = 1)"),
        (
            "(trait('a') = 1 AND trait('b') = 2) AND trait('c') = 3",
            "trait('a') = 1 AND trait('b') = 2 AND trait('c') = 3",
        ),
        (
            "trait('a') = 1 AND (trait('b') = 2 OR trait('c') = 3)",
            "trait('a') = 1 AND (trait('b') = 2 OR trait('c') = 3)",
        ),
        ("event('A').max(property('p') as number) > 1", "event('A').max(property('p')) > 1"),
        ("event('A').mode(property('p') as string, 2) = 'a'", "event('A').mode(property('p')) = 'a'"),
        ("event('A').mode(property('p') as array, 3) = 'a'", "event('A').mode(property('p') as array, 3) = 'a'"),
        ("event('A').unique(property('p')).count() > 1", "event('A').unique(property('p')).count() > 1"),
        ("event('A')\n  . count( )\n  >= property ( parent : 'p' )", "event('A').count() >= property(parent: 'p')"),
    ],
)
def test_prints_the_normal_form(written, printed):
    assert print_definition(read(written).tree) == printed


@pytest.mark.parametrize("written", [r"trait('a\.b') = 1", r"trait('a\\.b') = 1", r"trait('a\\\\.b') = 1"])
def test_a_dot_inside_a_name_is_read_with_one_two_or_four_strokes_and_printed_with_two(written):
    assert print_definition(read(written).tree) == r"trait('a\\.b') = 1"


def test_the_json_of_a_definition_is_the_one_that_the_builder_knows():
    text = "event('Order Completed').where(property('revenue') >= 100).within(30 days).count() >= 1"
    assert msgspec.json.decode(to_json(parse(text, "audience"))) == {
        "kind": "compare",
        "op": "at_least",
        "args": [{"kind": "number", "value": 1}],
        "left": {
            "kind": "reduce",
            "by": "count",
            "stream": {
                "kind": "event",
                "name": "Order Completed",
                "where": {
                    "kind": "compare",
                    "op": "at_least",
                    "left": {"kind": "property", "path": ["revenue"], "parent": False},
                    "args": [{"kind": "number", "value": 100}],
                },
                "window": {"kind": "within", "to": {"n": 30, "unit": "day"}},
            },
        },
    }
