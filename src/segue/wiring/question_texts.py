"""What `segue audiences preview` and `explain`, `segue traits` and `segue reconcile` print for people. Pure.

Rule: it shows what the JSON form says, in fewer words; nothing is computed here that the JSON does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from segue.compute.mistakes import Mistake
from segue.control.units import counted
from segue.wiring.computed_texts import value_text
from segue.wiring.profile_texts import ids_text
from segue.wiring.texts import table

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
