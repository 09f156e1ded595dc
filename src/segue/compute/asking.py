"""What definitions say of one profile at one instant, from the states of their leaves.

Rule: all that the plain evaluator decides, it decides here too; only where it would go through the events, the state
of the leaf answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from segue.compute.comparators import Comparator
from segue.compute.entries import Chunks
from segue.compute.evaluate import Evaluation
from segue.compute.history import (
    ABSENT,
    ANONYMOUS_ID,
    MEMBER_TYPES,
    UNDEFINED,
    Absence,
    History,
    Occurrence,
    Others,
)
from segue.compute.kept import Kept
from segue.compute.kinds import Decided, Leaf, earlier
from segue.compute.leaves import LeafState, Leaves
from segue.compute.plans import Compiled, Plan
from segue.compute.reducers import Reduced
from segue.compute.timers import Timers
from segue.compute.tree import Reduce
from segue.compute.values import Value
from segue.compute.windows import FOREVER
from segue.core.profile import ExternalId, LinkedId, Trait

TRUE, FALSE = "true", "false"
ANONYMOUS_TYPES = MEMBER_TYPES | {ANONYMOUS_ID}

_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Person(NamedTuple):
    """What else is known of a profile: its custom traits, and the ids that it holds."""

    traits: Mapping[str, Trait]
    ids: Iterable[ExternalId | LinkedId]


KNOWN = Person({}, (ExternalId("user_id", "u"),))
ANONYMOUS = Person({}, (ExternalId(ANONYMOUS_ID, "a"),))
"""Profiles of which nothing is known but an id."""


class Held(Protocol):
    """What is held of a profile under one computation."""

    @property
    def value(self) -> str | None:
        """Canonical JSON; None of an absent computed trait, as if nothing were held."""
        ...

    @property
    def once(self) -> bool:
        """Of an audience: whether the profile ever was a member."""
        ...


class Definitions(Protocol):
    """What can be asked for, and what answers for a key."""

    comparators: dict[int, Comparator]
    keys: dict[str, Compiled]
    plans: dict[int, Plan]


class Asking(Evaluation):
    """One profile at one instant. What is not asked for in an order that its references allow is read from holdings."""

    def __init__(
        self,
        definitions: Definitions,
        leaves: Leaves,
        profile: int,
        chunks: Chunks,
        person: Person,
        holdings: Mapping[int, Held],
        at_ms: int,
    ) -> None:
        super().__init__(_Seen(person, self, ()), at_ms, comparators=definitions.comparators)
        self._definitions = definitions
        self._states = leaves.states
        self._profile = profile
        self._chunks = chunks
        self._person = person
        self._holdings = holdings
        self._plan: Plan | None = None
        self._answers: dict[int, str | None] = {}
        self._kept: dict[int, tuple[Value, bool, int | None]] = {}
        self._eligible: dict[bool, bool] = {}

    def answer(self, id_: int) -> str | None:
        """What a definition says: canonical JSON, None where a computed trait is absent. Its leaves go on till now."""
        plan = self._plan = self._definitions.plans[id_]
        states, at_ms = self._states, self.at_ms
        for leaf in plan.timed:
            state = states.get(leaf.id)
            if state is not None:
                leaf.advance(state, self._chunks, self._profile, at_ms)
                if leaf.is_over(state, at_ms):
                    del states[leaf.id]
        found: str | None
        if plan.truth is not None:
            found = TRUE if self._is_eligible(plan.compiled.include_anonymous) and plan.truth(self) else FALSE
        else:
            assert isinstance(plan.tree, Reduce), "a definition ends in a condition or in a reducer"
            value = self.computed(plan.tree)
            found = None if value is ABSENT else str(value) if type(value) is int else _encode(value)
        self._answers[id_] = found
        return found

    def due(self, id_: int) -> int | None:
        """When after the instant what was just answered may be another by itself; what it refers to counts as given."""
        plan = self._definitions.plans[id_]
        found: int | None = None
        for leaf in plan.timed:
            state = self._states.get(leaf.id)
            if state is not None:
                found = earlier(found, self._next(leaf, state))
        if plan.sliding:
            self._plan, timers = plan, Timers(self)
            for compare in plan.sliding:
                for instant in timers.of_dates(compare, None):
                    if instant > self.at_ms:
                        found = earlier(found, instant)
        return found

    def changes(self, id_: int) -> bool:
        """Whether what was answered is not what is held."""
        held = self._holdings.get(id_)
        before = held.value if held is not None else None
        found = self._answers[id_]
        return found != before and not (before is None and found == FALSE and self._is_audience(id_))

    def value_of(self, leaf: Leaf) -> Value:
        """The value of a leaf of what is being answered."""
        state = self._states.get(leaf.id)
        if state is None:
            return leaf.nothing
        if isinstance(leaf, Decided):
            return leaf.value(state, self._chunks, self._profile, self.at_ms)
        assert isinstance(leaf, Kept)
        return self._asked(leaf, state)[0]

    def reduced(self, tree: Reduce) -> Reduced:
        """The value of a leaf."""
        assert self._plan is not None
        return Reduced(self.value_of(self._plan.by_node[id(tree)]))

    def computed(self, tree: Reduce) -> Value | Literal[Absence.ABSENT]:
        """The value of a computed trait, or that there is none."""
        assert self._plan is not None
        leaf = self._plan.by_node[id(tree)]
        state = self._states.get(leaf.id)
        if state is None:
            return ABSENT
        if isinstance(leaf, Kept):
            value, present, _ = self._asked(leaf, state)
            return value if present else ABSENT
        return self.value_of(leaf) if state.until_ms > self.at_ms else ABSENT

    def audience(self, key: str, at_ms: int) -> bool:
        """Whether the profile is a member of another definition's audience."""
        other = self._definitions.keys.get(key)
        return other is not None and other.kind == "audience" and self._text(other.id) == TRUE

    def trait(self, key: str, at_ms: int) -> Value | Absence:
        """What another definition says; `UNDEFINED` where there is none of this key."""
        other = self._definitions.keys.get(key)
        if other is None:
            return UNDEFINED
        text = self._text(other.id)
        if other.kind == "audience":
            held = self._holdings.get(other.id)
            return True if text == TRUE else False if held is not None and held.once else ABSENT
        if text is None:
            return ABSENT
        value: Value = _decode(text)
        return value

    def _text(self, id_: int) -> str | None:
        if id_ in self._answers:
            return self._answers[id_]
        held = self._holdings.get(id_)
        return None if held is None else held.value

    def _is_audience(self, id_: int) -> bool:
        return self._definitions.plans[id_].compiled.kind == "audience"

    def _is_eligible(self, include_anonymous: bool) -> bool:
        if include_anonymous not in self._eligible:
            wanted = ANONYMOUS_TYPES if include_anonymous else MEMBER_TYPES
            self._eligible[include_anonymous] = any(each.type in wanted for each in self._person.ids)
        return self._eligible[include_anonymous]

    def _asked(self, leaf: Kept, state: LeafState) -> tuple[Value, bool, int | None]:
        if leaf.id not in self._kept:
            place = leaf.place(self._chunks, self._profile, state)
            self._kept[leaf.id] = leaf.asked(leaf.evaluation(state, place, self.at_ms, self._beside))
        return self._kept[leaf.id]

    def _beside(self, occurrences: Sequence[Occurrence]) -> History:
        return _Seen(self._person, self, occurrences)

    def _next(self, leaf: Leaf, state: LeafState) -> int | None:
        if isinstance(leaf, Kept):
            return self._asked(leaf, state)[2]
        found = leaf.next(state, self.at_ms)
        if leaf.root and self.at_ms < state.until_ms < FOREVER:
            return earlier(found, state.until_ms)
        return found


class _Seen(History):
    """The profile as it is now: the latest version of each trait, and the events of one leaf."""

    def __init__(self, person: Person, others: Others, occurrences: Sequence[Occurrence]) -> None:
        # One is made for each look at a profile, so that History's sorting of what there is none of is left out.
        self.others = others
        self.ids = frozenset()
        self._streams = {}
        self._traits = {}
        self._values = {}
        self._found: dict[str, Value] = {}
        self._person = person
        self._occurrences = occurrences

    def stream(self, name: str) -> Sequence[Occurrence]:
        """Those that the leaf kept: of its own stream, in their order."""
        return self._occurrences

    def trait(self, name: str, at_ms: int) -> Value:
        """Its value, worked out once: whatever it may be asked for was answered before."""
        if name not in self._found:
            self._found[name] = super().trait(name, at_ms)
        return self._found[name]

    def custom_trait(self, name: str, at_ms: int) -> Trait | None:
        """The latest version."""
        return self._person.traits.get(name)
