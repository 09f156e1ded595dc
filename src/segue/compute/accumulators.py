"""What a reducer keeps of the events that count, so that its value is at hand: of one event, and of them all.

`share` is what one event contributes, `figures` what all contribute together; both are made of what msgpack holds.
Numbers are billionths in two parts, since a sum may be longer than 64 bits.

Rule: the value of the figures is that of `reducers.reduce` over the same events, in whatever order they were added.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from segue.compute.decimals import billionths_of, decimal_text, divided, number_from
from segue.compute.paths import EVERY
from segue.compute.reducers import UNIQUE_MOST
from segue.compute.tree import MODE_MIN, Reduce
from segue.compute.values import Value, text_of

Figures: TypeAlias = list[Any]
Share: TypeAlias = Any
Order: TypeAlias = list[Any]
"""(t, received_at, messageId) of an event, as a list."""

PART = 10**18
"""Billionths are held as (floor by this, rest): both fit into 64 bits, and they sort as the number does."""

_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Accumulator(Protocol):
    """How one reducer counts."""

    def start(self) -> Figures:
        """The figures of no event."""
        ...

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """What an event contributes by the values it gives; None: nothing."""
        ...

    def add(self, figures: Figures, share: Share) -> None:
        """Count an event."""
        ...

    def remove(self, figures: Figures, share: Share) -> None:
        """Count an event no more."""
        ...

    def join(self, figures: Figures, other: Figures) -> None:
        """Count all that the other figures count, which are of other events."""
        ...

    def value(self, figures: Figures) -> Value:
        """The value of the events that are counted."""
        ...


class Count:
    """How many events there are: (n)."""

    def start(self) -> Figures:
        """None."""
        return [0]

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """Each event counts, whatever it gives."""
        return 1

    def add(self, figures: Figures, share: Share) -> None:
        """One more."""
        figures[0] += 1

    def remove(self, figures: Figures, share: Share) -> None:
        """One less."""
        figures[0] -= 1

    def join(self, figures: Figures, other: Figures) -> None:
        """So many more."""
        figures[0] += other[0]

    def value(self, figures: Figures) -> Value:
        """Their number."""
        number: int = figures[0]
        return number


class Total:
    """Sum and mean: (how many values, their sum in two parts). A share is of the same form."""

    def __init__(self, *, mean: bool) -> None:
        self._mean = mean

    def start(self) -> Figures:
        """Nothing."""
        return [0, 0, 0]

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """The values that are numbers."""
        numbers = [number for value in given if (number := billionths_of(value)) is not None]
        return [len(numbers), *divmod(sum(numbers), PART)] if numbers else None

    def add(self, figures: Figures, share: Share) -> None:
        """Both add up."""
        figures[0] += share[0]
        whole, figures[2] = divmod(figures[2] + share[2], PART)
        figures[1] += share[1] + whole

    def remove(self, figures: Figures, share: Share) -> None:
        """Integers, so that what is left is exact."""
        figures[0] -= share[0]
        whole, figures[2] = divmod(figures[2] - share[2], PART)
        figures[1] += whole - share[1]

    def join(self, figures: Figures, other: Figures) -> None:
        """The figures of others are a share."""
        self.add(figures, other)

    def value(self, figures: Figures) -> Value:
        """The sum; of nothing 0. The mean; of nothing null."""
        n, whole, rest = figures
        total = whole * PART + rest
        if not self._mean:
            return number_from(total)
        return number_from(divided(total, n)) if n else None


class Frequencies:
    """The most frequent value: ({text: how often}). A share is the texts of an event."""

    def __init__(self, tree: Reduce) -> None:
        self._numeric = tree.as_ == "number"
        self._whole = tree.as_ == "array" and tree.field is not None and EVERY in tree.field.path
        self._least = MODE_MIN if tree.min is None else tree.min

    def start(self) -> Figures:
        """No text."""
        return [{}]

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """The values as texts: numbers with all their digits, `as array` all entries as one."""
        values: list[Value] = [value for value in given if value is not None]
        if self._numeric:
            return [decimal_text(number) for each in values if (number := billionths_of(each)) is not None] or None
        texts = [text_of(values)] if self._whole and values else [text_of(value) for value in values]
        return texts or None

    def add(self, figures: Figures, share: Share) -> None:
        """Each text once more."""
        frequencies = figures[0]
        for text in share:
            frequencies[text] = frequencies.get(text, 0) + 1

    def remove(self, figures: Figures, share: Share) -> None:
        """Each text once less."""
        _take_off(figures[0], share)

    def join(self, figures: Figures, other: Figures) -> None:
        """The frequencies add up."""
        _add_up(figures[0], other[0])

    def value(self, figures: Figures) -> Value:
        """The most frequent where it is frequent enough; of several, the first of the alphabet."""
        best: str | None = None
        most = self._least
        for text, n in figures[0].items():
            if n > most or (n == most and (best is None or text < best)):
                best, most = text, n
        if best is None or not self._numeric:
            return best
        number = billionths_of(best)
        assert number is not None, "the text was written from a number"
        return number_from(number)


class Distinct:
    """Unique values for ever: ({text: order of the first event that has it}), at most `UNIQUE_MOST`, the earliest.

    What was left out once stays out unless an earlier event brings it: those that are in only get earlier.
    A share is (texts, order).
    """

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted

    def start(self) -> Figures:
        """No text."""
        return [{}]

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """The different texts of an event."""
        return _texts(given, order)

    def add(self, figures: Figures, share: Share) -> None:
        """Note each text with its first event."""
        texts, order = share
        for text in texts:
            self._note(figures[0], text, order)

    def remove(self, figures: Figures, share: Share) -> None:
        """Nothing leaves what has no window."""
        raise AssertionError("without a window no event stops counting")

    def join(self, figures: Figures, other: Figures) -> None:
        """The earliest of both."""
        for text, order in other[0].items():
            self._note(figures[0], text, order)

    def value(self, figures: Figures) -> Value:
        """The texts by alphabet, or how many there are."""
        return len(figures[0]) if self._counted else sorted(figures[0])

    @staticmethod
    def _note(firsts: dict[str, Order], text: str, order: Order) -> None:
        if text in firsts:
            firsts[text] = min(firsts[text], order)
            return
        firsts[text] = order
        if len(firsts) > UNIQUE_MOST:
            del firsts[max(firsts, key=lambda each: (firsts[each], each))]


class Present:
    """Unique values of a window: ({text: in how many events}). A share is (texts, order).

    Of more than `UNIQUE_MOST` the shares say which are the earliest: `earliest`.
    """

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted

    def start(self) -> Figures:
        """No text."""
        return [{}]

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """The different texts of an event."""
        return _texts(given, order)

    def add(self, figures: Figures, share: Share) -> None:
        """Each text in one more event."""
        frequencies = figures[0]
        for text in share[0]:
            frequencies[text] = frequencies.get(text, 0) + 1

    def remove(self, figures: Figures, share: Share) -> None:
        """Each text in one less event."""
        _take_off(figures[0], share[0])

    def join(self, figures: Figures, other: Figures) -> None:
        """The numbers of events add up."""
        _add_up(figures[0], other[0])

    def overflows(self, figures: Figures) -> bool:
        """Whether there are more values than a list holds, so that `earliest` gives the value."""
        return not self._counted and len(figures[0]) > UNIQUE_MOST

    def value(self, figures: Figures) -> Value:
        """The texts by alphabet, or how many there are."""
        return min(len(figures[0]), UNIQUE_MOST) if self._counted else sorted(figures[0])

    @staticmethod
    def earliest(shares: Sequence[Share]) -> Value:
        """The value, from the shares of all events that count."""
        found: set[str] = set()
        for texts, _ in sorted(shares, key=lambda share: share[1]):
            for text in texts:
                if len(found) < UNIQUE_MOST:
                    found.add(text)
        return [*sorted(found)]


class Extreme:
    """The least or greatest number or text, the first or last value: (rank, value), or nothing.

    A share is of the same form. The rank of a first or last value is the order of its event; a number or a text is its
    own rank.
    """

    def __init__(self, tree: Reduce) -> None:
        self.greatest = tree.by in ("max", "last")
        self._by_order = tree.by in ("first", "last")
        self._textual = tree.as_ == "string"

    def start(self) -> Figures:
        """Nothing."""
        return []

    def share(self, given: Sequence[Value], order: Order) -> Share | None:
        """The best of the event's own."""
        if self._by_order:
            values = [value for value in given if value is not None]
            return [order, _encode(values[-1 if self.greatest else 0])] if values else None
        choose = max if self.greatest else min
        if self._textual:
            texts = [
                text for each in given if not isinstance(each, list | dict) and (text := text_of(each)) is not None
            ]
            return [choose(texts), None] if texts else None
        numbers = [number for value in given if (number := billionths_of(value)) is not None]
        return [[*divmod(choose(numbers), PART)], None] if numbers else None

    def better(self, rank: Any, other: Any) -> bool:
        """Whether the first of two ranks wins; of equal ones neither does."""
        found: bool = rank > other if self.greatest else rank < other
        return found

    def add(self, figures: Figures, share: Share) -> None:
        """The better one stays."""
        if not figures or self.better(share[0], figures[0]):
            figures[:] = share

    def remove(self, figures: Figures, share: Share) -> None:
        """What a window leaves behind is kept by `fronts`."""
        raise AssertionError("without a window no event stops counting")

    def join(self, figures: Figures, other: Figures) -> None:
        """The better one stays."""
        if other:
            self.add(figures, other)

    def value(self, figures: Figures) -> Value:
        """The value; of nothing null."""
        if not figures:
            return None
        rank, encoded = figures
        if self._by_order:
            found: Value = _decode(encoded)
            return found
        return str(rank) if self._textual else number_from(rank[0] * PART + rank[1])


def accumulator(tree: Reduce, *, leaving: bool) -> Accumulator:
    """How a reducer counts; `leaving`: whether events stop counting."""
    match tree.by:
        case "count":
            return Count()
        case "sum" | "avg":
            return Total(mean=tree.by == "avg")
        case "mode":
            return Frequencies(tree)
        case "unique" | "unique_count":
            counted = tree.by == "unique_count"
            return Present(counted=counted) if leaving else Distinct(counted=counted)
    return Extreme(tree)


def _texts(given: Sequence[Value], order: Order) -> Share | None:
    texts = sorted({text for value in given if (text := text_of(value)) is not None})
    return [texts, order] if texts else None


def _take_off(frequencies: dict[str, int], texts: Sequence[str]) -> None:
    for text in texts:
        if frequencies[text] == 1:
            del frequencies[text]
        else:
            frequencies[text] -= 1


def _add_up(frequencies: dict[str, int], other: dict[str, int]) -> None:
    for text, n in other.items():
        frequencies[text] = frequencies.get(text, 0) + n
