"""The ledger of one destination: its counts, and what changed since the last commit. Pure but for interning answers.

Rule: every outcome enters the ledger once; `take` hands over all of it for one transaction, and until that has been
committed the bytes of parked events are still found here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import msgspec

from segue.core.destination import Response
from segue.core.event import Event
from segue.deliver.history import ANSWER_BYTES_MOST, Mask, encode_history
from segue.deliver.lanes import Item
from segue.state.deliveries import (
    DeadLetter,
    DeliveredRow,
    Delta,
    DestinationState,
    Redrive,
    ReplayState,
    RetryRow,
    RetryUpdate,
)

ANSWERS_REMEMBERED = 1_000
DAY_MS = 86_400_000


class StoredAnswers(Protocol):
    """What the ledger asks of the state: the id of an answer stored before, and the highest id in use."""

    def answer_id(self, body: bytes) -> int | None: ...

    def last_answer_id(self) -> int: ...


class Answers:
    """Ids of answers, equal ones stored once. Shared by all destinations of the process."""

    def __init__(self, stored: StoredAnswers) -> None:
        self._stored = stored
        self._last = stored.last_answer_id()
        self._known: OrderedDict[tuple[int, bytes], tuple[int, int]] = OrderedDict()

    def intern(self, destination: int, body: bytes, now_ms: int, mask: Mask, new: list[tuple[int, bytes, int]]) -> int:
        """The id of the answer, masked. One not stored yet, or last noted a day ago, is put into `new`."""
        known = self._known.get((destination, body))
        if known is not None and now_ms - known[1] < DAY_MS:
            return known[0]
        kept = mask(body)[:ANSWER_BYTES_MOST]
        number = self._stored.answer_id(kept)
        if number is None:
            self._last += 1
            number = self._last
        new.append((number, kept, now_ms))
        self._known[(destination, body)] = (number, now_ms)
        if len(self._known) > ANSWERS_REMEMBERED:
            self._known.popitem(last=False)
        return number


class Ledger:
    """Counts and changes of one destination."""

    def __init__(self, destination: int, state: DestinationState, answers: Answers) -> None:
        self.destination = destination
        self.state = state
        self.replays: dict[int, ReplayState] = {}
        self.outcomes = 0  # final ones since the last `take`
        self.dirty = False
        self._answers = answers
        self._rows: dict[tuple[int, int], RetryRow] = {}  # parked since the last take
        self._committing: dict[tuple[int, int], RetryRow] = {}
        self._updates: dict[tuple[int, int], RetryUpdate] = {}
        self._unparked: list[tuple[int, int, int]] = []
        self._dead: list[DeadLetter] = []
        self._delivered: list[DeliveredRow] = []
        self._new_answers: list[tuple[int, bytes, int]] = []
        self._disabled: list[tuple[int, int, int]] = []
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
        else:
            self.state.refused[reason] = self.state.refused.get(reason, 0) + 1

    def filtered(self, code: str, offset: int) -> None:
        """The event does not go to this destination."""
        counts = self.state.filtered
        counts[code] = counts.get(code, 0) + 1
        self.outcomes += 1
        self.dirty = True
        if code == "DESTINATION_DISABLED":
            spans = self._disabled
            if spans and spans[-1][2] < offset:
                spans[-1] = (self.destination, spans[-1][1], offset)
            else:
                spans.append((self.destination, offset, offset))

    def lost(self, count: int) -> None:
        """Retention dropped events before this destination had read them."""
        if not count:
            return
        self.state.refused["LOG_EXPIRED"] = self.state.refused.get("LOG_EXPIRED", 0) + count
        self.dirty = True

    def parked(self, item: Item, event: Event) -> None:
        """The item gets a retry row."""
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
            encode_history(item.history),
            event.body,
        )
        self.dirty = True
        if item.job:
            self.replays[item.job].retrying += 1
        else:
            self.state.retrying += 1
        self.state.retry_bytes += item.size

    def retried(self, item: Item) -> None:
        """A parked item was attempted once more, without a final outcome."""
        key = (item.job, item.offset)
        history = encode_history(item.history)
        row = self._rows.get(key)
        if row is not None:
            self._rows[key] = row._replace(
                due_at=item.due_at,
                attempts=item.attempts,
                first_at=item.first_at,
                stopped_at=item.stopped_at,
                history=history,
            )
        else:
            self._updates[key] = RetryUpdate(
                item.due_at,
                item.attempts,
                item.first_at,
                item.stopped_at,
                history,
                self.destination,
                item.job,
                item.offset,
            )
        self.dirty = True

    def redriven(self, redrive: Redrive, reasons: dict[str, int], size: int) -> None:
        """Dead letters become retry rows with the next commit."""
        for reason, count in reasons.items():
            self.state.refused[reason] -= count
            if not self.state.refused[reason]:
                del self.state.refused[reason]
            self.state.retrying += count
        self.state.retry_bytes += size
        self._redriven.append(redrive)
        self.dirty = True

    def row(self, item: Item) -> RetryRow | None:
        """The retry row of an item where it is not on disk yet."""
        key = (item.job, item.offset)
        return self._rows.get(key) or self._committing.get(key)

    def take(self, unfinished: list[int]) -> Delta:
        """All that changed since the last call, for one transaction. The caller repeats that until it succeeds."""
        self.state.unfinished = unfinished
        delta = Delta(
            destination=self.destination,
            state=msgspec.structs.replace(
                self.state,
                passed=dict(self.state.passed),
                filtered=dict(self.state.filtered),
                refused=dict(self.state.refused),
            ),
            parked=list(self._rows.values()),
            updated=list(self._updates.values()),
            unparked=self._unparked,
            dead=self._dead,
            delivered=self._delivered,
            answers=self._new_answers,
            disabled=self._disabled,
            redriven=self._redriven,
            replays={job: msgspec.structs.replace(replay) for job, replay in self.replays.items()},
        )
        self._committing = self._rows
        self._rows, self._updates, self._unparked = {}, {}, []
        self._dead, self._delivered, self._new_answers = [], [], []
        self._disabled, self._redriven = [], []
        self.outcomes = 0
        self.dirty = False
        return delta

    def committed(self) -> None:
        """What `take` handed over is durable."""
        self._committing = {}

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
