"""What may be sent next: live events, those that wait for a retry, and those of replays, in turn. Pure.

Rule: it holds only heads of lanes, each once; replays take half of the rate and of the concurrency at most, and hold
up nobody.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from segue.deliver.lanes import Item
from segue.deliver.pace import Pace


class Queue:
    """The heads of one destination's lanes."""

    def __init__(self, rate: float | None) -> None:
        self.ready: deque[Item] = deque()
        self.aside: deque[Item] = deque()  # of replays
        self.aside_flying = 0
        self.aside_pace = Pace(half(rate))
        self._due: list[tuple[int, int, Item]] = []  # parked ones: a heap by the instant of their retry
        self._turn = 0

    def __len__(self) -> int:
        return len(self.ready) + len(self.aside) + len(self._due)

    def set_rate(self, rate: float | None, now_ms: int) -> None:
        """The destination's rate from now on, in requests a second."""
        self.aside_pace.set_rate(half(rate), now_ms)

    def offer(self, item: Item) -> None:
        """A new head waits for its turn."""
        if item.parked:
            heappush(self._due, (item.due_at, item.arrival, item))
        elif item.job:
            self.aside.append(item)
        else:
            self.ready.append(item)

    def offer_first(self, item: Item) -> None:
        """A head goes before all others of its sort."""
        if item.parked:
            heappush(self._due, (0, item.arrival, item))
        elif item.job:
            self.aside.appendleft(item)
        else:
            self.ready.appendleft(item)

    def next(self, now_ms: int, concurrency: int) -> Item | None:
        """Live ones and those due for a retry in turn; every second one may be a replay's."""
        self._turn += 1
        ready = self.ready
        if self.aside and (self._turn % 2 or not ready) and self._may_send_aside(now_ms, concurrency):
            self.aside_pace.started(now_ms)
            return self.aside.popleft()
        if self._due and self._due[0][0] <= now_ms and (self._turn % 4 < 2 or not ready):
            return heappop(self._due)[2]
        return ready.popleft() if ready else None

    def next_at(self, now_ms: int) -> int | None:
        """After `next` gave nothing: when a parked one is due, or one of a replay may go by its rate."""
        due = self._due[0][0] if self._due else None
        opens = self.aside_pace.opens_at(now_ms) if self.aside else now_ms
        if opens <= now_ms:
            return due
        return opens if due is None else min(due, opens)

    def probe(self, last_lane: str) -> Item | None:
        """The head of another lane than the last probe's, where there is one; due or not."""
        for queue in (self.ready, self.aside):
            # Heads share no lane, so that the second is of another one where the first is not.
            for place in range(min(2, len(queue))):
                if lane_of(queue[place]) != last_lane:
                    item = queue[place]
                    del queue[place]
                    return item
        if len(self._due) > 1 and lane_of(self._due[0][2]) == last_lane:
            first = heappop(self._due)
            item = heappop(self._due)[2]
            heappush(self._due, first)
            return item
        if self._due:
            return heappop(self._due)[2]
        for queue in (self.ready, self.aside):
            if queue:
                return queue.popleft()
        return None

    def fill(self, items: list[Item], most: int) -> None:
        """More live heads for the same batch: heads of different lanes share no order key."""
        ready = self.ready
        while ready and len(items) < most and not ready[0].alone:
            items.append(ready.popleft())

    def _may_send_aside(self, now_ms: int, concurrency: int) -> bool:
        return self.aside_flying < max(1, concurrency // 2) and self.aside_pace.opens_at(now_ms) <= now_ms


def lane_of(item: Item) -> str:
    """The lane by which the breaker knows an item."""
    return item.keys[0] if item.keys else str(item.offset)


def half(rate: float | None) -> float | None:
    """Half of a rate; no limit stays none."""
    return rate / 2 if rate else None
