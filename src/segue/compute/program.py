"""All definitions of a space, made ready: which of them an event, a trait or another definition concerns.

Rule: a definition that nothing of a profile concerns says of it what it says of a profile of which nothing is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from segue.compute.asking import ANONYMOUS, KNOWN, Asking, Held, Person
from segue.compute.comparators import Comparator
from segue.compute.entries import Chunks
from segue.compute.kinds import Leaf
from segue.compute.leaves import Leaves, computation_of
from segue.compute.plans import Compiled, Plan
from segue.compute.references import in_order, references

NONE: frozenset[int] = frozenset()


class Program:
    """The definitions of one space at one time; a change makes another program. Ids are those of computations.

    Raises Mistaken where they refer to each other in a circle.
    """

    def __init__(self, compiled: Sequence[Compiled]) -> None:
        self.comparators: dict[int, Comparator] = {}
        added = [Plan(each, self.comparators) for each in compiled if not each.frozen]
        self.keys = _keys(compiled)
        """What answers for a key: of several generations the one that evaluates."""
        self.all_evaluated = frozenset(each.id for each in self.keys.values() if _evaluates(each))
        """All that `Machine.evaluate` may be asked for."""
        self.plans = _in_order([plan for plan in added if plan.compiled is self.keys[plan.compiled.key]], self.keys)
        """What evaluates, by id, each after those that it refers to."""
        self.ordered = tuple(self.plans)
        self.ranks = {id_: rank for rank, id_ in enumerate(self.ordered)}
        self.leaves: dict[int, Leaf] = {leaf.id: leaf for plan in added for leaf in plan.leaves}
        self._streams: dict[str, tuple[Leaf, ...]] = {}
        for leaf in self.leaves.values():
            name = leaf.tree.stream.name
            self._streams[name] = (*self._streams.get(name, ()), leaf)
        self.names = frozenset(self._streams)
        """All streams that a leaf is of."""
        self._traits: dict[str, frozenset[int]] = {}
        self.dependents: dict[int, frozenset[int]] = {}
        """The definitions that refer to one."""
        self._refer()
        self.mark = zlib.crc32(repr((sorted(self.leaves), sorted(self.plans))).encode())
        """Of which program the state of a profile is: another where there are other leaves or others evaluate."""

    def by_stream(self, name: str) -> tuple[Leaf, ...]:
        """The leaves that an event of this stream may fall into, of what is being built too."""
        return self._streams.get(name, ())

    def watches(self, name: str) -> bool:
        """Whether an event of this stream may fall into a leaf."""
        return name in self._streams

    def by_trait(self, name: str) -> frozenset[int]:
        """The definitions that a custom trait of this name concerns; a computed key owns its name."""
        return self._traits.get(name, NONE)

    @cached_property
    def of_everybody(self) -> frozenset[int]:
        """The audiences that a profile may be in of which nothing is known but an id: `count() = 0`, `NOT (…)`.

        They must be evaluated of any new profile, and of one that gains an id.
        """
        found: set[int] = set()
        for person in (KNOWN, ANONYMOUS):
            asking = Asking(self, Leaves(), 0, Chunks(_NoRows()), person, {}, 0)
            found |= {id_ for id_ in self.plans if asking.answer(id_) == "true"}
        return frozenset(found)

    def concerned(self, leaves: Leaves, holdings: Collection[int], trait_names: Iterable[str]) -> set[int]:
        """All that may say of a profile something else than of nobody, and what refers to it.

        To be evaluated when the profile gains an id, after a merge (of both profiles together), or when what is held of
        it is in doubt. `holdings`: the computations that something is held of.
        """
        found = {*self.of_everybody, *holdings, *(computation_of(leaf) for leaf in leaves.states)}
        for name in trait_names:
            found |= self.by_trait(name)
        waiting = list(found)
        while waiting:
            new = self.dependents.get(waiting.pop(), NONE) - found
            found |= new
            waiting.extend(new)
        return found & self.all_evaluated

    def _refer(self) -> None:
        for id_, plan in self.plans.items():
            named = references(plan.tree)
            for key in named.audiences | named.traits:
                other = self.keys.get(key)
                if other is not None:
                    self.dependents[other.id] = self.dependents.get(other.id, NONE) | {id_}
            for name in named.traits - self.keys.keys():
                self._traits[name] = self.by_trait(name) | {id_}


class _NoRows:
    """The chunks of a profile that has nothing."""

    def chunk(self, profile: int, leaf: int, number: int) -> bytes | None:
        return None


def _evaluates(compiled: Compiled) -> bool:
    return compiled.evaluates and not compiled.frozen


def _keys(compiled: Sequence[Compiled]) -> dict[str, Compiled]:
    found: dict[str, Compiled] = {}
    for each in compiled:
        if each.key not in found or _evaluates(each):
            found[each.key] = each
    return found


def _in_order(plans: Sequence[Plan], keys: dict[str, Compiled]) -> dict[int, Plan]:
    by_id = {plan.id: plan for plan in plans if _evaluates(plan.compiled)}
    ordered = in_order({key: each.tree for key, each in keys.items() if each.id in by_id})
    return {keys[key].id: by_id[keys[key].id] for key in ordered}


__all__ = ["Compiled", "Held", "Person", "Plan", "Program"]
