"""One definition made ready to be computed from the states of its leaves.

Rule: which kind a leaf is, and what is kept for it, follows from the definition and its reach alone; a tree that is
given twice is made ready as two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from msgspec import Struct

from segue.compute.comparators import Comparator, comparator
from segue.compute.dates import SLIDING
from segue.compute.evaluate import Evaluation
from segue.compute.history import History, Occurrence
from segue.compute.kept import CurrentSession, Kept
from segue.compute.kinds import CAPPED_AT, Capped, Facts, Folded, Front, Leaf, Windowed
from segue.compute.leaves import leaf_id
from segue.compute.ready import Truth, has_literals, of_occurrence, ready
from segue.compute.timers import Threshold, comparisons_of, threshold_of
from segue.compute.tree import (
    And,
    Audience,
    Compare,
    Condition,
    Definition,
    Reduce,
    Session,
    Trait,
    from_json,
    parts,
    to_json,
)
from segue.compute.values import Value
from segue.compute.windows import WHOLE, Reach


class Compiled(Struct, frozen=True, kw_only=True):
    """A definition as compute is to treat it.

    `id` is the computation's, which it keeps; `generation` says which of its definitions this is. `evaluates`: false
    while it is being built: events are added and nothing is evaluated. `frozen`: disabled: what was held stays, nothing
    is added or evaluated. Of one computation there may be a generation that evaluates and one that is being built.
    """

    id: int
    generation: int
    key: str
    kind: Literal["audience", "computed_trait"]
    tree: Definition
    reach: Reach = WHOLE
    include_anonymous: bool = False
    evaluates: bool = True
    frozen: bool = False


class Asked(Protocol):
    """Whoever knows the values of leaves at an instant."""

    at_ms: int

    def value_of(self, leaf: Leaf) -> Value:
        """The value of a leaf."""
        ...

    def truth(self, tree: Condition) -> bool:
        """Whether a condition is true."""
        ...


class Plan:
    """A definition with its leaves. `sliding`: its comparisons with dates that pass by, but for those in `where`."""

    def __init__(self, compiled: Compiled, comparators: dict[int, Comparator]) -> None:
        self.id = compiled.id
        self.compiled = compiled
        # Leaves are found by their node: in a tree of its own no node stands twice.
        self.tree = tree = from_json(to_json(compiled.tree))
        found = [part for _, part, _ in parts(tree) if isinstance(part, Reduce)]
        compared = list(comparisons_of(tree)) if isinstance(tree, Condition) else []
        self.sliding = tuple(leaf for leaf in compared if leaf.op in SLIDING)
        thresholds = {id(leaf.left): threshold_of(leaf) for leaf in compared}
        self.by_node: dict[int, Leaf] = {}
        for index, node in enumerate(found):
            facts = Facts(
                id=leaf_id(compiled.id, compiled.generation, index),
                tree=node,
                reach=compiled.reach,
                tested=_tested(node, comparators),
                root=node is tree,
                threshold=thresholds.get(id(node)),
            )
            self.by_node[id(node)] = _leaf(facts, comparators)
        self.leaves = tuple(self.by_node.values())
        self.timed = tuple(leaf for leaf in self.leaves if not isinstance(leaf, Folded))
        self.truth = ready(tree, self._short, _plain) if isinstance(tree, Condition) else None
        """Of an audience: whether its condition is true."""

    def _short(self, tree: Compare) -> Truth[Asked] | None:
        """A comparison of a leaf's value with literals."""
        if not isinstance(tree.left, Reduce) or not has_literals(tree):
            return None
        compare, leaf = comparator(tree.op, tree.args), self.by_node[id(tree.left)]
        return lambda asked: compare(asked.value_of(leaf), asked.at_ms)


def _plain(tree: Condition) -> Truth[Asked]:
    return lambda asked: asked.truth(tree)


def _leaf(facts: Facts, comparators: dict[int, Comparator]) -> Leaf:
    stream, retained = facts.tree.stream, facts.reach.retention_ms is not None
    session = isinstance(stream.window, Session)
    if _decided(stream.where) or (session and retained):
        return Kept(facts, comparators)
    if session:
        return CurrentSession(facts)
    if stream.window is None and not retained:
        return Folded(facts)
    if _is_small(facts.threshold):
        return Capped(facts)
    return Front(facts) if facts.tree.by in ("min", "max", "first", "last") else Windowed(facts)


def _is_small(threshold: Threshold | None) -> bool:
    return threshold is not None and threshold.at_least <= CAPPED_AT


def _decided(where: Condition | None) -> bool:
    """Whether more than the event decides about it: the instant, traits, audiences."""
    return where is not None and any(
        isinstance(part, Trait | Audience) or (isinstance(part, Compare) and part.op in SLIDING)
        for _, part, _ in parts(where)
    )


def _tested(tree: Reduce, comparators: dict[int, Comparator]) -> Truth[Occurrence] | None:
    """What an event alone decides of the `where`: all items that must be true and ask for nothing else."""
    plain = Evaluation(History(), 0, comparators=comparators)
    tests = [of_occurrence(item, plain) for item in _own(tree.stream.where)]
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda occurrence: all(test(occurrence) for test in tests)


def _own(where: Condition | None) -> Iterator[Condition]:
    if where is not None:
        items = where.items if isinstance(where, And) else (where,)
        yield from (item for item in items if not _decided(item))
