"""Explain: what became of one event, from the request that brought it to each vendor's answer.

Rule: what was kept is shown as it was kept; what was not kept is made again from the event and the settings of that
time, and says `"rebuilt": true`; what is no longer known says `expired`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from segue.control.rebuilt import with_requests
from segue.core.clock import from_iso, iso
from segue.core.event import Event, Record
from segue.deliver.breaker import CLOSED
from segue.deliver.delivery import NOT_ADDRESSED, RETRY_ROWS_FULL
from segue.deliver.history import decode_history, text
from segue.deliver.plan import Plan, is_addressed
from segue.log import LogReader
from segue.state.control import Control, DestinationRow
from segue.state.deliveries import DeadLetter, DeliveredRow, DeliveryReader, DestinationState, RetryRow
from segue.state.quarantine import Drop, Duplicate, QuarantineReader

PlanAt = Callable[[DestinationRow, int | None], Plan]
"""The plan of a destination at a time in milliseconds since 1970, as far as that is known; None: that of today."""


class _Facts(NamedTuple):
    """What the state holds of one event at one destination."""

    destination: DestinationState | None
    finished: tuple[DeliveredRow, bytes] | None
    retry: RetryRow | None
    letters: list[DeadLetter]
    is_disabled: bool


def explain(
    message_id: str,
    *,
    control: Control,
    log: LogReader,
    state: DeliveryReader,
    quarantine: QuarantineReader,
    plan_at: PlanAt,
) -> Iterator[dict[str, Any]]:
    """One object for each event of this messageId, as `segue explain --json` prints it: accepted ones, then the others,
    the newest first, and last those that came by no source of today.

    `event` is undecoded JSON, to the byte as it is stored; a text where it cannot be read as JSON.
    """
    for record in log.find(message_id, _sources(control)):
        rows = [
            row
            for row in control.destinations
            if row.reads(record.source, record.ordinal) and record.offset >= row.offset
        ]
        facts = _facts(rows, record.offset, state)
        event = Event(record.body)
        yield {
            "messageId": message_id,
            "source": record.source,
            "receivedAt": iso(record.received_at),
            "outcome": "accepted",
            "event": msgspec.Raw(record.body),
            "deliveries": [
                {"destination": row.slug} | _delivery(row, record, event, known, plan_at)
                for row, known in zip(rows, facts, strict=True)
            ],
        }
    sources = set(_sources(control))
    left_out: list[Drop | Duplicate] = [*quarantine.find(message_id), *quarantine.find_duplicates(message_id)]
    left_out.reverse()
    for each in sorted(left_out, key=lambda each: (each.source not in sources, -each.received_at)):
        yield _left_out(message_id, each)


def _sources(control: Control) -> list[str]:
    """Every source that an event may have come by, those of what spaces say last."""
    return [*(row.slug for row in control.sources), *(row.own_source for row in control.spaces)]


def _left_out(message_id: str, found: Drop | Duplicate) -> dict[str, Any]:
    """An event that is not in the log: dropped, or there already."""
    event: Any = text(found.body)
    try:
        found.body.decode()  # Raw looks at the grammar alone
        event = msgspec.json.decode(found.body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # shown as text
    shown = {"messageId": message_id, "source": found.source, "receivedAt": iso(found.received_at)}
    why = {"outcome": "dropped", "reason": found.code} if isinstance(found, Drop) else {"outcome": "duplicate"}
    return shown | why | {"event": event, "deliveries": []}


def _facts(rows: list[DestinationRow], offset: int, state: DeliveryReader) -> list[_Facts]:
    """Of one event at each of these destinations, all as of one commit: an event may be on its way between two."""
    with state.snapshot():
        states = state.destinations()
        return [
            _Facts(
                destination=states.get(row.id),
                finished=state.delivered(row.id, offset),
                retry=state.retry_row(row.id, 0, offset),
                letters=state.dead_letters_of(row.id, offset),
                is_disabled=state.disabled_at(row.id, offset),
            )
            for row in rows
        ]


def _delivery(row: DestinationRow, record: Record, event: Event, facts: _Facts, plan_at: PlanAt) -> dict[str, Any]:
    def shown(attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [with_requests(attempt, event, plan_at(row, from_iso(attempt["at"]))) for attempt in attempts]

    destination = facts.destination
    if facts.finished is not None:
        return {"outcome": "delivered", "attempts": shown(_attempts_of(*facts.finished))}
    if facts.retry is not None:
        history = decode_history(facts.retry.history)
        return {"outcome": "retrying", "attempts": shown(history)} | _next_attempt(row, facts.retry, destination)
    if facts.letters:
        letter = facts.letters[-1]
        return {"outcome": "refused", "reason": letter.reason, "attempts": shown(decode_history(letter.history))}
    if destination is None or record.offset >= destination.position or record.offset in destination.unfinished:
        return {"outcome": "waiting", "attempts": []}
    if facts.is_disabled:
        return {"outcome": "filtered", "reason": "DESTINATION_DISABLED", "attempts": []}
    code = plan_at(row, None).decide(event) if is_addressed(record, row.id) else NOT_ADDRESSED
    if code is not None:
        return {"outcome": "filtered", "reason": code, "attempts": []}
    # It was passed, and every other outcome leaves something behind for as long as the log holds the event.
    return {"outcome": "delivered", "reason": "expired", "attempts": []}


def _next_attempt(row: DestinationRow, retry: RetryRow, destination: DestinationState | None) -> dict[str, str]:
    """When the next attempt is due, where a time decides that; else what it waits for."""
    if not row.enabled:
        return {"waits_for": "enabling"}
    if destination is not None and destination.stall and not destination.stall.startswith(RETRY_ROWS_FULL):
        return {"waits_for": "stall"}
    if destination is not None and destination.breaker != CLOSED:
        return {"waits_for": "probe"}
    if not retry.due_at:  # it was parked behind another, and goes as soon as that is done
        return {"waits_for": "turn"}
    return {"due": iso(retry.due_at)}


def _attempts_of(row: DeliveredRow, answer: bytes) -> list[dict[str, Any]]:
    """The attempts of a finished delivery, the last of which went well."""
    last = {
        "at": iso(row.at),
        "duration_ms": row.duration_ms,
        "response": {"status": row.status, "body": text(answer)},
    }
    return [*decode_history(row.history or b""), last]
