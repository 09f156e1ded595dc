"""All definitions of a space over one profile: what each says at an instant, where they refer to each other.

Rule: a reference reads what the other definition says at the same instant; definitions do not refer to each other in
a circle (`references.in_order` refuses that). Of which audiences the profile was a member before is handed in: no
history says it, since events come late and definitions are edited.

Source: Segment refuses cycles; that an audience has no value for those who never were in it is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from segue.compute.evaluate import is_member, value
from segue.compute.history import ABSENT, UNDEFINED, Absence, History
from segue.compute.references import references
from segue.compute.timers import next_change
from segue.compute.tree import Condition, Definition
from segue.compute.values import Value
from segue.compute.windows import WHOLE, Reach


class Computation(Struct, frozen=True, kw_only=True):
    """A definition with what was chosen beside it: how far back it reads, who may be a member."""

    tree: Definition
    reach: Reach = WHOLE
    include_anonymous: bool = False


class Answers:
    """What the definitions, by key, say of one profile. Answers are kept, so that none is worked out twice.

    `once_in` are the keys of the audiences that the profile has been held to be in at some time.
    """

    def __init__(
        self, computations: Mapping[str, Computation], history: History, *, once_in: Collection[str] = ()
    ) -> None:
        self._computations = computations
        self._once_in = once_in
        self._history = history.beside(self)
        self._values: dict[tuple[str, int], Value | Absence] = {}
        self._next: dict[tuple[str, int], int | None] = {}

    def value(self, key: str, at_ms: int) -> Value | Absence:
        """Of an audience whether the profile is a member, of a computed trait its value or `ABSENT`."""
        if (key, at_ms) not in self._values:
            self._values[key, at_ms] = self._evaluated(self._computations[key], at_ms)
        return self._values[key, at_ms]

    def audience(self, key: str, at_ms: int) -> bool:
        """Whether the profile is a member of an audience; false for a key that no audience has."""
        return self._is_audience(key) and self.value(key, at_ms) is True

    def trait(self, key: str, at_ms: int) -> Value | Absence:
        """The value under the key; of an audience `ABSENT` for who is not in it and never was."""
        if key not in self._computations:
            return UNDEFINED
        found = self.value(key, at_ms)
        never = found is False and key not in self._once_in and self._is_audience(key)
        return ABSENT if never else found

    def next_change(self, key: str, at_ms: int) -> int | None:
        """The earliest instant after `at_ms` at which this definition, or one that it refers to, may be another."""
        if (key, at_ms) not in self._next:
            computation = self._computations[key]
            named = references(computation.tree)
            instants = [self.next_change(each, at_ms) for each in named.audiences | named.traits if self._has(each)]
            instants.append(next_change(computation.tree, self._history, at_ms, computation.reach))
            self._next[key, at_ms] = min((each for each in instants if each is not None), default=None)
        return self._next[key, at_ms]

    def _has(self, key: str) -> bool:
        return key in self._computations

    def _is_audience(self, key: str) -> bool:
        return self._has(key) and isinstance(self._computations[key].tree, Condition)

    def _evaluated(self, computation: Computation, at_ms: int) -> Value | Absence:
        tree, anonymous = computation.tree, computation.include_anonymous
        if isinstance(tree, Condition):
            return is_member(tree, self._history, at_ms, computation.reach, include_anonymous=anonymous)
        return value(tree, self._history, at_ms, computation.reach)
