"""Windows: at which instants an event of a stream counts.

`within` and `between` are measured from the instant asked about: an event counts from its own time plus the near end,
that instant included, until its own time plus the far end, that instant not included. Retention and `historical` are
windows of the same kind, on when an event was received or happened.

Rule: an event counts in one unbroken stretch of time, known from the event alone; a session is the one window that
depends on its neighbours.

Source: Segment's "Query language" for the windows and "Computed traits" for sessions; which ends are open is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from segue.compute.history import Occurrence
from segue.compute.tree import Between, Event, Within

FOREVER = 1 << 62
"""Later than any instant, in ms since 1970."""


class Reach(NamedTuple):
    """Which events a definition may read at all.

    `retention_ms`: how long after its receipt an event counts, as the space says. `received_from_ms` and `from_ms`:
    the fixed floors of `historical`, on receipt and on when it happened.
    """

    retention_ms: int | None = None
    received_from_ms: int | None = None
    from_ms: int | None = None


WHOLE = Reach()
"""All of the history."""


class Stay(NamedTuple):
    """The stretch of time in which an event counts: from one instant on, until before another. Empty where reversed."""

    from_ms: int
    until_ms: int

    def holds(self, at_ms: int) -> bool:
        """Whether the event counts at this instant."""
        return self.from_ms <= at_ms < self.until_ms


NOT_AT_ALL = Stay(FOREVER, FOREVER)


def stay(occurrence: Occurrence, window: Within | Between | None, reach: Reach) -> Stay:
    """When an event that passes all other filters counts under a window; without one, from when it happened."""
    if reach.received_from_ms is not None and occurrence.received_at < reach.received_from_ms:
        return NOT_AT_ALL
    if reach.from_ms is not None and occurrence.t < reach.from_ms:
        return NOT_AT_ALL
    near_ms = window.from_.ms if isinstance(window, Between) else 0
    until_ms = FOREVER if window is None else occurrence.t + window.to.ms
    if reach.retention_ms is not None:
        until_ms = min(until_ms, occurrence.received_at + reach.retention_ms)
    from_ms = occurrence.t + near_ms
    return Stay(from_ms, until_ms) if from_ms < until_ms else NOT_AT_ALL


def timed_window(stream: Event) -> Within | Between | None:
    """The window of a stream that is measured from the instant asked about; a session is none."""
    return stream.window if isinstance(stream.window, Within | Between) else None


def current_session(occurrences: Sequence[Occurrence], span_ms: int, at_ms: int) -> Sequence[Occurrence]:
    """The newest run of events whose neighbours are less than the span apart; nothing once it was quiet for as long.

    The events are in their order, and none happened after the instant.
    """
    if not occurrences or at_ms - occurrences[-1].t >= span_ms:
        return ()
    start = len(occurrences) - 1
    while start > 0 and occurrences[start].t - occurrences[start - 1].t < span_ms:
        start -= 1
    return occurrences[start:]
