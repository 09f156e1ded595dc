"""The reducers: one value of the values that each event of a stream gives.

Rule: the result depends on the values and on the order of their events, never on the order of arrival; null takes part
in nothing but `count`.

Source: Segment's "Query language" and "Computed traits" (10,000 unique values, ties to the first of the alphabet, at
least twice); the numbers, and which of more values stay, are PROPOSED.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from segue.compute.decimals import billionths_of, decimal_text, divided, number_from
from segue.compute.paths import EVERY
from segue.compute.tree import MODE_MIN, Reduce
from segue.compute.values import Value, text_of

UNIQUE_MOST = 10_000
"""The most values of a unique list: those whose first event is the earliest."""

Given: TypeAlias = Sequence[Value]
"""What the field leads to in one event: its entries, null among them."""

Kind = TypeVar("Kind", str, tuple[str, int])
"""What `mode` counts: texts, or numbers under their text."""


class Reduced(NamedTuple):
    """The result; and how many values that are not null took no part: no numbers, too large, of another type."""

    value: Value
    skipped: int = 0


def reduce(tree: Reduce, given: Sequence[Given]) -> Reduced:
    """The value of a stream, of which these are the events in their order."""
    match tree.by:
        case "count":
            return Reduced(len(given))
        case "first" | "last":
            return Reduced(_end(given, last=tree.by == "last"))
        case "unique":
            found: list[Value] = [*sorted(_unique(given))]
            return Reduced(found)
        case "unique_count":
            return Reduced(len(_unique(given)))
        case "mode":
            return _mode(tree, given)
        case "min" | "max" if tree.as_ == "string":
            return _extreme_text(tree, given)
        case _:
            return _numeric(tree, given)


def takes_part(tree: Reduce, given: Given) -> bool:
    """Whether an event has a value for the reducer: any but null; to be counted it needs none."""
    return tree.by == "count" or any(value is not None for value in given)


def _values(given: Sequence[Given]) -> Iterator[Value]:
    return (value for entries in given for value in entries if value is not None)


def _end(given: Sequence[Given], *, last: bool) -> Value:
    """The first or last value; of one event with several entries, the first or last of them."""
    found = list(_values(given))
    return (found[-1] if last else found[0]) if found else None


def _unique(given: Sequence[Given]) -> set[str]:
    """The texts of the values, as many as may stay; of those that one event brings, the first of the alphabet."""
    found: set[str] = set()
    for entries in given:
        for text in sorted({text for value in entries if (text := text_of(value)) is not None}):
            if len(found) >= UNIQUE_MOST:
                return found
            found.add(text)
    return found


def _mode(tree: Reduce, given: Sequence[Given]) -> Reduced:
    """The most frequent value, where it is frequent enough; of several, the first of the alphabet."""
    if tree.as_ == "number":
        numbers, skipped = _numbers(given)
        best = _most_frequent(tree, {(decimal_text(number), number): n for number, n in Counter(numbers).items()})
        return Reduced(None if best is None else number_from(best[1]), skipped)
    texts = (text_of(value) for value in _values(_wholes(given) if _takes_wholes(tree) else given))
    return Reduced(_most_frequent(tree, Counter(text for text in texts if text is not None)))


def _takes_wholes(tree: Reduce) -> bool:
    """`as array` is the same as a text but under `$`, where all entries of an event together are one value."""
    return tree.as_ == "array" and tree.field is not None and EVERY in tree.field.path


def _wholes(given: Sequence[Given]) -> list[Given]:
    wholes: list[list[Value]] = [[value for value in entries if value is not None] for entries in given]
    return [[whole] for whole in wholes if whole]


def _most_frequent(tree: Reduce, frequencies: Mapping[Kind, int]) -> Kind | None:
    least = MODE_MIN if tree.min is None else tree.min
    enough = [kind for kind, n in frequencies.items() if n >= least]
    return min(enough, key=lambda kind: (-frequencies[kind], kind), default=None)


def _extreme_text(tree: Reduce, given: Sequence[Given]) -> Reduced:
    """The first or last text of the alphabet; arrays and objects take no part."""
    values = list(_values(given))
    texts = [text for value in values if not isinstance(value, list | dict) and (text := text_of(value)) is not None]
    choose = min if tree.by == "min" else max
    return Reduced(choose(texts, default=None), len(values) - len(texts))


def _numeric(tree: Reduce, given: Sequence[Given]) -> Reduced:
    numbers, skipped = _numbers(given)
    if tree.by == "sum":
        return Reduced(number_from(sum(numbers)), skipped)
    if not numbers:
        return Reduced(None, skipped)
    if tree.by == "avg":
        return Reduced(number_from(divided(sum(numbers), len(numbers))), skipped)
    return Reduced(number_from((min if tree.by == "min" else max)(numbers)), skipped)


def _numbers(given: Sequence[Given]) -> tuple[list[int], int]:
    """The values in billionths, and how many are none."""
    values = list(_values(given))
    numbers = [number for value in values if (number := billionths_of(value)) is not None]
    return numbers, len(values) - len(numbers)
