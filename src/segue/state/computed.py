"""Reading computed traits and audiences: what profiles have, what was told to whom, what is due.

Rule: each read is one transaction; whoever reads sees one commit of the space or the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from segue.state.computed_rows import (
    ComputationState,
    ComputedRow,
    ComputeState,
    ConnectionState,
    HoldingRow,
    ToldRow,
)
from segue.state.database import open_reader, sqlite_errors, transaction
from segue.state.profiles import MIGRATIONS, ProfileReader

_decode_state = msgspec.msgpack.Decoder(ComputeState).decode
_decode_computation = msgspec.msgpack.Decoder(ComputationState).decode
_decode_connection = msgspec.msgpack.Decoder(ConnectionState).decode

OF_PROFILE = """SELECT 0, due, body, NULL, NULL FROM computed WHERE profile = ?1
  UNION ALL SELECT computation, since, value, version, once FROM holding WHERE profile = ?1"""


class ComputedReader:
    """Reads of the same file, from any process, each one transaction. Each raises Unavailable, Damaged.

    Those made inside a `snapshot` are one transaction together.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path, len(MIGRATIONS))

    @classmethod
    def beside(cls, profiles: ProfileReader) -> ComputedReader:
        """Reads by the connection of `profiles`: within its snapshots, of the same commit. Closed with it."""
        found = cls.__new__(cls)
        found._path, found._connection = profiles._path, profiles._connection
        return found

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads of the block see the same commit. For one thread, and for a moment: it holds up checkpoints."""
        with sqlite_errors(self._path), transaction(self._connection, "BEGIN"):
            yield

    def state(self) -> ComputeState:
        """The space's compute time and counts."""
        rows = self._rows("SELECT body FROM compute")
        return _decode_state(rows[0][0]) if rows else ComputeState()

    def computations(self) -> dict[int, ComputationState]:
        """Every computation that was ever begun, by its id."""
        return {number: _decode_computation(body) for number, body in self._rows("SELECT id, body FROM computation")}

    def connections(self) -> dict[int, ConnectionState]:
        """Every connection there is, by its id."""
        return {number: _decode_connection(body) for number, body in self._rows("SELECT id, body FROM connection")}

    def progress(self, computation: int) -> ComputationState | None:
        """How far a computation is."""
        rows = self._rows("SELECT body FROM computation WHERE id = ?", (computation,))
        return _decode_computation(rows[0][0]) if rows else None

    def connection(self, connection: int) -> ConnectionState | None:
        """How far a connection is."""
        rows = self._rows("SELECT body FROM connection WHERE id = ?", (connection,))
        return _decode_connection(rows[0][0]) if rows else None

    def computed(self, profile: int) -> ComputedRow | None:
        """The state of a profile's leaves."""
        rows = self._rows("SELECT profile, due, body FROM computed WHERE profile = ?", (profile,))
        return ComputedRow._make(rows[0]) if rows else None

    def of_profile(self, profile: int) -> tuple[ComputedRow | None, dict[int, HoldingRow]]:
        """The state of a profile's leaves, and what it has by computation."""
        row, holdings = None, {}
        for computation, first, body, version, once in self._rows(OF_PROFILE, (profile,)):
            if computation:
                holdings[computation] = HoldingRow(profile, body, first, version, bool(once))
            else:
                row = ComputedRow(profile, first, body)
        return row, holdings

    def of_profiles(
        self, profiles: Sequence[int]
    ) -> tuple[dict[int, ComputedRow], dict[int, dict[int, HoldingRow]], dict[int, list[ToldRow]]]:
        """The same of several, 500 at most, and what was told of each; by profile."""
        marks = ", ".join("?" * len(profiles))
        states = self._rows(f"SELECT profile, due, body FROM computed WHERE profile IN ({marks})", profiles)  # noqa: S608
        holdings: dict[int, dict[int, HoldingRow]] = {}
        query = f"""SELECT computation, profile, value, since, version, once FROM holding
          WHERE profile IN ({marks})"""  # noqa: S608 - marks
        for computation, *row in self._rows(query, profiles):
            holdings.setdefault(row[0], {})[computation] = _holding(row)
        told: dict[int, list[ToldRow]] = {}
        query = f"""SELECT connection, tuple, profile, value, version, message_id, at FROM told
          WHERE profile IN ({marks})"""  # noqa: S608 - marks
        for each in self._rows(query, profiles):
            told.setdefault(each[2], []).append(ToldRow._make(each))
        return {row[0]: ComputedRow._make(row) for row in states}, holdings, told

    def holdings_of(self, profile: int) -> dict[int, HoldingRow]:
        """What a profile has, by computation."""
        return self.of_profile(profile)[1]

    def chunk(self, profile: int, leaf: int, number: int) -> bytes | None:
        """A part of a long list of entries."""
        query = "SELECT body FROM chunk WHERE profile = ? AND leaf = ? AND number = ?"
        rows = self._rows(query, (profile, leaf, number))
        return rows[0][0] if rows else None

    def holdings(self, computation: int, *, after: int = 0, limit: int = 500) -> list[HoldingRow]:
        """What profiles have of a computation, by their number, from above `after`."""
        query = """SELECT profile, value, since, version, once FROM holding
          WHERE computation = ? AND profile > ? ORDER BY profile LIMIT ?"""
        return [_holding(row) for row in self._rows(query, (computation, after, limit))]

    def members(self, computation: int, off: str, *, after: int = 0, limit: int = 500) -> list[HoldingRow]:
        """Those of an audience that are in, of a trait those that have a value; by number, from above `after`.

        `off` is the value that says that there is nothing: `computed_rows.OFF`.
        """
        query = """SELECT profile, value, since, version, once FROM holding
          WHERE computation = ? AND profile > ? AND value IS NOT NULL AND value <> ? ORDER BY profile LIMIT ?"""
        return [_holding(row) for row in self._rows(query, (computation, after, off, limit))]

    def count(self, computation: int, off: str) -> int:
        """How many members an audience has, or how many profiles a value; `off` as of `members`."""
        query = "SELECT count(*) FROM holding WHERE computation = ? AND value IS NOT NULL AND value <> ?"
        return int(self._rows(query, (computation, off))[0][0])

    def told_of(self, profile: int) -> list[ToldRow]:
        """What was told of a profile, over all connections."""
        query = "SELECT connection, tuple, profile, value, version, message_id, at FROM told WHERE profile = ?"
        return [ToldRow._make(row) for row in self._rows(query, (profile,))]

    def pending(self, connection: int, *, after: int = 0, limit: int = 500) -> list[int]:
        """The profiles that wait for a connection's next instant, from above `after`."""
        query = "SELECT profile FROM pending WHERE connection = ? AND profile > ? ORDER BY profile LIMIT ?"
        return [row[0] for row in self._rows(query, (connection, after, limit))]

    def due(self, *, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        """The next (instant, profile) after this one, in order."""
        query = """SELECT due, profile FROM computed WHERE due IS NOT NULL AND (due, profile) > (?, ?)
          ORDER BY due, profile LIMIT ?"""
        return self._rows(query, (*after, limit))

    def waiting(self) -> int:
        """How many messages are in the outbox."""
        return int(self._rows("SELECT count(*) FROM outbox")[0][0])

    def profile_numbers(self, *, after: int, limit: int) -> list[int]:
        """The numbers of users, without the absorbed ones, from above `after`."""
        query = """SELECT number FROM profile WHERE number > ? AND canonical = number AND collection = 'users'
          ORDER BY number LIMIT ?"""
        return [row[0] for row in self._rows(query, (after, limit))]

    def _rows(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        with sqlite_errors(self._path):
            return self._connection.execute(query, tuple(parameters)).fetchall()


def _holding(row: Iterable[Any]) -> HoldingRow:
    profile, value, since, version, once = row
    return HoldingRow(profile, value, since, version, bool(once))
