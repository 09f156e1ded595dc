"""What the sandboxes hold: rows, keys and lookups of all vendors in one SQLite file.

Rule: everything that one call writes is one transaction, and the call is answered after its commit. One
process owns the file, and its event loop runs one transaction at a time: order of arrival is order of commit.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segue.core.clock import Clock
from segue.core.errors import Damaged
from segue.sandbox import exact
from segue.sandbox.keys import Key

VERSION = 1

# A kill loses nothing that was answered: a WAL commit is in the page cache before the answer. Only a power
# cut may take the last seconds, which a sandbox can bear; hence NORMAL and not FULL.
OPEN = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 5000;
"""

SCHEMA = """
CREATE TABLE row (
    number INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, "table" TEXT NOT NULL,
    key_id TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX row_of_table ON row (vendor, "table", number);
CREATE TABLE lookup (
    vendor TEXT NOT NULL, "table" TEXT NOT NULL, key_id TEXT NOT NULL, name TEXT NOT NULL,
    value TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (vendor, "table", key_id, name, value, number)
) WITHOUT ROWID;
CREATE INDEX lookup_of_row ON lookup (number);
CREATE TABLE message (position INTEGER PRIMARY KEY, number INTEGER NOT NULL, message_id TEXT NOT NULL);
CREATE UNIQUE INDEX message_of_row ON message (number, message_id);
CREATE TABLE key (
    position INTEGER PRIMARY KEY, vendor TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL,
    state TEXT NOT NULL, options BLOB NOT NULL, UNIQUE (vendor, id), UNIQUE (vendor, key)
);
CREATE TABLE fault (
    number INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, body BLOB NOT NULL, left INTEGER NOT NULL
);
CREATE TABLE answer (
    vendor TEXT NOT NULL, key_id TEXT NOT NULL, message_id TEXT NOT NULL, at INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (vendor, key_id, message_id)
) WITHOUT ROWID;
CREATE INDEX answer_by_time ON answer (at);
CREATE TABLE request (number INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX request_of_vendor ON request (vendor, number);
"""

INSERT = 'INSERT INTO row (vendor, "table", key_id, body) VALUES (?, ?, ?, ?) RETURNING number'
UPDATE = 'UPDATE row SET body = ? WHERE number = ? AND vendor = ? AND "table" = ? RETURNING key_id'
DELETE = 'DELETE FROM row WHERE number = ? AND vendor = ? AND "table" = ? RETURNING number'
ALL = 'SELECT number, body FROM row WHERE vendor = ? AND "table" = ? ORDER BY number'
ALL_OF_KEY = 'SELECT number, body FROM row WHERE vendor = ? AND "table" = ? AND key_id = ? ORDER BY number'
LISTING = 'SELECT number, key_id, body FROM row WHERE vendor = ? AND "table" = ? ORDER BY number'
FIND = """
SELECT row.number, row.body FROM lookup JOIN row ON row.number = lookup.number
WHERE lookup.vendor = ? AND lookup."table" = ? AND lookup.key_id = ? AND lookup.name = ? AND lookup.value = ?
ORDER BY row.number
"""
ADD_LOOKUP = 'INSERT OR IGNORE INTO lookup (vendor, "table", key_id, name, value, number) VALUES (?, ?, ?, ?, ?, ?)'
LOOKUPS = "SELECT name, value FROM lookup WHERE number = ?"
DROP_LOOKUPS = "DELETE FROM lookup WHERE number = ?"
ADD_MESSAGE = "INSERT OR IGNORE INTO message (number, message_id) VALUES (?, ?)"
DROP_MESSAGES = "DELETE FROM message WHERE number = ?"
MESSAGES = """
SELECT message.number, message.message_id FROM row JOIN message ON message.number = row.number
WHERE row.vendor = ? AND row."table" = ? ORDER BY message.position
"""
KEYS = "SELECT id, key, state, options FROM key WHERE vendor = ? ORDER BY position"
KEY = "SELECT id, key, state, options FROM key WHERE vendor = ? AND key = ?"
PUT_KEY = """
INSERT INTO key (vendor, id, key, state, options) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (vendor, id) DO UPDATE SET state = excluded.state, options = excluded.options
"""
CLEAR = (
    "DELETE FROM message WHERE number IN (SELECT number FROM row WHERE vendor = ?)",
    "DELETE FROM lookup WHERE vendor = ?",
    "DELETE FROM row WHERE vendor = ?",
    "DELETE FROM key WHERE vendor = ?",
    "DELETE FROM fault WHERE vendor = ?",
    "DELETE FROM answer WHERE vendor = ?",
    "DELETE FROM request WHERE vendor = ?",
)

Row = dict[str, Any]


class Store:
    """The file. Made by `create_app`; every use is inside `transaction()`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.clock = clock
        # The app may be built in one thread and served in another; no two ever use the connection at once.
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise Damaged(
                f"{path} cannot be read as the sandboxes' file ({error}); remove it to start afresh"
            ) from None
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, path: Path) -> None:
        self.connection.executescript(OPEN)
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise Damaged(
                f"{path} was written by another version of Segue ({version}, this one writes {VERSION}); "
                "remove it to start the sandboxes afresh"
            )
        if version == 0:
            self.connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is committed at the end, or undone where an exception leaves the block."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # a full disk may have ended it already
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """A part of the open transaction that can be undone: set `undone`, or leave by an exception."""
        self.connection.execute("SAVEPOINT attempt")
        attempt = Attempt()
        try:
            yield attempt
        except BaseException:
            attempt.undone = True
            raise
        finally:
            if attempt.undone:
                self.connection.execute("ROLLBACK TO attempt")
            self.connection.execute("RELEASE attempt")

    def rows(self, vendor: str) -> Rows:
        """The handle of one vendor for the open transaction."""
        return Rows(self.connection, vendor, self.clock.now_ms())

    def close(self) -> None:
        """Ends the use of the file."""
        self.connection.close()


class Attempt:
    """Whether what a block wrote is to be undone."""

    undone = False


class Rows:
    """What one vendor holds, inside an open transaction. Rows are JSON objects, numbered in order of arrival.

    A lookup is a named text by which `find` finds a row, such as `{"externalId": "u1"}`; only rows of the
    same key are found. `message_id` names the event that made or changed the row: `listing` shows them as
    `messageIds`.
    """

    def __init__(self, connection: sqlite3.Connection, vendor: str, now_ms: int) -> None:
        self._run = connection.execute
        self._run_many = connection.executemany
        self.vendor = vendor
        self.now_ms = now_ms

    def insert(
        self,
        table: str,
        key_id: str,
        row: Row,
        *,
        lookups: Mapping[str, str] | None = None,
        message_id: str | None = None,
    ) -> int:
        """Adds a row; its number."""
        (number,) = self._run(INSERT, (self.vendor, table, key_id, exact.encode(row))).fetchone()
        self._look_up_by(table, key_id, number, lookups or {})
        self._made_by(number, message_id)
        return int(number)

    def update(
        self,
        table: str,
        number: int,
        row: Row,
        *,
        lookups: Mapping[str, str] | None = None,
        message_id: str | None = None,
    ) -> None:
        """Replaces a row. `lookups` None keeps the ones it has; else it has these and no other."""
        found = self._run(UPDATE, (exact.encode(row), number, self.vendor, table)).fetchone()
        if found is None:
            raise LookupError(f"{self.vendor} has no row {number} in {table}")
        if lookups is not None and dict(self._run(LOOKUPS, (number,)).fetchall()) != dict(lookups):
            self._run(DROP_LOOKUPS, (number,))
            self._look_up_by(table, found[0], number, lookups)
        self._made_by(number, message_id)

    def _look_up_by(self, table: str, key_id: str, number: int, lookups: Mapping[str, str]) -> None:
        for name, value in lookups.items():
            self._run(ADD_LOOKUP, (self.vendor, table, key_id, name, value, number))

    def _made_by(self, number: int, message_id: str | None) -> None:
        if message_id is not None:
            self._run(ADD_MESSAGE, (number, message_id))

    def find(self, table: str, key_id: str, name: str, value: str) -> list[tuple[int, Row]]:
        """The rows with this lookup, in order of arrival."""
        found = self._run(FIND, (self.vendor, table, key_id, name, value))
        return [(number, exact.decode(body)) for number, body in found]

    def all(self, table: str, key_id: str | None = None) -> list[tuple[int, Row]]:
        """Every row of a table, or of one key in it, in order of arrival."""
        if key_id is None:
            found = self._run(ALL, (self.vendor, table))
        else:
            found = self._run(ALL_OF_KEY, (self.vendor, table, key_id))
        return [(number, exact.decode(body)) for number, body in found]

    def listing(self, table: str) -> list[Row]:
        """Every row as `GET state` shows it: with `key_id`, and `messageIds` where events made it."""
        messages: dict[int, list[str]] = {}
        for number, message_id in self._run(MESSAGES, (self.vendor, table)):
            messages.setdefault(number, []).append(message_id)
        listing = []
        for number, key_id, body in self._run(LISTING, (self.vendor, table)):
            row: Row = {**exact.decode(body), "key_id": key_id}
            if number in messages:
                row["messageIds"] = messages[number]
            listing.append(row)
        return listing

    def delete(self, table: str, number: int) -> None:
        """Removes a row, its lookups and the memory of the events that made it. No error where it is gone."""
        if self._run(DELETE, (number, self.vendor, table)).fetchone() is not None:
            self._run(DROP_LOOKUPS, (number,))
            self._run(DROP_MESSAGES, (number,))

    def new_id(self) -> str:
        """24 hex characters, unique: the time in seconds, then 64 random bits."""
        return f"{self.now_ms // 1000 & 0xFFFFFFFF:08x}{secrets.token_hex(8)}"

    def issued_keys(self) -> list[Key]:
        """Every key of the vendor, oldest first."""
        return [_key(found) for found in self._run(KEYS, (self.vendor,))]

    def find_key(self, text: str) -> Key | None:
        """The key with this text, in whatever state."""
        found = self._run(KEY, (self.vendor, text)).fetchone()
        return None if found is None else _key(found)

    def put_key(self, key: Key) -> None:
        """Stores a new key, or the state and options of one whose `id` is there already."""
        self._run(PUT_KEY, (self.vendor, key.id, key.key, key.state, exact.encode(key.options)))

    def clear(self) -> None:
        """Forgets everything of the vendor: rows, keys, faults, remembered answers and requests."""
        for statement in CLEAR:
            self._run(statement, (self.vendor,))


def _key(found: tuple[str, str, Any, bytes]) -> Key:
    return Key(id=found[0], key=found[1], state=found[2], options=exact.decode(found[3]))
