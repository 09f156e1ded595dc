"""What a computer does beside the events as they come: it reads the past of new definitions, evaluates all profiles by
them, tells new destinations of everybody, and keeps the cadence of connections that have one.

Each is a walk in the order of profiles' numbers, whose place stands in the rows; live changes pass it.

Rule: a walk's place and what was done up to it are one commit, so that it goes on where it was; what it says is bounded
by how much its destination has not got yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from segue.compute.computer import Computer
from segue.compute.history import Occurrence
from segue.compute.machine import Machine
from segue.compute.program import Program
from segue.compute.surroundings import ComputedRows, People
from segue.compute.telling import Line
from segue.state.computations import ComputationRow
from segue.state.computed_rows import OFF, ComputationState, ConnectionState

PAGE = 500


class Target(NamedTuple):
    """A destination as connections know it: what `integrations` calls its kind, and whether it is switched on."""

    catalog_name: str
    enabled: bool


class Wish(NamedTuple):
    """The part of the past that is needed: events of these names below the offset `position`, by profile and offset.

    From after the profile and offset `after` on. `key` names what it is for: what comes for another key is dropped.
    """

    key: tuple[int, ...]
    names: tuple[str, ...]
    position: int
    after: tuple[int, int]


class Past(NamedTuple):
    """One event of the past, of the profile that it was applied to then."""

    profile: int
    offset: int
    occurrence: Occurrence


class CatchingUp:
    """Of one computer. `room` gives how many more messages a destination may be handed now."""

    def __init__(self, computer: Computer, rows: ComputedRows, people: People, room: Callable[[Line], int]) -> None:
        self._computer = computer
        self._rows = rows
        self._people = people
        self._room = room
        self._connections: dict[int, ConnectionState] = rows.connections()
        self._building: tuple[tuple[int, ...], Machine, list[tuple[int, ComputationState]]] | None = None
        self._first = True
        self._settled = True
        """Whether all that was there when the definitions changed last is committed, and so found by a walk."""
        self._taken = False
        self.blocked = False
        """Whether a walk waits for its destination."""

    def use(
        self,
        rows: Sequence[ComputationRow],
        targets: Mapping[int, Target],
        *,
        retention_ms: int | None,
        position: int,
        now_ms: int,
    ) -> None:
        """From now on these are the computations and connections of the space."""
        computer = self._computer
        changed = computer.generations.use(rows, retention_ms=retention_ms, position=position, now_ms=now_ms)
        if changed or self._first:
            self._renew()
        self._first = False
        lines = [
            self._line(
                row,
                connection.id,
                connection.destination,
                targets,
                now_ms,
                connection.identify,
                connection.track,
                connection.every_ms,
            )
            for row in rows
            for connection in row.connections
            if connection.destination in targets
        ]
        kept = {line.id for line in lines}
        gone = [number for number in self._connections if number not in kept]
        self._connections = {line.id: line.state for line in lines}
        computer.connect(lines, gone)
        self._settled = self._taken = False

    def committed(self) -> None:
        """What the computer gave before is durable."""
        if self._taken:
            self._settled, self._taken = True, False

    def taken(self) -> None:
        """The computer's changes are being written."""
        self._taken = not self._settled

    def wish(self) -> Wish | None:
        """What is needed of the past next."""
        building = self._computer.generations.building()
        if not building:
            return None
        compiled = self._computer.generations.built(building)
        program = Program(compiled)
        key = tuple(each.generation * 1_000_003 + each.id for each in compiled)
        if self._building is None or self._building[0] != key:
            self._building = (key, Machine(program, self._computer.chunks), building)
        state = building[0][1]
        return Wish(key, tuple(sorted(program.names)), state.position, state.after)

    def fed(self, wish: Wish, past: Iterable[Past], *, complete: bool) -> None:
        """Part of the past that was wished for, in order; `complete`: there is no more."""
        current = self.wish()
        if current != wish or self._building is None:
            return
        _, machine, building = self._building
        after = wish.after
        for profile, offset, occurrence in past:
            self._computer.feed(machine, profile, occurrence)
            after = (profile, offset)
        generations = self._computer.generations
        generations.read(building, after)
        self._building = None
        if complete:
            generations.complete(generations.building(), self._people.last_number())
            self._renew()
            self._settled = self._taken = False
        self._computer.touch()

    def work(self, now_ms: int, most: int, *, settled_ms: int | None = None) -> bool:
        """Do so much of what there is to do; gives whether there may be more at once.

        `settled_ms`: before this instant all is known and done; None where events wait to be read.
        """
        if not self._settled:
            self._computer.touch()
            return False  # the commit that is coming wakes whoever waits
        self.blocked = False
        return self._sweep(most, settled_ms) or self._sync(now_ms, most) or self._tick(now_ms, most)

    def next_tick(self, now_ms: int) -> int | None:
        """When the next connection with a cadence has its instant."""
        ticks = [line.every_ms * (now_ms // line.every_ms + 1) for line in self._waiting_lines()]
        return min(ticks, default=None)

    def _renew(self) -> None:
        self._computer.program(list(self._computer.generations.compiled()))
        self._computer.touch()

    def _line(
        self,
        row: ComputationRow,
        number: int,
        destination: int,
        targets: Mapping[int, Target],
        now_ms: int,
        identify: bool,
        track: bool,
        every_ms: int,
    ) -> Line:
        target = targets[destination]
        state = self._connections.get(number)
        if state is None:
            tick = now_ms // every_ms * every_ms if every_ms else now_ms
            after = 0 if row.historical else None
            state = ConnectionState(computation=row.id, destination=destination, after=after, tick=tick)
            self._computer.changed_lines.add(number)
        known = self._computer.lines.get(number)
        waits = not (target.enabled and row.enabled)
        if not waits and (known is None or known.waits) and state.ticking is None and not every_ms:
            state.ticking = 0  # what changed while it waited
            self._computer.changed_lines.add(number)
        return Line(
            id=number,
            computation=row.id,
            destination=destination,
            catalog_name=target.catalog_name,
            identify=identify,
            track=track,
            every_ms=every_ms,
            waits=waits,
            state=state,
        )

    def _waiting_lines(self) -> Collection[Line]:
        return [line for line in self._computer.lines.values() if line.every_ms and not line.waits]

    def _sweep(self, most: int, settled_ms: int | None) -> bool:
        """Evaluate some profiles by the generations that are new."""
        computer = self._computer
        numbers = computer.generations.sweeping()
        if not numbers:
            return False
        if settled_ms is not None:
            computer.advance(settled_ms)
        states = [computer.generations.states[number] for number in numbers]
        after, last = states[0].swept or 0, max(state.last for state in states)
        profiles = [each for each in self._rows.profile_numbers(after=after, limit=most) if each <= last]
        for profile in computer.present(profiles):
            computer.settle(computer.at_hand.entry(profile), numbers, sweeping=True)
        over = len(profiles) < most
        computer.generations.swept(numbers, None if over else profiles[-1])
        computer.touch()
        if over:
            # What the last of them have must be found by a first sync.
            self._settled = self._taken = False
        return True

    def _sync(self, now_ms: int, most: int) -> bool:
        """Tell some profiles of each first sync that is under way."""
        busy = False
        for line in self._computer.lines.values():
            state = self._computer.generations.states.get(line.computation)
            if line.waits or line.state.after is None or state is None or state.phase != "live":
                continue
            room = min(most, self._room(line))
            self.blocked |= room <= 0
            if room > 0:
                busy |= self._sync_some(line, now_ms, room)
        return busy

    def _sync_some(self, line: Line, now_ms: int, most: int) -> bool:
        state = line.state
        assert state.after is not None
        off = OFF[self._computer.generations.kind(line.computation)]
        if not state.began_at:
            state.began_at, state.total = now_ms, self._rows.count(line.computation, off)
        rows = self._rows.members(line.computation, off, after=state.after, limit=most)
        for profile in self._computer.present([row.profile for row in rows]):
            self._computer.tell(line, profile, now=True, from_ms=state.began_at)
        state.done += len(rows)
        over = len(rows) < most
        state.after = None if over else rows[-1].profile
        state.ended_at = now_ms if over else 0
        self._computer.changed_lines.add(line.id)
        self._computer.touch()
        return not over

    def _tick(self, now_ms: int, most: int) -> bool:
        """Tell what changed since the last instant of each cadence, or while a connection waited."""
        busy = False
        lines = [line for line in self._computer.lines.values() if not line.waits and self._is_live(line)]
        for line in lines:
            state = line.state
            if line.every_ms and state.ticking is None and now_ms // line.every_ms * line.every_ms > state.tick:
                state.tick, state.ticking = now_ms // line.every_ms * line.every_ms, 0
                self._computer.changed_lines.add(line.id)
                # What changed before this instant may not be committed yet, and must be found.
                self._settled = self._taken = False
        if not self._settled:
            self._computer.touch()
            return False
        for line in lines:
            if line.state.ticking is None:
                continue
            room = min(most, self._room(line))
            self.blocked |= room <= 0
            if room > 0:
                busy |= self._tick_some(line, room)
        return busy

    def _is_live(self, line: Line) -> bool:
        computation = self._computer.generations.states.get(line.computation)
        return computation is not None and computation.phase == "live"

    def _tick_some(self, line: Line, most: int) -> bool:
        state = line.state
        profiles = self._rows.pending(line.id, after=state.ticking or 0, limit=most)
        for profile in self._computer.present(profiles):
            self._computer.tell(line, profile, now=True)
        for profile in profiles:
            self._computer.teller.said.pending[line.id, profile] = False
        over = len(profiles) < most
        state.ticking = None if over else profiles[-1]
        self._computer.changed_lines.add(line.id)
        self._computer.touch()
        return not over
