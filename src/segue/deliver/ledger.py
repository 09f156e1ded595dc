"""The ledger of one destination: its counts, and what changed since the last commit. Pure but for interning answers.

Rule: every outcome enters the ledger once; `take` hands over all of it for one transaction, and until that has been
committed the bytes of parked events are still found here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

import msgspec

from segue.core.destination import Response
from segue.core.errors import Unavailable
from segue.core.event import Event
from segue.deliver.history import ANSWER_BYTES_MOST, Mask, encode_history
from segue.deliver.lanes import Item
from segue.deliver.limits import Limits
from segue.state.deliveries import (
    DeadLetter,
    DeliveredRow,
    Delta,
    DestinationState,
    Redrive,
    RedriveCount,
    ReplayState,
    RetryRow,
    RetryUpdate,
)

ANSWERS_REMEMBERED = 1_000
NO_ANSWER_KEPT = 0
DAY_MS = 86_400_000
"""How often an answer that is given again is noted as used."""

DELIVERED_ROW_BYTES = 64
"""About what one delivered line takes on disk beside its history."""


class StoredAnswers(Protocol):
    """What the ledger asks of the state: the id of an answer stored before, and the highest id in use."""

    def answer_id(self, body: bytes) -> int | None: ...

    def last_answer_id(self) -> int: ...


class StoredRows(Protocol):
    """What the ledger asks of the state: a retry row with its body."""

    def retry_row(self, destination: int, job: int, offset: int) -> RetryRow | None: ...


class Answers:
    """Ids of answers, equal ones stored once. Shared by all destinations of the process."""

    def __init__(self, stored: StoredAnswers) -> None:
        self._stored = stored
        self._last = stored.last_answer_id()
        self._known: OrderedDict[tuple[int, bytes], tuple[int, int]] = OrderedDict()
        self._fresh: dict[bytes, int] = {}  # given an id, and not known to be stored yet

    def intern(self, destination: int, body: bytes, now_ms: int, mask: Mask, new: list[tuple[int, bytes, int]]) -> int:
        """The id of the answer, masked. One not stored yet, or last noted a day ago, is put into `new`."""
        is_short = len(body) <= ANSWER_BYTES_MOST
        if is_short:
            known = self._known.get((destination, body))
            if known is not None and now_ms - known[1] < DAY_MS:
                return known[0]
        kept = mask(body)[:ANSWER_BYTES_MOST]
        try:
            number = self._fresh.get(kept) or self._stored.answer_id(kept)
        except Unavailable:
            return NO_ANSWER_KEPT  # the outcome counts; what the vendor said is only for `explain`
        if number is None:
            self._last += 1
            number = self._fresh[kept] = self._last
        # Every destination hands in what it refers to, so that none depends on the commit of another.
        new.append((number, kept, now_ms))
        if is_short:
            self._known[(destination, body)] = (number, now_ms)
            self._known.move_to_end((destination, body))
            if len(self._known) > ANSWERS_REMEMBERED:
                self._known.popitem(last=False)
        return number

    def stored(self, answers: list[tuple[int, bytes, int]]) -> None:
        """These have been committed: they are found in the state from now on."""
        for _, kept, _ in answers:
            self._fresh.pop(kept, None)


class Ledger:
    """Counts and changes of one destination."""

    def __init__(self, destination: int, state: DestinationState, answers: Answers, limits: Limits) -> None:
        self.destination = destination
        self.state = state
        self.replays: dict[int, ReplayState] = {}
        self.outcomes = 0  # final ones, and changes of retry rows, since the last `take`
        self.dirty = False
        self._answers = answers
        self._limits = limits
        self._rows: dict[tuple[int, int], RetryRow] = {}  # parked since the last take
        self._updates: dict[tuple[int, int], RetryUpdate] = {}
        self._committing: Delta | None = None
        self._rows_committing: dict[tuple[int, int], RetryRow] = {}
        self._updates_committing: dict[tuple[int, int], RetryUpdate] = {}
        self._unparked: list[tuple[int, int, int]] = []
        self._dead: list[DeadLetter] = []
        self._delivered: list[DeliveredRow] = []
        self._new_answers: list[tuple[int, bytes, int]] = []
        self._disabled: dict[int, int] = {}  # first offset -> last, of spans that passed while it was disabled
        self._span: int | None = None  # the first offset of the span that reading is in
        self._redriven: list[Redrive] = []

    def delivered(self, item: Item, response: Response, started_at: int, now_ms: int, mask: Mask) -> None:
        """The vendor has it."""
        history = encode_history(item.history) if item.history else None
        answer = self._answers.intern(self.destination, response.body, now_ms, mask, self._new_answers)
        self._delivered.append(
            DeliveredRow(
                self.destination,
                item.offset,
                started_at,
                now_ms - started_at,
                response.status,
                answer,
                history,
            )
        )
        self._final(item)
        if item.job:
            self.replays[item.job].delivered += 1
        else:
            self.state.delivered += 1
            self.state.delivered_rows += 1
            self.state.delivered_bytes += DELIVERED_ROW_BYTES + len(history or b"")

    def refused(self, item: Item, reason: str, body: bytes, now_ms: int) -> None:
        """It is refused for good and becomes a dead letter. `item.history` holds the attempts."""
        self._dead.append(
            DeadLetter(
                self.destination,
                item.job,
                item.offset,
                item.source,
                item.message_id,
                item.received_at,
                keys_text(item.keys),
                now_ms,
                reason,
                encode_history(item.history),
                body,
            )
        )
        self._final(item)
        if item.job:
            self.replays[item.job].refused += 1
            self.state.replayed_dead_letters += 1
        else:
            self.state.dead_letters += 1
            self.state.refused[reason] = self.state.refused.get(reason, 0) + 1

    def filtered(self, code: str, count: int = 1) -> None:
        """Events do not go to this destination."""
        counts = self.state.filtered
        counts[code] = counts.get(code, 0) + count
        self.outcomes += count
        self.dirty = True

    def disabled(self, offset: int, *, reading: bool) -> None:
        """An event is not sent because the destination is switched off; `reading`: it has just been read.

        What is read one after the other makes one span, however long it lasts; until `end_span`.
        """
        self.filtered("DESTINATION_DISABLED")
        if not reading:
            self._disabled[offset] = offset
            return
        if self._span is None:
            self._span = offset
        self._disabled[self._span] = offset

    def end_span(self) -> None:
        """The destination may have been switched on: what is read from now on belongs to another span."""
        self._span = None

    def lost(self, count: int) -> None:
        """Retention dropped events before this destination had read them."""
        if not count:
            return
        self.state.refused["LOG_EXPIRED"] = self.state.refused.get("LOG_EXPIRED", 0) + count
        self.dirty = True

    def parked(self, item: Item, event: Event) -> None:
        """The item gets a retry row."""
        history = encode_history(self._bounded(item.history))
        item.size = len(event.body) + len(history)
        self._rows[(item.job, item.offset)] = RetryRow(
            self.destination,
            item.job,
            item.offset,
            item.source,
            item.message_id,
            item.received_at,
            keys_text(item.keys),
            item.arrival,
            item.due_at,
            item.attempts,
            item.first_at,
            item.stopped_at,
            history,
            event.body,
            item.open_at,
        )
        self.outcomes += 1
        self.dirty = True
        if item.job:
            self.replays[item.job].retrying += 1
        else:
            self.state.retrying += 1
        self.state.retry_bytes += item.size

    def retried(self, item: Item) -> None:
        """A parked item was attempted once more, without a final outcome."""
        key = (item.job, item.offset)
        assert item.event is not None, "an attempt has the event at hand"
        history = encode_history(self._bounded(item.history))
        self.state.retry_bytes -= item.size
        item.size = len(item.event.body) + len(history)
        self.state.retry_bytes += item.size
        row = self._rows.get(key)
        if row is not None:
            self._rows[key] = row._replace(
                due_at=item.due_at,
                attempts=item.attempts,
                first_at=item.first_at,
                stopped_at=item.stopped_at,
                open_at=item.open_at,
                history=history,
            )
        else:
            self._updates[key] = RetryUpdate(
                item.due_at,
                item.attempts,
                item.first_at,
                item.stopped_at,
                item.open_at,
                history,
                self.destination,
                item.job,
                item.offset,
            )
        self.outcomes += 1
        self.dirty = True

    def redriven(self, redrive: Redrive, found: RedriveCount) -> None:
        """Dead letters become retry rows with the next commit; `replays` holds the state of each that sent some."""
        for reason, count in found.reasons.items():
            self.state.refused[reason] -= count
            if not self.state.refused[reason]:
                del self.state.refused[reason]
            self.state.retrying += count
            self.state.dead_letters -= count
        for job, count in found.jobs.items():
            self.replays[job].refused -= count
            self.replays[job].retrying += count
            self.state.replayed_dead_letters -= count
        self.state.retry_bytes += found.size
        self._redriven.append(redrive)
        self.dirty = True

    def retry_rows(self) -> int:
        """How many retry rows this destination has, those of replays among them."""
        replays, rows = self.replays, self.state.retrying
        return rows + sum(replay.retrying for replay in replays.values()) if replays else rows

    def _bounded(self, history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a retry row may keep of its attempts: at the bound of bytes the newest one, without its request."""
        if self.state.retry_bytes < self._limits.retry_bytes:
            return history
        return [{name: value for name, value in attempt.items() if name != "request"} for attempt in history[-1:]]

    def body_and_history(self, item: Item, rows: StoredRows) -> tuple[bytes, bytes]:
        """What is kept of a parked item, from memory where the disk does not have it yet. Raises Unavailable."""
        key = (item.job, item.offset)
        row = self._rows.get(key) or self._rows_committing.get(key)
        row = row or rows.retry_row(self.destination, item.job, item.offset)
        assert row is not None, f"the retry row of offset {item.offset} is missing"
        update = self._updates.get(key) or self._updates_committing.get(key)
        return row.body, row.history if update is None else update.history

    def delivered_excess(self) -> int:
        """How many of the oldest lines of deliveries are beyond the bound."""
        excess, state = self.state.delivered_bytes - self._limits.delivered_bytes, self.state
        return -(-excess * state.delivered_rows // state.delivered_bytes) if excess > 0 else 0

    def delivered_cut(self, count: int) -> None:
        """So many of the oldest lines are gone."""
        state = self.state
        if count and state.delivered_rows:
            state.delivered_bytes -= state.delivered_bytes * min(count, state.delivered_rows) // state.delivered_rows
            state.delivered_rows -= min(count, state.delivered_rows)
            self.dirty = True

    def take(self, unfinished: list[int]) -> Delta:
        """All that changed since the last call, for one transaction. The caller repeats that until it succeeds."""
        state = self.state
        state.unfinished = unfinished
        # What a replay sent may be replayed again: its dead letters take no place from others.
        most = self._limits.dead_letters
        cut = max(0, state.dead_letters - most)
        state.dead_letters -= cut
        replayed_cut = min(state.replayed_dead_letters, max(0, state.dead_letters + state.replayed_dead_letters - most))
        state.replayed_dead_letters -= replayed_cut
        state.dead_letters_cut += cut + replayed_cut
        delta = Delta(
            destination=self.destination,
            state=msgspec.structs.replace(
                state, passed=dict(state.passed), filtered=dict(state.filtered), refused=dict(state.refused)
            ),
            parked=list(self._rows.values()),
            updated=list(self._updates.values()),
            unparked=self._unparked,
            dead=self._dead,
            dead_cut=cut,
            replayed_dead_cut=replayed_cut,
            delivered=self._delivered,
            answers=self._new_answers,
            disabled=[(self.destination, first, last) for first, last in self._disabled.items()],
            redriven=self._redriven,
            replays={job: msgspec.structs.replace(replay) for job, replay in self.replays.items()},
        )
        self._committing, self._rows_committing, self._updates_committing = delta, self._rows, self._updates
        self._rows, self._updates, self._unparked = {}, {}, []
        self._dead, self._delivered, self._new_answers = [], [], []
        self._disabled, self._redriven = {}, []
        self.outcomes = 0
        self.dirty = False
        return delta

    @property
    def is_committing(self) -> bool:
        """Whether something was taken of which it is not known yet that it is durable."""
        return self._committing is not None

    def committed(self) -> None:
        """What `take` handed over is durable."""
        if self._committing is not None:
            self._answers.stored(self._committing.answers)
        self._committing, self._rows_committing, self._updates_committing = None, {}, {}

    def _final(self, item: Item) -> None:
        self.outcomes += 1
        self.dirty = True
        if item.parked:
            self._unparked.append((self.destination, item.job, item.offset))
            self._rows.pop((item.job, item.offset), None)
            self._updates.pop((item.job, item.offset), None)
            self.state.retry_bytes -= item.size
            if item.job:
                self.replays[item.job].retrying -= 1
            else:
                self.state.retrying -= 1


def keys_text(keys: tuple[str, ...]) -> str:
    """Order keys as they are stored."""
    return msgspec.json.encode(keys).decode()


def keys_of(stored: str) -> tuple[str, ...]:
    """Stored order keys."""
    return tuple(msgspec.json.decode(stored, type=list[str]))
