"""What `segue audiences` and `segue traits` print for people, as plain lines. Pure.

Rule: it shows what the JSON form says, in fewer words; nothing is computed here that the JSON does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from segue.control.units import counted
from segue.wiring.profile_texts import ids_text, plain
from segue.wiring.texts import table

STATE_WORDS = {"up_to_date": "up to date", "initial": "first sync"}
VALUE_SHOWN = 60


def list_lines(found: list[dict[str, Any]], of_whom: str) -> list[str]:
    """The table of `audiences list --json`; `of_whom` is the title of what is counted."""
    rows = [
        (each["key"], plain(each["name"]), each["state"], each["count"], ", ".join(each["destinations"]))
        for each in found
    ]
    return table(("KEY", "NAME", "STATE", of_whom, "DESTINATIONS"), rows)


def status_lines(found: list[dict[str, Any]], holders: str) -> list[str]:
    """Of `audiences status --json`: each with its connections."""
    lines: list[str] = []
    for each in found:
        lines += ["", *_status(each, holders)] if lines else _status(each, holders)
    expectation = {told["expectation"] for each in found for told in each["connections"] if "expectation" in told}
    return [*lines, "", *expectation] if expectation else lines


def holder_lines(holders: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A line for each member or value."""
    for each in holders:
        since = f"  since {each['since']}" if each["since"] else ""
        value = f"  {value_text(each['value'])}" if "value" in each else ""
        yield f"{each['profile']}{since}{value}  {ids_text(each)}".rstrip()


def value_text(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = plain(msgspec.json.encode(value).decode())
    return text if len(text) <= VALUE_SHOWN else f"{text[: VALUE_SHOWN - 3]}..."


def _status(each: dict[str, Any], holders: str) -> list[str]:
    head = f"{each['key']} ({each['id']}): {each['state']}, {counted(each['count'], holders)}"
    if "progress" in each:
        head += f", at profile {each['progress']['done']} of {each['progress']['total']}"
    cells = [
        (
            told["destination"],
            " and ".join(name for name in ("identify", "track") if told[name]),
            told["sync"],
            _connection_state(told),
            told["sent"],
            told["sent_at"] or "never",
        )
        for told in each["connections"]
    ]
    return [head, *table(("DESTINATION", "CALLS", "SYNC", "STATE", "SENT", "LAST"), cells)] if cells else [head]


def _connection_state(told: dict[str, Any]) -> str:
    words = STATE_WORDS.get(told["state"], told["state"])
    if "first_sync" in told:
        sync = told["first_sync"]
        words += f", {sync['done']} of {sync['total']} at {sync['rate']} a second"
        if sync["seconds_left"] is not None:
            words += f", {lasting_text(sync['seconds_left'])} left"
    return f"{words}: {told['reason']}" if told["reason"] else words


def lasting_text(seconds: int) -> str:
    """How long something takes, in its two largest units: `6h 1m`, `40s`."""
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    units = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s"))
    first = next((place for place, (count, _) in enumerate(units) if count), 3)
    return " ".join(f"{count}{unit}" for count, unit in units[first : first + 2])
