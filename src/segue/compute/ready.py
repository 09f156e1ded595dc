"""Conditions made ready: the same truth as the plain evaluator's, with all that the tree decides decided before.

Rule: whatever has no short form is left to the plain evaluator, so that a short form is only ever for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from segue.compute.comparators import comparator
from segue.compute.dates import SLIDING
from segue.compute.evaluate import Evaluation
from segue.compute.history import Occurrence
from segue.compute.paths import EVERY, entries
from segue.compute.tree import And, Compare, Condition, Context, Not, Or, Property, Scalar
from segue.compute.values import Value

Of = TypeVar("Of")
Truth = Callable[[Of], bool]


def ready(
    tree: Condition, short: Callable[[Compare], Truth[Of] | None], plain: Callable[[Condition], Truth[Of]]
) -> Truth[Of]:
    """A condition of something: `short` makes a comparison ready where it can, `plain` all else."""
    match tree:
        case And():
            return _every([ready(item, short, plain) for item in tree.items])
        case Or():
            return _some([ready(item, short, plain) for item in tree.items])
        case Not():
            test = ready(tree.item, short, plain)
            return lambda of: not test(of)
        case Compare():
            return short(tree) or plain(tree)
    return plain(tree)


def of_occurrence(tree: Condition, evaluation: Evaluation) -> Truth[Occurrence]:
    """A condition that an event alone decides."""

    def plain(part: Condition) -> Truth[Occurrence]:
        return lambda occurrence: evaluation.truth(part, occurrence)

    return ready(tree, _of_one_value, plain)


def has_literals(tree: Compare) -> bool:
    """Whether a value is compared with what is written out, or with nothing."""
    return not any(isinstance(arg, Scalar) for arg in tree.args)


def field_reader(tree: Property | Context) -> Callable[[Occurrence], list[Value]]:
    """How a field is read off an event: one value, or under `$` those of the entries."""
    path = tree.path
    if isinstance(tree, Property):
        return lambda occurrence: entries(occurrence.properties, path)
    return lambda occurrence: entries(occurrence.context, path)


def _of_one_value(tree: Compare) -> Truth[Occurrence] | None:
    """A comparison of one property or context with literals."""
    left = tree.left
    if not isinstance(left, Property | Context) or EVERY in left.path or tree.op in SLIDING or not has_literals(tree):
        return None
    compare, read = comparator(tree.op, tree.args), field_reader(left)
    return lambda occurrence: compare(read(occurrence)[0], 0)


def _every(tests: list[Truth[Of]]) -> Truth[Of]:
    def every(of: Of) -> bool:
        return all(test(of) for test in tests)

    return every


def _some(tests: list[Truth[Of]]) -> Truth[Of]:
    def some(of: Of) -> bool:
        return any(test(of) for test in tests)

    return some
