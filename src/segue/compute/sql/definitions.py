"""Definitions as they are asked for, those that they refer to, and which events they read.

Rule: needs no sqlglot; what is wanted of an event's name is enough for every leaf that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from segue.compute.references import references
from segue.compute.tree import Condition, Definition, Event, Reduce, parts
from segue.compute.windows import WHOLE, Reach, timed_window
from segue.lake.relations import Wanted


class Defined(Struct, frozen=True, kw_only=True):
    """A definition with what was chosen beside it; `id` is that of its rows in `holdings`.

    Of a `frozen` one, which is disabled, what it says is what its rows say.
    """

    tree: Definition
    id: int = 0
    reach: Reach = WHOLE
    include_anonymous: bool = False
    frozen: bool = False

    @property
    def is_audience(self) -> bool:
        """Whether it ends in true or false."""
        return isinstance(self.tree, Condition)


def needed(definitions: Mapping[str, Defined], key: str) -> list[str]:
    """The keys that a definition reads, directly or not, each after those that it reads itself; its own comes last.

    The definitions do not refer to each other in a circle.
    """
    found: dict[str, None] = {}

    def visit(each: str) -> None:
        if each not in found:
            for other in referred(definitions, each):
                visit(other)
            found[each] = None

    visit(key)
    return list(found)


def referred(definitions: Mapping[str, Defined], key: str) -> list[str]:
    """The definitions that one names."""
    if definitions[key].frozen:
        return []
    named = references(definitions[key].tree)
    audiences = {each for each in named.audiences if each in definitions and definitions[each].is_audience}
    return sorted(audiences | {each for each in named.traits if each in definitions})


def wanted(definitions: Mapping[str, Defined], key: str, at_ms: int) -> dict[str, Wanted]:
    """By the name of the event, which events are read to say at this instant what a definition is."""
    found: dict[str, Wanted] = {}
    for each in needed(definitions, key):
        defined = definitions[each]
        if defined.frozen:
            continue
        for stream, windowed in streams(defined.tree):
            want = bounds(stream, defined.reach, at_ms, windowed=windowed)
            found[stream.name] = want if stream.name not in found else found[stream.name].with_(want)
    return found


def streams(tree: Definition) -> Iterator[tuple[Event, bool]]:
    """The streams of a definition; and whether nothing outside of their windows is read, as a computed trait reads all
    that there was to know whether it has a value.
    """
    for _, part, _ in parts(tree):
        if isinstance(part, Reduce):
            yield part.stream, part is not tree


def bounds(stream: Event, reach: Reach, at_ms: int, *, windowed: bool) -> Wanted:
    """What the window, where it does bound what is read, and the reach leave out."""
    window = timed_window(stream) if windowed else None
    times = [] if window is None else [at_ms - window.to.ms]
    times += [] if reach.from_ms is None else [reach.from_ms - 1]
    receipts = [] if reach.retention_ms is None else [at_ms - reach.retention_ms]
    receipts += [] if reach.received_from_ms is None else [reach.received_from_ms - 1]
    return Wanted(max(times, default=None), max(receipts, default=None))
