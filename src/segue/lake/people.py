"""The profiles of a space as a table: two Parquet files beside the events, for questions about all profiles at once.

`base` has all profiles of a position of the log, `recent` those that changed since, up to a later position. What has
changed after that is known from the events that were applied since: whoever asks reads those profiles where they are.

Rule: where a profile stands in several of them, the newest counts; a profile that another one has absorbed counts
nowhere. Files and position change in one transaction, after the files are durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from segue.core.profile import ANONYMOUS_ID, MEMBER_TYPES, Profile
from segue.lake.columns import text_literal
from segue.lake.engine import engine
from segue.lake.files import Breathe, copy_durable, source_of
from segue.lake.manifest import LakeFile, Manifest, PeopleFile
from segue.state.profiles import ProfileReader

if TYPE_CHECKING:
    import duckdb

PEOPLE = "people"
REFRESH_EVENTS = 20_000
"""After so many records of the log the changed profiles are written; until then each question reads them."""
RECENT_LEAST = 10_000
RECENT_SHARE = 4
"""The files are made one where `recent` has more than a part of `base`'s rows, and more than a few."""
PROFILES_AT_ONCE = 200

COLUMNS = "profile BIGINT, eligible BOOLEAN, anonymous BOOLEAN, types VARCHAR, absorbed BIGINT[], traits VARCHAR"

_encode = msgspec.json.Encoder().encode

Row = tuple[int, bool, bool, str, list[int] | None, str]


def row_of(profile: Profile) -> Row:
    """A profile as it stands in the table."""
    types = sorted({linked.type for linked in profile.ids})
    traits = ",".join(f"{_encode(name).decode()}:{trait.value}" for name, trait in profile.traits.items())
    return (
        profile.number,
        not MEMBER_TYPES.isdisjoint(types),
        ANONYMOUS_ID in types,
        _encode(types).decode(),
        profile.absorbed or None,
        f"{{{traits}}}",
    )


def refresh(lake: Path, manifest: Manifest, profiles: ProfileReader, now_ms: int, breathe: Breathe) -> bool:
    """Write what has changed since the files were written; gives whether anything had. Raises Unavailable, Damaged."""
    known = manifest.people()
    with engine(lake) as connection:
        connection.execute(f"CREATE TABLE fresh ({COLUMNS})")
        with profiles.snapshot():
            position = profiles.state().position
            if position <= position_of(known):
                return False
            cursor = manifest.position().offset
            numbers = None
            if known:
                applied = (each.profile for each in profiles.placed(max(position_of(known), cursor)))
                numbers = touched(connection, lake, manifest.files(), position_of(known), applied)
        # What changes from now on is read again by whoever asks, so that a later row of it does no harm.
        fill(connection, profiles, numbers, breathe)
        written = _write(connection, lake, known, position, breathe)
    manifest.set_people(written, now_ms)
    return True


def position_of(files: Sequence[PeopleFile]) -> int:
    """Changes below this offset of the log are in these files."""
    return max((file.position for file in files), default=0)


def touched(
    connection: duckdb.DuckDBPyConnection, lake: Path, files: Iterable[LakeFile], position: int, applied: Iterable[int]
) -> set[int]:
    """The numbers of users to whom events from this offset on were applied: those in the lake, and `applied`."""
    found = set(applied)
    later = [file for file in files if file.last >= position]
    if later:
        query = f"SELECT DISTINCT profile FROM {source_of(lake, later)} WHERE log_offset >= ? AND profile IS NOT NULL"  # noqa: S608 - ours
        found.update(number for (number,) in connection.execute(query, [position]).fetchall())
    return found - {0}


def fill(
    connection: duckdb.DuckDBPyConnection, profiles: ProfileReader, numbers: Iterable[int] | None, breathe: Breathe
) -> None:
    """Put the profiles of these numbers, or all profiles of users, into the table `fresh`."""
    appender = connection.appender("fresh")
    try:
        for some in _pages(profiles) if numbers is None else _those(profiles, numbers):
            appender.append_rows([row_of(profile) for profile in some])
            breathe()
        appender.flush()
    finally:
        appender.clear()


def make_tables(connection: duckdb.DuckDBPyConnection, lake: Path, files: Sequence[PeopleFile]) -> None:
    """Views `base` and `recent` of the files, and `people` of them and of the table `fresh` together."""
    by_kind = {file.kind: file for file in files}
    for kind in ("base", "recent"):
        if kind in by_kind:
            path = text_literal(str((lake / by_kind[kind].path).absolute()))
            connection.execute(f"CREATE VIEW {kind} AS SELECT * FROM read_parquet({path}, hive_partitioning = false)")  # noqa: S608 - quoted
        else:
            connection.execute(f"CREATE TABLE {kind} ({COLUMNS})")
    for newer in ("fresh", "recent"):
        connection.execute(
            f"""CREATE TABLE in_{newer} AS SELECT profile FROM {newer}
                UNION SELECT unnest(absorbed) FROM {newer} WHERE absorbed IS NOT NULL"""  # noqa: S608 - ours
        )
    connection.execute(
        """CREATE VIEW changed AS SELECT * FROM recent ANTI JOIN in_fresh USING (profile)
             UNION ALL SELECT * FROM fresh"""
    )
    connection.execute(
        """CREATE VIEW people AS
             SELECT * FROM base ANTI JOIN in_recent USING (profile) ANTI JOIN in_fresh USING (profile)
             UNION ALL SELECT * FROM changed"""
    )


def _write(
    connection: duckdb.DuckDBPyConnection, lake: Path, known: Sequence[PeopleFile], position: int, breathe: Breathe
) -> list[PeopleFile]:
    make_tables(connection, lake, known)
    base = next((file for file in known if file.kind == "base"), None)
    counted = connection.execute("SELECT count(*) FROM changed").fetchall()
    if base is None or counted[0][0] > max(RECENT_LEAST, base.rows // RECENT_SHARE):
        return [_copied(connection, lake, "base", "people", position, breathe)]
    return [base, _copied(connection, lake, "recent", "changed", position, breathe)]


def _copied(
    connection: duckdb.DuckDBPyConnection, lake: Path, kind: str, source: str, position: int, breathe: Breathe
) -> PeopleFile:
    path = f"{PEOPLE}/{position:012d}-{kind}.parquet"
    rows = copy_durable(connection, lake.absolute(), f"FROM {source}", lake.absolute() / path, breathe)
    return PeopleFile(kind, path, rows, position)


def _pages(profiles: ProfileReader) -> Iterator[list[Profile]]:
    after = 0
    while page := profiles.page(collection="users", after=after, limit=PROFILES_AT_ONCE):
        yield page
        after = page[-1].number


def _those(profiles: ProfileReader, numbers: Iterable[int]) -> Iterator[list[Profile]]:
    left = iter(sorted(numbers))
    while some := list(islice(left, PROFILES_AT_ONCE)):
        yield profiles.profiles(some)
