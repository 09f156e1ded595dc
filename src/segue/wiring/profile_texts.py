"""What `segue profiles` prints for people, as plain lines. Pure.

Rule: it shows what the JSON form says, in fewer words; nothing is computed here that the JSON does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from segue.control.units import counted
from segue.wiring.texts import table

PROPERTIES_SHOWN = 60
CAPS = {"ids": "a profile has at most 1,000 ids", "merges": "a profile absorbs at most 100 others"}
"""Why an id was kept off, where it was no limit of a type."""


def profile_lines(found: dict[str, Any]) -> list[str]:
    """What a profile is, of the object of `profiles get --json`."""
    metadata = found["metadata"]
    lines = [
        f"{found['profile']} ({found['collection']})",
        f"since {metadata['created_at']}, last event {metadata['updated_at']}",
        "",
        *table(("TYPE", "ID"), [(each["type"], plain(each["id"])) for each in found["external_ids"]]),
    ]
    if found["traits"]:
        values = [
            (plain(name), plain(msgspec.json.encode(value).decode()), _class(found["computed"].get(name)))
            for name, value in found["traits"].items()
        ]
        lines += ["", *table(("TRAIT", "VALUE", "KIND"), values)]
    if found["links"]:
        lines += ["", *table(("LINKED WITH", "IDS"), [(each["profile"], ids_text(each)) for each in found["links"]])]
    if "more_links" in found:
        lines.append(f"and more than these {len(found['links'])}")
    if "traits_left_out" in found:
        lines.append(f"{counted(found['traits_left_out'], 'trait')} left out: a profile has 1,000 at most")
    return lines


def event_lines(found: dict[str, Any]) -> list[str]:
    """What a user has done, of the object of `profiles events --json`."""
    rows = [
        (each["at"], plain(each["event"] or each["type"]), each["source"], each["message_id"], _properties(each))
        for each in found["events"]
    ]
    lines = [found["profile"], "", *table(("AT", "EVENT", "SOURCE", "MESSAGE ID", "PROPERTIES"), rows)]
    return [*lines, "and more; --limit shows them"] if found["more"] else lines


def explained_lines(found: dict[str, Any]) -> list[str]:
    """How a profile came to be, of the object of `profiles explain --json`."""
    lines = [f"{found['profile']} ({found['collection']}), made by {_event(found['created'])}", ""]
    ids = [(each["type"], plain(each["id"]), *_cells(each)) for each in found["external_ids"]]
    lines += table(("TYPE", "ID", "BROUGHT AT", "BY EVENT", "OF SOURCE"), ids)
    if found["links"]:
        links = [(each["profile"] or "", *_cells(each)) for each in found["links"]]
        lines += ["", *table(("LINKED WITH", "AT", "BY EVENT", "OF SOURCE"), links)]
    for part in (_merges(found), _demoted(found), _blocked(found), _kept_aside(found)):
        told = list(part)
        if told:
            lines += ["", *told]
    return lines


def _class(computed: dict[str, str] | None) -> str:
    return "custom" if computed is None else computed["class"].replace("_", " ")


def _kept_aside(found: dict[str, Any]) -> Iterator[str]:
    for each in found["kept_aside"]:
        what = f"the trait {plain(each['trait'])} of {_event(each)}"
        yield f"{what} is not used: an audience or computed trait is called so"


def _merges(found: dict[str, Any]) -> Iterator[str]:
    for each in found["merges"]:
        yield f"{each['absorbed']} was merged into {each['into']} by {_event(each)}"


def _demoted(found: dict[str, Any]) -> Iterator[str]:
    for each in found["demoted"]:
        owner = "nobody's" if each["owner"] is None else f"of {each['owner']}"
        what = f"{each['type']} {plain(each['id'])} was kept off {_times(each)}"
        yield f"{what}: {_reason(each['reason'])}; it was {owner} then"


def _blocked(found: dict[str, Any]) -> Iterator[str]:
    for each in found["blocked"]:
        yield f"{each['type']} {plain(each['id'])} was kept off {_times(each)}: the identity rules block the value"


def _reason(reason: str) -> str:
    kind, _, type_ = reason.partition(":")
    return f"it would have broken the limit of {type_}" if kind == "limit" else CAPS.get(reason, reason)


def _times(each: dict[str, Any]) -> str:
    if each["count"] == 1:
        return f"once, by {_event(each['last'])}"
    return f"{each['count']} times, the last by {_event(each['last'])}"


def _event(each: dict[str, Any]) -> str:
    return f"{plain(each['message_id'])} of {each['source']} at {each['received_at']}"


def _cells(each: dict[str, Any]) -> tuple[str, str, str]:
    return (each["received_at"], plain(each["message_id"]), each["source"])


def ids_text(each: dict[str, Any]) -> str:
    """The ids of an object that has `external_ids`, as `type:id`."""
    return ", ".join(plain(f"{entry['type']}:{entry['id']}") for entry in each["external_ids"])


def plain(text: str) -> str:
    """The text; quoted where it holds what a terminal would obey rather than show."""
    return text if text.isprintable() else json.dumps(text)


def _properties(event: dict[str, Any]) -> str:
    """As much of them as fits on a line."""
    given = event.get("properties", event.get("traits"))
    text = "" if given is None else plain(msgspec.json.encode(given).decode())
    return text if len(text) <= PROPERTIES_SHOWN else text[: PROPERTIES_SHOWN - 3] + "..."
