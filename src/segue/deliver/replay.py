"""A replay: a part of the log sent to one destination once more, beside the live way.

Rule: it has its own cursor and counts, outside the destination's balance, and shares the lanes, so that no event
overtakes an earlier one of the same user that is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from segue.core.errors import OffsetExpired
from segue.core.event import Event, Record
from segue.deliver.lanes import Item, profile_keys
from segue.deliver.plan import Records, is_addressed
from segue.state.deliveries import ReplayState

if TYPE_CHECKING:
    from segue.deliver.delivery import Delivery


class Replay:
    """One replay under way. `takes` says which events it is about."""

    def __init__(self, job: int, takes: Callable[[Event], bool], state: ReplayState, records: Records) -> None:
        self.job = job
        self.state = state
        self._takes = takes
        self.waiting: dict[int, Item] = {}
        self._records = records

    def pump(self, delivery: Delivery, now: int) -> bool:
        """Take in records while there is room; True where there may be more to take in at once."""
        state = self.state
        if state.state != "running" or not delivery.plan.enabled or delivery.ledger.state.stall:
            return False
        if state.position >= state.end:
            self._end_when_empty(delivery)
            return False
        room = min(delivery.limits.replay_window - len(self.waiting), delivery.retry_room())
        if room <= 0:
            return False
        try:
            block = self._records.read(state.position)
        except OffsetExpired as expired:
            state.expired += min(expired.start, state.end) - state.position
            state.position = min(expired.start, state.end)
            delivery.ledger.dirty = True
            return True
        delivery.ledger.dirty = True
        if not block:
            state.position = state.end
        for record, event in block:
            if record.offset >= state.end:
                state.position = state.end
                break
            state.position = record.offset + 1
            if record.source in delivery.plan.sources and self._takes(event):
                self._select(delivery, record, event)
                room -= 1
                if room <= 0:
                    break
        return True

    def cancel(self, delivery: Delivery) -> None:
        """Take in no more; what is on its way ends as it would."""
        if self.state.state == "running":
            self.state.state = "cancelled"
            self.state.end = self.state.position
            delivery.ledger.dirty = True

    def admit(self, delivery: Delivery, record: Record, event: Event) -> None:
        """Put an event in its lanes, as this replay's."""
        keys = event.order_keys or profile_keys(record)
        item = Item(record.offset, record.source, record.message_id, record.received_at, keys, event, self.job)
        self.waiting[record.offset] = item
        delivery.admit(item)

    def left(self, item: Item) -> None:
        """The item has a final outcome or a retry row."""
        self.waiting.pop(item.offset, None)

    def is_over(self) -> bool:
        """Whether nothing of it is on its way."""
        return self.state.state != "running" and not self.waiting and not self.state.retrying

    def _select(self, delivery: Delivery, record: Record, event: Event) -> None:
        self.state.matched += 1
        if not is_addressed(record, delivery.ledger.destination) or delivery.plan.decide(event) is not None:
            self.state.filtered += 1
        else:
            self.admit(delivery, record, event)

    def _end_when_empty(self, delivery: Delivery) -> None:
        if not self.waiting and not self.state.retrying:
            self.state.state = "done"
            delivery.ledger.dirty = True
