"""Lanes: which events of one destination may be sent now, given which others are not final yet. Pure.

An event stands in one lane for each of its order keys (its userId, its anonymousId; the profile where a space speaks of
one that has neither) and may be sent when it is the head of all of them. An event whose attempt failed is parked (kept
in a retry row); what comes behind it in any of its lanes is parked with it, so that one user's trouble holds up nobody
else.

Rule: in each lane the order is that of arrival, and behind a parked event there are only parked events.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from heapq import heappop, heappush
from itertools import dropwhile, islice
from operator import is_not
from typing import Any

from segue.core.event import Event, Record


class Item:
    """One event on its way to one destination. Times are milliseconds since 1970, 0 where not yet."""

    __slots__ = (
        "alone",
        "arrival",
        "attempts",
        "due_at",
        "event",
        "first_at",
        "flying",
        "history",
        "job",
        "keys",
        "message_id",
        "offset",
        "open_at",
        "parked",
        "received_at",
        "size",
        "source",
        "stopped_at",
    )

    def __init__(
        self,
        offset: int,
        source: str,
        message_id: str,
        received_at: int,
        keys: tuple[str, ...],
        event: Event | None,
        job: int = 0,
    ) -> None:
        self.arrival = 0  # its place among all that entered the lanes of this destination
        self.offset = offset
        self.source = source
        self.message_id = message_id
        self.received_at = received_at
        self.keys = keys
        self.event = event  # None while it is parked: its bytes are in the retry row
        self.job = job  # the replay that asks for it; 0 is the live way
        self.parked = False
        self.flying = False
        self.alone = False  # its batch was refused: send it by itself
        self.attempts = 0
        self.first_at = 0
        self.stopped_at = 0  # how long the destination had been disabled, and
        self.open_at = 0  # how long its breaker had not been closed, at `first_at`
        self.due_at = 0
        self.size = 0  # what its retry row takes in bytes
        self.history: list[dict[str, Any]] = []


def profile_keys(record: Record) -> tuple[str, ...]:
    """The lane of a record without userId and anonymousId: its profile's, which only a space's own source names."""
    return () if record.destinations is None else ("p:" + record.user_key,)


class Lanes:
    """The lanes of one destination."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Item]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def reserve(self, count: int) -> int:
        """Keep so many places of arrival for events that come in by another way; gives the first."""
        first = self._arrivals + 1
        self._arrivals += count
        return first

    def add(self, item: Item) -> bool:
        """Put the item at the end of its lanes. True where it is their head, so that it may start.

        Where it comes to stand behind a parked item it is marked as parked too.
        """
        lanes = self._lanes
        self._arrivals += 1
        item.arrival = self._arrivals
        head = True
        for key in item.keys:
            lane = lanes.get(key)
            if lane is None:
                lanes[key] = deque((item,))
            else:
                if lane[-1].parked:
                    item.parked = True
                head = False
                lane.append(item)
        return head

    def is_head(self, item: Item) -> bool:
        """Whether nothing stands before the item in any of its lanes."""
        return all(self._lanes[key][0] is item for key in item.keys)

    def park_followers(self, item: Item) -> list[Item]:
        """Mark the item, and all that stand behind it, directly or behind one of those, as parked.

        Gives those that were not parked before, in order of arrival, the item itself among them.
        """
        newly: list[Item] = []
        waiting: list[tuple[int, Item]] = []

        def park(found: Item) -> None:
            if not found.parked:
                found.parked = True
                newly.append(found)
            heappush(waiting, (found.arrival, found))

        park(item)
        seen: set[str] = set()  # lanes walked from their first parked item on; earliest arrival first sees to that
        while waiting:
            first = heappop(waiting)[1]
            for key in first.keys:
                if key in seen:
                    continue
                seen.add(key)
                behind = dropwhile(partial(is_not, first), self._lanes[key])
                for other in islice(behind, 1, None):
                    if not other.parked:
                        park(other)
        newly.sort(key=lambda found: found.arrival)
        return newly

    def remove(self, item: Item) -> list[Item]:
        """Take an item out wherever it stands; gives the items that are heads now and were not before."""
        heads: list[Item] = []
        for key in item.keys:
            lane = self._lanes[key]
            if len(lane) == 1:
                del self._lanes[key]
                continue
            was_head = lane[0] is item
            lane.remove(item)
            if was_head and lane[0] not in heads:
                heads.append(lane[0])
        return [head for head in heads if self.is_head(head)]

    def longest(self, count: int) -> list[tuple[str, int]]:
        """The order keys with the most events waiting, and how many: who fills the retry rows."""
        sizes = sorted(((key, len(lane)) for key, lane in self._lanes.items()), key=lambda pair: -pair[1])
        return sizes[:count]
