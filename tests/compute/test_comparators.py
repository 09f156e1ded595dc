"""The comparators, by the tables of truth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.comparators import comparator, holds, related, some_related
from segue.compute.parse import parse
from segue.compute.paths import entries
from segue.compute.tree import Compare, Trait
from segue.compute.values import Value

NOON_MS = 1_773_144_000_000
"""2026-03-10T12:00:00.000Z."""

COLUMNS = """= 5|= '5'|= 'true'|!= 5|> 4|<= 9|.contains('5')|.omits('5')|.starts_with('5')|.ends_with('c')|
.one_of(5,'abc')|.none_of(5,'abc')|.exists()|.absent()""".replace("\n", "").split("|")

TABLE = """
null           | . . . . . . . T . . . . . T
""             | . . . T . . . T . . . T T .
"abc"          | . . . T . . . T . T T . T .
"5"            | T T . . T T T . T . T . T .
"05"           | . . . T . . T . . . . T T .
" 5"           | . . . T . . T . . . . T T .
5              | T T . . T T T . T . T . T .
5.0            | T T . . T T T . T . T . T .
7.5            | . . . T T T T . . . . T T .
true           | . . T T . . . T . . . T T .
"true"         | . . T T . . . T . . . T T .
"True"         | . . . T . . . T . . . T T .
[]             | . . . T . . . T . . . T T .
["5","a"]      | . . . T . . T . . . . T T .
[{"a":5}]      | . . . T . . T . . . . T T .
{"a":5}        | . . . T . . T . . . . T T .
"""


def is_true(comparison: str, value: Value, at_ms: int = NOON_MS) -> bool:
    """Whether `trait('a')` with this comparison is true of a profile whose trait `a` is the value."""
    tree = parse(f"trait('a') {comparison}" if comparison[0] in "=!<>" else f"trait('a'){comparison}", "audience")
    assert isinstance(tree, Compare)
    return holds(tree.op, comparator(tree.op, tree.args), [value], at_ms)


def cells() -> list[tuple[str, str, bool]]:
    rows = [line.split("|") for line in TABLE.strip().splitlines()]
    return [
        (value.strip(), comparison, cell == "T")
        for value, row in rows
        for comparison, cell in zip(COLUMNS, row.split(), strict=True)
    ]


@pytest.mark.parametrize(("value", "comparison", "expected"), cells())
def test_every_cell_of_the_table_of_values_holds(value, comparison, expected):
    assert is_true(comparison, json.loads(value)) is expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("= 'true'", True, True),
        ("= 'true'", "True", False),
        ("= 'true'", 1, False),
        ("= 5", "5.0", True),
        ("= '5'", "5.0", False),
        ("= '5.0'", 5, True),
        ("= 5", 5, True),
        (">= 1000", "01234", False),
        (">= '1000'", "1e3", True),
        ("= 'vip'", ["new", "vip"], False),
        (".contains('vip')", ["new", "vip"], True),
        (".contains(5)", 5.5, True),
        (".contains('x', '5')", 5, True),
        ("= 9007199254740992.0", 9007199254740993, True),
        ("= 9007199254740992", 9007199254740993, False),
        ("> 9007199254740992", "9007199254740993", True),
        ("> 4", "1e400", False),
        ("< 4", True, False),
        ("= 2026-03-10T12:00:00Z", "2026-03-10T13:00:00+0100", True),
        ("= '2026-03-10T12:00:00Z'", "2026-03-10T13:00:00+0100", False),
        ("= 2026-03-10", "2026-03-10", True),
        ("= 2026-03-10", "2026-03-10T00:00:00Z", False),
        ("!= 2026-03-10", "abc", True),
        ("!= 2026-03-10", None, False),
        (".one_of(2026-03-10, 'x')", "2026-03-10", True),
        (".none_of(2026-03-10T12:00Z)", "2026-03-10T12:00:00.000", False),
        ("> 2026-03-10", "2026-03-10T23:59:59.999Z", False),
        ("> 2026-03-10", "2026-03-11T00:00:00Z", True),
        ("> '2026-03-10'", "2026-03-11", True),
        (">= 2026-03-10", "2026-03-10", True),
        ("<= 2026-03-10", "2026-03-10T12:00:00Z", False),
        ("> 5", "2026-03-11", False),
        (".ends_with('}')", {"a": 5}, True),
        (".starts_with('f')", False, True),
    ],
)
def test_values_are_read_as_the_operand_asks(comparison, value, expected):
    assert is_true(comparison, value) is expected


DATED = """.before_date('2026-03-10T12:00:00Z')|.before_date('2026-03-10')|.after_date('2026-03-03')|
.within_last(7 days)|.before_last(7 days)|.within_next(7 days)|.after_next(7 days)""".replace("\n", "").split("|")

DATES = """
"2026-03-10T12:00:00Z"      | . . T T . T .
"2026-03-10T12:00:00"       | . . T T . T .
"2026-03-10T13:00:00+01:00" | . . T T . T .
"2026-03-10"                | . . T T . T .
"2026-03-09"                | T T T T . . .
"2026-03-03T12:00:00Z"      | T T . T T . .
"2026-03-03T11:59:59.999Z"  | T T . . T . .
"2026-03-03"                | T T . T T . .
"2026-03-02"                | T T . . T . .
"2026-03-17T12:00:00Z"      | . . T . . T T
"2026-03-17"                | . . T . . T T
"2026-03-18"                | . . T . . . T
"2026-03-10T12:00:00.001Z"  | . . T . . T .
"2026-02-30"                | . . . . . . .
1773144000                  | . . . . . . .
"10/03/2026"                | . . . . . . .
"20260310"                  | . . . . . . .
null                        | . . . . . . .
"""


def dated_cells() -> list[tuple[str, str, bool]]:
    rows = [line.split("|") for line in DATES.strip().splitlines()]
    return [
        (value.strip(), comparison, cell == "T")
        for value, row in rows
        for comparison, cell in zip(DATED, row.split(), strict=True)
    ]


@pytest.mark.parametrize(("value", "comparison", "expected"), dated_cells())
def test_every_cell_of_the_table_of_dates_holds(value, comparison, expected):
    assert is_true(comparison, json.loads(value)) is expected


def leaf(text: str, traits: Value) -> bool:
    """Whether a comparison of a trait is true of these traits."""
    tree = parse(text, "audience")
    assert isinstance(tree, Compare) and isinstance(tree.left, Trait)
    return holds(tree.op, comparator(tree.op, tree.args), entries(traits, tree.left.path), NOON_MS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trait('tags').contains('vip')", True),
        ("trait('tags') = 'vip'", False),
        ("trait('tags.$') = 'vip'", True),
        ("trait('tags.$').omits('vip')", False),
        ("trait('tags.$') != 'vip'", True),
        ("trait('tags.$').none_of('vip', 'old')", True),
        ("trait('p.$.c').absent()", False),
        ("trait('p.$.c').exists()", True),
        ("trait('p.$.d').absent()", True),
        ("trait('p.$.d').exists()", False),
        ("trait('p.$.d').omits('x')", True),
        ("trait('p.$.d') != 'x'", False),
        ("trait('none.$').absent()", True),
        ("trait('none.$').omits('x')", True),
        ("trait('none.$') = 'x'", False),
        ("trait('empty.$').absent()", True),
        ("trait('a.b') = 2", True),
        ("trait('a\\\\.b') = 1", True),
        ("trait('tags.0') = 'new'", False),
    ],
)
def test_a_leaf_over_entries_is_true_where_one_makes_it_true_but_for_absent_and_omits(text, expected):
    traits: Value = {"tags": ["new", "vip"], "p": [{"c": "x"}, {}], "a.b": 1, "a": {"b": 2}, "none": 5, "empty": []}
    assert leaf(text, traits) is expected


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(values, max_size=4), st.sampled_from(["5", "a", "", "true"]).filter(bool))
def test_absent_is_not_exists_and_omits_is_not_contains(found, text):
    contains, omits = (parse(f"trait('a').{name}('{text}')", "audience") for name in ("contains", "omits"))
    assert isinstance(contains, Compare) and isinstance(omits, Compare)
    truth = {
        op: holds(op, comparator(op, contains.args if op in ("contains", "omits") else ()), found, NOON_MS)
        for op in ("exists", "absent", "contains", "omits")
    }
    assert truth["absent"] is not truth["exists"]
    assert truth["omits"] is not truth["contains"]


@given(values, values)
def test_a_reference_compares_both_sides_alike(left, right):
    assert related("equals", left, right) is related("equals", right, left)
    assert related("less_than", left, right) is related("greater_than", right, left)
    assert related("at_most", left, right) is related("at_least", right, left)
    if left is None or right is None:
        assert not any(related(op, left, right) for op in ("equals", "differs", "less_than", "at_most"))
    else:
        assert related("differs", left, right) is not related("equals", left, right)


def test_a_reference_over_entries_is_true_where_some_pair_makes_it_true():
    assert some_related("equals", [1, 2], ["3", "2"])
    assert not some_related("equals", [1, 2], [])
    assert some_related("less_than", ["2026-03-10"], [5, "2026-03-11"])
