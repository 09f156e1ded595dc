"""A space's whole history for one question about all profiles: relations of DuckDB over what the space has written.

Events come from the lake's files, and from the log where the lake has not got them yet; profiles from the lake's table
of them, and from where they are kept where they have changed since; what incremental computing says from its rows.

Rule: all of it is as of one position of the log, the space's last commit, which the answer names; what comes meanwhile
is not in it. An event that the space has applied is in it once, under the profile that it belongs to today.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from segue.core.errors import OffsetExpired, Unavailable
from segue.core.event import Event, Record
from segue.lake.columns import COLUMNS, quoted
from segue.lake.engine import engine
from segue.lake.files import shared_properties, source_of
from segue.lake.manifest import MANIFEST, LakeFile, ManifestReader, PeopleFile, Position
from segue.lake.people import COLUMNS as PEOPLE_COLUMNS
from segue.lake.people import fill, make_tables, position_of, touched
from segue.lake.relations import HOLDINGS, PROFILES, EventTable, Wanted
from segue.lake.rows import OTHER, Entry, event_name, property_columns, row_of
from segue.log import LogReader
from segue.state.computed_rows import ComputeState
from segue.state.profile_rows import Placed
from segue.state.profiles import ProfileReader

if TYPE_CHECKING:
    import duckdb

THREADS = 2
MEMORY = "1GB"
"""More than the lake's writer has: it is for a person who waits, and given back when the answer is there."""
QUESTION_SECONDS_MOST = 30.0
"""A question that takes longer is ended."""
TRIES = 5
RECORDS_AT_ONCE = 1_000

_decode_compute = msgspec.msgpack.Decoder(ComputeState).decode

Interruptible = Callable[[Callable[[], None]], None]
"""Is handed what ends the question from another thread, which then raises Unavailable."""


class SpaceFiles(NamedTuple):
    """Where a space's history stands: the file of its profiles, the folder of its lake, and the log."""

    profiles: Path
    lake: Path
    log: LogReader


class Held(NamedTuple):
    """The computations of which a question reads what incremental computing says: all, or who was once in it."""

    whole: frozenset[int] = frozenset()
    once: frozenset[int] = frozenset()


class Opened(NamedTuple):
    """The relations `relations.PROFILES`, `relations.HOLDINGS` and, by the names of events, `tables`.

    `position` is the offset of the log up to which they go. `computed_at` is the instant that the holdings are of, in
    ms since 1970; 0 where nothing was computed. `due` is how many profiles were to be looked at by then and were
    not yet.
    """

    connection: duckdb.DuckDBPyConnection
    tables: Mapping[str, EventTable]
    position: int
    computed_at: int
    due: int


class _SpaceReader(ProfileReader):
    """The profiles of a space with what it has computed of them, in one transaction."""

    def holdings_of(self, computation: int, *, once: bool) -> list[tuple[int, int, str | None, bool]]:
        query = "SELECT computation, profile, value, once FROM holding WHERE computation = ?"
        rows = self._rows(f"{query} AND once" if once else query, (computation,))
        return [(number, profile, value, bool(was_in)) for number, profile, value, was_in in rows]

    def computed_at(self) -> int:
        rows = self._rows("SELECT body FROM compute")
        return _decode_compute(rows[0][0]).t if rows else 0

    def due(self, at_ms: int) -> int:
        return int(self._rows("SELECT count(*) FROM computed WHERE due <= ?", (at_ms,))[0][0])


class _Found(NamedTuple):
    """What stood in a space's files at one moment."""

    position: int
    lake: Position
    files: list[LakeFile]
    people: list[PeopleFile]
    placed: list[Placed]
    computed_at: int
    due: int


@contextmanager
def history(
    files: SpaceFiles,
    wanted: Mapping[str, Wanted],
    held: Held = Held(),
    *,
    threads: int = THREADS,
    memory: str = MEMORY,
    seconds: float = QUESTION_SECONDS_MOST,
    interruptible: Interruptible | None = None,
) -> Iterator[Opened]:
    """The relations for questions about events of these names, no others. For one thread.

    Raises Unavailable, Damaged, OffsetExpired; Unavailable too where the block takes longer than `seconds`.
    """
    files.lake.mkdir(mode=0o700, parents=True, exist_ok=True)
    ended: list[str] = []
    try:
        with (
            closing(_SpaceReader(files.profiles)) as profiles,
            engine(files.lake, threads=threads, memory=memory) as connection,
            _limited(connection, seconds, ended, interruptible),
        ):
            found = _read(connection, profiles, files.lake, held)
            entries = _tail(files.log, found.placed, wanted)
            tables = _make_events(connection, files.lake, found.files, wanted, entries)
            yield Opened(connection, tables, found.position, found.computed_at, found.due)
    except Unavailable as error:
        if ended:
            raise Unavailable(f"the question has no answer: {ended[0]}") from error
        raise


@contextmanager
def _limited(
    connection: duckdb.DuckDBPyConnection, seconds: float, ended: list[str], interruptible: Interruptible | None
) -> Iterator[None]:
    """End what the connection does after these seconds, or when it is told to; why stands in `ended` then."""

    def end(why: str) -> None:
        ended.append(why)
        connection.interrupt()

    timer = Timer(seconds, end, [f"it took longer than {seconds:g} s; name fewer events or shorter windows"])
    timer.daemon = True
    timer.start()
    try:
        if interruptible is not None:
            interruptible(lambda: end("it was cancelled"))
        yield
    finally:
        timer.cancel()


def _read(connection: duckdb.DuckDBPyConnection, profiles: _SpaceReader, lake: Path, held: Held) -> _Found:
    """What the space has committed, and the relations of its profiles and holdings as of that.

    The lake may have gone ahead of what is read here, by then: it is read again.
    """
    connection.execute(f"CREATE TABLE fresh ({PEOPLE_COLUMNS})")
    for _ in range(TRIES):
        with profiles.snapshot():
            position = profiles.state().position
            cursor, files, people = _manifest(lake)
            if max(cursor.offset, position_of(people)) > position:
                continue
            placed = list(profiles.placed(cursor.offset))
            computed_at = profiles.computed_at()
            found = _Found(position, cursor, files, people, placed, computed_at, profiles.due(computed_at))
            _read_profiles(connection, profiles, lake, found)
            _read_held(connection, profiles, held)
        make_tables(connection, lake, people)
        connection.execute(f"CREATE VIEW {PROFILES} AS FROM people")
        connection.execute(
            """CREATE TABLE merged AS
                 SELECT unnest(absorbed) AS number, profile AS canonical FROM people WHERE absorbed IS NOT NULL"""
        )
        return found
    raise Unavailable(f"the lake in {lake} is ahead of the profiles; restore both from one backup")


def _manifest(lake: Path) -> tuple[Position, list[LakeFile], list[PeopleFile]]:
    if not (lake / MANIFEST).exists():
        return Position(), [], []
    with closing(ManifestReader(lake / MANIFEST)) as manifest:
        return manifest.everything()


def _read_profiles(connection: duckdb.DuckDBPyConnection, profiles: ProfileReader, lake: Path, found: _Found) -> None:
    """The profiles that have changed since the lake's table of them was written; all, where there is none."""
    since = position_of(found.people)
    applied = (each.profile for each in found.placed if each.offset >= since)
    numbers = touched(connection, lake, found.files, since, applied) if found.people else None
    fill(connection, profiles, numbers, _no_breath)


def _read_held(connection: duckdb.DuckDBPyConnection, profiles: _SpaceReader, held: Held) -> None:
    connection.execute(f"CREATE TABLE {HOLDINGS} (computation BIGINT, profile BIGINT, value VARCHAR, once BOOLEAN)")
    rows = [
        row
        for number in sorted(held.whole | held.once)
        for row in profiles.holdings_of(number, once=number not in held.whole)
    ]
    if rows:
        _append(connection, HOLDINGS, rows)


def _tail(log: LogReader, placed: Sequence[Placed], wanted: Collection[str]) -> dict[str, list[Entry]]:
    """The events of these names that the lake has not got yet."""
    found: dict[str, list[Entry]] = {name: [] for name in wanted}
    if not wanted:
        return found
    for begin in range(0, len(placed), RECORDS_AT_ONCE):
        some = placed[begin : begin + RECORDS_AT_ONCE]
        records = {record.offset: record for record in _records(log, some)}
        for each in some:
            record = records.get(each.offset)
            if record is not None and each.profile:
                event = Event(record.body)
                name = event_name(event)
                if name in found:
                    found[name].append(Entry(record, event, each))
    return found


def _records(log: LogReader, placed: Sequence[Placed]) -> Iterator[Record]:
    """Their records. Where others stand between them, each is looked up by itself."""
    first, last = placed[0].offset, placed[-1].offset
    if last - first < 2 * len(placed):
        try:
            yield from log.read(0, first, last - first + 1)
            return
        except OffsetExpired:
            pass
    yield from log.get([each.offset for each in placed])


def _make_events(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    files: Sequence[LakeFile],
    wanted: Mapping[str, Wanted],
    entries: Mapping[str, Sequence[Entry]],
) -> dict[str, EventTable]:
    """A view for each name, of the files that may have an event that is read, and of the newest events."""
    merges = connection.execute("SELECT count(*) FROM merged").fetchall()[0][0]
    tables = {}
    for place, (name, want) in enumerate(sorted(wanted.items())):
        some = [file for file in files if _may_have(file, name, want)]
        shared = shared_properties(some)
        columns = [f"{quoted(column.name)} {column.type}" for column in COLUMNS]
        columns += [f"{quoted(column)} VARCHAR" for column in property_columns(shared)]
        connection.execute(f"CREATE TABLE newest_{place} ({', '.join(columns)})")
        if entries[name]:
            _append(connection, f"newest_{place}", [row_of(entry, shared) for entry in entries[name]])
        names = ", ".join(quoted(each) for each in (*(column.name for column in COLUMNS), *property_columns(shared)))
        source = f"SELECT {names} FROM newest_{place}"  # noqa: S608 - quoted
        if some:
            source = f"SELECT {names} FROM {source_of(lake, some)} UNION ALL {source}"  # noqa: S608 - quoted
        table = EventTable(f"history_{place}", frozenset(shared))
        connection.execute(f"CREATE VIEW {table.name} AS {_as_today(source) if merges else source}")
        tables[name] = table
    return tables


def _as_today(source: str) -> str:
    """The events of absorbed profiles under the profile that these are part of now."""
    return f"""SELECT event.* REPLACE (coalesce(merged.canonical, event.profile) AS profile)
               FROM ({source}) AS event LEFT JOIN merged ON merged.number = event.profile"""  # noqa: S608 - ours


def _may_have(file: LakeFile, name: str, want: Wanted) -> bool:
    return (
        (file.event == name or file.folder == OTHER)
        and (want.t_after is None or file.t_last > want.t_after)
        and (want.received_after is None or file.received_last > want.received_after)
        and file.profile_last > 0
    )


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[object]]) -> None:
    appender = connection.appender(table)
    try:
        appender.append_rows(rows)
        appender.flush()
    finally:
        appender.clear()


def _no_breath() -> None:
    """Nobody waits for this thread."""
    time.sleep(0)
