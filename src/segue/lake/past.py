"""The past, read whole for new definitions: events of some names, profile by profile, in the order of the log.

Rule: from the same place on it gives the same events, whatever was compacted meanwhile, so that a reading that was cut
off goes on where it was; memory is bounded by a batch and by the engine's limits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segue.lake.columns import quoted
from segue.lake.engine import engine
from segue.lake.files import source_of
from segue.lake.manifest import LakeFile, ManifestReader
from segue.lake.rows import OTHER

if TYPE_CHECKING:
    import duckdb

ROWS_AT_ONCE = 2_000
PROFILES_AT_FIRST = 1_000
ROWS_WANTED = 50_000
"""So many rows are sorted at once; how many profiles those are is learned on the way."""
PROFILES_MOST = 1 << 24


class PastEvent(NamedTuple):
    """One event as the lake has it; see `columns.COLUMNS` for what each means."""

    profile: int
    log_offset: int
    t: int
    received_at: int
    message_id: str
    source_id: str
    type: str
    event: str
    properties: str | None
    context: str | None


def past(
    manifest: ManifestReader, names: Collection[str], position: int, after: tuple[int, int]
) -> Iterator[tuple[list[PastEvent], bool]]:
    """The events of these names below the offset `position`, beyond the profile and offset `after`, in batches.

    Each comes with whether it is the last, which may be empty. Profiles are those that events were applied to. Raises
    Unavailable, Damaged.
    """
    _, files = manifest.files()
    files = [file for file in files if file.first < position and (file.event in names or file.folder == OTHER)]
    highest = max((file.profile_last for file in files), default=0)
    lowest, width = max(after[0], min((file.profile_first for file in files), default=0)), PROFILES_AT_FIRST
    while files and lowest <= highest:
        _, current = manifest.files()
        current = [
            file
            for file in current
            if file.first < position
            and (file.event in names or file.folder == OTHER)
            and file.profile_last >= lowest
            and file.profile_first < lowest + width
        ]
        found = 0
        if current:
            with engine(manifest.folder) as connection:
                for rows in _range(
                    connection, manifest.folder, current, names, position, after, (lowest, lowest + width)
                ):
                    found += len(rows)
                    yield rows, False
        lowest += width
        width = min(PROFILES_MOST, max(1, width * ROWS_WANTED // max(found, ROWS_WANTED // 4)))
    yield [], True


def _range(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    files: Sequence[LakeFile],
    names: Collection[str],
    position: int,
    after: tuple[int, int],
    profiles: tuple[int, int],
) -> Iterator[list[PastEvent]]:
    """The events of profiles from the first number up to but not including the second."""
    columns = ", ".join(quoted(name) for name in PastEvent._fields)
    query = f"""SELECT {columns} FROM {source_of(folder, files)}
      WHERE profile >= ? AND profile < ? AND event IN (SELECT unnest(?)) AND type IN ('track', 'page', 'screen')
        AND log_offset < ? AND (profile > ? OR log_offset > ?)
      ORDER BY profile, log_offset"""  # noqa: S608 - all of it ours or quoted
    cursor = connection.execute(query, [*profiles, sorted(names), position, *after])
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield [PastEvent._make(row) for row in rows]
