"""Timers: when the value of a definition may next change by itself, with no further event.

Rule: from the instant asked about until just before the one given, the answer is the same; where none is given, it is
the same for ever. Waking for nothing is allowed, never waking late.

Source: PROPOSED; the rows are those of the contract's table: windows, sliding dates, sessions, retention.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor
from typing import NamedTuple

from segue.compute.dates import SLIDING, changes
from segue.compute.evaluate import Evaluation
from segue.compute.history import History, Occurrence
from segue.compute.reducers import reduce, takes_part
from segue.compute.references import references
from segue.compute.tree import (
    And,
    Between,
    Compare,
    Condition,
    Definition,
    Duration,
    Not,
    Number,
    Or,
    Reduce,
    Session,
    Text,
    Within,
)
from segue.compute.values import Value, date_of, number_of
from segue.compute.windows import FOREVER, WHOLE, Reach, Stay, stay, timed_window


def next_change(tree: Definition, history: History, at_ms: int, reach: Reach = WHOLE) -> int | None:
    """The earliest instant after `at_ms`, in ms since 1970, at which the value may be another; None: never.

    What other definitions say counts as given: whoever refers to them wakes when they do (`answers`).
    """
    timers = Timers(Evaluation(history, at_ms, reach))
    if isinstance(tree, Condition):
        instants = timers.of_condition(tree)
    else:
        assert isinstance(tree, Reduce), "a definition ends in a condition or in a reducer"
        instants = timers.of_computed(tree)
    return min((instant for instant in instants if at_ms < instant < FOREVER), default=None)


class _Span(NamedTuple):
    """An event that has a value for the reducer, and when it counts."""

    occurrence: Occurrence
    given: list[Value]
    stay: Stay


class Threshold(NamedTuple):
    """What a comparator asks of a count: so many at least, or one less exactly; or the opposite of either."""

    at_least: int
    exactly: bool


class Timers:
    """The instants of one history; those that are not after the instant asked about do not matter."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._at_ms = evaluation.at_ms

    def of_condition(self, tree: Condition) -> Iterator[int]:
        """When the windows and dates of its leaves, or the traits that it names, may make it another."""
        yield from self._of_traits(tree)
        for leaf in comparisons_of(tree):
            yield from self.of_dates(leaf, None)
            for scalar in (leaf.left, *leaf.args):
                if isinstance(scalar, Reduce):
                    yield from self.of_value(scalar, threshold_of(leaf) if scalar is leaf.left else None)

    def of_computed(self, tree: Reduce) -> Iterator[int]:
        """When the value, or whether there is one, may become another."""
        yield from self._of_traits(tree)
        yield from self.of_value(tree, None)
        spans, waking = self._spans(tree, None)
        yield from waking
        held = self._held(spans)
        yield from [max(span.stay.until_ms for span in held)] if held else self._entering(spans)

    def _of_traits(self, tree: Definition) -> Iterator[int]:
        """Custom traits change with events, so that only instants before the last of them wait for one."""
        for name in sorted(references(tree).traits):
            version = self._evaluation.history.next_version(name, self._at_ms)
            if version is not None:
                yield version

    def of_dates(self, leaf: Compare, occurrence: Occurrence | None) -> Iterator[int]:
        """When a sliding comparator may say something else of what it reads."""
        if leaf.op not in SLIDING:
            return
        (span,) = leaf.args
        assert isinstance(span, Duration)
        for each in self._evaluation.values(leaf.left, occurrence):
            when = date_of(each)
            if when is not None:
                yield from changes(leaf.op, when, span.ms)

    def of_value(self, tree: Reduce, threshold: Threshold | None) -> Iterator[int]:
        """When the value of a stream, or which side of the threshold its count is on, may become another."""
        if isinstance(tree.stream.window, Session):
            yield from self._of_session(tree, tree.stream.window)
            return
        spans, waking = self._spans(tree, timed_window(tree.stream))
        yield from waking
        held, entering = self._held(spans), self._entering(spans)
        if threshold is not None:
            yield from _crossings(threshold, [span.stay.until_ms for span in held], entering)
            return
        if tree.by != "first" or not held:  # what enters is newer than what is held
            yield from entering
        yield from _leaving(tree, held)

    def _of_session(self, tree: Reduce, session: Session) -> Iterator[int]:
        """The end of the session, and whatever makes its events others."""
        counter = Reduce(stream=tree.stream, by="count")  # events without a value keep a session going
        spans, waking = self._spans(counter, None)
        yield from waking
        yield from self._entering(spans)
        held = self._held(spans)
        if held:
            yield held[-1].occurrence.t + session.to.ms
            # Retention goes by receipt: what it takes first may stand anywhere in a run, or be the newest of all.
            yield from (span.stay.until_ms for span in held)

    def _spans(self, tree: Reduce, window: Within | Between | None) -> tuple[list[_Span], list[int]]:
        """The events that pass all other filters now and have not left; and when `where` may change its mind of one."""
        stream, evaluation = tree.stream, self._evaluation
        found: list[_Span] = []
        waking: list[int] = []
        for each in evaluation.candidates(stream):
            of_event = stay(each, window, evaluation.reach)
            if of_event.until_ms <= self._at_ms or of_event.from_ms >= FOREVER:
                continue
            if stream.where is not None:
                waking.extend(at for leaf in comparisons_of(stream.where) for at in self.of_dates(leaf, each))
            given = evaluation.given(tree, each)
            if takes_part(tree, given) and evaluation.passes(stream, each):
                found.append(_Span(each, given, of_event))
        return found, waking

    def _held(self, spans: list[_Span]) -> list[_Span]:
        return [span for span in spans if span.stay.holds(self._at_ms)]

    def _entering(self, spans: list[_Span]) -> list[int]:
        return [span.stay.from_ms for span in spans if span.stay.from_ms > self._at_ms]


def comparisons_of(tree: Condition) -> Iterator[Compare]:
    """The comparisons of a condition, without those inside the `where` of their events."""
    match tree:
        case And() | Or():
            for item in tree.items:
                yield from comparisons_of(item)
        case Not():
            yield from comparisons_of(tree.item)
        case Compare():
            yield tree


def threshold_of(leaf: Compare) -> Threshold | None:
    """What a leaf asks of its count; None where it asks something else, or nothing that is written out."""
    if not isinstance(leaf.left, Reduce) or leaf.left.by != "count" or len(leaf.args) != 1:
        return None
    (arg,) = leaf.args
    number = number_of(arg.value) if isinstance(arg, Number | Text) else None
    if number is None:
        return None
    match leaf.op:
        case "at_least" | "less_than":
            return Threshold(ceil(number), exactly=False)
        case "greater_than" | "at_most":
            return Threshold(floor(number) + 1, exactly=False)
        case "equals" | "differs" if isinstance(number, int):
            return Threshold(number + 1, exactly=True)
    return None


def _crossings(threshold: Threshold, leaving: list[int], entering: list[int]) -> list[int]:
    """When a count may cross its threshold, from when each counted event leaves and the coming ones enter."""
    least = threshold.at_least
    if len(leaving) >= least:
        return sorted(leaving, reverse=True)[least - 1 : least] if least >= 1 else []
    if threshold.exactly and len(leaving) == least - 1:
        return leaving + entering
    return entering


def _leaving(tree: Reduce, held: list[_Span]) -> list[int]:
    """When an event leaves by whose going the value may become another."""
    if tree.by in ("first", "last"):
        return [span.stay.until_ms for span in (held[:1] if tree.by == "first" else held[-1:])]
    if tree.by in ("min", "max") and held:
        result = reduce(tree, [span.given for span in held]).value
        return [max(span.stay.until_ms for span in held if reduce(tree, [span.given]).value == result)]
    return [span.stay.until_ms for span in held]
