"""The reducers as aggregates of SQL: one value for each profile of the values of its events.

They read rows (profile, t, received_at, message_id, log_offset, counts, value): `value` is canonical JSON and not null,
or is not there where events are counted; `counts` says whether the event is inside the window, or is not there where
all are.

Rule: of a profile that has rows there is one row, even where none of them counts; the value is what
`compute.reducers.reduce` says, as canonical JSON, or a whole number where the reducer counts.

Source: audiences.md 4.1.
"""

from __future__ import annotations

from sqlglot import exp

from segue.compute.reducers import UNIQUE_MOST
from segue.compute.sql.terms import Term, both, call, column, filtered, is_there, name, number, row
from segue.compute.tree import MODE_MIN, By, Reduce

ORDER = ("t", "received_at", "message_id", "log_offset")
"""The total order of a profile's events; the offset parts those that two sources gave one messageId."""
ORDERED: frozenset[By] = frozenset({"first", "last", "unique"})
"""The reducers that ask for the order of events."""
COUNTING: frozenset[By] = frozenset({"count", "unique_count"})
"""Those that give a whole number."""
EMPTY: dict[By, str] = {"sum": "0", "unique": "[]"}
"""What a stream without events is, where it is not null or the number 0."""


def reduced(tree: Reduce, rows: exp.Select, *, counts: bool) -> exp.Select:
    """profile, value. `counts`: whether the rows have that column."""
    inside = column("counts", "rows") if counts else None
    if tree.by == "mode":
        return _mode(tree, rows, inside)
    if tree.by == "unique":
        return _unique(rows, inside)
    return _grouped(rows, _aggregate(tree, column("value", "rows"), inside), "profile")


def _grouped(rows: exp.Select, value: Term, *by: str) -> exp.Select:
    keys = [column(each, "rows") for each in by]
    source = rows.subquery(name("rows"), copy=False)
    return exp.select(*keys, exp.alias_(value, name("value"))).from_(source, copy=False).group_by(*keys, copy=False)


def _aggregate(tree: Reduce, value: Term, inside: Term | None) -> Term:
    decimal = call("sg_decimal", value)
    match tree.by:
        case "count":
            return filtered(exp.Count(this=exp.Star()), inside)
        case "sum":
            total = filtered(call("sum", decimal), inside)
            return call("sg_decimal_json", call("coalesce", total, exp.cast(number(0), "DECIMAL(38, 9)")))
        case "avg":
            total, many = filtered(call("sum", decimal), inside), filtered(call("count", decimal.copy()), inside)
            return call("sg_average_json", total, many)
        case "min" | "max" if tree.as_ == "string":
            return call("sg_text_json", filtered(call(tree.by, call("sg_scalar_text", value)), inside))
        case "min" | "max":
            return call("sg_decimal_json", filtered(call(tree.by, decimal), inside))
        case "first" | "last":
            choose = "arg_min" if tree.by == "first" else "arg_max"
            return filtered(call(choose, value, _order()), inside)
        case "unique_count":
            distinct = exp.Count(this=exp.Distinct(expressions=[call("sg_text", value)]))
            return call("least", filtered(distinct, inside), number(UNIQUE_MOST))
    raise AssertionError(f"{tree.by} has a form of its own")


def _order() -> Term:
    return row(*(column(each, "rows") for each in ORDER))


def _unique(rows: exp.Select, inside: Term | None) -> exp.Select:
    """Of too many values those stay that came first, of one event the first of the alphabet."""
    texts = _keyed(rows, call("sg_text", column("value", "rows")), filtered(call("min", _order()), inside))
    came, value = column("found", "rows"), column("key", "rows")
    ordered = exp.Order(this=value, expressions=[exp.Ordered(this=came.copy()), exp.Ordered(this=value.copy())])
    listed = filtered(call("list", ordered), is_there(came))
    return _grouped(texts, call("sg_texts_json", listed), "profile")


def _mode(tree: Reduce, rows: exp.Select, inside: Term | None) -> exp.Select:
    """The most frequent; of several, the first of the alphabet, of numbers too."""
    numeric = tree.as_ == "number"
    key = call("sg_decimal" if numeric else "sg_text", column("value", "rows"))
    frequencies = _keyed(rows, key, filtered(exp.Count(this=exp.Star()), inside))
    value, times = column("key", "rows"), column("found", "rows")
    alphabet = call("sg_decimal_text", value.copy()) if numeric else value.copy()
    least = exp.GTE(this=times, expression=number(MODE_MIN if tree.min is None else tree.min))
    best = call("arg_min", value, row(exp.Neg(this=times.copy()), alphabet))
    chosen = filtered(best, both([is_there(value.copy()), least]))
    return _grouped(frequencies, call("sg_decimal_json" if numeric else "sg_text_json", chosen), "profile")


def _keyed(rows: exp.Select, key: Term, found: Term) -> exp.Select:
    """profile, key, found: one row for each value of a profile."""
    profile = column("profile", "rows")
    source = rows.subquery(name("rows"), copy=False)
    select = exp.select(profile, exp.alias_(key, name("key")), exp.alias_(found, name("found")))
    return select.from_(source, copy=False).group_by(profile.copy(), key.copy(), copy=False)
