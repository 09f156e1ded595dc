"""The stage of one space: who each event of its sources is about, and what that makes of audiences and traits.

Rule: the cursor, the profiles, what was computed and the outbox are one commit of the space's own file; a restart goes
on at the cursor and comes to the same. What happens to a profile is applied in the order of the log and of time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from segue.compute.catching_up import CatchingUp, Past, Target
from segue.compute.computer import Computer
from segue.compute.history import PAGE_VIEWED, SCREEN_VIEWED
from segue.compute.occurrences import Happened
from segue.compute.surroundings import Applied, ComputedRows
from segue.compute.telling import Line
from segue.core.clock import Clock
from segue.core.errors import OffsetExpired, Unavailable
from segue.core.event import Event, Record
from segue.core.profile import ExternalId, Profile
from segue.log.tail import Tail
from segue.resolve.resolver import Resolved, Resolver
from segue.state.computations import ComputationRow
from segue.state.profile_rows import ProfilesDelta
from segue.state.spaces import SpaceRow
from segue.wiring.space_past import SpacePast

EVENTS_A_PUMP = 100
"""So few that deliveries, which share the loop, wait for milliseconds only."""
CATCHING_UP_A_PUMP = 50
AGAIN_MS = 1_000
SETTLED_MS = 100
"""How long after its instant a timer fires: what was received before that instant is in the log by then."""
OUTBOX_MOST = 50_000
"""Messages that are not in the log yet; at so many nothing more is computed until some are."""
OUTBOX_AGAIN_MS = 100
ROOM_AGAIN_MS = 20
LEAD_LEAST = 1_000
"""The least number of unfinished messages that a first sync may be ahead of its destination."""


class HalfDone(Exception):  # noqa: N818 - no error of its own
    """What is at hand can no longer be trusted: nothing of it is committed, and the space begins anew at its rows."""


class Lake(Protocol):
    """What comes behind: it goes on with what was committed, and says how far it is."""

    @property
    def position(self) -> int:
        """The offset of the first event that it may lack."""
        ...

    def resolved(self, position: int) -> None:
        """All below this offset is committed."""
        ...

    def want(self, position: int) -> None:
        """It is to have all below this offset as soon as that is committed."""
        ...


class ResolvedPeople:
    """The profiles of a resolver, as compute asks for them."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.profile: Callable[[int], Profile] = resolver.profile
        self.owner: Callable[[ExternalId], int | None] = resolver.owner
        self.canonical: Callable[[int], int] = resolver.canonical
        self.prepare: Callable[[Sequence[int]], None] = resolver.prepare

    def last_number(self) -> int:
        """The highest number given."""
        return self._resolver.state.next_number - 1


class Lead:
    """How far a destination may be behind what a first sync has handed it: what it gets done in a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: dict[int, tuple[int, int, float]] = {}

    def room(self, destination: int, passed: int, unfinished: int) -> int:
        """How many more it may be handed. `passed` is how many of the space's messages it has passed ever."""
        now = self._clock.now_ms()
        since, before, rate = self._at.get(destination, (now, passed, 0.0))
        if now - since >= 1_000 or destination not in self._at:
            rate = (passed - before) * 1_000 / max(1, now - since)
            self._at[destination] = (now, passed, rate)
        return max(LEAD_LEAST, int(rate)) - unfinished


class SpaceStage:
    """Reads the log for one space. A stage for `StageLoop`: see there for what each member means."""

    flying = 0

    def __init__(
        self,
        row: SpaceRow,
        resolver: Resolver,
        tail: Tail,
        clock: Clock,
        *,
        computed: ComputedRows,
        past: SpacePast,
        passed: Callable[[int, str], int | None],
        appended: Callable[[str], int],
    ) -> None:
        """`passed` gives the last ordinal of a source that a destination has passed; None where it is not at work.

        `appended` gives the last ordinal of a source in the log.
        """
        self._sources = frozenset(row.sources)
        self._own = row.own_source
        self._resolver = resolver
        self._tail = tail
        self._clock = clock
        self._lake: Lake | None = None
        self._past = past
        self._passed = passed
        self._appended = appended
        self._is_broken = False
        self._own_ordinal = 0
        self._lead = Lead(clock)
        self._taken = resolver.position
        people = ResolvedPeople(resolver)
        self._computer = Computer(space=row.id, rows=computed, people=people)
        self._catching_up = CatchingUp(self._computer, computed, people, self._room)

    def before(self, lake: Lake) -> None:
        """This is the lake that comes behind."""
        self._lake = lake

    def abandon(self) -> None:
        """What is at hand must not be committed."""
        self._is_broken = True

    @property
    def position(self) -> int:
        """The offset that is read next."""
        return self._resolver.position

    @property
    def outcomes(self) -> int:
        """Events read since the last `take`, and profiles that were found to have something else."""
        return self._resolver.outcomes + self._computer.outcomes

    @property
    def dirty(self) -> bool:
        """Whether `take` would give anything."""
        return not self._is_broken and (self._resolver.dirty or self._computer.dirty)

    def use(
        self, rows: Sequence[ComputationRow], targets: Mapping[int, Target], *, retention_ms: int | None = None
    ) -> None:
        """From now on these are the space's audiences and computed traits. Raises Unavailable, Damaged."""
        self._catching_up.use(
            rows, targets, retention_ms=retention_ms, position=self.position, now_ms=self._clock.now_ms()
        )

    def pump(self) -> int | None:
        """Read some events, or do what time asks for; gives the instant to be called again."""
        if self._is_broken:
            return None
        try:
            return self._pump()
        except OffsetExpired as expired:
            self._resolver.expire(expired.start)
            return self._clock.now_ms()
        except Unavailable:
            return self._clock.now_ms() + AGAIN_MS

    def take(self) -> ProfilesDelta:
        """What changed since the last call."""
        delta = self._resolver.take()
        delta.in_lake = self._lake.position if self._lake is not None else 0
        delta.computed = self._computer.take()
        self._catching_up.taken()
        self._taken = self._resolver.position
        return delta

    def committed(self) -> None:
        """What `take` gave is durable."""
        self._resolver.committed()
        self._computer.committed()
        self._catching_up.committed()
        if self._lake is not None:
            self._lake.resolved(self._taken)

    def reconfigure(self, row: SpaceRow) -> None:
        """Other sources and rules hold for every event from now on."""
        self._sources = frozenset(row.sources)
        self._resolver.use(row.identity)

    @property
    def _full(self) -> bool:
        return self._resolver.full or self._computer.full

    def _pump(self) -> int | None:
        budget = EVENTS_A_PUMP
        if self._outbox_is_full():
            return self._clock.now_ms() + OUTBOX_AGAIN_MS
        while budget > 0 and not self._full:
            block = self._tail.read(self._resolver.position)[:budget]
            if not block:
                return self._idle()
            for record, event in block:
                if not self._fire(record.received_at):
                    return self._clock.now_ms()
                self._take_in(record, event)
            budget -= len(block)
        if not self._full:
            self._catch_up(CATCHING_UP_A_PUMP)
        # At its bound the next commit wakes it.
        return None if self._full else self._clock.now_ms()

    def _outbox_is_full(self) -> bool:
        """Whether so many messages are not in the log yet; that some are was not met yet does not matter."""
        computer = self._computer
        return computer.waiting >= OUTBOX_MOST and computer.state.emitted - self._appended(self._own) >= OUTBOX_MOST

    def _idle(self) -> int | None:
        """All events are read: what is due by the clock, and what there is to catch up with."""
        now = self._clock.now_ms()
        if not self._fire(now - SETTLED_MS + 1):
            return now
        again = self._catch_up(EVENTS_A_PUMP, settled_ms=now - SETTLED_MS)
        instants = [again, self._catching_up.next_tick(now)]
        due = self._next_due()
        instants.append(None if due is None else due + SETTLED_MS)
        return min((instant for instant in instants if instant is not None), default=None)

    def _take_in(self, record: Record, event: Event) -> None:
        if record.source not in self._sources:
            if record.source == self._own:
                self._own_ordinal = record.ordinal
                self._computer.moved(record.message_id)
            self._resolver.pass_over(record)
            return
        resolved = self._resolver.apply(record, event)
        if resolved is None or resolved.profile is None:
            return
        names = _streams(event)
        watched = self._computer.watches(names)
        occurrence = _happened(record, event, resolved.cause.t) if watched else None
        self._compute(lambda: self._computer.apply(record.received_at, occurrence, _applied(resolved)))

    def _fire(self, before_ms: int) -> bool:
        """Look at who is due; gives whether all were."""
        fired: list[int] = []
        self._compute(lambda: fired.append(self._computer.fire(before_ms, EVENTS_A_PUMP)))
        return bool(fired) and fired[0] < EVENTS_A_PUMP

    def _next_due(self) -> int | None:
        found: list[int | None] = []
        self._compute(lambda: found.append(self._computer.next_due()))
        return found[0] if found else None

    def _catch_up(self, most: int, *, settled_ms: int | None = None) -> int | None:
        """Do some of what is to be caught up with; gives when to go on."""
        now = self._clock.now_ms()
        again: list[int] = []

        def work() -> None:
            if self._read_past(most) or self._catching_up.work(now, most, settled_ms=settled_ms):
                again.append(now)
            elif self._catching_up.blocked:
                again.append(now + ROOM_AGAIN_MS)

        self._compute(work)
        return min(again, default=None)

    def _read_past(self, most: int) -> bool:
        """Hand some of the past to new definitions; gives whether there was any."""
        wish = self._catching_up.wish()
        if wish is None or self._lake is None:
            return False
        found: tuple[list[Past], bool] | None = ([], True)
        if wish.position > 0:
            self._lake.want(wish.position)
            found = self._past.take(wish, most) if self._lake.position >= wish.position else None
        if found is not None:
            self._catching_up.fed(wish, found[0], complete=found[1])
        return found is not None

    def _compute(self, work: Callable[[], None]) -> None:
        """What fails in the midst leaves what is at hand half changed, and it must not be committed."""
        try:
            work()
        except Exception as error:
            self._is_broken = True
            raise HalfDone(f"{type(error).__name__}: {error}") from error

    def _room(self, line: Line) -> int:
        passed = self._passed(line.destination, self._own)
        if passed is None:
            return 0
        unfinished = self._computer.waiting + max(0, self._own_ordinal - passed)
        return self._lead.room(line.destination, passed, unfinished)


def _applied(resolved: Resolved) -> Applied:
    assert resolved.profile is not None
    gained = bool(resolved.created or resolved.ids or resolved.merged)
    return Applied(resolved.profile, resolved.merged, resolved.created, gained, resolved.traits)


def _streams(event: Event) -> tuple[str, ...]:
    if event.type == "track":
        return () if event.event is None else (event.event,)
    if event.type == "page":
        return (PAGE_VIEWED,)
    return (SCREEN_VIEWED,) if event.type == "screen" else ()


def _happened(record: Record, event: Event, t: int) -> Happened:
    return Happened(event, t=t, received_at=record.received_at, source=record.source)
