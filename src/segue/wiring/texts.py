"""What the command line prints for people, as plain lines. Pure.

Rule: it shows what the JSON form says, in fewer words; nothing is computed here that the JSON does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from segue.control.units import counted, duration_text

Paste = Callable[..., str]
"""Words of a command as a line that can be pasted: `hints.pasteable` of the instance."""

SOURCE_COLUMNS = ("SOURCE", "ACCEPTED", "DUPLICATES", "DROPPED")
DESTINATION_COLUMNS = (*("DESTINATION", "STATE", "ACCEPTED", "DELIVERED", "FILTERED", "REFUSED", "RETRYING", "LAG"),)

SPACE_COLUMNS = ("SPACE", "USERS", "ACCOUNTS", "APPLIED", "SKIPPED", "LAG")

WAITS = {
    "enabling": "once the destination is switched on",
    "stall": "once the destination goes on; `segue status` says what stops it",
    "probe": "once the vendor answers again; Segue asks by itself",
    "turn": "when an earlier event of the same user is done",
}
"""What a retrying event waits for, where no time decides."""


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


def status_lines(status: dict[str, Any], paste: Paste, *, start: str | None, shortage: str = "") -> list[str]:
    """Sources, destinations, the reasons behind their numbers, and what needs attention.

    `start` is the line that starts the instance; None where it runs. `shortage` says why it takes no events.
    """
    sources = [
        (entry["slug"], entry["accepted"], entry["duplicates"], _sum(entry["dropped"])) for entry in status["sources"]
    ]
    destinations = [
        (
            entry["slug"],
            _state(entry),
            entry["accepted"],
            entry["delivered"],
            _sum(entry["filtered"]),
            _sum(entry["refused"]),
            entry["retrying"],
            entry["lag"],
        )
        for entry in status["destinations"]
    ]
    lines = [*table(SOURCE_COLUMNS, sources), "", *table(DESTINATION_COLUMNS, destinations)]
    if status["spaces"]:
        spaces = [
            (entry["slug"], entry["users"], entry["accounts"], entry["applied"], _sum(entry["skipped"]), entry["lag"])
            for entry in status["spaces"]
        ]
        lines += ["", *table(SPACE_COLUMNS, spaces)]
    notes = [*_reasons(status), *_replays(status, paste), *_attention(status, paste, start, shortage)]
    return [*lines, "", *notes] if notes else lines


def _sum(counts: dict[str, int]) -> int:
    return sum(counts.values())


def _reasons(status: dict[str, Any]) -> Iterator[str]:
    for entry in status["sources"]:
        if entry["dropped"]:
            yield f"{entry['slug']}: dropped {_counts(entry['dropped'])}"
    for entry in status["destinations"]:
        for what in ("filtered", "refused"):
            if entry[what]:
                yield f"{entry['slug']}: {what} {_counts(entry[what])}"
    for entry in status["spaces"]:
        if entry["skipped"]:
            yield f"{entry['slug']}: skipped {_counts(entry['skipped'])}"
        if entry["expired"]:
            yield f"{entry['slug']}: {counted(entry['expired'], 'record')} went with the log before it was read"
    on_sandbox = [entry["slug"] for entry in status["destinations"] if entry["sandbox"]]
    if on_sandbox:
        yield f"on this instance's own sandboxes: {', '.join(on_sandbox)}"


def _replays(status: dict[str, Any], paste: Paste) -> Iterator[str]:
    for job in status["replays"]:
        slug, what = job["destination"], f"{job['kind']} {job['job']}"
        if job["state"] == "waiting":
            yield f"{slug}: {what} has not begun"
            continue
        numbers = [f"{job[name]} {name}" for name in ("delivered", "filtered", "refused", "retrying") if job[name]]
        told = f"{slug}: {what} {'ends' if job['state'] == 'cancelled' else 'runs'}"
        told += f", at offset {job['read']} of {job['end']}: {', '.join(numbers) or 'nothing sent yet'}"
        stop = f"; stop it with `{paste('replay', slug, '--cancel', str(job['job']))}`"
        yield told + (stop if job["state"] == "running" else "")


def _counts(reasons: dict[str, int]) -> str:
    """`code 3, other 1`."""
    return ", ".join(f"{code} {count}" for code, count in reasons.items())


def _state(entry: dict[str, Any]) -> str:
    if not entry["enabled"]:
        return "off"
    if entry.get("stall"):
        return "stalled"
    if entry["breaker"] != "closed":
        return str(entry["breaker_reason"] or entry["breaker"])
    return "on"


def _attention(status: dict[str, Any], paste: Paste, start: str | None, shortage: str) -> Iterator[str]:
    if start is not None:
        yield f"! no Segue runs here now; start it with `{start}`"
    if shortage:
        yield f"! {shortage}"
    if "clock" in status:
        yield f"! {moved_text(status['clock'])}"
    if "clock_behind_ms" in status:
        yield f"! {behind_text(status['clock_behind_ms'])}"
    if not status["sources"]:
        yield f"! there is no source yet: describe one in a FILE, then `{paste('apply', 'FILE')}`"
    strangers = status["unknown_keys"]["dropped"]
    if strangers:
        told = f"! {counted(sum(strangers.values()), 'event')} came with a write key that no source has"
        yield f"{told}; the newest are in `{paste('tail', '--no-follow')}`"
    for entry in status["destinations"]:
        yield from (f"! {line}" for line in trouble(entry, paste))
    yield from (f"! {line}" for entry in status["spaces"] for line in space_trouble(entry))


def moved_text(clock: str) -> str:
    """That the clock is moved, in one line; `clock` as it is set: `offset:+31d`."""
    return f"the clock is moved for tests: SEGUE_CLOCK={clock}"


def behind_text(milliseconds: int) -> str:
    """What it means that the clock is so far behind the newest event, in one line."""
    by = duration_text(milliseconds // 60_000 * 60_000)
    return (
        f"the clock is {by} behind the newest event: until it has caught up, windows and timers stand still, nothing "
        "old is dropped and no messageId is forgotten; move it forward with SEGUE_CLOCK, or begin in a fresh folder"
    )


def space_trouble(entry: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a space's entry in the status."""
    if "stall" in entry:
        yield f"{entry['slug']} stands still: {entry['stall']}"


def trouble(entry: dict[str, Any], paste: Paste) -> Iterator[str]:
    """What is wrong with a destination's entry in the status, and what to do about it."""
    slug = entry["slug"]
    if not entry["enabled"]:
        return  # nothing is sent, and someone wanted it so
    if entry.get("stall"):
        yield f"{slug} stands still: {entry['stall']}"
    elif entry["breaker_reason"] == "key_refused":
        again = paste("redrive", slug, "--reason", "INVALID_AUTHENTICATION")
        yield f"{slug} refuses the key: correct it with `{paste('apply', 'FILE')}`, then send again with `{again}`"
    elif entry["breaker"] != "closed":
        words = paste("destinations", "test", slug)
        yield f"{slug} fails; Segue tries again by itself, nothing is lost meanwhile. Its words: `{words}`"


def explain_lines(event: dict[str, Any], paste: Paste) -> list[str]:
    """One event's way, from its request to each vendor's answer."""
    source = event["source"] or "an unknown write key"
    lines = [f"{event['messageId']}  {event['outcome']}, from {source} at {event['receivedAt']}"]
    if event.get("reason"):
        lines.append(f"  reason: {event['reason']} - {meaning(event['reason'])}")
    if event["outcome"] == "duplicate":
        lines.append("  its messageId had come within dedup.window before: it went to nobody")
    shown = event["event"]
    lines.append("  " + (shown if isinstance(shown, str) else bytes(shown).decode()))
    for delivery in event["deliveries"]:
        lines.extend(_delivery_lines(delivery, event["messageId"], paste))
    return lines


def _delivery_lines(delivery: dict[str, Any], message_id: str, paste: Paste) -> Iterator[str]:
    slug, outcome = delivery["destination"], delivery["outcome"]
    where = " (sandbox)" if delivery.get("sandbox") else ""
    yield f"{slug}{where}: {outcome}" + (f", {delivery['reason']}" if delivery.get("reason") else "")
    if delivery.get("reason") == "ADDRESS_REFUSED" and delivery.get("sandbox"):
        yield "  The sandboxes did not run. Start Segue with --sandbox-port."
    elif delivery.get("reason"):
        yield f"  {meaning(delivery['reason'])}"
    for attempt in delivery["attempts"]:
        yield f"  {attempt['at']}  {attempt['duration_ms']} ms  {attempt_answer(attempt)}"
        yield from _request(attempt.get("request"))
        if "batch_size" in attempt:
            yield f"    alone here; it may have gone with others, {attempt['batch_size']} in a request at most"
        for request in attempt.get("other_requests", ()):
            yield f"    also {request['method']} {request['url']}"
        if "other_requests" in attempt:
            yield "    the answer is that of one of these"
    if "due" in delivery:
        yield f"  next attempt at {delivery['due']}, or when what stands before it is done"
    if "waits_for" in delivery:
        yield f"  next attempt {WAITS[delivery['waits_for']]}"
    if outcome == "refused" and not delivery["attempts"]:
        again = paste("replay", slug, "--message-id", message_id)
        yield f"  its attempts are not kept any more; send it again with: {again}"
    elif outcome == "refused":
        yield f"  send it again with: {paste('redrive', slug, '--message-id', message_id)}"
    elif delivery.get("reason") == "DESTINATION_DISABLED":
        yield f"  send it now with: {paste('replay', slug, '--message-id', message_id)}"


def attempt_answer(attempt: dict[str, Any]) -> str:
    """What the destination said to an attempt, or why it said nothing."""
    response = attempt.get("response")
    if not response:
        return str(attempt.get("error", ""))
    return f"{response['status']} {response['body']}".rstrip().replace("\n", "\n      ")


def _request(request: dict[str, Any] | None) -> Iterator[str]:
    if request:
        note = "  (made again from the event)" if request.get("rebuilt") else ""
        yield f"    {request['method']} {request['url']}{note}"
        yield f"    {request['body']}"


def meaning(code: str) -> str:
    """What a reason code says, and what to do about it."""
    from segue.core.reasons import REASONS

    if code == "expired":
        return "delivered longer ago than its line is kept"
    known = REASONS.get(code)
    return f"{known.meaning} {known.remedy}" if known else ""


def event_line(entry: Entry, *, as_json: bool) -> str:
    """One line for one event."""
    if as_json:
        shown = {"at": entry.at, "source": entry.source, "messageId": entry.message_id}
        if entry.reason:
            shown["reason"] = entry.reason
        return msgspec.json.encode({**shown, "event": json_or_text(entry.body)}).decode()
    dropped = f"DROPPED {entry.reason}" if entry.reason else ""
    what = f"{entry.type} {entry.name}".strip()
    return "  ".join(
        part for part in (entry.at, entry.source or "-", what, entry.who, entry.message_id, dropped) if part
    )


def json_or_text(body: bytes) -> Raw | str:
    """A body as it was sent, on one line; as a text where it is no JSON that can be read."""
    try:
        body.decode()  # `format` looks at the grammar alone
        return Raw(msgspec.json.format(body, indent=-1))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
