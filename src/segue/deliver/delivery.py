"""The delivery to one destination: reads the log, decides, sends, and keeps the ledger.

It is a machine without a loop: `pump` does all that can be done at this instant and says when to be called again;
the network calls back; `take` hands over what changed. Everything it needs comes in by parameter, so that a
simulation drives the same code with a clock, a network and a log of its own.

Rule: an event leaves `window` only by a final outcome in the ledger or by a retry row; nothing is started while the
last commit has not succeeded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import msgspec

from segue.core.clock import Clock
from segue.core.destination import Response
from segue.core.errors import OffsetExpired
from segue.core.event import Event, Record
from segue.deliver import breaker as breakers
from segue.deliver.attempt import DELIVERED, RETRY, Attempt, Network, judge
from segue.deliver.breaker import Breaker
from segue.deliver.history import attempt_shown, decode_history, with_attempt
from segue.deliver.lanes import Item, Lanes
from segue.deliver.ledger import Answers, Ledger, keys_of
from segue.deliver.pace import Pace
from segue.deliver.plan import Plan, Records, RetryRows
from segue.deliver.replay import Replay
from segue.deliver.retry import clamp_due, delay_ms, window_ends_at
from segue.state.deliveries import Delta, DestinationState, ParkedRow, Redrive, RedriveCount

WINDOW = 1_000
RETRY_ROWS_MOST = 100_000
RETRY_BYTES_MOST = 256_000_000
OUTCOMES_UNCOMMITTED_MOST = 2_000
RECORDS_A_PUMP = 2_000
RETRY_ROWS_FULL = "the retry rows are full"


class Delivery:
    """See the module. `wake` asks the loop to pump it soon; `luck` gives a random number in [0, 1)."""

    def __init__(
        self,
        destination: int,
        plan: Plan,
        state: DestinationState,
        *,
        clock: Clock,
        luck: Callable[[], float],
        network: Network,
        records: Records,
        rows: RetryRows,
        answers: Answers,
        wake: Callable[[Delivery], None],
    ) -> None:
        self.plan = plan
        self.breaker = Breaker()
        self.pace = Pace(plan.max_rate)
        self.lanes = Lanes()
        self.ledger = Ledger(destination, state, answers)
        self.window: dict[int, Item] = {}
        self.flying = 0
        self.ready: deque[Item] = deque()
        self.aside: deque[Item] = deque()  # ready items of replays
        self.aside_flying = 0
        self.aside_pace = Pace(half(plan.max_rate))
        self.replays: dict[int, Replay] = {}
        self._due: list[tuple[int, int, Item]] = []
        self._clock = clock
        self._luck = luck
        self._network = network
        self._records = records
        self._rows = rows
        self._wake = wake
        self._turn = 0
        self._batch_most = plan.batch_size
        self._disabled_at: int | None = None
        self._stopped_disabled = 0
        self.ledger.dirty = True  # so that it has a row in the state from the first commit on
        self._over: list[int] = []  # jobs whose last state the commit under way writes
        self._redriven: list[tuple[int, int]] = []  # arrivals of rows that the next commit brings back
        self._restore()

    # -- what happens at an instant ------------------------------------------------------------------------------

    @property
    def outcomes(self) -> int:
        """Final outcomes since the last `take`."""
        return self.ledger.outcomes

    @property
    def dirty(self) -> bool:
        """Whether `take` would give anything."""
        return self.ledger.dirty

    def pump(self) -> int | None:
        """Read, decide and start all that can be now; gives the instant to be called again at the latest."""
        now = self._clock.now_ms()
        more = self._read(now)
        for replay in self.replays.values():
            more |= replay.pump(self, now)
        wake_at = self._start(now)
        return now if more else wake_at

    def reconfigure(self, plan: Plan) -> None:
        """Another plan holds for every attempt not yet begun."""
        now = self._clock.now_ms()
        was_enabled = self.plan.enabled
        self.plan = plan
        self.pace.set_rate(plan.max_rate)
        self.aside_pace.set_rate(half(plan.max_rate))
        self._batch_most = plan.batch_size
        self.breaker.probe_now(now)
        if was_enabled and not plan.enabled:
            self._disabled_at = now
            for item in [item for item in self.window.values() if not item.flying]:
                self.ledger.filtered("DESTINATION_DISABLED", item.offset)
                self._leave(item)
            self.ready.clear()
        elif plan.enabled and not was_enabled:
            self._stopped_disabled = self._stopped_ms(now) - self.breaker.stopped_ms(now)
            self._disabled_at = None

    def take(self) -> Delta:
        """What changed since the last call; the caller commits it, repeating until that succeeds."""
        state = self.ledger.state
        now = self._clock.now_ms()
        state.breaker = self.breaker.state
        state.breaker_reason = self.breaker.reason
        state.stopped_ms = self._stopped_ms(now)
        for replay in self.replays.values():
            replay.state.unfinished = sorted(replay.waiting)
        self._over = [job for job in self.ledger.replays if job not in self.replays or self.replays[job].is_over()]
        return self.ledger.take(sorted(self.window))

    def committed(self) -> None:
        """What `take` gave is durable."""
        self.ledger.committed()
        redriven, self._redriven = self._redriven, []
        for first, last in redriven:
            for row in self._rows.parked_rows(self.ledger.destination, first=first, last=last):
                self._admit_parked(row, self._clock.now_ms())
        for job in self._over:
            self.replays.pop(job, None)
            del self.ledger.replays[job]
        self._over = []

    def start_replay(self, job: int, replay: Replay) -> None:
        """Send a part of the log once more, beside the live way; or go on with it after a restart."""
        self.replays[job] = replay
        self.ledger.replays[job] = replay.state
        self.ledger.dirty = True
        for record, event in self._records.get(replay.state.unfinished):
            replay.admit(self, record, event)

    def redrive(self, reasons: Sequence[str], message_ids: Sequence[str]) -> RedriveCount:
        """Take dead letters back to retrying with the next commit, as many as there is room for. Empty means any."""
        state, now = self.ledger.state, self._clock.now_ms()
        rows, size = RETRY_ROWS_MOST - state.retrying, RETRY_BYTES_MOST - state.retry_bytes
        chosen = msgspec.json.encode(reasons).decode(), msgspec.json.encode(message_ids).decode()
        found = self._rows.redrivable(self.ledger.destination, *chosen, rows=rows, size=size)
        count = sum(found.reasons.values())
        if count:
            first = self.lanes.reserve(count)
            self._redriven.append((first, first + count - 1))
            redrive = Redrive(self.ledger.destination, found.last_id, *chosen, first, now)
            self.ledger.redriven(redrive, found.reasons, found.size)
        return found

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, now: int) -> bool:
        """Take in records while there is room; True where there may be more to take in at once."""
        state, plan = self.ledger.state, self.plan
        state.stall = plan.stall or (RETRY_ROWS_FULL if self._retry_rows_full() else "")
        budget = RECORDS_A_PUMP
        while budget > 0:
            if len(self.window) >= WINDOW or state.stall or self.ledger.outcomes >= OUTCOMES_UNCOMMITTED_MOST:
                return False
            try:
                block = self._records.read(state.position)
            except OffsetExpired as expired:
                self._jump(expired.start)
                continue
            if not block:
                return False
            room = WINDOW - len(self.window)
            for record, event in block:
                state.position = record.offset + 1
                if record.source in plan.sources:
                    state.passed[record.source] = record.ordinal
                    code = plan.decide(event) if plan.enabled else "DESTINATION_DISABLED"
                    if code is not None:
                        self.ledger.filtered(code, record.offset)
                        continue
                    self._take_in(record, event)
                    room -= 1
                    if room <= 0:
                        break
            budget -= len(block)
            state.moved_at = now
            self.ledger.dirty = True
        return True

    def _take_in(self, record: Record, event: Event) -> None:
        keys = event.order_keys
        self.admit(Item(record.offset, record.source, record.message_id, record.received_at, keys, event))

    def admit(self, item: Item) -> None:
        """Give an item its place in the lanes; it may start when it is the head of all of them."""
        head = self.lanes.add(item)
        if item.parked:
            self._park_behind(item, self._clock.now_ms())
            return
        if not item.job:
            self.window[item.offset] = item
        if head:
            self._offer(item)

    def _jump(self, start: int) -> None:
        """Retention dropped what stood before `start`: those events are lost to this destination, and counted."""
        state = self.ledger.state
        lost = 0
        for source, ordinal in self._records.ordinals_before(start).items():
            if source in self.plan.sources:
                lost += max(0, ordinal - state.passed.get(source, 0))
                state.passed[source] = max(ordinal, state.passed.get(source, 0))
        state.position = start
        self.ledger.lost(lost)

    def _retry_rows_full(self) -> bool:
        state = self.ledger.state
        return state.retrying >= RETRY_ROWS_MOST or state.retry_bytes >= RETRY_BYTES_MOST

    # -- starting ------------------------------------------------------------------------------------------------

    def _start(self, now: int) -> int | None:
        """Start what may start; gives the instant at which more may."""
        plan = self.plan
        while plan.enabled and not plan.stall and self.flying < plan.max_concurrency:
            if self.ledger.outcomes >= OUTCOMES_UNCOMMITTED_MOST:
                return None  # the next commit pumps again
            opens = self.pace.opens_at(now)
            if opens > now:
                return opens if self.ready or self.aside or self._due else None
            if self.breaker.state != breakers.CLOSED:
                return self._probe(now)
            item = self._next(now)
            if item is None:
                return self._next_due(now)
            self._launch(item, now)
        return None

    def _next_due(self, now: int) -> int | None:
        """When the next parked item is due, or the next one of a replay may go."""
        aside = self.aside_pace.opens_at(now) if self.aside else now
        due = self._due[0][0] if self._due else None
        if aside <= now:
            return due
        return aside if due is None else min(due, aside)

    def _next(self, now: int) -> Item | None:
        """The next item to send: live ones and those due for a retry in turn; every second one may be a replay's."""
        self._turn += 1
        if self.aside and (self._turn % 2 or not self.ready) and self._may_send_aside(now):
            self.aside_pace.started(now)
            return self.aside.popleft()
        is_due = bool(self._due) and self._due[0][0] <= now
        if is_due and (self._turn % 4 < 2 or not self.ready):
            return heappop(self._due)[2]
        return self.ready.popleft() if self.ready else None

    def _may_send_aside(self, now: int) -> bool:
        """Replays take half of the concurrency and of the rate at most."""
        most = max(1, self.plan.max_concurrency // 2)
        return self.aside_flying < most and self.aside_pace.opens_at(now) <= now

    def _probe(self, now: int) -> int | None:
        if self.breaker.state != breakers.OPEN:
            return None  # a probe is on its way
        if not self.breaker.may_probe(now):
            return self.breaker.probe_at
        item = self._next_probe()
        if item is None:
            return None
        self.breaker.probing(lane_of(item))
        self._launch(item, now)
        return None

    def _next_probe(self) -> Item | None:
        """The head of another lane than the last probe's, where there is one; due or not."""
        last = self.breaker.last_lane
        for queue in (self.ready, self.aside):
            for item in queue:
                if lane_of(item) != last:
                    queue.remove(item)
                    return item
        for entry in self._due[:100]:
            if lane_of(entry[2]) != last:
                self._due.remove(entry)
                self._due.sort()  # a sorted list is a heap
                return entry[2]
        if self.ready:
            return self.ready.popleft()
        return heappop(self._due)[2] if self._due else None

    def _launch(self, item: Item, now: int) -> None:
        items = [item]
        plan = self.plan
        if self._batch_most > 1 and not item.alone and not item.job and self.breaker.state == breakers.CLOSED:
            self._fill(items)
        for each in items:
            self._load(each)
        self.flying += 1
        self.aside_flying += item.job > 0
        self.pace.started(now)
        events = [each.event for each in items if each.event is not None]
        if len(items) > 1 or (self._batch_most > 1 and not item.alone):
            assert plan.kind.send_batch is not None
            flow: Any = plan.kind.send_batch(plan.settings, events)
        else:
            flow = plan.kind.send(plan.settings, events[0])
        Attempt(items, flow, self._network, self._clock, self._finished).begin()

    def _fill(self, items: list[Item]) -> None:
        """More heads for the same batch: heads of different lanes share no order key."""
        ready = self.ready
        while ready and len(items) < self._batch_most and not ready[0].alone:
            items.append(ready.popleft())

    def _load(self, item: Item) -> None:
        """Have the event of a parked item at hand again."""
        item.flying = True
        if item.event is None:
            row = self.ledger.row(item) or self._rows.retry_row(self.ledger.destination, item.job, item.offset)
            assert row is not None, f"retry row of offset {item.offset} is missing"
            item.event = Event(row.body)
            item.history = decode_history(row.history)

    # -- what comes back -----------------------------------------------------------------------------------------

    def _finished(self, attempt: Attempt) -> None:
        now = self._clock.now_ms()
        items = attempt.items
        self.flying -= 1
        self.aside_flying -= items[0].job > 0
        for item in items:
            item.flying = False
        if attempt.verdict is DELIVERED and attempt.answers is None:
            self.breaker.succeeded(now)
            for item in items:
                self.ledger.delivered(item, attempt.response, attempt.started_at, now, self.plan.mask)
                self._leave(item)
        elif attempt.answers is not None:
            for item, answer in zip(items, attempt.answers, strict=True):
                verdict, reason = judge(answer)
                self._conclude(item, attempt, answer, verdict, reason, now)
        elif len(items) > 1 and attempt.verdict is not RETRY and 400 <= attempt.response.status < 500:
            self._split(items, attempt.response.status)
        else:
            for item in items:
                self._conclude(item, attempt, attempt.response, attempt.verdict, attempt.reason, now)
        self._wake(self)

    def _split(self, items: list[Item], status: int) -> None:
        """A whole batch was refused: smaller ones after 413, else one by one, so that the good ones go through."""
        if status == 413:
            self._batch_most = max(1, len(items) // 2)
        for item in reversed(items):
            item.alone = status != 413
            self._queue_first(item)

    def _conclude(self, item: Item, attempt: Attempt, response: Response, verdict: Any, reason: str, now: int) -> None:
        if verdict is DELIVERED:
            self.breaker.succeeded(now)
            self.ledger.delivered(item, response, attempt.started_at, now, self.plan.mask)
            self._leave(item)
            return
        shown = attempt_shown(
            at=attempt.started_at,
            duration_ms=now - attempt.started_at,
            request=attempt.request,
            response=response,
            message=attempt.message,
            mask=self.plan.mask,
        )
        item.history = with_attempt(item.history, shown)
        if verdict is RETRY:
            self._retry(item, attempt, response, now)
        elif reason == "INVALID_AUTHENTICATION":
            kept = self.breaker.keeps_refused_key()
            self.breaker.key_refused(now)
            if kept:
                self._queue_first(item)
            else:
                self._refuse(item, reason, now)
        else:
            if attempt.message or not response.status:
                self.breaker.probe_lost(now)  # it says nothing about the vendor
            else:
                self.breaker.succeeded(now)
            self._refuse(item, reason, now)

    def _retry(self, item: Item, attempt: Attempt, response: Response, now: int) -> None:
        item.attempts += 1
        if not item.first_at:
            item.first_at = attempt.started_at
            item.stopped_at = self._stopped_ms(now)
        wait = delay_ms(item.attempts, self._luck())
        asked_to_wait = response.status == 429 or (response.status == 503 and response.retry_after_ms is not None)
        if asked_to_wait:
            self.pace.pause(now + (wait if response.retry_after_ms is None else response.retry_after_ms))
            self.breaker.probe_lost(now)
        elif item is attempt.items[0]:
            self.breaker.failed(lane_of(item), now)
        ends = window_ends_at(started_at=item.first_at, stopped_since_ms=self._stopped_ms(now) - item.stopped_at)
        if now >= ends:
            self._refuse(item, "RETRY", now)
        elif asked_to_wait:
            self._queue_first(item)
        else:
            item.due_at = min(now + wait, ends)
            self._park(item, now)

    def _refuse(self, item: Item, reason: str, now: int) -> None:
        assert item.event is not None
        self.ledger.refused(item, reason, item.event.body, now)
        self._leave(item)

    # -- where items stand ---------------------------------------------------------------------------------------

    def _leave(self, item: Item) -> None:
        """The item has a final outcome: those behind it may go."""
        if item.job:
            self.replays[item.job].left(item)
        else:
            self.window.pop(item.offset, None)
        for head in self.lanes.remove(item):
            self._offer(head)

    def _offer(self, item: Item) -> None:
        """A new head waits for its turn."""
        if item.parked:
            heappush(self._due, (item.due_at, item.arrival, item))
        elif item.job:
            self.aside.append(item)
        else:
            self.ready.append(item)

    def _queue_first(self, item: Item) -> None:
        """Back to where it was, to be sent again: a pause, a probe or a batch was no verdict about it."""
        if item.parked:
            self.ledger.retried(item)
            self._unload(item)
            heappush(self._due, (0, item.arrival, item))
        elif item.job:
            self.aside.appendleft(item)
        else:
            self.ready.appendleft(item)

    def _park(self, item: Item, now: int) -> None:
        """It waits for its retry in a row of the state, and so does all that stands behind it."""
        if item.parked:
            self.ledger.retried(item)
            self._unload(item)
        else:
            for newly in self.lanes.park_followers(item):
                self._park_behind(newly, now)
        heappush(self._due, (item.due_at, item.arrival, item))

    def _park_behind(self, item: Item, now: int) -> None:
        assert item.event is not None
        if not item.first_at:
            item.first_at = now
            item.stopped_at = self._stopped_ms(now)
        if item.job:
            self.replays[item.job].left(item)
        else:
            self.window.pop(item.offset, None)
        self.ledger.parked(item, item.event)
        self._unload(item)

    @staticmethod
    def _unload(item: Item) -> None:
        """A parked item's bytes and attempts are in its row, not in memory."""
        item.event = None
        item.history = []

    def _stopped_ms(self, now: int) -> int:
        """For how long retry windows have stood still in all."""
        disabled = now - self._disabled_at if self._disabled_at is not None else 0
        return self.breaker.stopped_ms(now) + self._stopped_disabled + disabled

    # -- after a start -------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Stand where the last commit stood: retry rows and unfinished events back in their lanes, oldest first."""
        state, now = self.ledger.state, self._clock.now_ms()
        self.breaker.restore(state.breaker, state.breaker_reason, state.stopped_ms, now)
        if not self.plan.enabled:
            self._disabled_at = now
        rows = self._rows.parked_rows(self.ledger.destination)
        self.lanes.reserve(max((row.arrival for row in rows), default=0))
        unfinished = self._records.get(state.unfinished)
        self.ledger.lost(len(state.unfinished) - len(unfinished))
        waiting: list[tuple[int, ParkedRow | tuple[Record, Event]]] = [(row.offset, row) for row in rows]
        waiting += [(pair[0].offset, pair) for pair in unfinished]
        for _, each in sorted(waiting, key=lambda pair: pair[0]):
            if isinstance(each, ParkedRow):
                self._admit_parked(each, now)
            elif self.plan.enabled:
                self._take_in(*each)
            else:
                self.ledger.filtered("DESTINATION_DISABLED", each[0].offset)

    def _admit_parked(self, row: ParkedRow, now: int) -> None:
        item = Item(row.offset, row.source, row.message_id, row.received_at, keys_of(row.order_keys), None, row.job)
        item.parked = True
        item.size = row.size
        item.attempts, item.first_at, item.stopped_at = row.attempts, row.first_at, row.stopped_at
        item.due_at = clamp_due(row.due_at, now)
        if self.lanes.add(item):
            self._offer(item)


def lane_of(item: Item) -> str:
    """The lane by which the breaker knows an item."""
    return item.keys[0] if item.keys else str(item.offset)


def half(rate: float | None) -> float | None:
    """Half of a rate; no limit stays none."""
    return rate / 2 if rate else None
