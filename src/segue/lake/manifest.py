"""The manifest of a lake: its cursor, the files that it is made of, those of profiles, and those that were replaced.

Rule: files and cursor change in one transaction, after the new files are durable; a replaced file stays for a while,
for whoever has read the manifest before and is still reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from segue.state.database import open_database, open_reader, sqlite_errors, transaction
from segue.state.profile_readers import SpaceReaders

MANIFEST = "lake.db"

MIGRATIONS = (
    """
    CREATE TABLE lake (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL, expired INTEGER NOT NULL)
      STRICT;
    CREATE TABLE file (
      path TEXT PRIMARY KEY, folder TEXT NOT NULL, event TEXT, day TEXT NOT NULL, rows INTEGER NOT NULL,
      bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, received_first INTEGER NOT NULL,
      received_last INTEGER NOT NULL, t_first INTEGER NOT NULL, t_last INTEGER NOT NULL,
      profile_first INTEGER NOT NULL, profile_last INTEGER NOT NULL, properties TEXT NOT NULL
    ) STRICT;
    CREATE INDEX file_place ON file (folder, day);
    CREATE INDEX file_event ON file (event, t_last);
    CREATE TABLE replaced (path TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    """,
    """
    CREATE TABLE people (
      kind TEXT PRIMARY KEY CHECK (kind IN ('base', 'recent')), path TEXT NOT NULL, rows INTEGER NOT NULL,
      position INTEGER NOT NULL
    ) STRICT;
    """,
)

UPSERT = """INSERT INTO lake VALUES (1, ?, ?)
  ON CONFLICT (one) DO UPDATE SET position = excluded.position, expired = expired + excluded.expired"""
INSERT_FILE = "INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
DELETE_FILE = "DELETE FROM file WHERE path = ?"
INSERT_REPLACED = "INSERT INTO replaced VALUES (?, ?)"
SELECT_FILES = "SELECT * FROM file"
SELECT_PEOPLE = "SELECT kind, path, rows, position FROM people"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


class LakeFile(NamedTuple):
    """One file. `path` is below the lake's folder; the bounds are inclusive, times in ms since 1970.

    `event` is None where its calls have no name. Events of no user count as profile 0 in the bounds. `properties` are
    those that have a column.
    """

    path: str
    folder: str
    event: str | None
    day: str
    rows: int
    bytes: int
    first: int
    last: int
    received_first: int
    received_last: int
    t_first: int
    t_last: int
    profile_first: int
    profile_last: int
    properties: tuple[str, ...]


class PeopleFile(NamedTuple):
    """One of the files of profiles; see `people`. Changes below the offset `position` of the log are in it."""

    kind: str
    path: str
    rows: int
    position: int


class Position(NamedTuple):
    """How far the lake goes: the offset of the first event that it may lack, and how many the log had lost before."""

    offset: int = 0
    expired: int = 0


class Manifest:
    """The manifest for the one process that writes the lake. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MANIFEST
        self._connection = open_database(self._path, MIGRATIONS)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def position(self) -> Position:
        """The cursor."""
        return _position(self._rows("SELECT position, expired FROM lake"))

    def files(self) -> list[LakeFile]:
        """All files that count."""
        return [_file(row) for row in self._rows(SELECT_FILES)]

    def files_at(self, folder: str, day: str) -> list[LakeFile]:
        """Those of one event and day, the oldest first."""
        rows = self._rows(f"{SELECT_FILES} WHERE folder = ? AND day = ? ORDER BY first", (folder, day))
        return [_file(row) for row in rows]

    def places(self) -> set[tuple[str, str]]:
        """The folders and days that have more files than one."""
        return set(self._rows("SELECT folder, day FROM file GROUP BY folder, day HAVING count(*) > 1"))

    def add(self, files: Sequence[LakeFile], position: int, expired: int = 0) -> None:
        """The lake goes up to `position` with these files, which are durable. Raises Unavailable, Damaged."""
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany(INSERT_FILE, [_row(file) for file in files])
            self._connection.execute(UPSERT, (position, expired))

    def replace(self, old: Sequence[LakeFile], new: LakeFile | None, now_ms: int) -> None:
        """One file, which is durable, or none, stands for these from now on. Raises Unavailable, Damaged."""
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany(DELETE_FILE, [(file.path,) for file in old])
            self._connection.executemany(INSERT_REPLACED, [(file.path, now_ms) for file in old])
            if new is not None:
                self._connection.execute(INSERT_FILE, _row(new))

    def people(self) -> list[PeopleFile]:
        """The files of profiles."""
        return [PeopleFile._make(row) for row in self._rows(SELECT_PEOPLE)]

    def set_people(self, files: Sequence[PeopleFile], now_ms: int) -> None:
        """These files of profiles, which are durable, stand for those there were. Raises Unavailable, Damaged."""
        kept = {file.path for file in files}
        gone = [(file.path, now_ms) for file in self.people() if file.path not in kept]
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany(INSERT_REPLACED, gone)
            self._connection.execute("DELETE FROM people")
            self._connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", files)

    def replaced(self, before_ms: int | None = None) -> list[str]:
        """The paths of files that were replaced, before an instant where one is given."""
        if before_ms is None:
            return [path for (path,) in self._rows("SELECT path FROM replaced")]
        return [path for (path,) in self._rows("SELECT path FROM replaced WHERE at < ?", (before_ms,))]

    def forget(self, paths: Sequence[str]) -> None:
        """These replaced files are gone."""
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany("DELETE FROM replaced WHERE path = ?", [(path,) for path in paths])

    def _rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with sqlite_errors(self._path):
            return self._connection.execute(query, parameters).fetchall()


class ManifestReader:
    """The manifest for whoever reads the lake, in any process. Each call is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection = open_reader(path, len(MIGRATIONS))

    @property
    def folder(self) -> Path:
        """The folder of the lake."""
        return self._path.parent

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def position(self) -> Position:
        """The cursor. Raises Unavailable, Damaged."""
        with sqlite_errors(self._path):
            return _position(self._connection.execute("SELECT position, expired FROM lake").fetchall())

    def files(self) -> tuple[Position, list[LakeFile]]:
        """The cursor and all files that count, at one moment. Raises Unavailable, Damaged."""
        with sqlite_errors(self._path), transaction(self._connection, "BEGIN"):
            return self._files()

    def everything(self) -> tuple[Position, list[LakeFile], list[PeopleFile]]:
        """The cursor, all files that count and those of profiles, at one moment. Raises Unavailable, Damaged."""
        with sqlite_errors(self._path), transaction(self._connection, "BEGIN"):
            position, files = self._files()
            return position, files, [PeopleFile._make(row) for row in self._connection.execute(SELECT_PEOPLE)]

    def _files(self) -> tuple[Position, list[LakeFile]]:
        position = _position(self._connection.execute("SELECT position, expired FROM lake").fetchall())
        return position, [_file(row) for row in self._connection.execute(SELECT_FILES)]


class ManifestReaders(SpaceReaders[ManifestReader]):
    """The manifests of several spaces. `lake_of` gives the folder of a space's lake."""

    def __init__(self, lake_of: Callable[[int], Path]) -> None:
        super().__init__(lambda space: lake_of(space) / MANIFEST, ManifestReader)


def _position(rows: list[Any]) -> Position:
    return Position(*rows[0]) if rows else Position()


def _row(file: LakeFile) -> tuple[object, ...]:
    return (*file[:-1], _encode(file.properties).decode())


def _file(row: Any) -> LakeFile:
    return LakeFile._make((*row[:-1], _decode(row[-1])))
