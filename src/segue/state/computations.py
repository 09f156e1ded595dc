"""Audiences and computed traits, and the destinations that are told of them, as rows of `control.db`.

Rule: an id is never given twice, of a computation or of a connection: one that is removed and comes back is another,
to which nothing was told yet. A key stays taken in its space for as long as there is the space.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from segue.core.errors import Invalid

ComputationKind = Literal["audience", "computed_trait"]

_PREFIXES: dict[ComputationKind, str] = {"audience": "aud", "computed_trait": "tra"}


class ConnectionRow(Struct, frozen=True, kw_only=True):
    """A destination that is told of an audience or computed trait.

    `destination` is its id. `identify` and `track`: by which calls. `every_ms` is how many milliseconds apart net
    changes are sent; 0 is at once (`realtime`).
    """

    destination: int
    identify: bool = True
    track: bool = False
    every_ms: int = 0
    id: int = 0


class ComputationRow(Struct, frozen=True, kw_only=True):
    """An audience or a computed trait of a space.

    `space` is the space's id, `definition` the normal text. `historical`: events received before `created_at` (in
    milliseconds since 1970) count. Kind, key and `include_anonymous` stay as they were at creation.
    """

    space: int
    kind: ComputationKind
    key: str
    name: str
    definition: str
    enabled: bool = True
    include_anonymous: bool = False
    historical: bool = True
    connections: tuple[ConnectionRow, ...] = ()
    id: int = 0
    created_at: int = 0

    @property
    def ref(self) -> str:
        """How the id is written: `aud_1` of an audience, `tra_1` of a computed trait."""
        return f"{_PREFIXES[self.kind]}_{self.id}"


CREATE = """
    CREATE TABLE computation (
        id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL REFERENCES space ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('audience', 'computed_trait')), key TEXT NOT NULL, name TEXT NOT NULL,
        definition TEXT NOT NULL, enabled INTEGER NOT NULL, include_anonymous INTEGER NOT NULL,
        historical INTEGER NOT NULL, created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE computation_key (
        space INTEGER NOT NULL REFERENCES space ON DELETE CASCADE, key TEXT NOT NULL,
        computation INTEGER REFERENCES computation ON DELETE SET NULL, PRIMARY KEY (space, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX computation_key_of ON computation_key (computation);
    CREATE TABLE connection (
        id INTEGER PRIMARY KEY AUTOINCREMENT, computation INTEGER NOT NULL REFERENCES computation ON DELETE CASCADE,
        destination INTEGER NOT NULL REFERENCES destination ON DELETE CASCADE, place INTEGER NOT NULL,
        identify INTEGER NOT NULL, track INTEGER NOT NULL, every_ms INTEGER NOT NULL, UNIQUE (computation, destination)
    ) STRICT;
    CREATE INDEX connection_destination ON connection (destination);
"""

READ_COMPUTATIONS = """
    SELECT id, space, kind, key, name, definition, enabled, include_anonymous, historical, created_at
    FROM computation ORDER BY id"""
READ_CONNECTIONS = """
    SELECT computation, id, destination, identify, track, every_ms FROM connection ORDER BY computation, place"""
READ_RETIRED = "SELECT space, key FROM computation_key WHERE computation IS NULL"

ADD_COMPUTATION = """
    INSERT INTO computation (
        space, kind, key, name, definition, enabled, include_anonymous, historical, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
TAKE_KEY = "INSERT OR IGNORE INTO computation_key (space, key, computation) VALUES (?, ?, ?)"
PUT_COMPUTATION = "UPDATE computation SET name = ?, definition = ?, enabled = ?, historical = ? WHERE id = ?"
DROP_COMPUTATION = "DELETE FROM computation WHERE id = ?"
FIND_CONNECTIONS = "SELECT destination, id FROM connection WHERE computation = ?"
ADD_CONNECTION = """
    INSERT INTO connection (computation, destination, place, identify, track, every_ms) VALUES (?, ?, ?, ?, ?, ?)"""
PUT_CONNECTION = "UPDATE connection SET place = ?, identify = ?, track = ?, every_ms = ? WHERE id = ?"
DROP_CONNECTION = "DELETE FROM connection WHERE id = ?"


def read_computations(connection: sqlite3.Connection) -> Iterator[ComputationRow]:
    """Every computation with its connections, the oldest first."""
    connections: dict[int, list[ConnectionRow]] = {}
    for computation, number, destination, identify, track, every_ms in connection.execute(READ_CONNECTIONS):
        connections.setdefault(computation, []).append(
            ConnectionRow(
                id=number, destination=destination, identify=bool(identify), track=bool(track), every_ms=every_ms
            )
        )
    for row in connection.execute(READ_COMPUTATIONS):
        yield ComputationRow(
            id=row[0],
            space=row[1],
            kind=row[2],
            key=row[3],
            name=row[4],
            definition=row[5],
            enabled=bool(row[6]),
            include_anonymous=bool(row[7]),
            historical=bool(row[8]),
            created_at=row[9],
            connections=tuple(connections.get(row[0], ())),
        )


def read_retired_keys(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Space and key of what was deleted while its space stayed: nothing may be called so again."""
    yield from connection.execute(READ_RETIRED)


def put_computation(connection: sqlite3.Connection, row: ComputationRow, now_ms: int) -> ComputationRow:
    """Create the computation (`id` 0) or make the one of this id as `row` says.

    The answer has the ids and when it was created. Of one that exists, space, kind, key and `include_anonymous` stay; a
    connection to the same destination keeps its id. Raises Invalid where the key of a new one was ever given in its
    space.
    """
    if row.id == 0:
        added = connection.execute(
            ADD_COMPUTATION,
            (
                *(row.space, row.kind, row.key, row.name, row.definition),
                *(row.enabled, row.include_anonymous, row.historical, now_ms),
            ),
        )
        row = replace(row, id=added.lastrowid or 0, created_at=now_ms)
        if connection.execute(TAKE_KEY, (row.space, row.key, row.id)).rowcount == 0:
            raise Invalid(f"the key {row.key!r} is taken in this space", field="key")
    else:
        connection.execute(PUT_COMPUTATION, (row.name, row.definition, row.enabled, row.historical, row.id))
    return replace(row, connections=tuple(_put_connections(connection, row)))


def _put_connections(connection: sqlite3.Connection, row: ComputationRow) -> Iterator[ConnectionRow]:
    stored = dict(connection.execute(FIND_CONNECTIONS, (row.id,)).fetchall())
    for place, wanted in enumerate(row.connections):
        number = stored.pop(wanted.destination, None)
        said = (place, wanted.identify, wanted.track, wanted.every_ms)
        if number is None:
            number = connection.execute(ADD_CONNECTION, (row.id, wanted.destination, *said)).lastrowid or 0
        else:
            connection.execute(PUT_CONNECTION, (*said, number))
        yield replace(wanted, id=number)
    connection.executemany(DROP_CONNECTION, [(number,) for number in stored.values()])
