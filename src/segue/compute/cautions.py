"""What is allowed in a definition and yet often not meant: the editor and `explain` say it, nothing is refused.

Rule: a caution never changes an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import get_args

from segue.compute.comparisons import ORDERINGS
from segue.compute.dates import lacks_zone
from segue.compute.mistakes import Mistake, closest
from segue.compute.tree import Compare, Date, Dated, Definition, Event, Op, Part, Text, parts


def cautions(tree: Definition, *, sources: Collection[str] | None = None) -> list[Mistake]:
    """What to point out, in the order of the text. `sources`: the ids that `.sources(exclude: …)` may name."""
    return [Mistake(message=message, path=path) for path, part, _ in parts(tree) for message in _of(part, sources)]


def _of(part: Part, sources: Collection[str] | None) -> Iterator[str]:
    if isinstance(part, Compare):
        if part.op == "omits":
            yield ".omits(…) is also true of those who have no value at all; add .exists() if they are not meant"
        yield from (_zone(arg.value) for arg in part.args if isinstance(arg, Date | Text) and _is_moment(part.op, arg))
    elif isinstance(part, Event) and sources is not None:
        for source in part.exclude_sources:
            if source not in sources:
                meant = closest(source, sources)
                yield f"this space has no source {source!r}" + (f"; did you mean {meant!r}?" if meant else "")


def _is_moment(op: Op, arg: Date | Text) -> bool:
    """Whether an operand is read as a moment without a zone: a date, or a text that is compared as one."""
    return (isinstance(arg, Date) or op in (*ORDERINGS, *get_args(Dated))) and lacks_zone(arg.value)


def _zone(date: str) -> str:
    return f"{date} says no time zone and is read as UTC; add Z, or a zone such as +01:00"
