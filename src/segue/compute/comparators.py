"""The comparators: whether a leaf is true of what its path leads to.

A leaf is true or false, never unknown: null makes every comparator false but `absent` and `omits`, and only NOT turns
a false leaf into a true one.

Rule: `absent` is NOT `exists`, `omits` is NOT `contains`, over one value and over the entries of an array alike; the
answer depends on the value, what it is compared with, and the instant asked about.

Source: Segment's "Query language" for null, `differs`, `omits` and independence over `$`; the readings are PROPOSED.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import product
from typing import TypeAlias, cast

from segue.compute.dates import SLIDING, Interval, after, before, read_date
from segue.compute.tree import Date, Duration, Literal_, Op, Operand
from segue.compute.values import Value, date_of, is_number, number_of, text_of

Comparator: TypeAlias = Callable[[Value, int], bool]
"""A comparator with its literals read: whether it is true of one value at an instant, in ms since 1970."""

OF_NO_ENTRY = frozenset({"absent", "omits"})
"""What over `$` must be true of every entry; all else is true where it is true of some entry."""

_NUMERIC: dict[str, Callable[[int | float, int | float], bool]] = {
    "greater_than": operator.gt,
    "at_least": operator.ge,
    "less_than": operator.lt,
    "at_most": operator.le,
}
_DATED: dict[str, Callable[[Interval, Interval], bool]] = {
    "greater_than": after,
    "at_least": lambda when, other: after(when, other) or when == other,
    "less_than": before,
    "at_most": lambda when, other: before(when, other) or when == other,
}


def equal(value: Value, other: Value) -> bool:
    """Whether two values are equal: as numbers where one is a JSON number, else as text; null equals nothing."""
    if value is None or other is None:
        return False
    if is_number(value) or is_number(other):
        number, other_number = number_of(value), number_of(other)
        if number is None or other_number is None:
            return False
        left, right = _comparable(number, other_number)
        return left == right
    return text_of(value) == text_of(other)


def ordered(op: str, value: Value, other: Value) -> bool:
    """Whether two values stand so to each other: as numbers where both are, else as dates where both are."""
    number, other_number = number_of(value), number_of(other)
    if number is not None and other_number is not None:
        return _NUMERIC[op](*_comparable(number, other_number))
    when, other_date = date_of(value), date_of(other)
    return when is not None and other_date is not None and _DATED[op](when, other_date)


def related(op: Op, value: Value, other: Value) -> bool:
    """One of the six relations between two values, as a reference in place of a literal needs it."""
    if op == "equals":
        return equal(value, other)
    if op == "differs":
        return value is not None and other is not None and not equal(value, other)
    return ordered(op, value, other)


def some_related(op: Op, values: Sequence[Value], others: Sequence[Value]) -> bool:
    """Whether some entry on the left is so related to some entry on the right."""
    return any(related(op, value, other) for value, other in product(values, others))


def holds(op: Op, compare: Comparator, values: Sequence[Value], at_ms: int) -> bool:
    """Whether the leaf is true of what its path leads to (`paths.entries`)."""
    quantifier = all if op in OF_NO_ENTRY else any
    return quantifier(compare(value, at_ms) for value in values)


def comparator(op: Op, literals: Sequence[Operand]) -> Comparator:
    """The comparator with its literals read once. The literals are those that `checks` lets through."""
    if op in SLIDING:
        return _sliding(op, literals)
    if op in ("before_date", "after_date"):
        return _dated(op, literals)
    written = cast(Sequence[Literal_], literals)
    match op:
        case "exists":
            return lambda value, _: value is not None
        case "absent":
            return lambda value, _: value is None
        case "contains" | "omits" | "starts_with" | "ends_with":
            return _textual(op, tuple(text_of(literal.value) or "" for literal in written))
        case "equals" | "one_of":
            return _some([_equality(literal) for literal in written])
        case "differs" | "none_of":
            some = _some([_equality(literal) for literal in written])
            return lambda value, at_ms: value is not None and not some(value, at_ms)
        case _:
            (literal,) = written
            return _ordering(op, literal)


def _ordering(op: Op, literal: Literal_) -> Comparator:
    """`ordered` with its right side read once: a literal is a number or a date, or neither."""
    bound, date = number_of(literal.value), date_of(literal.value)
    numeric, dated = _NUMERIC[op], _DATED[op]

    def test(value: Value, _: int) -> bool:
        if bound is not None:
            number = number_of(value)
            return number is not None and numeric(*_comparable(number, bound))
        when = None if date is None else date_of(value)
        return when is not None and date is not None and dated(when, date)

    return test


def _some(tests: Sequence[Comparator]) -> Comparator:
    if len(tests) == 1:
        return tests[0]
    return lambda value, at_ms: any(test(value, at_ms) for test in tests)


def _equality(literal: Literal_) -> Comparator:
    """Equality with a literal: one without quotes that is a date is compared as a date, whatever the value's text."""
    if isinstance(literal, Date):
        date = read_date(literal.value)
        return lambda value, _: date is not None and date_of(value) == date
    wanted = literal.value
    if isinstance(wanted, str):
        return lambda value, _: value == wanted if isinstance(value, str) else equal(value, wanted)
    return lambda value, _: equal(value, wanted)


def _textual(op: Op, texts: tuple[str, ...]) -> Comparator:
    def contains(value: Value, _: int) -> bool:
        text = text_of(value)
        return text is not None and any(wanted in text for wanted in texts)

    def starts(value: Value, _: int) -> bool:
        return (text_of(value) or "").startswith(texts)

    def ends(value: Value, _: int) -> bool:
        return (text_of(value) or "").endswith(texts)

    if op == "omits":
        return lambda value, at_ms: not contains(value, at_ms)
    return {"contains": contains, "starts_with": starts, "ends_with": ends}[op]


def _dated(op: Op, literals: Sequence[Operand]) -> Comparator:
    (literal,) = cast(Sequence[Literal_], literals)
    bound = date_of(literal.value)
    compare = before if op == "before_date" else after

    def test(value: Value, _: int) -> bool:
        when = date_of(value)
        return when is not None and bound is not None and compare(when, bound)

    return test


def _sliding(op: Op, literals: Sequence[Operand]) -> Comparator:
    (span,) = cast(Sequence[Duration], literals)
    span_ms = span.ms
    compare = SLIDING[op]

    def test(value: Value, at_ms: int) -> bool:
        when = date_of(value)
        return when is not None and compare(when, span_ms, at_ms)

    return test


def _comparable(number: int | float, other: int | float) -> tuple[int | float, int | float]:
    """Two integers as they are; where one is a double, both as doubles (Python would compare them exactly)."""
    if type(number) is type(other):
        return number, other
    return float(number), float(other)
