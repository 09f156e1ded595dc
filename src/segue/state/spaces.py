"""Spaces and the tokens of their Profile API, as rows of `control.db`.

Rule: a space's id is never given twice, so that the profiles of a deleted one are never another's; of a token only a
hash is stored, and it goes with its space.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segue.core.profile import DEFAULT_RULES, IdentityRules

OWN_SOURCE = "space:"
"""How the name of a space's own source begins; no slug has a colon."""


class SpaceRow(Struct, frozen=True, kw_only=True):
    """A set of profiles: whose events make them, and by which rules they meet. `created_at` in ms since 1970."""

    slug: str
    name: str
    sources: tuple[str, ...] = ()
    identity: IdentityRules = DEFAULT_RULES
    id: int = 0
    created_at: int = 0

    @property
    def own_source(self) -> str:
        """The source of what the space itself emits. No source of a workspace can be called so."""
        return f"{OWN_SOURCE}{self.slug}"


class SpaceTokenRow(Struct, frozen=True, kw_only=True):
    """What may read the profiles of a space. `hash` is the SHA-256 of the token in hex; `created_at` in ms."""

    space: int
    name: str
    hash: str
    last_four: str
    id: int = 0
    created_at: int = 0


CREATE = """
    CREATE TABLE space (
        id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        identity TEXT NOT NULL, created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE space_source (
        space INTEGER NOT NULL REFERENCES space ON DELETE CASCADE, place INTEGER NOT NULL,
        source TEXT NOT NULL REFERENCES source, PRIMARY KEY (space, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE space_token (
        id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL REFERENCES space ON DELETE CASCADE,
        name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, last_four TEXT NOT NULL, created_at INTEGER NOT NULL
    ) STRICT;
"""

READ_SPACES = "SELECT id, slug, name, identity, created_at FROM space ORDER BY id"
READ_SOURCES = "SELECT space, source FROM space_source ORDER BY space, place"
READ_TOKENS = "SELECT id, space, name, hash, last_four, created_at FROM space_token ORDER BY id"

PUT_SPACE = """
    INSERT INTO space (slug, name, identity, created_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (slug) DO UPDATE SET name = excluded.name, identity = excluded.identity"""
FIND_SPACE = "SELECT id, created_at FROM space WHERE slug = ?"
DROP_SOURCES = "DELETE FROM space_source WHERE space = ?"
ADD_SOURCE = "INSERT INTO space_source (space, place, source) VALUES (?, ?, ?)"
DROP_SPACE = "DELETE FROM space WHERE id = ?"
ADD_TOKEN = "INSERT INTO space_token (space, name, hash, last_four, created_at) VALUES (?, ?, ?, ?, ?)"  # noqa: S105 - SQL
DROP_TOKEN = "DELETE FROM space_token WHERE id = ?"  # noqa: S105 - SQL


def read_spaces(connection: sqlite3.Connection) -> Iterator[SpaceRow]:
    """Every space, the oldest first."""
    sources: dict[int, list[str]] = {}
    for space, source in connection.execute(READ_SOURCES):
        sources.setdefault(space, []).append(source)
    for number, slug, name, identity, created_at in connection.execute(READ_SPACES):
        yield SpaceRow(
            id=number,
            slug=slug,
            name=name,
            sources=tuple(sources.get(number, ())),
            identity=msgspec.json.decode(identity, type=IdentityRules),
            created_at=created_at,
        )


def read_tokens(connection: sqlite3.Connection) -> Iterator[SpaceTokenRow]:
    """Every token of every space, the oldest first."""
    for number, space, name, digest, last_four, created_at in connection.execute(READ_TOKENS):
        yield SpaceTokenRow(id=number, space=space, name=name, hash=digest, last_four=last_four, created_at=created_at)


def put_space(connection: sqlite3.Connection, row: SpaceRow, now_ms: int) -> SpaceRow:
    """Create the space or make the one of this slug as `row` says; the answer has its id and when it was made."""
    connection.execute(PUT_SPACE, (row.slug, row.name, msgspec.json.encode(row.identity).decode(), now_ms))
    number, created_at = connection.execute(FIND_SPACE, (row.slug,)).fetchone()
    connection.execute(DROP_SOURCES, (number,))
    connection.executemany(ADD_SOURCE, [(number, place, source) for place, source in enumerate(row.sources)])
    return replace(row, id=number, created_at=created_at)


def add_token(connection: sqlite3.Connection, row: SpaceTokenRow, now_ms: int) -> SpaceTokenRow:
    """Store a new token; the answer has its id and when it was made."""
    added = connection.execute(ADD_TOKEN, (row.space, row.name, row.hash, row.last_four, now_ms))
    return replace(row, id=added.lastrowid, created_at=now_ms)
