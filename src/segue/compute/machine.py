"""The incremental evaluator: events go in one by one, what the definitions say of a profile comes out.

It keeps nothing between calls but chunks that are not durable yet: states, what is held and what else is known of a
profile are handed in. Instants never go back: none is before the receipt of an event that was added, nor before the
instant of an earlier call for the profile, or for one that was merged into it.

Rule: what it says of a profile at an instant is what the plain evaluator says over all that was added, and it stays
true until the instant given as due.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from segue.compute.asking import Asking, Held, Person
from segue.compute.entries import ChunkKey, ChunkRows, Chunks, Place
from segue.compute.history import Occurrence
from segue.compute.leaves import LeafState, Leaves, computation_of
from segue.compute.program import Program

__all__ = ["Evaluated", "Held", "Machine", "Person"]


class Evaluated(NamedTuple):
    """What was evaluated: of each computation its value as canonical JSON, None for an absent computed trait.

    `due`: the earliest instant, in ms since 1970, at which any computation may say something else by itself.
    """

    values: dict[int, str | None]
    due: int | None


class Machine:
    """The definitions of one space at work. States that are handed in are changed in place.

    A machine that only adds, from the past, may know only what is being built. One that merges or evaluates knows all
    that has states: it drops those of other definitions and generations when it comes across them.
    """

    def __init__(self, program: Program, chunks: ChunkRows) -> None:
        self.program = program
        self._chunks = Chunks(chunks)

    def add(self, leaves: Leaves, profile: int, occurrence: Occurrence) -> set[int]:
        """Take an event; gives the computations whose state changed, those being built too.

        An event must not be added twice: state and the position in the log are one commit.
        """
        program, states, chunks = self.program, leaves.states, self._chunks
        touched: set[int] = set()
        for name in occurrence.streams:
            for leaf in program.by_stream(name):
                if leaf.add(states, chunks, profile, occurrence):
                    touched.add(computation_of(leaf.id))
        return touched

    def merge(self, survivor: Leaves, survivor_number: int, absorbed: Leaves, absorbed_number: int) -> set[int]:
        """Join the states of two profiles in the first; gives the computations whose state changed.

        What was absorbed is empty afterwards: its row and its timer are for the caller to delete. To be evaluated then
        are `Program.concerned` of the survivor with the traits and holdings of both: what is held of an audience
        was once held if it was of either.
        """
        self._prune(survivor, survivor_number)
        self._prune(absorbed, absorbed_number)
        for id_, other in absorbed.states.items():
            leaf = self.program.leaves[id_]
            state = survivor.states.get(id_)
            if state is None:
                state = survivor.states[id_] = LeafState(figures=leaf.start())
            state.until_ms = max(state.until_ms, other.until_ms)
            others = leaf.place(self._chunks, absorbed_number, other)
            leaf.join(state, leaf.place(self._chunks, survivor_number, state), other, others)
        touched = {computation_of(id_) for id_ in absorbed.states}
        absorbed.states, absorbed.due = {}, {}
        return touched

    def evaluate(
        self,
        leaves: Leaves,
        profile: int,
        person: Person,
        holdings: Mapping[int, Held],
        touched: Collection[int],
        at_ms: int,
    ) -> Evaluated:
        """What the touched computations say at an instant, those due by then, and those that refer to changed ones.

        `holdings` are what was held before, by computation: what is not evaluated is read from there. The due instants
        of what is evaluated are noted in `leaves`.
        """
        program = self.program
        if leaves.program != program.mark:
            self._prune(leaves, profile)
        ranks, due = program.ranks, leaves.due
        wanted = {ranks[id_] for id_ in touched if id_ in ranks}
        wanted.update([ranks[id_] for id_, instant in due.items() if instant <= at_ms])
        asking = Asking(program, leaves, profile, self._chunks, person, holdings, at_ms)
        values: dict[int, str | None] = {}
        ordered, waiting = program.ordered, list(wanted)
        heapify(waiting)
        while waiting:
            id_ = ordered[heappop(waiting)]
            values[id_] = asking.answer(id_)
            instant = asking.due(id_)
            if instant is None:
                due.pop(id_, None)
            else:
                due[id_] = instant
            if id_ in program.dependents and asking.changes(id_):
                for other in program.dependents[id_]:
                    if ranks[other] not in wanted:
                        wanted.add(ranks[other])
                        heappush(waiting, ranks[other])
        return Evaluated(values, leaves.next_due)

    def take_chunks(self) -> tuple[dict[ChunkKey, bytes], list[ChunkKey]]:
        """The chunks to write and those to delete since the last call, no chunk in both.

        What is taken is to be found by `ChunkRows` before the next call; until then it is still read from memory.
        """
        return self._chunks.take()

    def forget(self, leaves: Leaves, profile: int) -> None:
        """Drop all states of a profile, with their chunks."""
        for id_ in list(leaves.states):
            self._drop(leaves, profile, id_)
        leaves.due.clear()

    def _prune(self, leaves: Leaves, profile: int) -> None:
        """Drop the states of definitions that are no more, and the instants of what does not evaluate."""
        for id_ in [each for each in leaves.states if each not in self.program.leaves]:
            self._drop(leaves, profile, id_)
        leaves.due = {id_: instant for id_, instant in leaves.due.items() if id_ in self.program.plans}
        leaves.program = self.program.mark

    def _drop(self, leaves: Leaves, profile: int, id_: int) -> None:
        state = leaves.states.pop(id_)
        place = Place(self._chunks, profile, id_, state)
        for run in (state.counting, state.waiting):
            if run is not None:
                for _ in run.drain(place):
                    pass
