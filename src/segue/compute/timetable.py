"""The timetable of a space: which profile must be looked at next because time passes, and when.

All instants stand in the rows; the nearest ones are in memory.

Rule: no instant is passed over: what is not in memory is later than all that is, and committed or remembered as not yet
committed. One that is no longer true may come up; looking at a profile for nothing is harmless.
"""

from __future__ import annotations

import heapq
from typing import Protocol

LOADED_AT_ONCE = 5_000
HELD_MOST = 20_000

_END = (1 << 62, 0)


class DueRows(Protocol):
    """The committed instants."""

    def due(self, *, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        """The next (instant, profile) after this one, in order."""
        ...


class Timetable:
    """Of one space. `set` what changes; `written` when that is durable."""

    def __init__(self, rows: DueRows) -> None:
        self._rows = rows
        self._heap: list[tuple[int, int]] = []
        self._horizon: tuple[int, int] = (-1, 0)
        """Everything up to here is in the heap."""
        self._changed: dict[int, int | None] = {}
        self._writing: dict[int, int | None] = {}
        self._held: dict[int, int] = {}
        """The instant of each profile in the heap that is true; others in the heap are stale."""

    def set(self, profile: int, due: int | None) -> None:
        """From now on this is the profile's next instant, in ms; None: there is none."""
        self._changed[profile] = due
        if due is not None and (due, profile) <= self._horizon:
            if self._held.get(profile) != due:
                self._held[profile] = due
                heapq.heappush(self._heap, (due, profile))
        else:
            self._held.pop(profile, None)

    def next(self) -> tuple[int, int] | None:
        """The earliest instant and its profile; None where nothing will ever be due. Raises Unavailable, Damaged."""
        while True:
            while self._heap and self._held.get(self._heap[0][1]) != self._heap[0][0]:
                heapq.heappop(self._heap)
            if self._heap:
                return self._heap[0]
            if self._horizon == _END:
                return None
            self._load()

    def take(self) -> None:
        """What was set until now is being written."""
        self._writing = self._changed
        self._changed = {}

    def written(self) -> None:
        """What was being written is durable. Let go of the latest instants where there are too many."""
        self._writing = {}
        if len(self._heap) > HELD_MOST:
            kept = heapq.nsmallest(LOADED_AT_ONCE, (each for each in self._heap if self._held.get(each[1]) == each[0]))
            self._heap = kept
            self._held = {profile: due for due, profile in kept}
            self._horizon = kept[-1] if kept else self._horizon

    def _load(self) -> None:
        found = self._rows.due(after=self._horizon, limit=LOADED_AT_ONCE)
        self._horizon = found[-1] if len(found) == LOADED_AT_ONCE else _END
        unwritten = {**self._writing, **self._changed}
        rows = [(due, profile) for due, profile in found if profile not in unwritten]
        rows += [
            (due, profile) for profile, due in unwritten.items() if due is not None and (due, profile) <= self._horizon
        ]
        for due, profile in rows:
            if profile not in self._held:
                self._held[profile] = due
                heapq.heappush(self._heap, (due, profile))
