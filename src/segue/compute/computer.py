"""The computer of a space: what each profile has of its audiences and computed traits, as events come and time passes.

It has no loop and no clock: whoever reads the log hands it one record after another, says how late it is, writes what
`take` gives and says when that is durable. A new one goes on from the rows.

Rule: its time never goes back; a profile is looked at only after everything that was due before has been, and what
it is found to have, what is said of it and the state that tells so are one commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from segue.compute.at_hand import AtHand, Chunks, Entry
from segue.compute.generations import Generations
from segue.compute.history import Occurrence
from segue.compute.leaves import Leaves
from segue.compute.machine import Machine, Person
from segue.compute.program import Compiled, Program
from segue.compute.surroundings import Applied, ComputedRows, People
from segue.compute.telling import Line, Spoken, Teller
from segue.compute.timetable import Timetable
from segue.core.profile import Profile
from segue.state.computed_rows import (
    ComputedDelta,
    ComputeState,
    HoldingRow,
)

CAPACITY = 50_000


class Computer:
    """One space's. For one thread; `take` gives what may be written in another."""

    def __init__(self, *, space: int, rows: ComputedRows, people: People, capacity: int = CAPACITY) -> None:
        self._rows = rows
        self._people = people
        self.state = rows.state()
        self.generations = Generations(rows.computations())
        self.teller = Teller(space, self.state, people.owner)
        self.at_hand = AtHand(rows, capacity)
        self.chunks = Chunks(rows)
        self.timetable = Timetable(rows)
        self.machine = Machine(Program(()), self.chunks)
        self._merged: list[tuple[int, int]] = []
        self._holdings: dict[tuple[int, int], HoldingRow] = {}
        self._moved: list[str] = []
        self._waiting = rows.waiting()
        self.lines: dict[int, Line] = {}
        self.changed_lines: set[int] = set()
        """Those whose state was changed by others than the teller."""
        self._lines_gone: list[int] = []
        self._touched = False

    @property
    def dirty(self) -> bool:
        """Whether `take` would give anything."""
        return self._touched

    @property
    def outcomes(self) -> int:
        """Profiles that are to be written, and messages."""
        return self.at_hand.changed + len(self.teller.said.outbox)

    @property
    def waiting(self) -> int:
        """How many messages are not known to be in the log."""
        return self._waiting + len(self.teller.said.outbox)

    @property
    def full(self) -> bool:
        """Whether as much is uncommitted as may be held; go on after `committed`."""
        return self.at_hand.full

    def program(self, compiled: Sequence[Compiled]) -> None:
        """From now on these definitions hold."""
        self._keep_chunks(self.machine)
        self.machine = Machine(Program(compiled), self.chunks)

    def watches(self, names: Iterable[str]) -> bool:
        """Whether a definition names one of these streams."""
        return any(self.machine.program.watches(name) for name in names)

    def moved(self, message_id: str) -> None:
        """A message of the outbox is in the log."""
        self._moved.append(message_id)
        self._waiting -= 1
        self._touched = True

    def next_due(self) -> int | None:
        """The earliest instant at which a profile may change by itself. Raises Unavailable, Damaged."""
        found = self.timetable.next()
        return None if found is None else found[0]

    def advance(self, instant: int) -> None:
        """Time has come to here, in ms; everything that was due before was looked at."""
        self.state.t = max(self.state.t, instant)
        self._touched = True

    def fire(self, before_ms: int, most: int) -> int:
        """Look at the profiles that are due before this instant, so many at most; gives how many were."""
        for fired in range(most):
            found = self.timetable.next()
            if found is None or found[0] >= before_ms:
                return fired
            due, number = found
            self.advance(due)
            entry = self.at_hand.entry(number)
            self.settle(entry, self._due(entry.leaves, self.state.t))
        return most

    def apply(self, received_at: int, occurrence: Occurrence | None, applied: Applied) -> None:
        """An event that was resolved, after `fire` up to its receipt; None for one that no definition names."""
        program = self.machine.program
        touched: set[int] = set()
        for name in applied.traits:
            touched |= program.by_trait(name)
        if not (occurrence is not None or touched or applied.gained):
            self.state.t = max(self.state.t, received_at)
            return
        entry = self.at_hand.add(applied.profile) if applied.created else self.at_hand.entry(applied.profile)
        absorbed = [self.at_hand.entry(number) for number in applied.merged]
        self.advance(received_at)
        before: dict[int, list[HoldingRow]] = {}
        for other in absorbed:
            self._absorb(entry, other, before)
        if occurrence is not None:
            touched |= self.machine.add(entry.leaves, entry.number, occurrence)
        if applied.gained:
            profile = self._people.profile(entry.number)
            touched |= program.concerned(entry.leaves, entry.holdings, profile.traits)
        touched |= self._due(entry.leaves, self.state.t)
        self.settle(entry, touched, gained=applied.gained, before=before)

    def settle(
        self,
        entry: Entry,
        touched: Collection[int],
        *,
        gained: bool = False,
        before: Mapping[int, Sequence[HoldingRow]] | None = None,
        sweeping: bool = False,
    ) -> None:
        """Find what a profile has now of these computations and all that refer to them, and say what changed.

        `before` is what profiles had that became part of it. `sweeping`: connections that have their first sync before
        them are told in it.
        """
        at_ms = self.state.t
        profile = self._people.profile(entry.number)
        person = Person(profile.traits, [linked.external_id for linked in profile.ids])
        found = self.machine.evaluate(entry.leaves, entry.number, person, entry.holdings, set(touched), at_ms)
        self._keep_chunks(self.machine)
        if found.due != entry.due:
            entry.due = found.due
            self.timetable.set(entry.number, found.due)
        self._change(entry)
        for computation, value in found.values.items():
            others = () if before is None else before.get(computation, ())
            self._hold(entry, profile, computation, value, gained=gained, others=others, sweeping=sweeping)
        if gained:
            for computation in [each for each in entry.holdings if each not in found.values]:
                value = entry.holdings[computation].value
                others = () if before is None else before.get(computation, ())
                self._hold(entry, profile, computation, value, gained=True, others=others, sweeping=sweeping)

    def present(self, numbers: Sequence[int]) -> list[int]:
        """Those of these profiles, 500 at most, that are not absorbed, all of them at hand."""
        self._people.prepare(numbers)
        found = [number for number in numbers if self._people.canonical(number) == number]
        self.at_hand.prepare(found)
        return found

    def tell(self, line: Line, number: int, *, now: bool, from_ms: int = 0) -> bool:
        """Say over one connection what a profile has, if it was not said; gives whether anything was.

        It is said as of the instant of the change, but as of `from_ms` at the earliest.
        """
        entry = self.at_hand.entry(number)
        holding = entry.holdings.get(line.computation)
        if holding is None:
            return False
        self._change(entry)
        at_ms = max(holding.since, from_ms)
        return self._say(line, entry, self._people.profile(number), holding, at_ms, now=now)

    def feed(self, machine: Machine, number: int, occurrence: Occurrence) -> None:
        """An event of the past, for the definitions of `machine` alone, which are not evaluated yet."""
        entry = self.at_hand.entry(self._people.canonical(number))
        machine.add(entry.leaves, entry.number, occurrence)
        self._keep_chunks(machine)
        self._change(entry)

    def connect(self, lines: Iterable[Line], gone: Iterable[int]) -> None:
        """From now on these are the connections; what is known of those that are gone goes."""
        self.lines = {line.id: line for line in lines}
        self._lines_gone += gone
        by_computation: dict[int, list[Line]] = {}
        for line in self.lines.values():
            by_computation.setdefault(line.computation, []).append(line)
        self.teller.lines = by_computation
        self._touched = True

    def touch(self) -> None:
        """What the computer holds of computations or connections was changed."""
        self._touched = True

    def take(self) -> ComputedDelta:
        """What changed since the last call, in a form that nothing changes any more."""
        said = self.teller.take()
        self._waiting += len(said.outbox)
        chunks, chunks_gone = self.chunks.write()
        self.timetable.take()
        changed = said.connections | self.changed_lines
        delta = ComputedDelta(
            state=ComputeState(t=self.state.t, emitted=self.state.emitted),
            rows=self.at_hand.write(),
            chunks=chunks,
            chunks_gone=chunks_gone,
            holdings=[(computation, row) for (computation, _), row in self._holdings.items()],
            told=[row for row in said.told.values() if row is not None],
            told_gone=[place for place, row in said.told.items() if row is None],
            pending=[place for place, waits in said.pending.items() if waits],
            pending_gone=[place for place, waits in said.pending.items() if not waits],
            merged=self._merged,
            outbox=said.outbox,
            moved=self._moved,
            computations=self.generations.take(),
            connections={number: replace(self.lines[number].state) for number in changed if number in self.lines},
            connections_gone=self._lines_gone,
        )
        self._holdings, self._merged, self._moved, self._lines_gone = {}, [], [], []
        self.changed_lines = set()
        self._touched = False
        return delta

    def committed(self) -> None:
        """What `take` gave is durable."""
        self.at_hand.written()
        self.chunks.written()
        self.timetable.written()

    def _change(self, entry: Entry) -> None:
        self.at_hand.change(entry)
        self._touched = True

    def _due(self, leaves: Leaves, at_ms: int) -> set[int]:
        return {computation for computation, due in leaves.due.items() if due <= at_ms}

    def _keep_chunks(self, machine: Machine) -> None:
        writes, deletes = machine.take_chunks()
        for (profile, leaf, number), body in writes.items():
            self.chunks.put(profile, leaf, number, body)
        for profile, leaf, number in deletes:
            self.chunks.put(profile, leaf, number, None)

    def _absorb(self, entry: Entry, other: Entry, before: dict[int, list[HoldingRow]]) -> None:
        """What the other profile has been and was told becomes this one's; what it had is noted in `before`."""
        self.machine.merge(entry.leaves, entry.number, other.leaves, other.number)
        self._keep_chunks(self.machine)
        self.teller.absorb(entry, other)
        for computation, row in other.holdings.items():
            before.setdefault(computation, []).append(row)
            if computation not in entry.holdings:
                # The survivor never had any of it: it is as if it had been out, but for having been in.
                entry.holdings[computation] = row._replace(profile=entry.number)
            self._holdings.pop((computation, other.number), None)
        self.at_hand.drop(other.number)
        self.chunks.drop(other.number)
        self.timetable.set(other.number, None)
        self._merged.append((entry.number, other.number))

    def _hold(
        self,
        entry: Entry,
        profile: Profile,
        computation: int,
        value: str | None,
        *,
        gained: bool,
        others: Sequence[HoldingRow],
        sweeping: bool,
    ) -> None:
        """Note what a profile has of one computation, and say it where anybody is to hear of it."""
        kind = self.generations.kind(computation)
        old = entry.holdings.get(computation)
        known = [*others] if old is None else [old, *others]
        if not known and (value is None or (kind == "audience" and value == "false")):
            return  # it never had anything of it
        changed = any(row.value != value for row in known) or not known
        if not changed and not gained and not others:
            return
        version = max((row.version for row in known), default=0)
        kept = next((row for row in known if row.value == value), None)
        row = HoldingRow(
            profile=entry.number,
            value=value,
            since=self.state.t if kept is None else kept.since,
            version=version + 1,
            once=value == "true" or any(each.once for each in known),
        )
        said = False
        for line in self.teller.lines.get(computation, ()):
            if not (sweeping and line.state.after is not None):
                said |= self._say(line, entry, profile, row, self.state.t)
        if changed or said:
            self._note(entry, computation, row)
        elif others:
            self._note(entry, computation, row._replace(version=version))

    def _note(self, entry: Entry, computation: int, row: HoldingRow) -> None:
        entry.holdings[computation] = self._holdings[computation, entry.number] = row

    def _say(
        self, line: Line, entry: Entry, profile: Profile, row: HoldingRow, at_ms: int, *, now: bool = False
    ) -> bool:
        built = self.generations.live(line.computation)
        if built is None:
            return False
        spoken = Spoken(
            kind="audience" if self.generations.kind(line.computation) == "audience" else "trait",
            key=self.generations.key(line.computation),
            generation=built.generation,
            include_anonymous=built.include_anonymous,
        )
        return self.teller.tell(line, entry, profile, row, spoken, at_ms=at_ms, now=now)
