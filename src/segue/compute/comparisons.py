"""What each comparator may be given.

Rule: what passes has a meaning for some value: a comparison that can never be true, or always is, is refused.

Source: Segment's "Query language"; that an empty text is refused in matches is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from segue.compute.dates import read_date
from segue.compute.spans import check_span
from segue.compute.tree import (
    Affix,
    Compare,
    Date,
    Dated,
    Duration,
    Existence,
    Match,
    Number,
    Operand,
    Relation,
    Relative,
    Text,
)
from segue.compute.values import read_number

ORDERINGS = ("greater_than", "at_least", "less_than", "at_most")

Found = Iterator[tuple[str, str]]
"""(name of the argument, what is wrong with it); of the comparator itself, where the name is empty."""


def check_args(tree: Compare) -> Found:
    """What is wrong with what a comparator is given, but for the lengths of texts and lists."""
    op, args = tree.op, tree.args
    if op in get_args(Existence):
        if args:
            yield "", f".{op}() takes nothing"
        return
    if not args or (len(args) > 1 and op not in get_args(Match)):
        yield "", f".{op} takes " + ("a value or more" if op in get_args(Match) else "one value")
        return
    for index, arg in enumerate(args):
        yield from ((f"args[{index}]", message) for message in _wrong(tree, arg))


def _wrong(tree: Compare, arg: Operand) -> Iterator[str]:
    """What is wrong with one argument."""
    op = tree.op
    if op in get_args(Relative):
        if isinstance(arg, Duration):
            yield from (message for _, message in check_span(arg, ""))
        else:
            yield f".{op} takes a length of time, such as 7 days"
        return
    if isinstance(arg, Duration):
        yield f"{arg.n} {arg.unit}s is a length of time, which .{op} does not take"
    elif isinstance(arg, Date) and not _is_literal(arg.value):
        yield f"{arg.value} is no date: write 2026-03-10 or 2026-03-10T12:00:00Z, a day of the calendar"
    elif op in get_args(Relation):
        yield from _ordering(op, arg)
    elif not isinstance(arg, Number | Text | Date):
        yield f".{op} takes what is written out, not another value"
    elif op in get_args(Affix) and not isinstance(arg, Text):
        yield f".{op} takes a text in quotes"
    elif op in get_args(Dated) and (isinstance(arg, Number) or read_date(arg.value) is None):
        yield f".{op} takes a date, such as 2026-03-10 or '2026-03-10T12:00:00Z'"
    elif op in (*get_args(Affix), "contains", "omits") and isinstance(arg, Text) and not arg.value:
        yield f"an empty text is part of every text; .{op} takes one with characters"


def _ordering(op: str, arg: Operand) -> Iterator[str]:
    """Nothing is greater or less than a text that is neither number nor date."""
    if op in ORDERINGS and isinstance(arg, Text) and read_number(arg.value) is None and read_date(arg.value) is None:
        yield f"nothing is greater or less than the text '{arg.value}': it is neither a number nor a date"


def _is_literal(date: str) -> bool:
    """Whether a date without quotes reads back as itself: zones have a colon there."""
    return read_date(date) is not None and not (len(date) > 10 and date[-5] in "+-")
