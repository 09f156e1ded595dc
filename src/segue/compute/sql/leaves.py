"""The comparators as conditions of SQL.

Rule: a condition is true or false, never unknown: each is made so before anything is put around it. `absent` is NOT
`exists`, `omits` is NOT `contains`; all else is true of the entries under `$` where it is true of one.

Source: audiences.md 2.2, 2.4, 2.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from sqlglot import exp

from segue.compute.comparators import OF_NO_ENTRY
from segue.compute.dates import SLIDING, read_date
from segue.compute.sql.found import Found
from segue.compute.sql.terms import (
    FALSE,
    Term,
    both,
    call,
    case,
    double,
    either,
    function_of,
    huge,
    is_there,
    number,
    opposite,
    surely,
    text,
)
from segue.compute.tree import Date, Duration, Literal_, Number, Op, Operand
from segue.compute.values import read_number, text_of

EXACT_AS_DOUBLE = 2**53
"""Comparing with a whole number up to this size, doubles say what integers say."""

_SYMBOLS: dict[str, type[exp.Binary]] = {
    "equals": exp.EQ,
    "greater_than": exp.GT,
    "at_least": exp.GTE,
    "less_than": exp.LT,
    "at_most": exp.LTE,
}
_POSITIVE: dict[Op, Op] = {"absent": "exists", "omits": "contains"}
_RELATED = {
    "equals": ("sg_equal", False),
    "differs": ("sg_differs", False),
    "less_than": ("sg_less", False),
    "greater_than": ("sg_less", True),
    "at_most": ("sg_at_most", False),
    "at_least": ("sg_at_most", True),
}
"""The macro of a relation between two values, and whether they change places."""


def compared(op: Op, found: Found, args: Sequence[Operand], at_ms: int) -> Term:
    """Whether a leaf is true, its right side being written out."""
    if op in OF_NO_ENTRY:
        return opposite(compared(_POSITIVE[op], found, args, at_ms))
    return _of_some(found, lambda each: _test(op, each, args, at_ms))


def related(op: Op, left: Found, right: Found) -> Term:
    """Whether some value on the left is so related to some value on the right."""
    macro, swapped = _RELATED[op]

    def test(one: Found, other: Found) -> Term:
        pair = (other.json, one.json) if swapped else (one.json, other.json)
        return call(macro, *pair)

    return _of_some(left, lambda one: _of_some(right, lambda other: test(one, other), "other"), "one")


def _of_some(found: Found, test: Callable[[Found], Term], variable: str = "entry") -> Term:
    """Whether the test is true of the value, or of one of the entries."""
    if found.shape != "many":
        return surely(test(found))
    each = Found(exp.Column(this=exp.to_identifier(variable)))
    matching = call("list_filter", found.term.copy(), function_of(variable, test(each)))
    return surely(exp.GT(this=call("len", matching), expression=number(0)))


def _test(op: Op, found: Found, args: Sequence[Operand], at_ms: int) -> Term:
    if op in SLIDING:
        (span,) = cast(Sequence[Duration], args)
        return _sliding(op, found, span.ms, at_ms)
    written = cast(Sequence[Literal_], args)
    match op:
        case "exists":
            return is_there(found.json)
        case "contains" | "starts_with" | "ends_with":
            return either(call(op, found.text, text(text_of(each.value) or "")) for each in written)
        case "equals" | "one_of":
            return either(surely(_equal(found, each)) for each in written)
        case "differs" | "none_of":
            return both([is_there(found.json), *(opposite(surely(_equal(found, each))) for each in written)])
        case "before_date" | "after_date":
            (when,) = written
            return _dated("less_than" if op == "before_date" else "greater_than", found, str(when.value))
        case _:
            (bound,) = written
            return _ordered(op, found, bound)


def _equal(found: Found, literal: Literal_) -> Term:
    if isinstance(literal, Date):
        return _dated("equals", found, literal.value)
    if isinstance(literal, Number):
        return _numeric("equals", found, literal.value)
    as_number = read_number(literal.value)
    if found.shape == "count":
        return FALSE.copy() if as_number is None else _numeric("equals", found, as_number)
    return case(
        (call("sg_is_number", found.json), FALSE.copy() if as_number is None else _numeric("equals", found, as_number)),
        otherwise=exp.EQ(this=found.text, expression=text(literal.value)),
    )


def _ordered(op: Op, found: Found, literal: Literal_) -> Term:
    as_number = literal.value if isinstance(literal, Number) else read_number(literal.value)
    return _dated(op, found, str(literal.value)) if as_number is None else _numeric(op, found, as_number)


def _numeric(op: Op, found: Found, value: int | float) -> Term:
    """Two integers are compared as they are; where one side is a double, both as doubles."""
    symbol = _SYMBOLS[op]
    as_doubles = symbol(this=found.number, expression=double(value))
    if not isinstance(value, int) or abs(value) < EXACT_AS_DOUBLE:
        return as_doubles
    exactly = symbol(this=found.integer, expression=huge(value))
    return case((is_there(found.integer), exactly), otherwise=as_doubles)


def _dated(op: Op, found: Found, literal: str) -> Term:
    """Two dates, by their ends; nothing stands so to a text that is none."""
    when = read_date(literal)
    if when is None or found.shape == "count":
        return FALSE.copy()
    same = both(
        [
            exp.EQ(this=found.first_ms, expression=number(when.first_ms)),
            exp.EQ(this=found.last_ms, expression=number(when.last_ms)),
        ]
    )
    before = exp.LT(this=found.last_ms, expression=number(when.first_ms))
    after = exp.GT(this=found.first_ms, expression=number(when.last_ms))
    forms: dict[str, list[Term]] = {
        "equals": [same],
        "less_than": [before],
        "at_most": [before, same],
        "greater_than": [after],
        "at_least": [after, same],
    }
    return either(forms[op])


def _sliding(op: Op, found: Found, span_ms: int, at_ms: int) -> Term:
    if found.shape == "count":
        return FALSE.copy()
    first, last = found.first_ms, found.last_ms
    forms: dict[str, list[Term]] = {
        "within_last": [_most(first, at_ms), _least(last, at_ms - span_ms)],
        "within_next": [_least(last, at_ms), _most(first, at_ms + span_ms)],
        "before_last": [_most(first, at_ms - span_ms)],
        "after_next": [_least(last, at_ms + span_ms)],
    }
    return both(forms[op])


def _most(term: Term, bound: int) -> Term:
    return exp.LTE(this=term, expression=number(bound))


def _least(term: Term, bound: int) -> Term:
    return exp.GTE(this=term, expression=number(bound))
