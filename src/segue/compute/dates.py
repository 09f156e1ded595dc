"""Dates: which texts are dates, which stretch of time each is, and how two of them compare.

A date is the interval from its first to its last millisecond, both part of it: a moment is one millisecond, a bare day
all of its day in UTC. A text without a zone is in UTC.

Rule: every comparator is a formula over the two ends, the same for days and moments; what it says changes at the
instants of `changes` and at no other.

Source: Segment's "Query language" (the four sliding comparators are inclusive); forms and zones PROPOSED.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
UNIX_EPOCH_DAY = date(1970, 1, 1).toordinal()

_FORM = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


class Interval(NamedTuple):
    """The first and the last millisecond of a date, since 1970-01-01 in UTC."""

    first_ms: int
    last_ms: int


def read_date(text: str) -> Interval | None:
    """The date that a text is; None where it is none.

    `YYYY-MM-DD`, or that with `Thh:mm`, seconds and up to nine digits of a fraction (cut to milliseconds), with `Z`,
    `+hh:mm`, `+hhmm` or nothing. A day of the calendar from the year 1; no hour 24, no second 60.
    """
    if len(text) < 10 or text[4] != "-":  # most texts are no dates
        return None
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        day_ms = (date(int(year), int(month), int(day)).toordinal() - UNIX_EPOCH_DAY) * DAY_MS
    except ValueError:
        return None
    if hour is None:
        return Interval(day_ms, day_ms + DAY_MS - 1)
    offset_ms = _zone_ms(zone)
    if offset_ms is None or int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        return None
    fraction_ms = int(f"{fraction or '0'}00"[:3])
    of_day_ms = int(hour) * HOUR_MS + int(minute) * MINUTE_MS + int(second or 0) * 1000 + fraction_ms
    moment_ms = day_ms + of_day_ms - offset_ms
    return Interval(moment_ms, moment_ms)


def _zone_ms(zone: str | None) -> int | None:
    """How far ahead of UTC a zone is; None where there is no such zone."""
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        return None
    ahead_ms = hours * HOUR_MS + minutes * MINUTE_MS
    return -ahead_ms if zone[0] == "-" else ahead_ms


def lacks_zone(text: str) -> bool:
    """Whether a text is a moment of which it is not said where; a bare day needs no zone."""
    found = _FORM.fullmatch(text)
    return found is not None and found[4] is not None and found[8] is None


def before(when: Interval, other: Interval) -> bool:
    """The whole date lies before the other."""
    return when.last_ms < other.first_ms


def after(when: Interval, other: Interval) -> bool:
    """The whole date lies after the other."""
    return when.first_ms > other.last_ms


def within_last(when: Interval, span_ms: int, at_ms: int) -> bool:
    """The date has begun, and did not end longer ago than the span."""
    return when.first_ms <= at_ms and when.last_ms >= at_ms - span_ms


def within_next(when: Interval, span_ms: int, at_ms: int) -> bool:
    """The date has not ended, and begins no later than after the span."""
    return when.last_ms >= at_ms and when.first_ms <= at_ms + span_ms


def before_last(when: Interval, span_ms: int, at_ms: int) -> bool:
    """The date began the span ago or longer."""
    return when.first_ms <= at_ms - span_ms


def after_next(when: Interval, span_ms: int, at_ms: int) -> bool:
    """The date ends after the span or later."""
    return when.last_ms >= at_ms + span_ms


SLIDING: dict[str, Callable[[Interval, int, int], bool]] = {
    "within_last": within_last,
    "within_next": within_next,
    "before_last": before_last,
    "after_next": after_next,
}
"""The comparators whose answer depends on the instant asked about: (when, span in ms, instant in ms)."""


def changes(op: str, when: Interval, span_ms: int) -> tuple[int, ...]:
    """The instants, ascending, at which a sliding comparator begins to say something else of a date."""
    first_ms, last_ms = when
    at: dict[str, tuple[int, ...]] = {
        "within_last": (first_ms, last_ms + span_ms + 1),
        "within_next": (first_ms - span_ms, last_ms + 1),
        "before_last": (first_ms + span_ms,),
        "after_next": (last_ms - span_ms + 1,),
    }
    return at[op]
