"""The stage of one space on real rows, driven by hand: a log, a lake, a destination and a clock that stand in memory.

What runs is what the worker runs (`SpaceStage`, `Resolver`, `Computer`, `CatchingUp`, the rows of a file); a commit is
taken, written and told in steps, so that a process may die between any two of them.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segue.compute.answers import Answers, Computation
from segue.compute.catching_up import Past, Target, Wish
from segue.compute.history import Absence, History, Occurrence
from segue.compute.occurrences import Happened
from segue.compute.parse import parse
from segue.compute.windows import Reach
from segue.core.event import Event, Record
from segue.core.profile import DEFAULT_RULES, Profile
from segue.resolve.resolver import Resolver
from segue.resolve.skips import effective_time
from segue.state.computations import ComputationRow
from segue.state.computed import ComputedReader
from segue.state.profile_rows import ProfilesDelta
from segue.state.profiles import ProfileReader, ProfileWriter
from segue.state.spaces import SpaceRow
from segue.wiring import space_stage
from segue.wiring.space_stage import SpaceStage
from tests.resolve.events import START_MS

SPACE = SpaceRow(slug="prod", name="Prod", sources=("web",), id=1)
OWN = SPACE.own_source
DESTINATION, OTHER = 7, 8
TARGETS = {DESTINATION: Target("Planhat", True), OTHER: Target("Planhat", True)}
SETTLED_MS = space_stage.SETTLED_MS

Decoded = tuple[Record, Event]


class Sizes(NamedTuple):
    """The bounds that are made small, so that few events and profiles are many."""

    a_pump: int = 100
    catching_up: int = 50
    lead: int = 1_000
    at_hand: int = 50_000


@contextlib.contextmanager
def sizes(of: Sizes) -> Iterator[None]:
    """These bounds hold meanwhile."""
    names = ("EVENTS_A_PUMP", "CATCHING_UP_A_PUMP", "LEAD_LEAST")
    before = [getattr(space_stage, name) for name in names]
    try:
        for name, value in zip(names, of[:3], strict=True):
            setattr(space_stage, name, value)
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(space_stage, name, value)


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = START_MS - 1

    def now_ms(self) -> int:
        return self.now


class Log:
    """The log of the instance, which its worker reads block by block."""

    def __init__(self) -> None:
        self.entries: list[Decoded] = []
        self.ordinals: dict[str, int] = {}

    def read(self, offset: int) -> list[Decoded]:
        return self.entries[offset : offset + 7]

    def append(self, received_at: int, event: dict[str, Any], source: str = "web", for_: str | None = None) -> None:
        """The next record."""
        self.ordinals[source] = ordinal = self.ordinals.get(source, 0) + 1
        offset, raw = len(self.entries), json.dumps(event).encode()
        kind, number = event["type"], event["messageId"]
        record = Record(offset, received_at, received_at, source, ordinal, kind, "", number, for_, raw)
        self.entries.append((record, Event(raw)))


class Lake:
    """It has the events below `position`, each with the profile that it was applied to."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.position = 0
        self._committed = 0
        self._wanted = 0
        self.profiles: dict[int, int] = {}

    def resolved(self, position: int) -> None:
        self._committed = position
        self._grow()

    def want(self, position: int) -> None:
        self._wanted = max(self._wanted, position)
        self._grow()

    def _grow(self) -> None:
        self.position = max(self.position, min(self._wanted, self._committed))

    def placed(self, delta: ProfilesDelta) -> None:
        """What a commit says about events."""
        self.profiles |= {each.offset: each.profile for each in delta.placed if each.profile}

    def take(self, wish: Wish, most: int) -> tuple[list[Past], bool]:
        """Some of the past."""
        assert self.position >= wish.position
        found = sorted(
            (profile, offset)
            for offset, profile in self.profiles.items()
            if offset < wish.position and (profile, offset) > wish.after
        )
        every = [Past(profile, offset, self.occurrence(offset)) for profile, offset in found]
        every = [each for each in every if set(each.occurrence.streams) & set(wish.names)]
        return every[:most], len(every) <= most

    def occurrence(self, offset: int) -> Occurrence:
        """An event of the log as definitions see it."""
        record, event = self._log.entries[offset]
        t = effective_time(record, event)
        return Happened(event, t=t, received_at=record.received_at, source=record.source)


class Staged:
    """A space at work, which can be lost and made anew. `rows` are its definitions."""

    def __init__(self, path: Path, log: Log | None = None, *, most: Sizes = Sizes(), moving: bool = True) -> None:
        self.log = Log() if log is None else log
        self.clock = Clock()
        self.path = path
        self.most = most
        self.moving = moving
        """Whether what the space says comes back through the log, and reaches its destination."""
        self.passed: int | None = 0
        self.lake = Lake(self.log)
        self.rows: Sequence[ComputationRow] = ()
        self.targets = TARGETS
        self.keep_ms: int | None = None
        self.said: list[tuple[str, str, bytes]] = []
        """Every message that was ever committed: its id, its destination, its body; in order."""
        self._moved = 0
        self._open()

    def _open(self) -> None:
        self.writer = ProfileWriter(self.path)
        self.reader, self.computed = ProfileReader(self.path), ComputedReader(self.path)
        self.resolver = Resolver(space=SPACE.id, rules=DEFAULT_RULES, rows=self.reader, capacity=self.most.at_hand)
        self.stage = SpaceStage(
            SPACE,
            self.resolver,
            self.log,  # type: ignore[arg-type]
            self.clock,
            computed=self.computed,
            past=self.lake,  # type: ignore[arg-type]
            passed=lambda _destination, _source: self.passed,
            appended=lambda source: self.log.ordinals.get(source, 0),
        )
        self.stage._computer.at_hand._capacity = self.most.at_hand
        self.stage.before(self.lake)
        self.stage.use(self.rows, self.targets, retention_ms=self.keep_ms)
        self._writing: ProfilesDelta | None = None

    def close(self) -> None:
        self.reader.close()
        self.computed.close()
        self.writer.close()

    # -- one step at a time ------------------------------------------------------------------------------------------

    def use(self, *rows: ComputationRow) -> None:
        """From now on these are the definitions."""
        self.rows = rows
        self.stage.use(rows, self.targets, retention_ms=self.keep_ms)

    def pump(self) -> int | None:
        """What one turn of the loop does."""
        return self.stage.pump()

    def take(self) -> None:
        """A commit begins."""
        if self._writing is None and self.stage.dirty:
            self._writing = self.stage.take()

    def land(self, *, told: bool = True) -> None:
        """The commit that was begun is durable; `told`: and the stage learns of it."""
        delta, self._writing = self._writing, None
        if delta is None:
            return
        self.writer.commit([delta])
        self.lake.placed(delta)
        assert delta.computed is not None
        self.said += [(row.message_id, row.destinations, row.body) for row in delta.computed.outbox]
        if told:
            self.stage.committed()

    def die(self) -> None:
        """As after kill -9: what was not committed is lost."""
        self.close()
        self._open()

    def commit(self) -> None:
        """A whole one."""
        self.land()
        self.take()
        self.land()

    def move(self) -> None:
        """What is in the outbox goes into the log, which drops what it has."""
        if not self.moving:
            return
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            query = "SELECT seq, message_id, destinations, body FROM outbox WHERE seq > ? ORDER BY seq"
            found = connection.execute(query, (self._moved,)).fetchall()
        known = {record.message_id for record, _ in self.log.entries if record.source == OWN}
        for seq, message_id, destinations, body in found:
            if message_id not in known:
                self.log.append(self.clock.now, json.loads(body), OWN, destinations)
            self._moved = seq

    def deliver(self) -> None:
        """The destination gets done what is in the log for it."""
        self.passed = self.log.ordinals.get(OWN, 0)

    def settle(self) -> None:
        """Until nothing more is to be done at this instant."""
        for _ in range(2_000):
            self.land()
            again = self.pump()
            at_end = self.stage.position == len(self.log.entries)
            waits = (again is None or again > self.clock.now) and not self.stage._catching_up.blocked
            if at_end and not self.stage.dirty and waits:
                return
            self.commit()
            self.move()
            self.deliver()
        raise AssertionError(f"it never comes to rest: {again} at {self.clock.now}")

    def go_to(self, instant: int) -> None:
        """Time passes; it never goes back."""
        self.clock.now = max(self.clock.now, instant)

    # -- what is so at the end ---------------------------------------------------------------------------------------

    def holdings(self) -> dict[str, dict[int, str | None]]:
        """What each profile has, by key, as it was committed; who was never in an audience is in none."""
        found: dict[str, dict[int, str | None]] = {}
        for row in self.rows:
            rows = self.computed.holdings(row.id, limit=100_000)
            found[row.key] = {
                each.profile: each.value
                for each in rows
                if each.value is not None and (row.kind, each.value) != ("audience", "false")
            }
        return found

    def table(self, name: str) -> list[Any]:
        """The rows of a table."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)

    def people(self) -> list[Profile]:
        """All profiles, without the absorbed ones."""
        return self.reader.page(collection="users", limit=100_000)

    def expected(self) -> dict[str, dict[int, str | None]]:
        """What the plain evaluator says of everybody at the space's time, over the whole log."""
        at_ms = self.computed.state().t
        found: dict[str, dict[int, str | None]] = {row.key: {} for row in self.rows}
        states = self.computed.computations()
        asked = {row.key: _asked(row, self.keep_ms) for row in self.rows}
        events: dict[int, list[Occurrence]] = {}
        for offset, profile in self.lake.profiles.items():
            events.setdefault(self.reader.canonical(profile), []).append(self.lake.occurrence(offset))
        for person in self.people():
            history = History(
                occurrences=events.get(person.number, ()),
                traits={name: [version] for name, version in person.traits.items()},
                ids=[linked.external_id for linked in person.ids],
            )
            held = self.computed.holdings_of(person.number)
            once = {states[number].key for number, row in held.items() if row.once}
            answers = Answers(asked, history, once_in=once)
            for row in self.rows:
                value = answers.value(row.key, at_ms)
                if not (isinstance(value, Absence) or (row.kind == "audience" and value is False)):
                    found[row.key][person.number] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return found


def _asked(row: ComputationRow, keep_ms: int | None) -> Computation:
    return Computation(
        tree=parse(row.definition, "audience" if row.kind == "audience" else "trait"),
        reach=Reach(retention_ms=keep_ms, received_from_ms=None if row.historical else row.created_at),
        include_anonymous=row.include_anonymous,
    )
