"""What a scalar of a definition is in a query: one value, the entries under `$`, or a count.

Rule: entries that are null are left out of a list, for no comparator and no reducer tells them from none; a path leads
to what `compute.paths.entries` finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlglot import exp

from segue.compute.paths import EVERY
from segue.compute.sql.terms import NOTHING, Term, call, function_of, text

Shape = Literal["one", "many", "count"]


class Found(NamedTuple):
    """`term` is canonical JSON or NULL; a list of such; or a whole number."""

    term: Term
    shape: Shape = "one"

    @property
    def json(self) -> Term:
        """One value as canonical JSON."""
        return exp.cast(self.term.copy(), "VARCHAR") if self.shape == "count" else self.term.copy()

    @property
    def text(self) -> Term:
        """One value as text."""
        return self.json if self.shape == "count" else call("sg_text", self.term.copy())

    @property
    def number(self) -> Term:
        """One value as a double."""
        return exp.cast(self.term.copy(), "DOUBLE") if self.shape == "count" else call("sg_number", self.term.copy())

    @property
    def integer(self) -> Term:
        """One value as an exact integer, where it is one."""
        return exp.cast(self.term.copy(), "HUGEINT") if self.shape == "count" else call("sg_integer", self.term.copy())

    @property
    def first_ms(self) -> Term:
        """The first millisecond of one value as date."""
        return call("sg_first_ms", self.json)

    @property
    def last_ms(self) -> Term:
        """The last millisecond of one value as date."""
        return call("sg_last_ms", self.json)


NULL = Found(NOTHING)


def at_path(document: Term, path: Sequence[str]) -> Found:
    """What a path leads to in a text of JSON."""
    if not path:
        return Found(call("sg_value", document))
    found, listed = document, False
    for step, every in _steps(path):
        if not listed:
            found = call("json_extract", found, text(step))
        else:
            each = call("json_extract", exp.Column(this=exp.to_identifier("step")), text(step))
            found = call("list_transform", found, function_of("step", each))
            found = call("flatten", found) if every else found
        listed = listed or every
    return _many(found) if listed else Found(call("sg_value", found))


def _many(found: Term) -> Found:
    return Found(call("sg_values", found), "many")


def _steps(path: Sequence[str]) -> list[tuple[str, bool]]:
    """The path in the words of DuckDB, in as few pieces as may be, and which of them give a list."""
    steps: list[tuple[str, bool]] = []
    way, every = "$", False
    for segment in path:
        if segment == EVERY:
            way, every = f"{way}[*]", True
        elif '"' in segment or "\\" in segment or segment == "*":
            if way != "$":
                steps.append((way, every))
            # Between quotes neither of them can stand. A pointer would take digits for a place in an array: such a
            # name has none but digits never.
            steps.append(("/" + segment.replace("~", "~0").replace("/", "~1"), False))
            way, every = "$", False
        else:
            way = f'{way}."{segment}"'
    if way != "$":
        steps.append((way, every))
    return steps
