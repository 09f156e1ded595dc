"""The reducers, by the table, and against a second implementation that counts on its fingers."""

from __future__ import annotations

import json
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.decimals import billionths_of, decimal_text, divided, number_from
from segue.compute.reducers import UNIQUE_MOST, Reduced, reduce, takes_part
from segue.compute.tree import Event, Property, Reduce
from segue.compute.values import number_of, text_of
from tests.compute.histories import T0, computed, is_true, plain, profile, track, values


def reducer(by: Any, path: tuple[str, ...] = ("v",), **more: Any) -> Reduce:
    return Reduce(stream=Event(name="A"), by=by, field=None if by == "count" else Property(path=path), **more)


def of(text: str, *given: Any) -> Any:
    """The computed trait over an event with each of these values, one millisecond apart, the first the oldest."""
    history = profile(*(track("A", T0 - 1000 + n, {"v": v}) for n, v in enumerate(given)))
    return computed(f"event('A').{text}", history)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("count()", [None, 1, "x"], 3),
        ("sum(property('v'))", [0.1, 0.2, "0.3", None, True, "x", [1]], 0.6),
        ("sum(property('v'))", [None, "x"], 0),
        ("sum(property('v'))", [1e17, 1e17, -1e17], 10**17),
        ("sum(property('v'))", [10**18, -(10**18), 10**18 - 1], 10**18 - 1),
        ("sum(property('v'))", ["1e3", "-1.50", "05", " 5", "+5", "NaN", "1e400", "0e999999999999999999999"], 998.5),
        ("sum(property('v'))", [0.0000000005, 0.00000000049], 1e-09),
        ("sum(property('v'))", [-0.0000000005], -1e-09),
        ("sum(property('v'))", [2**53 + 1, 2**53 + 1], 2**54 + 2),
        ("avg(property('v'))", [1, 1, 0], 0.666666667),
        ("avg(property('v'))", [-1, -1, 0], -0.666666667),
        ("avg(property('v'))", [1, "2", "x", None], 1.5),
        ("avg(property('v'))", ["x"], None),
        ("min(property('v'))", [3, "2", 2.5, "abc"], 2),
        ("max(property('v'))", [3, "10", True, 5.0], 10),
        ("max(property('v'))", [5.0], 5),
        ("max(property('v') as string)", [3, "10", True, [9]], "true"),
        ("min(property('v') as string)", ["b", "B", "é", 5.5], "5.5"),
        ("min(property('v') as string)", [{"a": 1}, [1]], None),
        ("mode(property('v'))", ["a", "b", "b", "a", None, None, None], "a"),
        ("mode(property('v'))", ["a", "b"], None),
        ("mode(property('v'), 1)", ["b", "a"], "a"),
        ("mode(property('v'), 3)", [5, "5", 5.0], "5"),
        ("mode(property('v') as number)", [5, "5.0", "x", "x", "x"], 5),
        ("mode(property('v') as number)", [9, 9, 10, 10], 10),
        ("mode(property('v') as number, 1)", [0.0000001, 0.5], 1e-07),
        ("mode(property('v'))", [["a", "b"], ["a", "b"], "a"], '["a","b"]'),
        ("mode(property('v.$'))", [["a", "b"], ["b"], "b"], "b"),
        ("mode(property('v.$') as array)", [["a", "b"], ["a", None, "b"], ["b"], [], "b"], '["a","b"]'),
        ("mode(property('v') as array)", [["a"], ["a"], "a"], '["a"]'),
        ("first(property('v'))", [None, {"a": 1}, 2], {"a": 1}),
        ("last(property('v'))", [1, [None], None], [None]),
        ("first(property('v.$'))", [[], [None, 2, 3], [4]], 2),
        ("last(property('v.$'))", [[1], [None, 2, 3, None]], 3),
        ("unique(property('v'))", ["b", "", 5, "5", 5.0, None, True, ["x"]], ["", "5", '["x"]', "b", "true"]),
        ("unique(property('v.$'))", [["b", None], ["a", "b"]], ["a", "b"]),
        ("unique(property('v')).count()", [None, "b", "b"], 1),
    ],
)
def test_each_reducer_takes_what_the_table_says(text, given, expected):
    assert of(text, *given) == expected
    assert type(of(text, *given)) is type(expected)


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (".count() = 0", True),
        (".sum(property('v')) = 0", True),
        (".avg(property('v')).absent()", True),
        (".min(property('v')).absent()", True),
        (".mode(property('v')).absent()", True),
        (".first(property('v')).absent()", True),
        (".unique(property('v')).count() = 0", True),
        (".sum(property('v')) < 10", True),
        (".max(property('v')) < 10", False),
        (".last(property('v')) < 10", False),
    ],
)
def test_an_empty_stream_is_0_or_null(leaf, expected):
    assert is_true(f"event('A'){leaf}", profile()) is expected
    assert is_true(f"NOT (event('A'){leaf})", profile()) is not expected


def test_a_value_that_takes_no_part_is_counted():
    given = [[1], ["x"], [10**18], [None], []]
    assert reduce(reducer("sum"), given) == Reduced(1, skipped=2)
    assert reduce(reducer("min", as_="string"), [["a"], [[1]]]) == Reduced("a", skipped=1)


def test_of_too_many_unique_values_those_stay_that_came_first():
    given = [[str(UNIQUE_MOST - n)] for n in range(UNIQUE_MOST - 1)]
    found = reduce(reducer("unique"), [*given, ["z", "y"], ["5"]]).value
    assert isinstance(found, list)
    assert len(found) == UNIQUE_MOST
    assert "y" in found and "z" not in found
    assert reduce(reducer("unique_count"), [*given, ["z", "y"], ["5"]]).value == UNIQUE_MOST


def numbers_of(found: list[Any]) -> list[Fraction]:
    """The numbers of the values, rounded to nine digits, as fractions."""
    numbers = []
    for value in found:
        if number_of(value) is not None:
            exact = Fraction(value if isinstance(value, str) else text_of(value) or "")
            rounded = floor(abs(exact) * 10**9 + Fraction(1, 2)) * (1 if exact >= 0 else -1)
            if abs(rounded) < 10**27:
                numbers.append(Fraction(rounded, 10**9))
    return numbers


def number(exact: Fraction) -> int | float:
    return int(exact) if exact.denominator == 1 else float(exact)


def by_hand(tree: Reduce, given: list[list[Any]]) -> Any:
    """The same, written down once more without regard for anything but the table."""
    found = [value for event in given for value in event if value is not None]
    numbers, texts = numbers_of(found), [text_of(value) or "" for value in found]
    scalars = [text_of(value) or "" for value in found if not isinstance(value, list | dict)]
    least = tree.min or 2
    match tree.by, tree.as_:
        case "count", _:
            return len(given)
        case "sum", _:
            return number(sum(numbers, Fraction()))
        case "avg", _:
            mean = sum(numbers, Fraction()) / len(numbers) if numbers else None
            size = None if mean is None else Fraction(floor(abs(mean) * 10**9 + Fraction(1, 2)), 10**9)
            return None if size is None or mean is None else number(size if mean >= 0 else -size)
        case "min" | "max", "string":
            return sorted(scalars)[0 if tree.by == "min" else -1] if scalars else None
        case "min" | "max", _:
            return number(sorted(numbers)[0 if tree.by == "min" else -1]) if numbers else None
        case "mode", "number":
            enough = [each for each in numbers if numbers.count(each) >= least]
            most = max(map(enough.count, enough), default=0)
            tied = [each for each in enough if enough.count(each) == most]
            return number(min(tied, key=lambda each: decimal_text(int(each * 10**9)))) if tied else None
        case "mode", _:
            enough_texts = [text for text in texts if texts.count(text) >= least]
            most = max(map(enough_texts.count, enough_texts), default=0)
            return min((text for text in enough_texts if enough_texts.count(text) == most), default=None)
        case "first", _:
            return found[0] if found else None
        case "last", _:
            return found[-1] if found else None
        case "unique", _:
            return sorted(dict.fromkeys(texts))
        case _:
            return len(set(texts))


TREES = [
    reducer(by, as_=as_, min=least)
    for by, as_, least in [
        *((by, None, None) for by in ("count", "sum", "avg", "min", "max", "first", "last", "unique", "unique_count")),
        *((by, "string", None) for by in ("min", "max")),
        *(("mode", as_, least) for as_ in (None, "number", "array") for least in (1, None, 3)),
    ]
]
spelled = st.sampled_from(["1e-9", "5e-10", "4.9999999999e-10", "-5e-10", "0.1", "0.10", "1e17", "-0", "123456789.5"])


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: f"{tree.by}-{tree.as_}-{tree.min}")
@given(st.lists(st.lists(values | plain | spelled | st.floats(-1e6, 1e6), max_size=2), max_size=5))
def test_reducers_agree_with_counting_by_hand(tree, given):
    assert reduce(tree, given).value == by_hand(tree, given)


@given(st.lists(st.lists(plain, max_size=2), max_size=4))
def test_an_event_takes_part_where_it_has_a_value(given):
    for event in given:
        assert takes_part(reducer("count"), event)
        assert takes_part(reducer("sum"), event) is any(value is not None for value in event)


@given(st.integers(-(10**27) + 1, 10**27 - 1))
def test_a_decimal_reads_back_from_its_text(billionths):
    text = decimal_text(billionths)
    assert billionths_of(text) == billionths
    assert not ("." in text and text.endswith("0"))
    if abs(billionths) < 10**15:
        assert billionths_of(number_from(billionths)) == billionths
        assert number_from(billionths) == json.loads(text)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**6))
def test_a_quotient_is_rounded_half_away_from_zero(total, count):
    exact = Fraction(total, count)
    assert abs(divided(total, count) - exact) <= Fraction(1, 2)
    if (2 * exact).denominator == 1 and exact.denominator == 2:
        assert abs(divided(total, count)) > abs(exact)
