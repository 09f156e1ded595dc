"""What `segue audiences preview` and `explain`, `segue traits` and `segue reconcile` print for people. Pure.

Rule: it shows what the JSON form says, in fewer words; nothing is computed here that the JSON does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from segue.compute.mistakes import Mistake
from segue.control.units import counted
from segue.wiring.computed_texts import value_text
from segue.wiring.profile_texts import ids_text, plain
from segue.wiring.texts import attempt_answer, table

OUTCOMES = {
    "in_outbox": "on its way to the log",
    "expired": "no longer known what became of it",
    "nothing_sent": "nothing had to be sent",
}
AROUND = 60
"""How much of a line is shown to either side of a mistake."""


def mistake_lines(text: str, mistakes: Iterable[Mistake]) -> Iterator[str]:
    """Each mistake, and its line with a caret below the place."""
    lines = text.splitlines() or [""]
    for mistake in mistakes:
        yield str(mistake)
        if 0 < mistake.line <= len(lines):
            line, place = lines[mistake.line - 1].replace("\t", " "), mistake.column - 1
            begin = max(0, place - AROUND)
            yield f"  {line[begin : place + AROUND]}"
            yield f"  {' ' * (place - begin)}^"


def preview_lines(found: dict[str, Any], kind: str) -> list[str]:
    """Of `preview --json`."""
    what = counted(found["count"], "member" if kind == "audience" else "value")
    lines = [f"{found['definition']}", f"{what} at {found['at']}"]
    if found["identifiers"]:
        rows = [
            (each["type"], each["profiles"], f"{100 * each['profiles'] / found['count']:.1f}%")
            for each in found["identifiers"]
        ]
        lines += ["", *table(("IDS", "PROFILES", "OF THEM"), rows)]
    if found["samples"]:
        lines += ["", "Some of them:"]
        for each in found["samples"]:
            value = f"{value_text(each['value'])}  " if "value" in each else ""
            lines.append(f"{each['profile']}  {value}{ids_text(each)}".rstrip())
    return [*lines, *(f"! {each}" for each in found["cautions"])]


def standing_lines(found: dict[str, Any], kind: str) -> list[str]:
    """Of `explain --json` of an audience or computed trait."""
    lines = [f"{found['profile']}  {ids_text(found)}", f"{found['key']}: {_verdict(found, kind)} at {found['at']}"]
    if found.get("can_be_member") is False:
        lines.append("  it has no id that a member needs")
    lines += ["", *_trace_lines(found["trace"], ""), ""]
    if found["changes_at"]:
        late = "; that is past, and comes when the server has caught up" if found.get("overdue") else ""
        lines.append(f"changes by itself at {found['changes_at']}{late}")
    elif "steady_until" in found:
        lines.append(f"stays so until {found['steady_until']} at least, with no further event")
    else:
        lines.append("stays so for ever, with no further event")
    held = found["held"]
    if held is None:
        lines.append("held: nothing, and never was")
    else:
        lines.append(f"held: {value_text(held['value'])} since {held['since']}, version {held['version']}")
    if found["why"]:
        lines.append(f"! {found['why']}")
    for connection in found["connections"]:
        lines += ["", *_connection_lines(connection)]
    return lines


def _verdict(found: dict[str, Any], kind: str) -> str:
    if kind == "audience":
        return "in" if _plain(found["value"]) else "not in"
    return value_text(found["value"]) if found["present"] else "has no value"


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _trace_lines(part: dict[str, Any], indent: str) -> Iterator[str]:
    """A part on a line, those that it is made of below it."""
    if "truth" in part:
        yield f"{indent}{'true ' if part['truth'] else 'false'}  {plain(part['text'])}"
    else:
        values = ", ".join(value_text(each) for each in part["values"]) or "nothing"
        more = f" and {part['values_in_all'] - len(part['values'])} more" if "values_in_all" in part else ""
        yield f"{indent}{plain(part['text'])} is {values}{more}{_cause(part)}"
    for each in part.get("parts", ()):
        yield from _trace_lines(each, f"{indent}  ")


def _cause(part: dict[str, Any]) -> str:
    """The events that count, in brackets."""
    if not part["events"]:
        return ""
    named = ", ".join(plain(each) for each in part["message_ids"])
    more = ", ..." if part["events"] > len(part["message_ids"]) else ""
    skipped = f"; {counted(part['skipped'], 'value')} passed over" if "skipped" in part else ""
    return f"  ({counted(part['events'], 'event')}: {named}{more}{skipped})"


def _connection_lines(connection: dict[str, Any]) -> Iterator[str]:
    calls = " and ".join(name for name in ("identify", "track") if connection[name])
    yield f"{connection['destination']} ({calls}, {connection['sync']})"
    if not connection["told"]:
        yield "  was told nothing of it"
    for each in connection["told"]:
        yield f"  {ids_text(each)}: {value_text(each['value'])} at {each['at']}"
        outcome = OUTCOMES.get(each["outcome"], each["outcome"])
        reason = f", {each['reason']}" if each.get("reason") else ""
        yield f"    {each['message_id'] or '-'}  {outcome}{reason}"
        for attempt in each["attempts"]:
            yield f"      {attempt['at']}  {attempt_answer(attempt)}"
    if connection["identities"] > len(connection["told"]):
        yield f"  and {connection['identities'] - len(connection['told'])} more"


def reconciled_lines(found: dict[str, Any]) -> Iterator[str]:
    """Of one entry of `reconcile --json`."""
    kind = found["kind"].replace("_", " ")
    if "at" not in found:
        yield f"{found['key']} ({kind}): not compared, {found['why']}"
        return
    what = counted(found["history"], "member" if found["kind"] == "audience" else "value")
    if found["result"] == "agrees":
        yield f"{found['key']} ({kind}): agrees, {what} at {found['at']}"
        return
    if found["result"] == "not_settled":
        yield f"{found['key']} ({kind}): not compared, {found['why']}"
        return
    yield (
        f"{found['key']} ({kind}): DIFFERS for {counted(found['differing'], 'profile')} at {found['at']}: "
        f"{what} by the history, {found['held']} held"
    )
    for each in found["differences"]:
        sides = (f"{side}: {_side(each[name])}" for side, name in (("history", "of_history"), ("held", "of_held")))
        yield f"  {each['profile'] or each['number']}  {', '.join(sides)}  {ids_text(each)}".rstrip()
    if found["differing"] > len(found["differences"]):
        yield f"  and {found['differing'] - len(found['differences'])} more"


def behind_lines(found: dict[str, Any], *, running: bool) -> Iterator[str]:
    """What was not compared because the space has not come to it."""
    if found["unread"]:
        yield f"! {counted(found['unread'], 'record')} of the log not read yet; compared is what was read"
    if found["due"]:
        yield f"! {counted(found['due'], 'profile')} due to change by now; compared is how it was before"
    if (found["unread"] or found["due"]) and not running:
        yield "! no Segue runs here now"


def _side(found: dict[str, Any] | None) -> str:
    return "nothing" if found is None else value_text(found["value"])
