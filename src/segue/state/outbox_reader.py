"""Reading the outbox of a space, as the one that moves it to the log does.

Rule: rows come in the order of their `seq`, so many and so large at most; each read is one short transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segue.state.database import open_reader, sqlite_errors
from segue.state.outbox import OutboxRow
from segue.state.profile_readers import SpaceReaders
from segue.state.profiles import MIGRATIONS, ProfileReader

SELECT = """SELECT seq, message_id, type, user_key, destinations, timestamp, body FROM outbox
  WHERE seq > ? ORDER BY seq LIMIT ?"""


class OutboxReader:
    """Reads of a space's file, from any process. Each raises Unavailable, Damaged. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path, len(MIGRATIONS))

    @classmethod
    def beside(cls, profiles: ProfileReader) -> OutboxReader:
        """Reads by the connection of `profiles`: within its snapshots, of the same commit. Closed with it."""
        found = cls.__new__(cls)
        found._path, found._connection = profiles._path, profiles._connection
        return found

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, after: int, *, count: int, size: int) -> list[tuple[int, OutboxRow]]:
        """The rows above `seq` `after`: `count` at most, and `size` bytes of bodies, but for a first that is larger."""
        found: list[tuple[int, OutboxRow]] = []
        with sqlite_errors(self._path):
            cursor = self._connection.execute(SELECT, (after, count))
            try:
                for seq, *row in cursor:
                    size -= len(row[-1])
                    if size < 0 and found:
                        break
                    found.append((seq, OutboxRow._make(row)))
            finally:
                cursor.close()
        return found

    def next_id(self, after: int) -> tuple[int, str] | None:
        """`seq` and messageId of the first row above `after`."""
        with sqlite_errors(self._path):
            query = "SELECT seq, message_id FROM outbox WHERE seq > ? ORDER BY seq LIMIT 1"
            row: tuple[int, str] | None = self._connection.execute(query, (after,)).fetchone()
        return row

    def has(self, message_id: str) -> bool:
        """Whether a message is in it."""
        with sqlite_errors(self._path):
            query = "SELECT 1 FROM outbox WHERE message_id = ?"
            return self._connection.execute(query, (message_id,)).fetchone() is not None

    def last(self) -> int:
        """The `seq` of the last row; 0 where there is none."""
        with sqlite_errors(self._path):
            return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM outbox").fetchone()[0])

    def count(self) -> int:
        """How many rows there are."""
        with sqlite_errors(self._path):
            return int(self._connection.execute("SELECT count(*) FROM outbox").fetchone()[0])


class OutboxReaders(SpaceReaders[OutboxReader]):
    """The outboxes of several spaces."""

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        super().__init__(path_of, OutboxReader)
