"""What is written and read of deliveries: the state of one destination, its rows, and one step's changes to them.

Rule: a row is what its table holds, column by column; nothing here is text of SQL.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class DestinationState(Struct, kw_only=True):
    """One destination's cursor and counts. `passed` is the last ordinal of each source before `position`.

    `unfinished` are the offsets below `position` that have no final outcome and no retry row.
    """

    position: int
    passed: dict[str, int]
    unfinished: list[int] = []
    delivered: int = 0
    filtered: dict[str, int] = {}
    refused: dict[str, int] = {}
    retrying: int = 0
    retry_bytes: int = 0
    """What the retry rows hold: bodies and attempts, those of replays among them."""
    dead_letters: int = 0
    """Those that still have a body, but for those of replays."""
    replayed_dead_letters: int = 0
    """The same of replays."""
    dead_letters_cut: int = 0
    """How many have lost their body, of both sorts, ever."""
    delivered_rows: int = 0
    delivered_bytes: int = 0
    breaker: str = "closed"
    breaker_reason: str | None = None
    key_refusals: int = 0
    """Answers 401 and 403 in a row, as the breaker counts them."""
    stopped_ms: int = 0
    """For how long it has been disabled in all, counted up to the instant `stopped_counted_to`."""
    open_total_ms: int = 0
    """For how long its breaker was not closed in all, but for what is counted as disabled."""
    stopped_counted_to: int = 0
    disabled: bool = False
    """Whether it was switched off at that instant, so that windows stood still from then on."""
    moved_at: int = 0
    stall: str = ""
    """Why the cursor stands, where Segue knows: the retry rows are full, or the settings cannot be read."""


class ReplayState(Struct, kw_only=True):
    """How far a replay has come; its counts are outside the balance.

    `expired` counts records of the log, of any source, that retention dropped before the replay read them; and events
    of its own that were dropped while they were on their way, where a restart could not find them again.
    """

    position: int
    end: int
    unfinished: list[int] = []
    matched: int = 0
    delivered: int = 0
    filtered: int = 0
    refused: int = 0
    retrying: int = 0
    expired: int = 0
    state: str = "running"

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to do: not even an event that was on its way when it was cancelled."""
        return self.state != "running" and not self.retrying and not self.unfinished


class RetryRow(NamedTuple):
    """An event that waits for a retry, or behind one that does. `order_keys` and `history` are JSON.

    `stopped_at` and `open_at` are for how long the destination had been disabled, and its breaker open, at `first_at`.
    """

    destination: int
    job: int
    offset: int
    source: str
    message_id: str
    received_at: int
    order_keys: str
    arrival: int
    due_at: int
    attempts: int
    first_at: int
    stopped_at: int
    history: bytes
    body: bytes
    open_at: int


class ParkedRow(NamedTuple):
    """What is kept in memory of a retry row. `size` is what body and history take, in bytes."""

    job: int
    offset: int
    source: str
    message_id: str
    received_at: int
    order_keys: str
    arrival: int
    due_at: int
    attempts: int
    first_at: int
    stopped_at: int
    open_at: int
    size: int


class DeadLetter(NamedTuple):
    """An event refused for good. `history` is JSON: the attempts, oldest first.

    `job` is the replay that sent it, 0 on the live way. Of one that was cut, body and history are empty.
    """

    destination: int
    job: int
    offset: int
    source: str
    message_id: str
    received_at: int
    order_keys: str
    at: int
    reason: str
    history: bytes
    body: bytes


class DeliveredRow(NamedTuple):
    """One finished delivery. `history` is JSON of earlier attempts, None where the first one succeeded."""

    destination: int
    offset: int
    at: int
    duration_ms: int
    status: int
    answer: int
    history: bytes | None


class RetryUpdate(NamedTuple):
    """What a further failed attempt changes in a retry row."""

    due_at: int
    attempts: int
    first_at: int
    stopped_at: int
    open_at: int
    history: bytes
    destination: int
    job: int
    offset: int


class Redrive(NamedTuple):
    """Dead letters to become retry rows again: those up to `last_id` whose reason and messageId are in the lists.

    The lists are JSON; an empty one means any.
    """

    destination: int
    last_id: int
    reasons: str
    message_ids: str
    first_arrival: int
    now_ms: int


class RedriveCount(NamedTuple):
    """What a redrive would take back: up to which id, how many of each reason, and their bytes.

    Those that a replay sent are counted in `jobs`, by the replay, instead of in `reasons`.
    """

    last_id: int
    reasons: dict[str, int]
    jobs: dict[int, int]
    size: int

    @property
    def rows(self) -> int:
        """How many in all."""
        return sum(self.reasons.values()) + sum(self.jobs.values())


class Delta(Struct, kw_only=True):
    """What one destination changed since the last commit."""

    destination: int
    state: DestinationState
    parked: list[RetryRow] = []
    updated: list[RetryUpdate] = []
    unparked: list[tuple[int, int, int]] = []
    """Retry rows that are done: (destination, job, offset)."""
    dead: list[DeadLetter] = []
    dead_cut: int = 0
    """How many of the oldest dead letters lose their body, because there are too many."""
    replayed_dead_cut: int = 0
    """The same of those that replays sent."""
    redriven: list[Redrive] = []
    delivered: list[DeliveredRow] = []
    answers: list[tuple[int, bytes, int]] = []
    """Answers that are new, or were last noted a day ago: (id, body, used_at)."""
    disabled: list[tuple[int, int, int]] = []
    """(destination, first offset, last offset) that passed while it was disabled."""
    replays: dict[int, ReplayState] = {}
