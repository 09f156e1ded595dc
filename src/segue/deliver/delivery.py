"""The delivery to one destination: reads the log, decides, hands over to the sender, and keeps the ledger.

It is a machine without a loop: `pump` does all that can be done at this instant and says when to be called again;
the network calls back; `take` hands over what changed. Everything it needs comes in by parameter, so that a
simulation drives the same code with a clock, a network and a log of its own.

Rule: an event that was read is at every moment counted once: filtered, refused, delivered, in a retry row, or among
the unfinished ones; nothing is started while the last commit has not succeeded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from segue.core.clock import Clock
from segue.core.errors import OffsetExpired, Unavailable
from segue.core.event import Event, Record
from segue.deliver.attempt import Network
from segue.deliver.lanes import Item, profile_keys
from segue.deliver.ledger import Answers, Ledger, keys_of
from segue.deliver.limits import EVENT_BYTES_MOST, LIMITS, Limits
from segue.deliver.plan import Plan, Records, RetryRows, is_addressed
from segue.deliver.replay import Replay
from segue.deliver.retry import clamp_due
from segue.deliver.sender import Sender
from segue.state.deliveries import Delta, DestinationState, ParkedRow, Redrive, ReplayState

RECORDS_A_PUMP = 2_000
AGAIN_MS = 1_000
RETRY_ROWS_FULL = "the retry rows are full"
NOT_ADDRESSED = "NOT_ADDRESSED"
WAITING_BEHIND = "; most events wait behind "


class Delivery:
    """See the module. `wake` asks the loop to pump it soon; `luck` gives a random number in [0, 1).

    `halted` says whether the loop waits for a commit to succeed, so that nothing may be sent.
    """

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
        halted: Callable[[], bool],
        limits: Limits = LIMITS,
    ) -> None:
        self.limits = limits
        self.ledger = Ledger(destination, state, answers, limits)
        self.ledger.dirty = True  # so that it has a row in the state from the first commit on
        self.sender = Sender(
            plan,
            self.ledger,
            clock=clock,
            luck=luck,
            network=network,
            rows=rows,
            wake=partial(wake, self),
            halted=halted,
            limits=limits,
        )
        self.breaker = self.sender.breaker
        self.lanes = self.sender.lanes
        self.window = self.sender.window
        self.replays = self.sender.replays
        self.admit = self.sender.admit
        self._clock = clock
        self._records = records
        self._rows = rows
        self._oldest: int | None = None  # unfinished offset at the last `take`
        now = clock.now_ms()
        state.moved_at = min(state.moved_at or now, now)
        self._over: list[int] = []  # jobs whose last state the commit under way writes
        self._redrives: deque[tuple[int, str, str]] = deque()  # asked for: job, reasons, messageIds
        self._redriven: list[tuple[int, int]] = []  # arrivals of rows that the commit under way brings back
        self._unmet = self._sources_to_meet()
        self._restore()

    @property
    def plan(self) -> Plan:
        """What control says at this moment."""
        return self.sender.plan

    @property
    def outcomes(self) -> int:
        """Final outcomes and changes of retry rows since the last `take`."""
        return self.ledger.outcomes

    @property
    def dirty(self) -> bool:
        """Whether `take` would give anything."""
        return self.ledger.dirty

    @property
    def flying(self) -> int:
        """Requests on their way."""
        return self.sender.on_the_way

    @property
    def stall(self) -> str:
        """Why the cursor must stand (empty: it need not), without the ids of users that `status` names."""
        return self.ledger.state.stall.partition(WAITING_BEHIND)[0]

    # -- what happens at an instant ------------------------------------------------------------------------------

    def pump(self) -> int | None:
        """Read, decide and start all that can be now; gives the instant to be called again at the latest."""
        now = self._clock.now_ms()
        try:
            read_at = self._take_in_more(now)
        except Unavailable as error:
            read_at = self._try_again(error, now)
        try:
            send_at = self.sender.start(now)
        except Unavailable as error:
            send_at = self._try_again(error, now)
        if read_at is None or send_at is None:
            return send_at if read_at is None else read_at
        return min(read_at, send_at)

    def reconfigure(self, plan: Plan) -> None:
        """Another plan holds for every attempt not yet begun."""
        self.sender.reconfigure(plan, self._clock.now_ms())
        self._unmet = self._sources_to_meet()
        self.ledger.end_span()
        self.ledger.dirty = True

    def take(self) -> Delta:
        """What changed since the last call; the caller commits it, repeating until that succeeds."""
        state, now, standstill = self.ledger.state, self._clock.now_ms(), self.sender.standstill
        self._watch_cursor(now)
        state.breaker = self.breaker.state
        state.breaker_reason = self.breaker.reason
        state.key_refusals = self.breaker.key_refusals
        standstill.count(now)
        state.stopped_ms, state.open_total_ms, state.stopped_counted_to = standstill.stopped_ms, standstill.open_ms, now
        state.disabled = not self.plan.enabled
        self._choose_redriven(now)
        for replay in self.replays.values():
            replay.state.unfinished = sorted(replay.waiting)
        self._over = [job for job in self.ledger.replays if self._is_over(job)]
        delta = self.ledger.take(sorted(self.window))
        self.ledger.dirty = bool(self._redrives)
        return delta

    def _watch_cursor(self, now: int) -> None:
        """Note when the oldest event that is not final last changed; while nothing waits, only a stall holds it up."""
        state, oldest = self.ledger.state, min(self.window, default=None)
        if oldest != self._oldest or (oldest is None and not state.stall):
            state.moved_at = now
        self._oldest = oldest

    def committed(self) -> None:
        """What `take` gave is durable."""
        self.ledger.committed()
        for job in self._over:
            self.replays.pop(job, None)
            del self.ledger.replays[job]
        self._over = []

    # -- jobs ----------------------------------------------------------------------------------------------------

    def start_replay(self, job: int, replay: Replay) -> None:
        """Send a part of the log once more, beside the live way; or go on with it after a restart.

        Raises Unavailable, with nothing begun.
        """
        unfinished = self._records.get(replay.state.unfinished)
        replay.state.expired += len(replay.state.unfinished) - len(unfinished)
        self.replays[job] = replay
        self.ledger.replays[job] = replay.state
        self.ledger.dirty = True
        for record, event in unfinished:
            replay.admit(self, record, event)

    def redrive(self, job: int, reasons: Sequence[str], message_ids: Sequence[str]) -> None:
        """Take dead letters back to retrying, as many as there is room for, in one commit. Empty means any."""
        encode = msgspec.json.encode
        self._redrives.append((job, encode(reasons).decode(), encode(message_ids).decode()))
        self.ledger.dirty = True

    def _choose_redriven(self, now: int) -> None:
        """Choose for one redrive: at a moment with no commit under way, so that nothing is chosen twice."""
        if not self._redrives or self._redriven:
            return
        job, reasons, message_ids = self._redrives[0]
        ledger, limits = self.ledger, self.limits
        rows = limits.retry_rows - ledger.retry_rows() - self._unfinished()
        size = limits.retry_bytes - ledger.state.retry_bytes - self._unfinished_bytes()
        try:
            found = self._rows.redrivable(ledger.destination, reasons, message_ids, rows=rows, size=size)
            stored = self._rows.replays(ledger.destination) if found.jobs else {}
        except Unavailable:
            return  # the next commit tries again
        self._redrives.popleft()
        count = found.rows
        for number, refused in found.jobs.items():
            # What a replay sent is counted to it again, though it is long over, or forgotten.
            ended = stored.get(number) or ReplayState(position=0, end=0, state="done")
            replay = ledger.replays.setdefault(number, ended)
            replay.refused = max(replay.refused, refused)
        if count:
            first = self.lanes.reserve(count)
            self._redriven.append((first, first + count - 1))
            ledger.redriven(Redrive(ledger.destination, found.last_id, reasons, message_ids, first, now), found)
        ledger.replays[job] = ReplayState(position=0, end=0, matched=count, state="done")

    def _bring_back(self) -> None:
        """Put what was redriven into its lanes, once its rows are there to be read."""
        while self._redriven and not self.ledger.is_committing:
            first, last = self._redriven[0]
            rows = self._rows.parked_rows(self.ledger.destination, first=first, last=last)
            del self._redriven[0]
            for row in rows:
                self._admit_parked(row, self._clock.now_ms())

    def _is_over(self, job: int) -> bool:
        """Whether nothing of the job is on its way."""
        replay = self.replays.get(job)
        return replay.is_over() if replay is not None else not self.ledger.replays[job].retrying

    # -- reading -------------------------------------------------------------------------------------------------

    def _try_again(self, error: Unavailable, now: int) -> int:
        """A step could not read from disk: all stands as it stood, and the step is due again soon."""
        self._stand_still(str(error))
        return now + AGAIN_MS

    def _take_in_more(self, now: int) -> int | None:
        self._bring_back()
        more = self._read(now)
        for replay in self.replays.values():
            more |= replay.pump(self, now)
        return now if more else None

    def _read(self, now: int) -> bool:
        """Take in records while there is room; True where there may be more to take in at once."""
        ledger, state, plan, sender = self.ledger, self.ledger.state, self.plan, self.sender
        budget = RECORDS_A_PUMP
        if self._unmet:
            self._meet_sources()
        while budget > 0:
            why = self._why_not_to_read()
            if state.stall != why:
                self._stand_still(why)
            room = min(sender.room, self.retry_room()) if plan.enabled else sender.room
            if room <= 0 or state.stall or sender.must_commit:
                return False
            try:
                block = self._records.read(state.position)
            except OffsetExpired as expired:
                self._jump(expired.start)
                continue
            if not block:
                return False
            for record, event in block:
                state.position = record.offset + 1
                if record.source not in plan.sources:
                    continue
                if record.destinations is not None and not self._is_for_us(record):
                    continue
                state.passed[record.source] = record.ordinal
                if not plan.enabled:
                    ledger.disabled(record.offset, reading=True)
                    continue
                code = plan.decide(event)
                if code is not None:
                    ledger.filtered(code)
                    continue
                self._take_in(record, event)
                room -= 1
                if room <= 0:
                    break
            budget -= len(block)
            ledger.dirty = True
        return True

    def _is_for_us(self, record: Record) -> bool:
        """Whether a record for certain destinations is to be looked at further; else all is done about it.

        What was said before the destination began to read that source is passed over, and nobody counts it.
        """
        plan, state = self.plan, self.ledger.state
        if record.ordinal <= plan.since.get(record.source, 0):
            return False
        if not plan.enabled or is_addressed(record, self.ledger.destination):
            return True
        state.passed[record.source] = record.ordinal
        self.ledger.filtered(NOT_ADDRESSED)
        return False

    def _sources_to_meet(self) -> set[str]:
        """The sources that control has it read and of which nothing was counted yet."""
        plan = self.plan
        return {source for source in plan.since if source in plan.sources}.difference(self.ledger.state.passed)

    def _meet_sources(self) -> None:
        """Begin to count a source where control says, though the cursor was further when word of it came.

        What it then said was for others: who is told of a computation is known here before it is computed for them.
        """
        state, since = self.ledger.state, self.plan.since
        try:
            before = self._records.ordinals_before(state.position)
        except OffsetExpired:
            return  # the cursor jumps, and what is lost is counted from there
        for source in self._unmet.difference(state.passed):
            state.passed[source] = max(since[source], before.get(source, 0))
            missed = state.passed[source] - since[source]
            if missed:
                self.ledger.filtered(NOT_ADDRESSED, missed)
        self._unmet = set()
        self.ledger.dirty = True

    def _take_in(self, record: Record, event: Event) -> None:
        keys = event.order_keys or profile_keys(record)
        self.admit(Item(record.offset, record.source, record.message_id, record.received_at, keys, event))

    def _jump(self, start: int) -> None:
        """Retention dropped what stood before `start`: those events are lost to this destination, and counted."""
        try:
            before = self._records.ordinals_before(start)
        except OffsetExpired as expired:
            self._jump(expired.start)  # more was dropped meanwhile
            return
        plan, state = self.plan, self.ledger.state
        lost = 0
        for source, ordinal in before.items():
            passed = state.passed.get(source, plan.since.get(source, 0))
            if source in plan.sources and ordinal > passed:
                lost += ordinal - passed
                state.passed[source] = ordinal
        state.position = start
        self.ledger.lost(lost)

    def _why_not_to_read(self) -> str:
        """Why the cursor must stand; a destination that is switched off reads on, for it neither decides nor sends."""
        plan, ledger, limits = self.sender.plan, self.ledger, self.limits
        if plan.stall or not plan.enabled:
            return plan.stall if plan.enabled else ""
        if ledger.retry_rows() < limits.retry_rows and ledger.state.retry_bytes < limits.retry_bytes:
            return ""
        if ledger.state.stall.startswith(RETRY_ROWS_FULL):
            return ledger.state.stall  # who fills them is looked up once
        lanes = ", ".join(f"{key} ({count})" for key, count in self.lanes.longest(3))
        return f"{RETRY_ROWS_FULL}{WAITING_BEHIND}{lanes}"

    def retry_room(self) -> int:
        """For how many more events there would be retry rows, if all that is unfinished needed one."""
        limits, state = self.limits, self.ledger.state
        rows = limits.retry_rows - self.ledger.retry_rows() - self._unfinished()
        if 2 * state.retry_bytes < limits.retry_bytes:
            return rows
        size = limits.retry_bytes - state.retry_bytes - self._unfinished_bytes()
        return min(rows, max(1, size // EVENT_BYTES_MOST) if size > 0 else 0)

    def _unfinished(self) -> int:
        """How many events have neither a final outcome nor a retry row, those of replays among them."""
        replays, count = self.replays, len(self.window)
        return count + sum(len(replay.waiting) for replay in replays.values()) if replays else count

    def _unfinished_bytes(self) -> int:
        """What their bodies take."""
        waiting = (item for replay in self.replays.values() for item in replay.waiting.values())
        items = (*self.window.values(), *waiting)
        return sum(len(item.event.body) for item in items if item.event is not None)

    def _stand_still(self, why: str) -> None:
        """Have `status` say why the cursor stands; empty: it does not."""
        if self.ledger.state.stall != why:
            self.ledger.state.stall = why
            self.ledger.dirty = True

    # -- after a start -------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Stand where the last commit stood: retry rows and unfinished events back in their lanes, oldest first."""
        ledger, state, now = self.ledger, self.ledger.state, self._clock.now_ms()
        self._restore_windows(now)
        for job, replay in self._rows.replays(ledger.destination).items():
            if replay.retrying:
                ledger.replays[job] = replay  # counted even where control knows the job no longer
        rows = self._rows.parked_rows(ledger.destination)
        state.retry_bytes = sum(row.size for row in rows)
        self.lanes.reserve(max((row.arrival for row in rows), default=0))
        unfinished = self._records.get(state.unfinished)
        ledger.lost(len(state.unfinished) - len(unfinished))
        waiting: list[tuple[int, ParkedRow | tuple[Record, Event]]] = [(row.offset, row) for row in rows]
        waiting += [(pair[0].offset, pair) for pair in unfinished]
        for _, each in sorted(waiting, key=lambda pair: pair[0]):
            if isinstance(each, ParkedRow):
                self._admit_parked(each, now)
            elif self.plan.enabled:
                self._take_in(*each)
            else:
                ledger.disabled(each[0].offset, reading=False)

    def _restore_windows(self, now: int) -> None:
        state, standstill = self.ledger.state, self.sender.standstill
        self.breaker.restore(state.breaker, state.breaker_reason, now, key_refusals=state.key_refusals)
        is_open = state.breaker != "closed"
        standstill.restore(
            stopped_ms=state.stopped_ms,
            open_ms=state.open_total_ms,
            counted_to=state.stopped_counted_to or now,
            is_open=is_open,
            is_disabled=state.disabled,
            now_ms=now,
        )
        standstill.set_disabled(not self.plan.enabled, now)

    def _admit_parked(self, row: ParkedRow, now: int) -> None:
        item = Item(row.offset, row.source, row.message_id, row.received_at, keys_of(row.order_keys), None, row.job)
        item.size = row.size
        item.attempts, item.first_at = row.attempts, min(row.first_at, now)
        item.stopped_at, item.open_at = row.stopped_at, row.open_at
        item.due_at = clamp_due(row.due_at, now)
        self.sender.admit_parked(item)
