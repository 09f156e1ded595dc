"""A space on the disk: a log, profiles and a lake, written by what writes them, a step at a time."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec

from segue.compute.answers import Answers, Computation
from segue.compute.history import Absence, History, Occurrence
from segue.compute.sql import Defined
from segue.core.event import Event, NewRecord, Record
from segue.core.profile import DEFAULT_RULES
from segue.lake.history import SpaceFiles
from segue.lake.rows import Entry, row_of
from segue.lake.writer import LakeWriter
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.resolve.resolver import Resolver
from segue.state.profile_rows import Placed, ProfilesDelta
from segue.state.profiles import ProfileReader, ProfileWriter
from tests.compute.sql.relations import written
from tests.lake.rig import nothing
from tests.resolve.events import iso

START = 1_800_000_000_000


class SetClock:
    """A clock that stands where it was set."""

    now = START

    def now_ms(self) -> int:
        return self.now


class Space:
    """Each step is durable when it returns."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock = SetClock()
        self._log = stack.enter_context(closing(SQLiteLogWriter(folder / "log", self.clock)))
        reader = stack.enter_context(closing(SQLiteLogReader(folder / "log")))
        self._profiles = stack.enter_context(closing(ProfileWriter(folder / "profiles.db")))
        self.reader = stack.enter_context(closing(ProfileReader(folder / "profiles.db")))
        self._resolver = Resolver(space=1, rules=DEFAULT_RULES, rows=self.reader)
        self.files = SpaceFiles(folder / "profiles.db", folder / "lake", reader)
        self._lake: LakeWriter | None = None
        self._sent = 0
        self._placed: list[Placed] = []
        self._stack = stack

    @property
    def lake(self) -> LakeWriter:
        """Its folder is there once it is asked for."""
        if self._lake is None:
            self._lake = self._stack.enter_context(closing(LakeWriter(self.files.lake)))
        return self._lake

    def send(self, type_: str = "track", *, t: int | None = None, **fields: Any) -> None:
        """An event comes in and is applied; received now."""
        self._sent += 1
        now = self.clock.now
        message = f"m{self._sent:06d}"
        body = {"type": type_, "messageId": message, "timestamp": iso(now if t is None else t), **fields}
        new = NewRecord("web", type_, "u", message, now, msgspec.json.encode(body))
        (offset,) = self._log.append([new])
        (record,) = self.files.log.read(0, offset, 1)
        self._resolver.apply(record, Event(record.body))
        self._profiles.commit([self._take()])
        self._resolver.committed()

    def flush(self, events: int = 1_000_000) -> None:
        """Some of the events that the lake has not got go there."""
        start = self.lake.position.offset
        placed = list(self.reader.placed(start))
        records = {each.offset: each for each in self._records()}
        entries = [Entry(records[each.offset], Event(records[each.offset].body), each) for each in placed[:events]]
        end = placed[events].offset if len(placed) > events else self.reader.state().position
        if end > start:
            self.lake.write(entries, position=end, breathe=nothing)

    def refresh(self) -> None:
        """The profiles that have changed go there."""
        self.lake.refresh_people(self.reader, self.clock.now, nothing, whole=True)

    def hold(self, computation: int, profile: int, value: str | None, *, once: bool = False) -> None:
        """What incremental computing says."""
        self._profiles._connection.execute(
            "INSERT INTO holding (computation, profile, value, since, version, once) VALUES (?, ?, ?, 0, 1, ?)",
            (computation, profile, value, once),
        )

    def expected(self, definitions: dict[str, Defined], key: str, at_ms: int) -> dict[int, str]:
        """What the plain evaluator says of each profile, from all events that came."""
        occurrences: dict[int, list[Occurrence]] = {}
        placed = {each.offset: each for each in self._placed}
        for record in self._records():
            each = placed.get(record.offset)
            if each is not None and each.profile:
                profile = self.reader.profile(each.profile)
                assert profile is not None
                occurrences.setdefault(profile.number, []).append(_occurrence(record, each))
        computations = {
            name: Computation(tree=each.tree, reach=each.reach, include_anonymous=each.include_anonymous)
            for name, each in definitions.items()
        }
        found = {}
        for profile in self.reader.page(collection="users", limit=1_000):
            traits = {name: [trait] for name, trait in profile.traits.items()}
            ids = [linked.external_id for linked in profile.ids]
            history = History(occurrences=occurrences.get(profile.number, ()), traits=traits, ids=ids)
            value = Answers(computations, history).value(key, at_ms)
            if not isinstance(value, Absence) and not (definitions[key].is_audience and value is False):
                found[profile.number] = written(value)
        return found

    def _take(self) -> ProfilesDelta:
        delta = self._resolver.take()
        delta.in_lake = 0 if self._lake is None else self._lake.position.offset
        self._placed += delta.placed
        return delta

    def _records(self) -> list[Record]:
        return self.files.log.read(0, 0, 100_000)


def _occurrence(record: Record, placed: Placed) -> Occurrence:
    event = Event(record.body)
    row = row_of(Entry(record, event, placed), ())
    return Occurrence(
        t=placed.t,
        received_at=record.received_at,
        message_id=record.message_id,
        source=record.source,
        type=event.type,
        name=(event.event if event.type == "track" else event.name) or "",
        properties=str(row[13] or "{}"),
        context=str(row[15] or "{}"),
    )
