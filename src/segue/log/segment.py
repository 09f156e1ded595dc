"""A segment of the log: one SQLite file that holds the records from its first offset up to the next file's.

Rule: a file that bears a segment's name is complete, and only the one with the highest offset is written to.
A sealed segment has no WAL and never changes again, so that it is opened immutable.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from segue.core.errors import Damaged, Unavailable

FORMAT_VERSION = 1
PAGE_BYTES = 8192  # measured: as fast as 4096 to write in batches, 1.2x faster to read; 16384 doubles a small commit
BUSY_SECONDS = 5.0
_WAL_KEPT_BYTES = 64 * 2**20
_NAME = re.compile(r"(\d{20})\.db")
_SIDECARS = ("-wal", "-shm", "-journal")
_BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

SCHEMA = """
CREATE TABLE record (
  offset INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, appended_at INTEGER NOT NULL, source TEXT NOT NULL,
  ordinal INTEGER NOT NULL, type TEXT NOT NULL, user_key TEXT NOT NULL, message_id TEXT NOT NULL,
  destinations TEXT, body BLOB NOT NULL
) STRICT;
CREATE TABLE heads (
  source TEXT PRIMARY KEY, ordinal INTEGER NOT NULL, duplicates INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
SET_HEAD = "INSERT OR REPLACE INTO heads (source, ordinal, duplicates) VALUES (?, ?, ?)"


def segment_path(folder: Path, first: int) -> Path:
    """Where the segment stands whose first record has offset `first`."""
    return folder / f"{first:020d}.db"


def list_segments(folder: Path) -> list[int]:
    """First offsets of the segments, oldest first; none where the folder does not exist yet."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)


def sync(path: Path) -> None:
    """Make what a file holds durable, or of a folder the renames and removals in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection stood in the way, nothing worse."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY_CODES


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """SQLite's errors as ours. Raises FileNotFoundError where the file is gone, Unavailable, Damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if not path.exists():
            raise FileNotFoundError(path) from error
        raise Unavailable(f"log segment {path.name}: {error}; the same call may succeed later") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise Damaged(f"log segment {path}: {error}; restore it from a backup") from error


def connect(path: Path, query: str, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from any thread by one at a time. `query` is SQLite's URI query."""
    uri = f"{path.absolute().as_uri()}?{query}"
    return sqlite3.connect(
        uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=64
    )


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raises Damaged where the segment was written in another format, naming both versions."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT_VERSION:
        raise Damaged(
            f"log segment {path} has format version {version}; this Segue reads version {FORMAT_VERSION}: "
            "run the version that wrote it, or restore a backup of this one"
        )


def create_segment(folder: Path, first: int, heads: Mapping[str, tuple[int, int]]) -> None:
    """Make an empty segment that carries the heads on. It gets its name when it is complete and on disk."""
    path = segment_path(folder, first)
    unfinished = path.with_suffix(".new")
    remove_with_sidecars(unfinished)
    connection = connect(unfinished, "mode=rwc")
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT_VERSION};")
        connection.executemany(SET_HEAD, [(source, *head) for source, head in heads.items()])
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    unfinished.rename(path)
    sync(folder)


def open_to_write(path: Path) -> sqlite3.Connection:
    """The writer's connection to the newest segment; checkpoints are never its business.

    Raises FileNotFoundError, Unavailable, Damaged.
    """
    with named_errors(path):
        connection = connect(path, "mode=rw")
        try:
            check_version(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection


def open_to_read(path: Path, *, newest: bool) -> tuple[sqlite3.Connection, bool]:
    """A read-only connection, and whether it is to a sealed segment.

    The journal mode is asked of SQLite: reading the file's header ourselves would, on closing it, drop the locks
    that this process holds on it (SQLite, "How To Corrupt An SQLite Database File", 2.2).
    Raises FileNotFoundError, Unavailable, Damaged.
    """
    with named_errors(path):
        connection = connect(path, "mode=ro")
        try:
            check_version(connection, path)
            sealed = not newest and connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal"
            if sealed:
                connection.close()
                connection = connect(path, "mode=ro&immutable=1")
        except BaseException:
            connection.close()
            raise
        return connection, sealed


def seal(path: Path) -> bool:
    """Bring all of the WAL into the file and do away with it; False while another connection is still open.

    May be repeated after a crash at any step. Raises FileNotFoundError, Unavailable, Damaged.
    """
    with named_errors(path):
        connection = connect(path, "mode=rw", busy_seconds=0.05)
        try:
            check_version(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return False
            return bool(connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
        except sqlite3.OperationalError as error:
            if is_busy(error):
                return False
            raise
        finally:
            connection.close()


def is_sealed(path: Path) -> bool:
    """Whether a segment that is not the newest can be opened immutable. Raises like `open_to_read`."""
    if any(Path(f"{path}{sidecar}").exists() for sidecar in _SIDECARS):
        return False
    connection, sealed = open_to_read(path, newest=False)
    connection.close()
    return sealed


def remove_with_sidecars(path: Path) -> None:
    """Remove a SQLite file, the file itself first: what is left after a crash is no segment."""
    for suffix in ("", *_SIDECARS):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def clear_leftovers(folder: Path) -> None:
    """Remove what a crash left behind: unfinished segments, and sidecars of segments that are gone."""
    for path in list(folder.iterdir()):
        stem, _, sidecar = path.name.partition(".db-")
        orphan = sidecar in ("wal", "shm", "journal") and not (folder / f"{stem}.db").exists()
        if orphan or path.suffix.startswith(".new"):
            path.unlink(missing_ok=True)


def read_heads(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Last ordinal and duplicates of each source."""
    rows: Iterable[tuple[str, int, int]] = connection.execute(
        "SELECT source, ordinal, duplicates FROM heads"
    ).fetchall()
    return {source: (ordinal, duplicates) for source, ordinal, duplicates in rows}
