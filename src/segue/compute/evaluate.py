"""What a definition is of one profile at one instant, worked out from its history alone.

This is the plain reading of the language: slow, with nothing remembered, and the one that the others must agree with.

Rule: the answer depends on the tree, the history, the instant and the reach; each leaf is true or false, never unknown.

Source: Segment's "Query language" and "Computed traits"; when a profile has a computed trait is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from segue.compute.comparators import Comparator, comparator, holds, some_related
from segue.compute.history import ABSENT, Absence, History, Occurrence
from segue.compute.paths import entries
from segue.compute.reducers import Reduced, reduce, takes_part
from segue.compute.tree import (
    And,
    Audience,
    Compare,
    Condition,
    Context,
    Definition,
    Event,
    Not,
    Or,
    Property,
    Reduce,
    Scalar,
    Session,
    Trait,
)
from segue.compute.values import Value
from segue.compute.windows import WHOLE, Reach, current_session, stay, timed_window


def value(tree: Definition, history: History, at_ms: int, reach: Reach = WHOLE) -> Value | Literal[Absence.ABSENT]:
    """Of an audience whether its condition is true, of a computed trait its value or `ABSENT`.

    `at_ms` is in ms since 1970. The tree is one that `checks` lets through.
    """
    evaluation = Evaluation(history, at_ms, reach)
    if isinstance(tree, Condition):
        return evaluation.truth(tree)
    assert isinstance(tree, Reduce), "a definition ends in a condition or in a reducer"
    return evaluation.computed(tree)


def is_member(
    tree: Condition, history: History, at_ms: int, reach: Reach = WHOLE, *, include_anonymous: bool = False
) -> bool:
    """Whether the profile is in an audience: its condition is true, and there is an id that it can be a member by."""
    eligible = history.can_be_member(include_anonymous=include_anonymous)
    return eligible and Evaluation(history, at_ms, reach).truth(tree)


class Evaluation:
    """One history at one instant.

    It keeps the comparators that it read, by node: a tree outlives it. `comparators` are those of earlier evaluations
    of trees that still live.
    """

    def __init__(
        self, history: History, at_ms: int, reach: Reach = WHOLE, comparators: dict[int, Comparator] | None = None
    ) -> None:
        self.history = history
        self.at_ms = at_ms
        self.reach = reach
        self._comparators: dict[int, Comparator] = {} if comparators is None else comparators

    def truth(self, tree: Condition, occurrence: Occurrence | None = None) -> bool:
        """Whether a condition is true; in `where`, of the event in hand."""
        match tree:
            case And():
                return all(self.truth(item, occurrence) for item in tree.items)
            case Or():
                return any(self.truth(item, occurrence) for item in tree.items)
            case Not():
                return not self.truth(tree.item, occurrence)
            case Audience():
                return self.history.others.audience(tree.key, self.at_ms)
            case Compare():
                return self._compare(tree, occurrence)
        raise AssertionError(f"checks lets no {tree} through")

    def values(self, tree: Scalar, occurrence: Occurrence | None = None) -> list[Value]:
        """What a scalar is: one value, or under `$` those of the entries."""
        match tree:
            case Trait():
                return entries(self._traits(tree), tree.path)
            case Property():
                assert occurrence is not None and not tree.parent, "checks lets properties stand with their event only"
                return entries(occurrence.properties, tree.path)
            case Context():
                assert occurrence is not None, "checks lets a context stand with its event only"
                return entries(occurrence.context, tree.path)
            case Reduce():
                assert occurrence is None, "checks lets no event stand inside another's where"
                return [self.reduced(tree).value]

    def reduced(self, tree: Reduce) -> Reduced:
        """The value of a stream."""
        return reduce(tree, [self.given(tree, occurrence) for occurrence in self.counted(tree.stream)])

    def computed(self, tree: Reduce) -> Value | Literal[Absence.ABSENT]:
        """The value of a computed trait; absent as long as no event ever had one for it, whatever the window."""
        if not any(takes_part(tree, self.given(tree, each)) for each in self.passing(tree.stream)):
            return ABSENT
        return self.reduced(tree).value

    def given(self, tree: Reduce, occurrence: Occurrence) -> list[Value]:
        """What the field of a reducer leads to in one event; to be counted an event needs none."""
        return [] if tree.field is None else self.values(tree.field, occurrence)

    def counted(self, stream: Event) -> list[Occurrence]:
        """The events of a stream that count at the instant, in their order."""
        if isinstance(stream.window, Session):
            return [*current_session(list(self.passing(stream)), stream.window.to.ms, self.at_ms)]
        window = timed_window(stream)
        return [
            each
            for each in self.candidates(stream)
            if stay(each, window, self.reach).holds(self.at_ms) and self.passes(stream, each)
        ]

    def passing(self, stream: Event) -> Iterator[Occurrence]:
        """The events that have happened and pass all filters but the window, in their order."""
        return (
            each
            for each in self.candidates(stream)
            if stay(each, None, self.reach).holds(self.at_ms) and self.passes(stream, each)
        )

    def candidates(self, stream: Event) -> Iterator[Occurrence]:
        """The events of this name whose sources are not excluded, whenever they happened, in their order."""
        excluded = stream.exclude_sources
        return (each for each in self.history.stream(stream.name) if each.source not in excluded)

    def passes(self, stream: Event, occurrence: Occurrence) -> bool:
        """Whether an event meets the `where` of its stream at the instant."""
        return stream.where is None or self.truth(stream.where, occurrence)

    def _compare(self, tree: Compare, occurrence: Occurrence | None) -> bool:
        found = self.values(tree.left, occurrence)
        others = self.referred(tree, occurrence)
        if others is not None:
            return some_related(tree.op, found, others)
        if id(tree) not in self._comparators:
            self._comparators[id(tree)] = comparator(tree.op, tree.args)
        return holds(tree.op, self._comparators[id(tree)], found, self.at_ms)

    def referred(self, tree: Compare, occurrence: Occurrence | None = None) -> list[Value] | None:
        """What stands on the right of a leaf in place of a literal; None where there is a literal or nothing."""
        if len(tree.args) == 1 and isinstance(tree.args[0], Scalar):
            return self.values(tree.args[0], occurrence)
        return None

    def _traits(self, tree: Trait) -> Value:
        """As much of the profile's traits as a path needs."""
        name = tree.path[0]
        found: dict[str, Value] = {name: self.history.trait(name, self.at_ms)}
        return found
