"""What is asked of a space's whole history: who is in an audience, who has which value, and whether that is what
incremental computing says.

Rule: an answer names the position of the log and the instant that it is of, and with both it is always the same.

Traits and ids are those of the position, whatever instant is asked about: of an instant before the newest events, what
they were then is not looked up (PROPOSED).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from segue.compute.parse import parse
from segue.compute.references import references
from segue.compute.sql.compiler import compile_query
from segue.compute.sql.definitions import Defined, needed, wanted
from segue.compute.sql.readings import install
from segue.compute.windows import Reach
from segue.lake.history import QUESTION_SECONDS_MOST, Held, Interruptible, SpaceFiles, history
from segue.lake.relations import HOLDINGS, PROFILES
from segue.state.computations import ComputationRow

if TYPE_CHECKING:
    import duckdb

SAMPLES_MOST = 10
DIFFERENCES_MOST = 100
"""How many differences are shown; all are counted."""

_types = msgspec.json.Decoder(list[str]).decode


class Sample(NamedTuple):
    """A profile by its number; of a computed trait its value, as canonical JSON."""

    profile: int
    value: str


class Preview(Struct, frozen=True, kw_only=True):
    """Who would be in an audience, or have a computed trait. `identifiers`: how many of them have an id of each type.

    `position` is an offset of the log, `at_ms` in ms since 1970.
    """

    count: int
    samples: tuple[Sample, ...]
    identifiers: dict[str, int]
    position: int
    at_ms: int


class Answer(Struct, frozen=True, kw_only=True):
    """What a definition says of each profile that is in it or has it: of members the value is `true`."""

    values: dict[int, str]
    position: int
    at_ms: int


class Difference(NamedTuple):
    """A profile of which the history and incremental computing say other things; None: nothing, or not a member."""

    profile: int
    history: str | None
    held: str | None


class Comparison(Struct, frozen=True, kw_only=True):
    """What the history says beside what is held. `differences` are the first of `differing`, by number.

    `due` is how many profiles were to be looked at by `at_ms` and were not yet: what is held of these may be of before.
    """

    history: int
    held: int
    differing: int
    differences: tuple[Difference, ...]
    due: int
    position: int
    at_ms: int


class _Asked(NamedTuple):
    """The table `answer` (profile, value) of a connection."""

    connection: duckdb.DuckDBPyConnection
    position: int
    at_ms: int
    due: int


def defined(row: ComputationRow, *, retention_ms: int | None = None) -> Defined:
    """A definition as it stands in control. Raises Mistaken."""
    return Defined(
        tree=parse(row.definition, "audience" if row.kind == "audience" else "trait"),
        id=row.id,
        reach=Reach(retention_ms=retention_ms, received_from_ms=None if row.historical else row.created_at),
        include_anonymous=row.include_anonymous,
        frozen=not row.enabled,
    )


def preview(
    files: SpaceFiles,
    definitions: Mapping[str, Defined],
    key: str,
    at_ms: int,
    *,
    seconds: float = QUESTION_SECONDS_MOST,
    interruptible: Interruptible | None = None,
) -> Preview:
    """How many and who, of a definition that may be saved or not. Raises as `lake.history.history`."""
    with _answer(files, definitions, key, at_ms, seconds=seconds, interruptible=interruptible) as asked:
        run = asked.connection.execute
        count = run("SELECT count(*) FROM answer").fetchall()[0][0]
        samples = run(f"SELECT profile, value FROM answer ORDER BY hash(profile), profile LIMIT {SAMPLES_MOST}")  # noqa: S608 - ours
        shown = tuple(Sample._make(row) for row in samples.fetchall())
        query = f"SELECT types, count(*) FROM {PROFILES} SEMI JOIN answer USING (profile) GROUP BY types"  # noqa: S608 - ours
        identifiers: dict[str, int] = {}
        for types, profiles in run(query).fetchall():
            for each in _types(types):
                identifiers[each] = identifiers.get(each, 0) + profiles
        return Preview(
            count=count,
            samples=shown,
            identifiers=dict(sorted(identifiers.items())),
            position=asked.position,
            at_ms=at_ms,
        )


def answer(
    files: SpaceFiles,
    definitions: Mapping[str, Defined],
    key: str,
    at_ms: int,
    *,
    seconds: float = QUESTION_SECONDS_MOST,
    interruptible: Interruptible | None = None,
) -> Answer:
    """Who is in an audience, or has which value. Raises as `lake.history.history`."""
    with _answer(files, definitions, key, at_ms, seconds=seconds, interruptible=interruptible) as asked:
        rows = asked.connection.execute("SELECT profile, value FROM answer ORDER BY profile").fetchall()
        return Answer(values=dict(rows), position=asked.position, at_ms=at_ms)


def compare(
    files: SpaceFiles,
    definitions: Mapping[str, Defined],
    key: str,
    at_ms: int,
    *,
    seconds: float = QUESTION_SECONDS_MOST,
    interruptible: Interruptible | None = None,
) -> Comparison:
    """What the history says beside what is held of the same profiles, both at one position of the log.

    `at_ms` is the space's compute time as it was read before; if it has gone on since, they are compared at what it is
    at that position, which the answer names. `definitions` are those that the values held are of: the live generations.
    Raises as `lake.history.history`.
    """
    asked_of = definitions[key]
    with _answer(files, definitions, key, at_ms, seconds=seconds, interruptible=interruptible, own=True) as asked:
        run = asked.connection.execute
        wanted_ = "value = 'true'" if asked_of.is_audience else "value IS NOT NULL"
        run(
            f"""CREATE TABLE held AS SELECT profile, value FROM {HOLDINGS}
                WHERE computation = {asked_of.id} AND {wanted_}"""  # noqa: S608 - a number, and ours
        )
        run(
            """CREATE TABLE difference AS
                 SELECT profile, answer.value AS history, held.value AS held
                 FROM answer FULL JOIN held USING (profile) WHERE answer.value IS DISTINCT FROM held.value"""
        )
        counts = run("SELECT (SELECT count(*) FROM answer), (SELECT count(*) FROM held), count(*) FROM difference")
        of_history, of_held, differing = counts.fetchall()[0]
        shown = run(f"FROM difference ORDER BY profile LIMIT {DIFFERENCES_MOST}").fetchall()
        return Comparison(
            history=of_history,
            held=of_held,
            differing=differing,
            differences=tuple(Difference._make(row) for row in shown),
            due=asked.due,
            position=asked.position,
            at_ms=asked.at_ms,
        )


@contextmanager
def _answer(
    files: SpaceFiles,
    definitions: Mapping[str, Defined],
    key: str,
    at_ms: int,
    *,
    seconds: float,
    interruptible: Interruptible | None,
    own: bool = False,
) -> Iterator[_Asked]:
    """The answer as a table; `own`: with what is held of the definition itself, and at the instant that this is of."""
    held = _held(definitions, key)
    if own:
        held = Held(held.whole | {definitions[key].id}, held.once)
    events = wanted(definitions, key, at_ms)
    with history(files, events, held, seconds=seconds, interruptible=interruptible) as opened:
        instant = max(at_ms, opened.computed_at) if own else at_ms
        query = compile_query(definitions, key, instant, tables=opened.tables)
        install(opened.connection)
        value = "'true'" if query.is_audience else "value"
        opened.connection.execute(f"CREATE TABLE answer AS SELECT profile, {value} AS value FROM ({query.sql})")  # noqa: S608 - sqlglot's
        yield _Asked(opened.connection, opened.position, instant, opened.due)


def _held(definitions: Mapping[str, Defined], key: str) -> Held:
    """The definitions that say what they said last, and the audiences of which it matters who was once in them."""
    keys = needed(definitions, key)
    frozen = {definitions[each].id for each in keys if definitions[each].frozen}
    named = {
        name for each in keys if not definitions[each].frozen for name in references(definitions[each].tree).traits
    }
    once = {definitions[name].id for name in named if name in definitions and definitions[name].is_audience}
    return Held(frozenset(frozen), frozenset(once))
