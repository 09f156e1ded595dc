"""Pointillist's filters and metrics, pure: events chosen by label, numbers put together.

Source: Segment's page says that labels and numbers are there to filter by and to make metrics of; the form is PROPOSED.
Rule: numbers are added as decimals, so that 0.1 and 0.2 make 0.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from segue.sandbox.exact import Number

FIELDS = ("eventType", "eventSource", "actor")

AGGREGATES: dict[str, Callable[[list[Decimal]], Decimal]] = {
    "sum": lambda values: sum(values, Decimal()),
    "count": lambda values: Decimal(len(values)),
    "avg": lambda values: sum(values, Decimal()) / len(values),
    "min": min,
    "max": max,
}


def chosen(events: list[dict[str, Any]], query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The events that have each value the query names: `label.NAME`, `eventType`, `eventSource` or `actor`."""
    wanted = [(name, value) for name, value in query if name.startswith("label.") or name in FIELDS]
    return [event for event in events if all(_value(event, name) == value for name, value in wanted)]


def _value(event: dict[str, Any], name: str) -> Any:
    if name.startswith("label."):
        return event.get("labels", {}).get(name.removeprefix("label."))
    return event.get(name)


def measured(events: list[dict[str, Any]], name: str, *, agg: str, by: str | None) -> dict[str, Any]:
    """The number `name` of the events, put together by `agg`, for each value of `by` where that is given.

    Raises ValueError where `agg` or `by` is none of those there are.
    """
    if agg not in AGGREGATES:
        raise ValueError(f"agg must be one of {', '.join(AGGREGATES)}")
    if by is not None and by not in FIELDS and not by.startswith("label."):
        raise ValueError(f"by must be one of {', '.join(FIELDS)}, or label.NAME")
    groups: dict[Any, list[Decimal]] = {}
    for event in events:
        if name in event.get("numbers", {}):
            group = None if by is None else _value(event, by)
            groups.setdefault(group, []).append(_decimal(event["numbers"][name]))
    put_together = AGGREGATES[agg]
    if by is None:
        values = groups.get(None)
        return {"name": name, "agg": agg, "value": _number(put_together(values)) if values else None}
    by_group = {group: _number(put_together(values)) for group, values in groups.items() if group is not None}
    return {"name": name, "agg": agg, "by": by, "values": by_group}


def _decimal(value: Any) -> Decimal:
    return Decimal(getattr(value, "text", None) or str(value))


def _number(value: Decimal) -> int | Number:
    return int(value) if value == value.to_integral_value() and abs(value) < 10**15 else Number(str(value))
