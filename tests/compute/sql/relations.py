"""The relations that a query reads, in memory, made of generated histories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import duckdb

from segue.compute.history import PAGE_VIEWED, SCREEN_VIEWED, History
from segue.compute.sql import Defined, EventTable, compile_query, install
from segue.core.canonical import canonical
from segue.core.profile import ExternalId
from segue.lake.columns import COLUMNS
from tests.compute.histories import PROPERTIES, Facts

SHARED = ("p", "q")
"""Properties that have a column of their own in one of the two relations of events."""
TABLES = {"plain": {}, "columns": {name: EventTable("events_columns", frozenset(SHARED)) for name in ("A", "B")}}


class Held(NamedTuple):
    """A row of holdings."""

    computation: int
    profile: int
    value: str
    once: bool


class Person(NamedTuple):
    """A profile: what happened to it, and the ids it has."""

    facts: Facts
    ids: tuple[ExternalId, ...]

    def history(self) -> History:
        """What the plain evaluator reads."""
        found = self.facts.history()
        found.ids = frozenset(self.ids)
        return found


@contextmanager
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the macros."""
    connection = duckdb.connect(config={"threads": 1})
    try:
        install(connection)
        columns = ", ".join(f'"{column.name}" {column.type}' for column in COLUMNS)
        more = ", ".join(f'"property.{name}" VARCHAR' for name in SHARED)
        connection.execute(f"CREATE TABLE events ({columns})")
        connection.execute(f"CREATE TABLE events_columns ({columns}, {more})")
        connection.execute(
            "CREATE TABLE profiles (profile BIGINT, eligible BOOLEAN, anonymous BOOLEAN, traits VARCHAR)"
        )
        connection.execute("CREATE TABLE holdings (computation BIGINT, profile BIGINT, value VARCHAR, once BOOLEAN)")
        yield connection
    finally:
        connection.close()


def fill(connection: duckdb.DuckDBPyConnection, people: Sequence[Person], held: Iterable[Held], at_ms: int) -> None:
    """Put them into the relations, as they are at an instant."""
    for name in ("events", "events_columns", "profiles", "holdings"):
        connection.execute(f"DELETE FROM {name}")
    events, profiles = [], []
    for number, person in enumerate(people, 1):
        history = person.history()
        events += [_row(number, place, fields) for place, fields in enumerate(person.facts.occurrences)]
        traits = {name: history.custom_trait(name, at_ms) for name in {name for name, _ in person.facts.versions}}
        known = {name: json.loads(trait.value) for name, trait in traits.items() if trait is not None}
        eligible, anonymous = history.can_be_member(), any(each.type == "anonymous_id" for each in person.ids)
        profiles.append((number, eligible, anonymous, written(known)))
    _insert(connection, "events", [row[: len(COLUMNS)] for row in events])
    _insert(connection, "events_columns", events)
    _insert(connection, "profiles", profiles)
    _insert(connection, "holdings", [tuple(each) for each in held])


def ask(
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Defined],
    key: str,
    at_ms: int,
    tables: Mapping[str, EventTable] | None = None,
) -> dict[int, str]:
    """What the query says: of each profile that is in it the value, as canonical JSON."""
    query = compile_query(definitions, key, at_ms, tables=tables)
    rows = connection.execute(query.sql).fetchall()
    found = {row[0]: "true" if query.is_audience else row[1] for row in rows}
    assert len(found) == len(rows), "a profile is there once"
    return found


def written(value: Any) -> str:
    """Canonical JSON."""
    return canonical(json.dumps(value).encode())


def _row(profile: int, place: int, fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """As the lake has it."""
    properties = json.loads(fields["properties"])
    if fields["type"] == "page" and fields["name"]:
        properties["page_name"] = fields["name"]
    event = {"track": fields["name"] or None, "page": PAGE_VIEWED, "screen": SCREEN_VIEWED}.get(fields["type"])
    found = {
        "profile": profile,
        "t": fields["t"],
        "received_at": fields["received_at"],
        "log_offset": place,
        "message_id": fields["message_id"],
        "source_id": fields["source"],
        "type": fields["type"],
        "event": event,
        "properties": written(properties),
        "context": written(json.loads(fields["context"])),
    }
    shared = [written(properties[name]) if name in properties else None for name in SHARED]
    return (*(found.get(column.name) for column in COLUMNS), *shared)


def _insert(connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        appender = connection.appender(name)
        appender.append_rows(rows)
        appender.flush()


assert set(SHARED) <= set(PROPERTIES)
