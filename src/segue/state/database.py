"""One SQLite file of state: opened durable, at the schema version that this code knows.

Rule: a file of a newer version is never touched; a migration is applied whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from segue.core.errors import Damaged, Unavailable

BUSY_SECONDS = 5.0

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def open_database(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """A connection in autocommit mode: WAL, `synchronous=FULL`, foreign keys on; for one thread at a time.

    Each migration is a script of SQL; version n is reached by the first n of them. The file is created where
    there is none. Raises Damaged where it is no database or was written by a newer Segue, Unavailable where
    it cannot be opened or stays locked for 5 s.
    """
    with sqlite_errors(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            _prepare(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path, version: int) -> sqlite3.Connection:
    """A connection that only reads a file of this schema version, which another process may be writing.

    Raises Damaged where the file is of another version, Unavailable where there is none.
    """
    with sqlite_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            found = _stored_version(connection)
            if found != version:
                raise Damaged(_other_version(path, found, version))
        except BaseException:
            connection.close()
            raise
        return connection


def is_made(path: Path) -> bool:
    """Whether the file is there with its schema: whoever writes it may be opening it now for the first time."""
    if not path.exists():
        return False
    with sqlite_errors(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return _stored_version(connection) > 0


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing: committed at the end of the block, rolled back where it raises."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on some failures, such as a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """What SQLite raises, in our words: Unavailable where it may pass, Damaged where the file is broken."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in _PASSING:
            raise Unavailable(f"{path}: {error}") from error
        if code in _BROKEN:
            raise Damaged(f"{path}: {error}; restore it from a backup") from error
        raise


def is_damage(error: Exception) -> bool:
    """Whether the error says that a file is broken, which no further try mends."""
    if isinstance(error, sqlite3.DatabaseError):
        return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _BROKEN
    return isinstance(error, Damaged)


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    found = _stored_version(connection)
    if found == len(migrations):
        return
    if found > len(migrations):
        raise Damaged(_other_version(path, found, len(migrations)))
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        # Read again under the lock: another process may have migrated meanwhile.
        for script in migrations[_stored_version(connection) :]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _statements(script: str) -> Iterator[str]:
    # `executescript` would end the transaction that a migration runs in.
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _stored_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _other_version(path: Path, found: int, known: int) -> str:
    if found > known:
        remedy = "upgrade Segue, or restore a backup made by this version"
    else:
        remedy = "start this Segue once with `segue up`, which brings it up to date"
    return f"{path} has schema version {found}, this Segue reads version {known}; {remedy}"
