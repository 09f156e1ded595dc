"""Control rows: the workspace, its sources, destinations, spaces, computations and jobs, in `control.db`.

Rule: rows change only inside one short `BEGIN IMMEDIATE` transaction that also raises `version`; a destination's,
space's, computation's or job's id is never given twice, so that what is stored about an id elsewhere stays true.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec import Struct

from segue.core.clock import Clock
from segue.core.errors import Invalid
from segue.state import computations, jobs, spaces
from segue.state.computations import ComputationRow
from segue.state.database import open_database, sqlite_errors, transaction
from segue.state.jobs import JobKind, JobRow
from segue.state.spaces import OWN_SOURCE, SpaceRow, SpaceTokenRow

SETTINGS_KEPT = 50
"""How many former versions of a destination's settings are kept, for `explain`."""

CONCURRENCY = 50
"""Requests to one destination that may run at one time, where it says nothing else."""


class WorkspaceRow(Struct, frozen=True, kw_only=True):
    """The one workspace of this instance. `strict_keys`: an unknown write key is answered 401."""

    slug: str
    name: str
    strict_keys: bool = False


class SourceRow(Struct, frozen=True, kw_only=True):
    """Where events come from. `strict`: a request with a bad event is answered 400, not 200."""

    slug: str
    name: str
    write_keys: tuple[str, ...] = ()
    enabled: bool = True
    strict: bool = False


class DestinationRow(Struct, frozen=True, kw_only=True):
    """Where the events of one source go.

    `settings` are as stored: `{"$secret": "<encrypted>"}`, `{"$env": "NAME"}`, `{"$text": "<template>"}` or plain
    values. `offset` is the log's end when it was connected, `ordinals` the last ordinal of its source then, and of each
    space's own source when a computation of that space first named it: from there on it reads that too. `max_rate` is
    in requests a second; None and 0 mean no limit.
    """

    id: int
    slug: str
    name: str
    source: str
    kind: str
    enabled: bool = False
    settings: dict[str, Any] = {}
    settings_version: int = 1
    offset: int = 0
    ordinals: dict[str, int] = {}
    max_rate: float | None = None
    max_concurrency: int = CONCURRENCY

    @property
    def sources(self) -> tuple[str, ...]:
        """What it reads: its source, then the own sources of the spaces whose computations have named it."""
        return (self.source, *sorted(source for source in self.ordinals if source.startswith(OWN_SOURCE)))

    def reads(self, source: str, ordinal: int) -> bool:
        """Whether the event of this ordinal of the source came after the destination began to read that source."""
        return source in self.sources and ordinal > self.ordinals.get(source, 0)


class Control(Struct, frozen=True, kw_only=True):
    """Everything that control holds at one moment. `version` rises with each change."""

    version: int = 0
    workspace: WorkspaceRow = WorkspaceRow(slug="default", name="Default")
    sources: tuple[SourceRow, ...] = ()
    destinations: tuple[DestinationRow, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    spaces: tuple[SpaceRow, ...] = ()
    space_tokens: tuple[SpaceTokenRow, ...] = ()
    computations: tuple[ComputationRow, ...] = ()
    retired_keys: frozenset[tuple[int, str]] = frozenset()
    """Space and key of each computation that was deleted: nothing is called so again."""

    def source(self, slug: str) -> SourceRow | None:
        """The source of this slug."""
        return next((row for row in self.sources if row.slug == slug), None)

    def destination(self, slug: str) -> DestinationRow | None:
        """The destination of this slug."""
        return next((row for row in self.destinations if row.slug == slug), None)

    def space(self, slug: str) -> SpaceRow | None:
        """The space of this slug."""
        return next((row for row in self.spaces if row.slug == slug), None)

    def computations_of(self, space: int) -> list[ComputationRow]:
        """The audiences and computed traits of the space of this id, the oldest first."""
        return [row for row in self.computations if row.space == space]


MIGRATIONS = (
    """
    CREATE TABLE workspace (
        only INTEGER PRIMARY KEY CHECK (only = 1), slug TEXT NOT NULL, name TEXT NOT NULL,
        strict_keys INTEGER NOT NULL, version INTEGER NOT NULL, applied_hash TEXT
    ) STRICT;
    INSERT INTO workspace VALUES (1, 'default', 'Default', 0, 1, NULL);
    CREATE TABLE source (
        slug TEXT PRIMARY KEY, name TEXT NOT NULL, enabled INTEGER NOT NULL, strict INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE write_key (
        key TEXT PRIMARY KEY, source TEXT NOT NULL REFERENCES source ON DELETE CASCADE, place INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE destination (
        id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        source TEXT NOT NULL REFERENCES source, kind TEXT NOT NULL, enabled INTEGER NOT NULL,
        settings_version INTEGER NOT NULL, begin_offset INTEGER NOT NULL, ordinals TEXT NOT NULL,
        max_rate REAL, max_concurrency INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE destination_settings (
        destination INTEGER NOT NULL REFERENCES destination ON DELETE CASCADE, version INTEGER NOT NULL,
        settings TEXT NOT NULL, PRIMARY KEY (destination, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL CHECK (kind IN ('replay', 'redrive')),
        destination INTEGER NOT NULL REFERENCES destination ON DELETE CASCADE,
        created_at INTEGER NOT NULL, spec TEXT NOT NULL, cancelled INTEGER NOT NULL
    ) STRICT;
    """,
    "ALTER TABLE destination_settings ADD COLUMN since INTEGER NOT NULL DEFAULT 0;",
    spaces.CREATE,
    computations.CREATE,
)

READ_WORKSPACE = "SELECT version, slug, name, strict_keys FROM workspace"
READ_VERSION = "SELECT version FROM workspace"
READ_APPLIED = "SELECT applied_hash FROM workspace"
READ_SOURCES = "SELECT slug, name, enabled, strict FROM source ORDER BY rowid"
READ_KEYS = "SELECT source, key FROM write_key ORDER BY source, place"
READ_DESTINATIONS = """
    SELECT d.id, d.slug, d.name, d.source, d.kind, d.enabled, s.settings, d.settings_version, d.begin_offset,
           d.ordinals, d.max_rate, d.max_concurrency
    FROM destination d JOIN destination_settings s ON s.destination = d.id AND s.version = d.settings_version
    ORDER BY d.id"""
READ_SETTINGS = "SELECT settings FROM destination_settings WHERE destination = ? AND version = ?"
READ_SETTINGS_AT = """
    SELECT version, settings FROM destination_settings WHERE destination = ? AND since <= ?
    ORDER BY version DESC LIMIT 1"""

RAISE_VERSION = "UPDATE workspace SET version = version + 1"
PUT_APPLIED = "UPDATE workspace SET applied_hash = ?"
PUT_WORKSPACE = "UPDATE workspace SET slug = ?, name = ?, strict_keys = ?"
PUT_SOURCE = """
    INSERT INTO source (slug, name, enabled, strict) VALUES (?, ?, ?, ?)
    ON CONFLICT (slug) DO UPDATE SET name = excluded.name, enabled = excluded.enabled, strict = excluded.strict"""
DROP_KEYS = "DELETE FROM write_key WHERE source = ?"
ADD_KEY = "INSERT INTO write_key (key, source, place) VALUES (?, ?, ?)"
DROP_SOURCE = "DELETE FROM source WHERE slug = ?"
ADD_DESTINATION = """
    INSERT INTO destination (
        slug, name, source, kind, enabled, settings_version, begin_offset, ordinals, max_rate, max_concurrency)
    VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?)"""
PUT_DESTINATION = """
    UPDATE destination SET slug = ?, name = ?, enabled = ?, settings_version = ?, max_rate = ?, max_concurrency = ?
    WHERE id = ?"""
ADD_SETTINGS = "INSERT INTO destination_settings (destination, version, settings, since) VALUES (?, ?, ?, ?)"
CUT_SETTINGS = "DELETE FROM destination_settings WHERE destination = ? AND version < ?"
PUT_ORDINALS = "UPDATE destination SET ordinals = ? WHERE id = ?"
DROP_DESTINATION = "DELETE FROM destination WHERE id = ?"


class Change:
    """What may be done inside one transaction of control. Made by `ControlStore.change`."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.changed = False

    def control(self) -> Control:
        """Everything, as this transaction sees it."""
        return _read(self._connection)

    def put_workspace(self, row: WorkspaceRow) -> None:
        """Rename the workspace or change its switches."""
        self._write(PUT_WORKSPACE, row.slug, row.name, row.strict_keys)

    def put_source(self, row: SourceRow) -> None:
        """Create the source or make it as `row` says. Raises Invalid where another source has a write key."""
        self._write(PUT_SOURCE, row.slug, row.name, row.enabled, row.strict)
        self.drop_write_keys(row.slug)
        for place, key in enumerate(row.write_keys):
            try:
                self._write(ADD_KEY, key, row.slug, place)
            except sqlite3.IntegrityError:
                raise Invalid(f"another source has the write key {key!r}", field="write_keys") from None

    def drop_write_keys(self, source: str) -> None:
        """Free the write keys of a source, so that another may take them in the same transaction."""
        self._write(DROP_KEYS, source)

    def delete_source(self, slug: str) -> None:
        """Remove the source. Its destinations must be gone before, and no space may read it."""
        self._write(DROP_SOURCE, slug)

    def add_destination(self, row: DestinationRow) -> DestinationRow:
        """Create the destination; the answer has its new `id` and `settings_version` 1."""
        number = self._write(
            ADD_DESTINATION, row.slug, row.name, row.source, row.kind, row.enabled, row.offset,
            _json(row.ordinals), row.max_rate, row.max_concurrency,
        )  # fmt: skip
        self._write(ADD_SETTINGS, number, 1, _json(row.settings), self._clock.now_ms())
        return msgspec.structs.replace(row, id=number, settings_version=1)

    def put_destination(self, row: DestinationRow) -> DestinationRow:
        """Make the destination of `row.id` as `row` says; source, kind and where it began stay.

        Other settings get the next `settings_version`, which the answer holds.
        """
        version, settings = row.settings_version, _json(row.settings)
        stored = self._connection.execute(READ_SETTINGS, (row.id, version)).fetchone()
        if stored != (settings,):
            version += 1
            self._write(ADD_SETTINGS, row.id, version, settings, self._clock.now_ms())
            self._write(CUT_SETTINGS, row.id, version - SETTINGS_KEPT)
        self._write(
            PUT_DESTINATION, row.slug, row.name, row.enabled, version, row.max_rate, row.max_concurrency, row.id
        )
        return msgspec.structs.replace(row, settings_version=version)

    def read_too(self, row: DestinationRow, source: str, last: int) -> DestinationRow:
        """Let the destination read one more source, from the record after the ordinal `last`; not where it reads it."""
        if source in row.ordinals:
            return row
        row = msgspec.structs.replace(row, ordinals=row.ordinals | {source: last})
        self._write(PUT_ORDINALS, _json(row.ordinals), row.id)
        return row

    def delete_destination(self, number: int) -> None:
        """Remove the destination with its settings, jobs and connections. Its id is never used again."""
        self._write(DROP_DESTINATION, number)

    def add_job(self, kind: JobKind, destination: int, spec: dict[str, Any]) -> JobRow:
        """Ask for a job; the newest 1,000 are kept."""
        self.changed = True
        row = JobRow(id=0, kind=kind, destination=destination, created_at=self._clock.now_ms(), spec=spec)
        return jobs.add_job(self._connection, row)

    def cancel_job(self, number: int) -> None:
        """Say that the job shall stop; one that is cancelled already stays so."""
        self._write(jobs.CANCEL_JOB, number)

    def put_space(self, row: SpaceRow) -> SpaceRow:
        """Create the space or make the one of this slug as `row` says; the answer has its id and when it was made."""
        self.changed = True
        return spaces.put_space(self._connection, row, self._clock.now_ms())

    def delete_space(self, number: int) -> None:
        """Remove the space with its tokens and computations. Its id is never used again."""
        self._write(spaces.DROP_SPACE, number)

    def add_token(self, row: SpaceTokenRow) -> SpaceTokenRow:
        """Let a token read the profiles of its space; the answer has its id and when it was made."""
        self.changed = True
        return spaces.add_token(self._connection, row, self._clock.now_ms())

    def revoke_token(self, number: int) -> None:
        """Let a token read nothing any more."""
        self._write(spaces.DROP_TOKEN, number)

    def put_computation(self, row: ComputationRow) -> ComputationRow:
        """Create the computation (`id` 0) or make the one of its id as `row` says; the answer has all ids.

        Raises Invalid where the key of a new one was ever given in its space.
        """
        self.changed = True
        return computations.put_computation(self._connection, row, self._clock.now_ms())

    def delete_computation(self, number: int) -> None:
        """Remove the computation with its connections. Its id is never used again, nor its key in that space."""
        self._write(computations.DROP_COMPUTATION, number)

    def set_applied_hash(self, value: str) -> None:
        """Remember which workspace file was applied last. This alone is no change of control."""
        self._connection.execute(PUT_APPLIED, (value,))

    def _write(self, statement: str, *values: object) -> int:
        cursor = self._connection.execute(statement, values)
        self.changed = self.changed or cursor.rowcount > 0
        return cursor.lastrowid or 0


class ControlStore:
    """`control.db`: read whole, written in short transactions, by any process and any thread in turn."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or create the file. Raises Damaged or Unavailable as `open_database` does."""
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._connection = open_database(path, MIGRATIONS)

    def snapshot(self) -> Control:
        """Everything at one moment."""
        with self._lock, sqlite_errors(self._path), transaction(self._connection, "BEGIN"):
            return _read(self._connection)

    def version(self) -> int:
        """The version alone: cheap, to see whether a snapshot is still the newest."""
        return int(self._one(READ_VERSION)[0])

    def applied_hash(self) -> str | None:
        """The hash of the workspace file that was applied last; None before the first."""
        value = self._one(READ_APPLIED)[0]
        return None if value is None else str(value)

    def settings_at(self, destination: int, time_ms: int) -> tuple[int, dict[str, Any]] | None:
        """The version and the stored settings that a destination had at that time; None where they are not kept."""
        found = self._one(READ_SETTINGS_AT, destination, time_ms)
        return None if found is None else (found[0], msgspec.json.decode(found[1], type=dict[str, Any]))

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One transaction: what the block did is durable after it, or undone where it raised.

        Raises Unavailable where another process holds the lock for over 5 s or the disk is full.
        """
        with self._lock, sqlite_errors(self._path), transaction(self._connection):
            change = Change(self._connection, self._clock)
            yield change
            if change.changed:
                self._connection.execute(RAISE_VERSION)

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> ControlStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _one(self, statement: str, *values: object) -> Any:
        with self._lock, sqlite_errors(self._path):
            return self._connection.execute(statement, values).fetchone()


def _json(value: object) -> str:
    # One text for one value, so that equal settings are seen to be equal.
    return msgspec.json.encode(value, order="deterministic").decode()


def _read(connection: sqlite3.Connection) -> Control:
    version, slug, name, strict_keys = connection.execute(READ_WORKSPACE).fetchone()
    keys: dict[str, list[str]] = {}
    for source, key in connection.execute(READ_KEYS):
        keys.setdefault(source, []).append(key)
    return Control(
        version=version,
        workspace=WorkspaceRow(slug=slug, name=name, strict_keys=bool(strict_keys)),
        sources=tuple(
            SourceRow(slug=slug, name=name, write_keys=tuple(keys.get(slug, ())), enabled=bool(on), strict=bool(strict))
            for slug, name, on, strict in connection.execute(READ_SOURCES)
        ),
        destinations=tuple(_destination(row) for row in connection.execute(READ_DESTINATIONS)),
        jobs=tuple(jobs.read_jobs(connection)),
        spaces=tuple(spaces.read_spaces(connection)),
        space_tokens=tuple(spaces.read_tokens(connection)),
        computations=tuple(computations.read_computations(connection)),
        retired_keys=frozenset(computations.read_retired_keys(connection)),
    )


def _destination(row: tuple[Any, ...]) -> DestinationRow:
    return DestinationRow(
        id=row[0],
        slug=row[1],
        name=row[2],
        source=row[3],
        kind=row[4],
        enabled=bool(row[5]),
        settings=msgspec.json.decode(row[6]),
        settings_version=row[7],
        offset=row[8],
        ordinals=msgspec.json.decode(row[9]),
        max_rate=row[10],
        max_concurrency=row[11],
    )
