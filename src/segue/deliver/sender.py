"""Sending for one destination: which events go now, and where each stands once its answer is there.

Rule: an event leaves `window` only by a final outcome in the ledger or by a retry row; an attempt sees one plan from
its first line to its last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segue.core.clock import Clock
from segue.core.destination import Response
from segue.core.errors import Unavailable
from segue.core.event import Event
from segue.deliver.attempt import DELIVERED, REFUSED, RETRY, Attempt, Network, judge
from segue.deliver.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from segue.deliver.gate import Gate
from segue.deliver.history import decode_history, with_attempt
from segue.deliver.lanes import Item, Lanes
from segue.deliver.ledger import Ledger
from segue.deliver.limits import Limits
from segue.deliver.pace import Pace
from segue.deliver.plan import Plan, RetryRows
from segue.deliver.queue import Queue, lane_of
from segue.deliver.replay import Replay
from segue.deliver.retry import delay_ms, window_ends_at
from segue.deliver.standstill import Standstill

FULL_BATCHES_TO_GROW = 10
"""So many full batches in a row must be taken after a 413 before a larger one is tried again."""

GROWTH = 20
"""It is then larger by one in so many of the size that the settings ask for, one event at least."""


class Sender:
    """See the module. `wake` asks for a pump soon; `luck` gives a random number in [0, 1).

    `halted` says whether commits fail, so that nothing may be sent.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        *,
        clock: Clock,
        luck: Callable[[], float],
        network: Network,
        rows: RetryRows,
        wake: Callable[[], None],
        halted: Callable[[], bool],
        limits: Limits,
    ) -> None:
        self.plan = plan
        self.breaker = Breaker()
        self.pace = Pace(plan.max_rate)
        self.standstill = Standstill(clock.now_ms())
        self.lanes = Lanes()
        self.queue = Queue(plan.max_rate)
        self.window: dict[int, Item] = {}
        self.replays: dict[int, Replay] = {}
        self.flying = 0
        self._limits = limits
        self._ledger = ledger
        self._clock = clock
        self._luck = luck
        self._rows = rows
        self._wake = wake
        self._probe: Item | None = None
        self._set_batches(plan.batch_size)
        paces = (self.pace, self.queue.aside_pace)
        self._gate = Gate(network, paces=paces[:1], clock=clock, halted=halted, wake=wake)
        self._aside_gate = Gate(network, paces=paces, clock=clock, halted=halted, wake=wake)

    @property
    def room(self) -> int:
        """How many more events may be taken in now."""
        return self._window_most - len(self.window)

    @property
    def on_the_way(self) -> int:
        """Attempts with a request on its way."""
        return self.flying - len(self._gate.waiting) - len(self._aside_gate.waiting)

    @property
    def must_commit(self) -> bool:
        """Whether so much is not committed yet that nothing more may begin."""
        return self._ledger.outcomes >= self._limits.uncommitted

    def admit(self, item: Item) -> None:
        """Give an item its place in the lanes; it may start when it is the head of all of them."""
        head = self.lanes.add(item)
        if item.parked:
            self._park_behind(item, self._clock.now_ms())
            return
        if not item.job:
            self.window[item.offset] = item
        if head:
            self.queue.offer(item)

    def admit_parked(self, item: Item) -> None:
        """Give an item that has a retry row its place in the lanes."""
        item.parked = True
        if self.lanes.add(item):
            self.queue.offer(item)

    def reconfigure(self, plan: Plan, now: int) -> None:
        """Another plan holds for every attempt not yet begun."""
        was_enabled = self.plan.enabled
        self.plan = plan
        self.pace.set_rate(plan.max_rate, now)
        self.pace.resume()  # another key or address is not the one that asked to wait
        self.queue.set_rate(plan.max_rate, now)
        self._set_batches(plan.batch_size)
        self._probe = None  # one that is under way was made with the settings of before
        self.breaker.probe_now(now)
        self.standstill.set_disabled(not plan.enabled, now)
        if was_enabled and not plan.enabled:
            for item in [item for item in self.window.values() if not item.flying]:
                self._ledger.disabled(item.offset, reading=False)
                self._leave(item)
            self.queue.ready.clear()

    # -- starting ------------------------------------------------------------------------------------------------

    def start(self, now: int) -> int | None:
        """Start what may start; gives the instant at which more may. Raises Unavailable with all in its place."""
        if not self._gate.waiting and not self._aside_gate.waiting:
            return self._begin(now)
        instants = (self._gate.go_on(now), self._aside_gate.go_on(now), self._begin(now))
        return min((at for at in instants if at is not None), default=None)

    def _begin(self, now: int) -> int | None:
        """Begin new flows; gives the instant at which another may begin."""
        plan = self.plan
        while plan.enabled and not plan.stall and self.flying < plan.max_concurrency:
            if self.must_commit:
                return None  # the next commit pumps again
            opens = self.pace.opens_at(now)
            if opens > now:
                return opens if self.queue else None
            if self.breaker.state != CLOSED:
                return self._start_probe(now)
            item = self.queue.next(now, plan.max_concurrency)
            if item is None:
                return self.queue.next_at(now)
            self._launch(item, now)
        return None

    def _start_probe(self, now: int) -> int | None:
        if self.breaker.state != OPEN:
            return None  # a probe is on its way
        if not self.breaker.may_probe(now):
            return self.breaker.probe_at if self.queue else None
        item = self.queue.probe(self.breaker.last_lane)
        if item is None:
            return None
        self.breaker.probing(lane_of(item))
        self._probe = item
        self._launch(item, now)
        return None

    def _launch(self, item: Item, now: int) -> None:
        items, plan = [item], self.plan
        batching = self._batch_most > 1 and not item.alone
        if batching and not item.job and self.breaker.state == CLOSED:
            self.queue.fill(items, self._batch_most)
        try:
            events = [self._event_of(each) for each in items]
        except Unavailable:
            for each in reversed(items):
                self._unload(each)
                self.queue.offer_first(each)
            self._end_probe(item, now)
            raise
        for each in items:
            each.flying = True
        self.flying += 1
        self.queue.aside_flying += item.job > 0
        self.pace.started(now)
        flow: Any
        if batching:
            assert plan.kind.send_batch is not None
            flow = plan.kind.send_batch(plan.settings, events)
        else:
            flow = plan.kind.send(plan.settings, events[0])
        gate = self._aside_gate if item.job else self._gate
        gate.begins = True
        Attempt(items, flow, plan.mask, gate, self._clock, self._finished).begin()
        gate.begins = False  # of a flow that ended without a request

    def _event_of(self, item: Item) -> Event:
        """Have the event of a parked item at hand again."""
        if item.event is None:
            body, history = self._ledger.body_and_history(item, self._rows)
            item.event = Event(body)
            item.history = decode_history(history)
        return item.event

    def _end_probe(self, item: Item, now: int) -> None:
        """If this was the probe, and nothing was learned by it, another one may go."""
        if item is self._probe:
            self._probe = None
            if self.breaker.state == HALF_OPEN:
                self.breaker.probe_lost(now)

    # -- what comes back -----------------------------------------------------------------------------------------

    def _finished(self, attempt: Attempt) -> None:
        now = self._clock.now_ms()
        items = attempt.items
        self.flying -= 1
        self.queue.aside_flying -= items[0].job > 0
        for item in items:
            item.flying = False
        was_open = self.breaker.state != CLOSED
        if self._shrunk and attempt.verdict is DELIVERED:
            self._taken(len(items))
        if attempt.verdict is DELIVERED and attempt.answers is None:
            self.breaker.succeeded()
            for item in items:
                self._ledger.delivered(item, attempt.response, attempt.started_at, now, attempt.mask)
                self._leave(item)
        elif attempt.answers is not None:
            for item, answer in zip(items, attempt.answers, strict=True):
                verdict, reason = judge(answer)
                self._conclude(item, attempt, answer, verdict, reason, now)
        elif len(items) > 1 and attempt.verdict is REFUSED and _may_be_one_items_fault(attempt):
            self._split(items, attempt.response.status)
        else:
            for item in items:
                self._conclude(item, attempt, attempt.response, attempt.verdict, attempt.reason, now)
        self._end_probe(items[0], now)
        if was_open or self.breaker.state != CLOSED:
            self._ledger.dirty = True
            self.standstill.set_open(self.breaker.state != CLOSED, now)
        self._wake()

    def _split(self, items: list[Item], status: int) -> None:
        """A whole batch was refused: smaller ones after 413, else one by one, so that the good ones go through."""
        if status == 413:
            self._batch_most = max(1, len(items) // 2)
            self._shrunk, self._full_batches = True, 0
        for item in reversed(items):
            item.alone = status != 413
            self._queue_first(item)

    def _set_batches(self, size: int) -> None:
        """How many events go into a request as the settings ask for, and how many are taken in for that."""
        self._batch_size = self._batch_most = size
        self._shrunk, self._full_batches = False, 0
        self._window_most = max(self._limits.window, 2 * size)

    def _taken(self, count: int) -> None:
        """So many events of one request were taken after a 413 had made batches smaller: in time they grow again."""
        self._full_batches += count >= self._batch_most
        if self._full_batches >= FULL_BATCHES_TO_GROW:
            self._full_batches = 0
            self._batch_most = min(self._batch_size, self._batch_most + max(1, self._batch_size // GROWTH))
            self._shrunk = self._batch_most < self._batch_size

    def _conclude(self, item: Item, attempt: Attempt, response: Response, verdict: Any, reason: str, now: int) -> None:
        if verdict is DELIVERED:
            self.breaker.succeeded()
            self._ledger.delivered(item, response, attempt.started_at, now, attempt.mask)
            self._leave(item)
            return
        item.history = with_attempt(item.history, attempt.shown(response, now))
        if verdict is RETRY:
            self._retry(item, attempt, response, now)
        elif reason == "INVALID_AUTHENTICATION":
            self._key_refused(item, reason, now)
        else:
            if response.status and not attempt.message:
                self.breaker.succeeded()
            elif item is self._probe:
                self.breaker.refused_unasked(address=reason == "ADDRESS_REFUSED")
            self._refuse(item, reason, now)

    def _key_refused(self, item: Item, reason: str, now: int) -> None:
        kept = self.breaker.keeps_refused_key()
        self.breaker.key_refused(now, probe=item is self._probe)
        if kept:
            self._queue_first(item)
        else:
            self._refuse(item, reason, now)

    def _retry(self, item: Item, attempt: Attempt, response: Response, now: int) -> None:
        item.attempts += 1
        self._begin_window(item, attempt.started_at, now)
        wait = delay_ms(item.attempts, self._luck())
        asked_to_wait = response.status == 429 or (response.status == 503 and response.retry_after_ms is not None)
        if asked_to_wait:
            self.pace.pause(now + (wait if response.retry_after_ms is None else response.retry_after_ms))
        elif item is attempt.items[0]:
            self.breaker.failed(item.keys, now, probe=item is self._probe)
        stopped_ms = self.standstill.since(item.stopped_at, item.open_at)
        ends = window_ends_at(started_at=item.first_at, stopped_since_ms=stopped_ms)
        if now >= ends:
            self._refuse(item, "RETRY", now)
        elif asked_to_wait:
            self._queue_first(item)
        else:
            item.due_at = min(now + wait, ends)
            self._park(item, now)

    def _refuse(self, item: Item, reason: str, now: int) -> None:
        assert item.event is not None
        self._ledger.refused(item, reason, item.event.body, now)
        self._leave(item)

    # -- where items stand ---------------------------------------------------------------------------------------

    def _leave(self, item: Item) -> None:
        """The item has a final outcome: those behind it may go."""
        self._left(item)
        for head in self.lanes.remove(item):
            self.queue.offer(head)

    def _left(self, item: Item) -> None:
        if not item.job:
            self.window.pop(item.offset, None)
        elif item.job in self.replays:
            self.replays[item.job].left(item)

    def _queue_first(self, item: Item) -> None:
        """Back to where it was, to be sent again: a pause, a probe or a batch was no verdict about it."""
        if item.parked:
            self._ledger.retried(item)
            self._unload(item)
        elif not item.job and not self.plan.enabled:
            self._ledger.disabled(item.offset, reading=False)
            self._leave(item)
            return
        self.queue.offer_first(item)

    def _park(self, item: Item, now: int) -> None:
        """It waits for its retry in a row of the state, and so does all that stands behind it."""
        if item.parked:
            self._ledger.retried(item)
            self._unload(item)
        else:
            for newly in self.lanes.park_followers(item):
                self._park_behind(newly, now)
        self.queue.offer(item)

    def _park_behind(self, item: Item, now: int) -> None:
        assert item.event is not None
        self._begin_window(item, now, now)
        self._left(item)
        self._ledger.parked(item, item.event)
        self._unload(item)

    def _begin_window(self, item: Item, first_at: int, now: int) -> None:
        """Its retry window runs from `first_at`, if none does yet."""
        self.standstill.count(now)
        if not item.first_at:
            item.first_at = first_at
            item.stopped_at, item.open_at = self.standstill.stopped_ms, self.standstill.open_ms

    @staticmethod
    def _unload(item: Item) -> None:
        """A parked item's bytes and attempts are in its row, not in memory."""
        if item.parked:
            item.event = None
            item.history = []


def _may_be_one_items_fault(attempt: Attempt) -> bool:
    """Whether a batch was refused for what one of its events holds: by the vendor, or by the flow."""
    return bool(attempt.message) or 400 <= attempt.response.status < 500
