"""The generations of a space's definitions: which one profiles have values of, and which is being built beside it.

A definition that is new, edited, or enabled again gets a generation of its own, made of the whole history; the one
before goes on until that is complete.

Rule: what a generation is made of never changes; its number rises, and stands in whatever was made with it.

Source: audiences.md 7.1 and 7.3 (PROPOSED: Segment locks a definition and computes it anew).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec.structs import replace

from segue.compute.parse import parse
from segue.compute.program import Compiled
from segue.compute.references import references
from segue.compute.tree import Definition
from segue.compute.windows import Reach
from segue.state.computations import ComputationKind, ComputationRow
from segue.state.computed_rows import Built, ComputationState

PARSED_MOST = 2_000


class Generations:
    """Of one space. For the computer, which writes what `take` gives."""

    def __init__(self, states: dict[int, ComputationState]) -> None:
        self.states = states
        self.historical: dict[int, bool] = {}
        self._changed: set[int] = set()

    def use(self, rows: Iterable[ComputationRow], *, retention_ms: int | None, position: int, now_ms: int) -> bool:
        """From now on these are the definitions; gives whether anything is another than before.

        `position` is the offset of the next record that will be read, `now_ms` the instant.
        """
        rows = list(rows)
        before = set(self._changed)
        self._changed.clear()
        for row in rows:
            self.historical[row.id] = row.historical
            self._use(row, retention_ms, position, now_ms)
        for number in set(self.states) - {row.id for row in rows}:
            if not self.states[number].deleted:
                self._put(number, replace(self.states[number], deleted=True, next=None))
        changed = bool(self._changed)
        self._changed |= before
        return changed

    def compiled(self) -> Iterator[Compiled]:
        """What events as they come concern: what is live, what is being built, and what stands still but is named."""
        named: set[str] = set()
        for number, state in self.states.items():
            if state.deleted or state.frozen:
                continue
            if state.live is not None and not state.stale:
                yield self._compiled(number, state, state.live, evaluates=True)
                named |= _named(state.live, state.kind)
            if state.next is not None:
                yield self._compiled(-number, state, state.next, evaluates=False)
                named |= _named(state.next, state.kind)
        for number, state in self.states.items():
            if (state.deleted or state.frozen or state.stale) and state.live is not None and state.key in named:
                yield self._compiled(number, state, state.live, evaluates=False, frozen=True)

    def building(self) -> list[tuple[int, ComputationState]]:
        """Those whose history is being read that are to be read together: they began together and are equally far.

        The furthest first, so that one reading ends before another begins.
        """
        building = [(number, state) for number, state in self.states.items() if state.phase == "building"]
        if not building:
            return []
        first = max((state.after, state.position) for _, state in building)
        return [(number, state) for number, state in building if (state.after, state.position) == first]

    def built(self, building: Iterable[tuple[int, ComputationState]]) -> list[Compiled]:
        """The generations that are being built of these, by themselves."""
        return [
            self._compiled(-number, state, state.next, evaluates=False)
            for number, state in building
            if state.next is not None
        ]

    def read(self, building: Iterable[tuple[int, ComputationState]], after: tuple[int, int]) -> None:
        """Their history was read up to here."""
        for number, state in building:
            self._put(number, replace(state, after=after))

    def complete(self, building: Iterable[tuple[int, ComputationState]], last: int) -> None:
        """All of their history was read: they take the place of what was live; profiles up to `last` are to follow."""
        for number, state in building:
            self._put(number, replace(state, live=state.next, next=None, swept=0, last=last, stale=False))

    def sweeping(self) -> list[int]:
        """Those whose profiles are being evaluated anew that are least far, equally."""
        far = {number: state.swept for number, state in self.states.items() if state.phase == "sweeping"}
        least = min((swept for swept in far.values() if swept is not None), default=None)
        return [number for number, swept in far.items() if swept == least]

    def swept(self, numbers: Iterable[int], up_to: int | None) -> None:
        """All profiles up to this one were evaluated; None: all."""
        for number in numbers:
            self._put(number, replace(self.states[number], swept=up_to))

    def live(self, number: int) -> Built | None:
        """What the values of a computation are made of now; None where there are none that may be told."""
        state = self.states[number]
        return None if state.deleted or state.frozen or state.stale else state.live

    def kind(self, number: int) -> ComputationKind:
        """What a computation is."""
        return self.states[number].kind

    def key(self, number: int) -> str:
        """The key of a computation."""
        return self.states[number].key

    def take(self) -> dict[int, ComputationState]:
        """What changed since the last call."""
        changed, self._changed = self._changed, set()
        return {number: self.states[number] for number in changed}

    def _use(self, row: ComputationRow, retention_ms: int | None, position: int, now_ms: int) -> None:
        state = self.states.get(row.id) or ComputationState(key=row.key, kind=row.kind)
        if not row.enabled:
            if not state.frozen or row.id not in self.states:
                self._put(row.id, replace(state, frozen=True, next=None, swept=None))
            return
        newest = state.next or state.live
        wanted = Built(
            generation=1 if newest is None else newest.generation + 1,
            definition=row.definition,
            include_anonymous=row.include_anonymous,
            retention_ms=retention_ms,
            received_from_ms=None if row.historical else row.created_at,
        )
        same = newest is not None and replace(wanted, generation=newest.generation) == newest
        if same and not state.frozen:
            return
        stale = state.stale or state.frozen  # what was live has missed what happened meanwhile
        state = replace(state, next=wanted, position=position, after=(0, -1), begun_at=now_ms, swept=None)
        self._put(row.id, replace(state, frozen=False, stale=stale))

    def _put(self, number: int, state: ComputationState) -> None:
        self.states[number] = state
        self._changed.add(number)

    def _compiled(
        self, number: int, state: ComputationState, built: Built, *, evaluates: bool, frozen: bool = False
    ) -> Compiled:
        return Compiled(
            id=number,
            generation=built.generation,
            key=state.key if number > 0 else f"{state.key} ",
            kind=state.kind,
            tree=_tree(built.definition, state.kind),
            reach=Reach(retention_ms=built.retention_ms, received_from_ms=built.received_from_ms),
            include_anonymous=built.include_anonymous,
            evaluates=evaluates,
            frozen=frozen,
        )


@lru_cache(maxsize=PARSED_MOST)
def _tree(definition: str, kind: ComputationKind) -> Definition:
    return parse(definition, "audience" if kind == "audience" else "trait")


def _named(built: Built, kind: ComputationKind) -> frozenset[str]:
    found = references(_tree(built.definition, kind))
    return found.audiences | found.traits
