"""Explain: what became of one event, from the request that brought it to each vendor's answer.

Rule: what was kept is shown as it was kept; what was not kept is made again from the event and the settings, and says
`"rebuilt": true`; what is no longer known says `expired`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from segue.core.clock import iso
from segue.core.errors import SegueError
from segue.core.event import Event, Record
from segue.deliver.history import decode_history, request_shown, text
from segue.deliver.plan import Plan
from segue.log import LogReader
from segue.state.control import Control, DestinationRow
from segue.state.deliveries import DeliveredRow, DeliveryReader, DestinationState
from segue.state.quarantine import Drop, QuarantineReader

Plans = Callable[[DestinationRow], Plan]


def explain(
    message_id: str,
    *,
    control: Control,
    log: LogReader,
    state: DeliveryReader,
    quarantine: QuarantineReader,
    plan_of: Plans,
) -> Iterator[dict[str, Any]]:
    """One object for each event of this messageId, as `segue explain --json` prints it: accepted ones, then dropped.

    `event` is undecoded JSON, to the byte as it is stored; a text where it cannot be read as JSON.
    """
    states = state.destinations()
    sources = [row.slug for row in control.sources]
    for record in log.find(message_id, sources):
        event = Event(record.body)
        deliveries = (
            _delivery(row, record, event, states.get(row.id), state, plan_of(row))
            for row in control.destinations
            if row.source == record.source and record.offset >= row.offset
        )
        yield {
            "messageId": message_id,
            "source": record.source,
            "receivedAt": iso(record.received_at),
            "outcome": "accepted",
            "event": msgspec.Raw(record.body),
            "deliveries": list(deliveries),
        }
    for drop in quarantine.find(message_id):
        yield _dropped(message_id, drop)


def _dropped(message_id: str, drop: Drop) -> dict[str, Any]:
    event: Any = text(drop.body)
    try:
        drop.body.decode()  # Raw looks at the grammar alone
        event = msgspec.json.decode(drop.body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # shown as text
    return {
        "messageId": message_id,
        "source": drop.source,
        "receivedAt": iso(drop.received_at),
        "outcome": "dropped",
        "reason": drop.code,
        "event": event,
        "deliveries": [],
    }


def _delivery(
    row: DestinationRow,
    record: Record,
    event: Event,
    destination: DestinationState | None,
    state: DeliveryReader,
    plan: Plan,
) -> dict[str, Any]:
    shown: dict[str, Any] = {"destination": row.slug}
    finished = state.delivered(row.id, record.offset)
    if finished is not None:
        return shown | {"outcome": "delivered", "attempts": _delivered_attempts(*finished, event, plan)}
    retry = state.retry_row(row.id, 0, record.offset)
    if retry is not None:
        history = decode_history(retry.history)
        return shown | {
            "outcome": "retrying",
            "attempts": _with_requests(history, event, plan),
            "due": iso(retry.due_at),
        }
    for letter in reversed(state.dead_letters_of(row.id, record.offset)):
        history = decode_history(letter.history)
        return shown | {
            "outcome": "refused",
            "reason": letter.reason,
            "attempts": _with_requests(history, event, plan),
        }
    if destination is None or record.offset >= destination.position or record.offset in destination.unfinished:
        return shown | {"outcome": "waiting", "attempts": []}
    if state.disabled_at(row.id, record.offset):
        return shown | {"outcome": "filtered", "reason": "DESTINATION_DISABLED", "attempts": []}
    code = plan.decide(event)
    if code is not None:
        return shown | {"outcome": "filtered", "reason": code, "attempts": []}
    return shown | {"outcome": "delivered", "reason": "expired", "attempts": []}


def _delivered_attempts(row: DeliveredRow, answer: bytes, event: Event, plan: Plan) -> list[dict[str, Any]]:
    last: dict[str, Any] = {"at": iso(row.at), "duration_ms": row.duration_ms}
    last |= _rebuilt(event, plan)
    last["response"] = {"status": row.status, "body": text(answer)}
    return [*_with_requests(decode_history(row.history or b""), event, plan), last]


def _with_requests(history: list[dict[str, Any]], event: Event, plan: Plan) -> list[dict[str, Any]]:
    """Attempts whose request was let go get it made again."""
    return [attempt if "request" in attempt else _rebuilt(event, plan) | attempt for attempt in history]


def _rebuilt(event: Event, plan: Plan) -> dict[str, Any]:
    """The first request of the flow, as it would be made now; nothing where it cannot be made."""
    if plan.stall:
        return {}
    flow = plan.kind.send(plan.settings, event)
    try:
        request = next(flow)
    except (StopIteration, SegueError):
        return {}
    finally:
        flow.close()
    return {"request": request_shown(request, plan.mask) | {"rebuilt": True}}
