"""What the command line prints for people, as plain lines. Pure.

Rule: it shows what the JSON form says, in fewer words; nothing is computed here that the JSON does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct


class Entry(Struct, frozen=True, kw_only=True):
    """One event as `tail` shows it. `reason` is set where it was dropped."""

    at: str
    source: str
    type: str
    name: str
    who: str
    message_id: str
    body: bytes
    reason: str = ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Rows in columns; numbers to the right."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    numeric = [all(row[place].isdigit() for row in cells[1:]) for place in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]


def status_lines(status: dict[str, Any]) -> list[str]:
    """Sources, destinations, and in words what needs attention."""
    sources = [
        (
            entry["slug"],
            entry["accepted"],
            entry["duplicates"],
            sum(entry["dropped"].values()),
            counts(entry["dropped"]),
        )
        for entry in status["sources"]
    ]
    destinations = [
        (
            entry["slug"],
            entry["kind"] + (" (sandbox)" if entry["sandbox"] else ""),
            _state(entry),
            entry["accepted"],
            entry["delivered"],
            sum(entry["filtered"].values()),
            sum(entry["refused"].values()),
            entry["retrying"],
            entry["lag"],
            counts(entry["filtered"] | entry["refused"]),
        )
        for entry in status["destinations"]
    ]
    columns = (
        "DESTINATION",
        "KIND",
        "STATE",
        "ACCEPTED",
        "DELIVERED",
        "FILTERED",
        "REFUSED",
        "RETRYING",
        "LAG",
        "REASONS",
    )
    lines = table(("SOURCE", "ACCEPTED", "DUPLICATES", "DROPPED", "REASONS"), sources)
    return [*lines, "", *table(columns, destinations), *_attention(status["destinations"])]


def counts(reasons: dict[str, int]) -> str:
    """`code 3, other 1`."""
    return ", ".join(f"{code} {count}" for code, count in reasons.items())


def _state(entry: dict[str, Any]) -> str:
    if not entry["enabled"]:
        return "disabled"
    if entry.get("stall"):
        return "stalled"
    if entry["breaker"] != "closed":
        return str(entry["breaker_reason"] or entry["breaker"])
    return "on"


def _attention(destinations: list[dict[str, Any]]) -> Iterator[str]:
    for entry in destinations:
        if entry.get("stall"):
            yield f"! {entry['slug']} stands still: {entry['stall']}"
        elif entry["breaker_reason"] == "key_refused":
            slug = entry["slug"]
            yield f"! {slug} refuses the key: correct it with `segue apply`, then `segue redrive {slug}`"
        elif entry["breaker"] != "closed":
            yield f"! {entry['slug']} fails; Segue tries again by itself, nothing is lost meanwhile"


def explain_lines(event: dict[str, Any]) -> list[str]:
    """One event's way, from its request to each vendor's answer."""
    lines = [
        f"{event['messageId']}  {event['outcome']} by {event['source'] or 'an unknown key'} at {event['receivedAt']}"
    ]
    if event.get("reason"):
        lines.append(f"  reason: {event['reason']} - {_meaning(event['reason'])}")
    shown = event["event"]
    lines.append("  " + (shown if isinstance(shown, str) else bytes(shown).decode()))
    for delivery in event["deliveries"]:
        reason = f" ({delivery['reason']}: {_meaning(delivery['reason'])})" if delivery.get("reason") else ""
        where = " [sandbox]" if delivery.get("sandbox") else ""
        lines.append(f"{delivery['destination']}{where}: {delivery['outcome']}{reason}")
        for attempt in delivery["attempts"]:
            lines.append(f"  {attempt['at']}  {attempt['duration_ms']} ms  {_answer(attempt)}")
            lines.extend(_request(attempt.get("request")))
        if "due" in delivery:
            lines.append(f"  next attempt at {delivery['due']}, or when what stands before it is done")
    return lines


def _answer(attempt: dict[str, Any]) -> str:
    response = attempt.get("response")
    return f"{response['status']} {response['body']}".rstrip() if response else attempt.get("error", "")


def _request(request: dict[str, Any] | None) -> Iterator[str]:
    if request:
        note = "  (made again from the event)" if request.get("rebuilt") else ""
        yield f"    {request['method']} {request['url']}{note}"
        yield f"    {request['body']}"


def _meaning(code: str) -> str:
    from segue.core.reasons import REASONS

    if code == "expired":
        return "delivered longer ago than its line is kept"
    known = REASONS.get(code)
    return f"{known.meaning} {known.remedy}" if known else ""


def event_line(entry: Entry, *, as_json: bool) -> str:
    """One line for one event."""
    body = entry.body.decode("utf-8", "replace")
    if as_json:
        shown = {"at": entry.at, "source": entry.source, "reason": entry.reason or None, "event": _decoded(body)}
        return json.dumps({name: value for name, value in shown.items() if value is not None}, ensure_ascii=False)
    what = f"{entry.type} {entry.name}".strip()
    dropped = f"  DROPPED {entry.reason}" if entry.reason else ""
    return f"{entry.at}  {entry.source or '-'}  {what}  {entry.who}  {entry.message_id}{dropped}"


def _decoded(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
