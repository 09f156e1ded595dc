"""What the collector dropped and why: the newest events of each source, and counts that are never cut.

Rule: a row and its count are stored in one transaction; rows are bounded for each source, and all senders without
a source share one such bound, so that a stranger can push out nobody's rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from segue.state.database import open_database, open_reader, sqlite_errors, transaction

MIGRATIONS = (
    """
    CREATE TABLE dropped (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, code TEXT NOT NULL, received_at INTEGER NOT NULL,
        message_id TEXT, body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX dropped_by_source ON dropped (source, id);
    CREATE INDEX dropped_by_message_id ON dropped (message_id) WHERE message_id IS NOT NULL;
    CREATE TABLE dropped_count (
        source TEXT NOT NULL, code TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (source, code)
    ) STRICT, WITHOUT ROWID;
    """,
)

STRANGERS = ""
"""The source under which events stand that came with no known write key."""

ROWS_MOST = 1000
BYTES_MOST = 16 * 1024 * 1024
BODY_BYTES_MOST = 64 * 1024
MESSAGE_ID_MOST = 256

READ_SIZES = "SELECT id, source, length(body) FROM dropped ORDER BY id"
READ_COUNTS = "SELECT source, code, n FROM dropped_count ORDER BY source, code"
READ_NEWEST = "SELECT source, code, received_at, message_id, body FROM dropped ORDER BY id DESC LIMIT ?"
READ_NEWEST_OF = """
    SELECT source, code, received_at, message_id, body FROM dropped WHERE source = ? ORDER BY id DESC LIMIT ?"""
FIND = "SELECT source, code, received_at, message_id, body FROM dropped WHERE message_id = ? ORDER BY id"
ADD = "INSERT INTO dropped (id, source, code, received_at, message_id, body) VALUES (?, ?, ?, ?, ?, ?)"
CUT = "DELETE FROM dropped WHERE source = ? AND id <= ?"
COUNT = """
    INSERT INTO dropped_count (source, code, n) VALUES (?, ?, ?)
    ON CONFLICT (source, code) DO UPDATE SET n = n + excluded.n"""


class Drop(NamedTuple):
    """One event that was not accepted. `received_at` in milliseconds since 1970; `body` is the JSON as sent."""

    source: str
    code: str
    received_at: int
    message_id: str | None
    body: bytes


class _Held:
    """What is stored for one source: the id and size of each row, the oldest first."""

    def __init__(self) -> None:
        self.rows: deque[tuple[int, int]] = deque()
        self.bytes = 0

    def add(self, number: int, size: int) -> None:
        self.rows.append((number, size))
        self.bytes += size

    def cut(self, rows_most: int, bytes_most: int) -> int:
        """Forget the oldest rows beyond the bounds; the greatest id forgotten, 0 for none."""
        cut = 0
        while self.rows and (len(self.rows) > rows_most or self.bytes > bytes_most):
            cut, size = self.rows.popleft()
            self.bytes -= size
        return cut


class Quarantine:
    """`quarantine.db`, for its one writer: the collector."""

    def __init__(
        self,
        path: Path,
        *,
        rows_most: int = ROWS_MOST,
        bytes_most: int = BYTES_MOST,
        body_bytes_most: int = BODY_BYTES_MOST,
    ) -> None:
        """Open or create the file; the bounds are for each source.

        Raises Damaged or Unavailable as `open_database` does.
        """
        self._path = path
        self._rows_most = rows_most
        self._bytes_most = bytes_most
        self._body_bytes_most = body_bytes_most
        self._lock = threading.Lock()
        self._connection = open_database(path, MIGRATIONS)
        self._held: dict[str, _Held] = {}
        self._last = 0
        self._stale = True

    def add(self, drops: Sequence[Drop]) -> None:
        """Count these drops and keep the newest; durable on return. Raises Unavailable where it cannot write."""
        with self._lock, sqlite_errors(self._path):
            if self._stale:
                self._load()
            self._stale = True
            with transaction(self._connection):
                self._store(drops)
            self._stale = False

    def counts(self) -> dict[str, dict[str, int]]:
        """How many events were dropped, by source and reason code, since the file was made."""
        with self._lock, sqlite_errors(self._path):
            return _counts(self._connection.execute(READ_COUNTS))

    def newest(self, source: str | None = None, limit: int = 100) -> list[Drop]:
        """The newest drops, of one source or of all, the newest first."""
        with self._lock, sqlite_errors(self._path):
            return _drops(_newest(self._connection, source, limit))

    def find(self, message_id: str) -> list[Drop]:
        """The drops that are still kept with this messageId, in order of arrival."""
        with self._lock, sqlite_errors(self._path):
            return _drops(self._connection.execute(FIND, (message_id,)))

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> None:
        # What is held in memory must be what is stored: after a failed write nobody knows.
        self._held = {}
        self._last = 0
        for number, source, size in self._connection.execute(READ_SIZES):
            self._held.setdefault(source, _Held()).add(number, size)
            self._last = number
        self._stale = False

    def _store(self, drops: Sequence[Drop]) -> None:
        tally = Counter((drop.source, drop.code) for drop in drops)
        self._connection.executemany(COUNT, ((*key, n) for key, n in tally.items()))
        for source, own in _by_source(drops).items():
            held = self._held.setdefault(source, _Held())
            rows = []
            # A request may drop more than is kept at all.
            for drop in own[-self._rows_most :]:
                self._last += 1
                row = _row(self._last, drop, self._body_bytes_most)
                held.add(self._last, len(row[-1]))
                rows.append(row)
            cut = held.cut(self._rows_most, self._bytes_most)
            self._connection.executemany(ADD, (row for row in rows if row[0] > cut))
            if cut:
                self._connection.execute(CUT, (source, cut))


class QuarantineReader:
    """`quarantine.db` for every other process; it never writes."""

    def __init__(self, path: Path) -> None:
        """Raises Unavailable where there is no file, Damaged where it is of another version."""
        self._path = path
        self._connection = open_reader(path, len(MIGRATIONS))

    def counts(self) -> dict[str, dict[str, int]]:
        """As `Quarantine.counts`."""
        with sqlite_errors(self._path):
            return _counts(self._connection.execute(READ_COUNTS))

    def newest(self, source: str | None = None, limit: int = 100) -> list[Drop]:
        """As `Quarantine.newest`."""
        with sqlite_errors(self._path):
            return _drops(_newest(self._connection, source, limit))

    def find(self, message_id: str) -> list[Drop]:
        """As `Quarantine.find`."""
        with sqlite_errors(self._path):
            return _drops(self._connection.execute(FIND, (message_id,)))

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._connection.close()

    def __enter__(self) -> QuarantineReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_Row = tuple[int, str, str, int, str | None, bytes]


def _row(number: int, drop: Drop, body_bytes_most: int) -> _Row:
    message_id = None if drop.message_id is None else drop.message_id[:MESSAGE_ID_MOST]
    return (number, drop.source, drop.code, drop.received_at, message_id, drop.body[:body_bytes_most])


def _by_source(drops: Iterable[Drop]) -> dict[str, list[Drop]]:
    found: dict[str, list[Drop]] = {}
    for drop in drops:
        found.setdefault(drop.source, []).append(drop)
    return found


def _newest(connection: sqlite3.Connection, source: str | None, limit: int) -> sqlite3.Cursor:
    if source is None:
        return connection.execute(READ_NEWEST, (limit,))
    return connection.execute(READ_NEWEST_OF, (source, limit))


def _drops(rows: Iterable[tuple[str, str, int, str | None, bytes]]) -> list[Drop]:
    return [Drop(*row) for row in rows]


def _counts(rows: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for source, code, n in rows:
        found.setdefault(source, {})[code] = n
    return found
