"""What the collector did not put into the log: dropped events with the reason, and duplicates.

The newest of both for each source, and counts of the dropped ones that are never cut; duplicates the log counts.

Rule: a dropped event and its count are stored in one transaction; rows are bounded for each source, duplicates apart
from dropped ones, and all senders without a source share one such bound, so that nobody pushes out another's rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

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
    """
    CREATE TABLE duplicate (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, received_at INTEGER NOT NULL, message_id TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX duplicate_by_source ON duplicate (source, id);
    CREATE INDEX duplicate_by_message_id ON duplicate (message_id);
    """,
)

STRANGERS = ""
"""The source under which events stand that came with no known write key."""

ROWS_MOST = 1000
BYTES_MOST = 16 * 1024 * 1024
BODY_BYTES_MOST = 64 * 1024
MESSAGE_ID_MOST = 256

READ_COUNTS = "SELECT source, code, n FROM dropped_count ORDER BY source, code"
READ_NEWEST = "SELECT source, code, received_at, message_id, body FROM dropped ORDER BY id DESC LIMIT ?"
READ_NEWEST_OF = """
    SELECT source, code, received_at, message_id, body FROM dropped WHERE source = ? ORDER BY id DESC LIMIT ?"""
FIND = "SELECT source, code, received_at, message_id, body FROM dropped WHERE message_id = ? ORDER BY id"
FIND_DUPLICATES = "SELECT source, received_at, message_id, body FROM duplicate WHERE message_id = ? ORDER BY id"
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


class Duplicate(NamedTuple):
    """One event whose messageId its source had sent before. `body` is stamped, as that of an accepted event is."""

    source: str
    received_at: int
    message_id: str
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


class _Table(NamedTuple):
    """The statements of one table. A row begins with id and source and ends with the body."""

    sizes: str
    add: str
    cut: str


DROPPED = _Table(
    sizes="SELECT id, source, length(body) FROM dropped ORDER BY id",
    add="INSERT INTO dropped (id, source, code, received_at, message_id, body) VALUES (?, ?, ?, ?, ?, ?)",
    cut="DELETE FROM dropped WHERE source = ? AND id <= ?",
)
DUPLICATE = _Table(
    sizes="SELECT id, source, length(body) FROM duplicate ORDER BY id",
    add="INSERT INTO duplicate (id, source, received_at, message_id, body) VALUES (?, ?, ?, ?, ?)",
    cut="DELETE FROM duplicate WHERE source = ? AND id <= ?",
)


class _Ring:
    """The newest rows of each source in one table; what is there is known without asking."""

    def __init__(self, connection: sqlite3.Connection, table: _Table, *, rows_most: int, bytes_most: int) -> None:
        self._connection = connection
        self._table = table
        self._rows_most = rows_most
        self._bytes_most = bytes_most
        self._held: dict[str, _Held] = {}
        self._last = 0

    def load(self) -> None:
        """Look what is stored: after a failed write nobody knows."""
        self._held, self._last = {}, 0
        for number, source, size in self._connection.execute(self._table.sizes):
            self._held.setdefault(source, _Held()).add(number, size)
            self._last = number

    def add(self, events: Iterable[tuple[Any, ...]]) -> None:
        """Store these, each a row without its id, and drop the oldest beyond the bounds."""
        for source, own in _by_source(events).items():
            held = self._held.setdefault(source, _Held())
            rows = []
            # A request may hold more than is kept at all.
            for event in own[-self._rows_most :]:
                self._last += 1
                held.add(self._last, len(event[-1]))
                rows.append((self._last, *event))
            cut = held.cut(self._rows_most, self._bytes_most)
            self._connection.executemany(self._table.add, (row for row in rows if row[0] > cut))
            if cut:
                self._connection.execute(self._table.cut, (source, cut))


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
        self._body_bytes_most = body_bytes_most
        self._lock = threading.Lock()
        self._connection = open_database(path, MIGRATIONS)
        self._dropped = _Ring(self._connection, DROPPED, rows_most=rows_most, bytes_most=bytes_most)
        self._duplicates = _Ring(self._connection, DUPLICATE, rows_most=rows_most, bytes_most=bytes_most)
        self._stale = True
        self._synced = True

    def add(self, drops: Sequence[Drop], duplicates: Sequence[Duplicate] = ()) -> None:
        """Count these drops and keep the newest, and the newest duplicates. Raises Unavailable where it cannot write.

        Durable on return where there are drops; duplicates alone are not waited for: a power failure may forget them.
        """
        with self._lock, sqlite_errors(self._path):
            if self._stale:
                self._dropped.load()
                self._duplicates.load()
            self._stale = True
            self._sync(bool(drops))
            with transaction(self._connection):
                tally = Counter((drop.source, drop.code) for drop in drops)
                self._connection.executemany(COUNT, ((*key, n) for key, n in tally.items()))
                self._dropped.add(_cut(drop, self._body_bytes_most) for drop in drops)
                self._duplicates.add(_cut(duplicate, self._body_bytes_most) for duplicate in duplicates)
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

    def find_duplicates(self, message_id: str) -> list[Duplicate]:
        """The duplicates that are still kept with this messageId, in order of arrival."""
        with self._lock, sqlite_errors(self._path):
            return _duplicates(self._connection.execute(FIND_DUPLICATES, (message_id,)))

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

    def _sync(self, wanted: bool) -> None:
        if self._synced != wanted:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._synced = wanted


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

    def find_duplicates(self, message_id: str) -> list[Duplicate]:
        """As `Quarantine.find_duplicates`."""
        with sqlite_errors(self._path):
            return _duplicates(self._connection.execute(FIND_DUPLICATES, (message_id,)))

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._connection.close()

    def __enter__(self) -> QuarantineReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_Event = TypeVar("_Event", Drop, Duplicate)


def _cut(event: _Event, body_bytes_most: int) -> _Event:
    """The event without what is too long to be kept."""
    message_id = event.message_id
    if message_id is not None and len(message_id) > MESSAGE_ID_MOST:
        event = event._replace(message_id=message_id[:MESSAGE_ID_MOST])
    return event if len(event.body) <= body_bytes_most else event._replace(body=event.body[:body_bytes_most])


def _by_source(events: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for event in events:
        found.setdefault(event[0], []).append(event)
    return found


def _newest(connection: sqlite3.Connection, source: str | None, limit: int) -> sqlite3.Cursor:
    if source is None:
        return connection.execute(READ_NEWEST, (limit,))
    return connection.execute(READ_NEWEST_OF, (source, limit))


def _drops(rows: Iterable[tuple[str, str, int, str | None, bytes]]) -> list[Drop]:
    return [Drop(*row) for row in rows]


def _duplicates(rows: Iterable[tuple[str, int, str, bytes]]) -> list[Duplicate]:
    return [Duplicate(*row) for row in rows]


def _counts(rows: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for source, code, n in rows:
        found.setdefault(source, {})[code] = n
    return found
