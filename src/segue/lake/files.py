"""Writing the lake's Parquet files: of new rows, or of several files together.

Rule: a file appears under its name whole and durable, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segue.core.errors import Damaged
from segue.lake.columns import COLUMNS, NAMES, SORTED_BY, quoted, text_literal
from segue.lake.manifest import LakeFile
from segue.lake.rows import Entry, Place, frequent_properties, property_columns, row_of
from segue.log.segment import sync

if TYPE_CHECKING:
    import duckdb

EVENTS = "events"
ROWS_AT_ONCE = 50
"""So few that the loop, which shares the interpreter with the writing thread, waits for a millisecond only."""

_FORMAT = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"

Breathe = Callable[[], None]
"""Called between steps: lets others have their turn. What it raises ends the work, with nothing half done."""


def write_rows(
    connection: duckdb.DuckDBPyConnection, lake: Path, place: Place, entries: Sequence[Entry], breathe: Breathe
) -> LakeFile:
    """One file of these events, which are of one place and in the log's order. Raises OSError, duckdb.Error."""
    frequent = frequent_properties(entries)
    columns = [f"{quoted(column.name)} {column.type}" for column in COLUMNS]
    columns += [f"{quoted(name)} VARCHAR" for name in property_columns(frequent)]
    connection.execute(f"CREATE OR REPLACE TABLE fresh ({', '.join(columns)})")
    appender = connection.appender("fresh")
    try:
        for begin in range(0, len(entries), ROWS_AT_ONCE):
            appender.append_rows([row_of(entry, frequent) for entry in entries[begin : begin + ROWS_AT_ONCE]])
            breathe()
        appender.flush()
    finally:
        appender.clear()  # what is still in it where something went wrong
    records, placed = [entry.record for entry in entries], [entry.placed for entry in entries]
    file = LakeFile(
        path=_path(place.folder, place.day, records[0].offset, records[-1].offset),
        folder=place.folder,
        event=place.event,
        day=place.day,
        rows=len(entries),
        bytes=0,
        first=records[0].offset,
        last=records[-1].offset,
        received_first=min(record.received_at for record in records),
        received_last=max(record.received_at for record in records),
        t_first=min(each.t for each in placed),
        t_last=max(each.t for each in placed),
        profile_first=min(each.profile for each in placed),
        profile_last=max(each.profile for each in placed),
        properties=frequent,
    )
    found = _copy(connection, lake, f"FROM fresh ORDER BY {SORTED_BY}", file, breathe)
    connection.execute("DROP TABLE fresh")
    return found


def merge_files(
    connection: duckdb.DuckDBPyConnection, lake: Path, files: Sequence[LakeFile], breathe: Breathe
) -> LakeFile:
    """One file of the rows of these, which are of one place and follow each other in the log.

    It has the columns of the properties that all of them have. Raises OSError, duckdb.Error, Damaged where a row is
    missing.
    """
    shared = shared_properties(files)
    first, last = files[0], files[-1]
    file = LakeFile(
        path=_path(first.folder, first.day, first.first, last.last),
        folder=first.folder,
        event=first.event,
        day=first.day,
        rows=sum(each.rows for each in files),
        bytes=0,
        first=first.first,
        last=last.last,
        received_first=min(each.received_first for each in files),
        received_last=max(each.received_last for each in files),
        t_first=min(each.t_first for each in files),
        t_last=max(each.t_last for each in files),
        profile_first=min(each.profile_first for each in files),
        profile_last=max(each.profile_last for each in files),
        properties=shared,
    )
    columns = ", ".join(quoted(name) for name in (*NAMES, *property_columns(shared)))
    query = f"SELECT {columns} FROM {source_of(lake, files)} ORDER BY {SORTED_BY}"  # noqa: S608 - quoted
    return _copy(connection, lake, query, file, breathe)


def shared_properties(files: Iterable[LakeFile]) -> tuple[str, ...]:
    """The properties that have a column in each of these files; of all other ones only the JSON tells."""
    sets = [set(file.properties) for file in files]
    return tuple(sorted(set.intersection(*sets))) if sets else ()


def source_of(lake: Path, files: Sequence[LakeFile]) -> str:
    """What stands behind FROM to read these files, at least one."""
    paths = ", ".join(text_literal(str((lake / file.path).absolute())) for file in files)
    return f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"


def _path(folder: str, day: str, first: int, last: int) -> str:
    return f"{EVENTS}/{folder}/{day}/{first:012d}-{last:012d}.parquet"


def copy_durable(
    connection: duckdb.DuckDBPyConnection, lake: Path, query: str, path: Path, breathe: Breathe, rows: int | None = None
) -> int:
    """Write what a query gives to a file below the folder `lake`; gives the number of rows, `rows` where that is known.

    Raises OSError, duckdb.Error, Damaged where there are other rows than that.
    """
    _make_folder(lake, path.parent)
    temporary = path.with_suffix(".tmp")
    target = text_literal(str(temporary))
    counted: int = connection.execute(f"COPY ({query}) TO {target} {_FORMAT}").fetchall()[0][0]
    if rows is not None and counted != rows:
        raise Damaged(f"{path} should have {rows} rows, but has {counted}; restore the lake from a backup")
    breathe()
    temporary.chmod(0o600)
    sync(temporary)
    breathe()
    temporary.replace(path)
    breathe()
    sync(path.parent)
    return counted


def _copy(connection: duckdb.DuckDBPyConnection, lake: Path, query: str, file: LakeFile, breathe: Breathe) -> LakeFile:
    path = lake.absolute() / file.path
    copy_durable(connection, lake.absolute(), query, path, breathe, file.rows)
    return file._replace(bytes=path.stat().st_size)


def _make_folder(lake: Path, folder: Path) -> None:
    """Make it and those above it, up to the lake's, each durable in the one above."""
    if folder == lake or folder.exists():
        return
    _make_folder(lake, folder.parent)
    folder.mkdir(mode=0o700)
    sync(folder.parent)
