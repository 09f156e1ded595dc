"""Reading the lake: the events of one person, in their total order.

Rule: it reads what the manifest names at one moment, and files that are replaced meanwhile are still there; a page has
no event twice and leaves none out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, NamedTuple

from segue.lake.columns import NAMES, quoted
from segue.lake.engine import engine
from segue.lake.files import source_of
from segue.lake.manifest import LakeFile, ManifestReader, Position
from segue.lake.rows import OTHER, Entry, row_of

if TYPE_CHECKING:
    import duckdb

MEMORY = "128MB"
SECONDS_MOST = 5.0
"""A query that takes longer is ended."""
END_OF_TIME = 2**62
"""In ms since 1970."""
FILES_AT_ONCE = 64
"""So many files are looked at before it is asked whether the page is full: most pages are of the newest days."""


class LakeEvent(NamedTuple):
    """One event as the lake has it; see `columns.COLUMNS` for what each means."""

    profile: int | None
    account: int | None
    t: int
    received_at: int
    log_offset: int
    message_id: str
    source_id: str
    type: str
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    timestamp: str | None
    properties: str | None
    traits: str | None
    context: str | None

    @property
    def order(self) -> Order:
        """Its place among the events of its profile."""
        return Order(self.t, self.received_at, self.message_id, self.log_offset)


class Order(NamedTuple):
    """The total order of a profile's events; the offset parts those that two sources gave one messageId."""

    t: int
    received_at: int
    message_id: str
    log_offset: int


class Wish(NamedTuple):
    """Which events: of these profiles, or accounts; with t from `start` up to but not including `end`, in ms.

    `include` and `exclude` are names of events. `after` is the last one that was given before, in the order asked for.
    """

    profiles: Collection[int]
    types: Collection[str] = ("track",)
    start: int = 0
    end: int = END_OF_TIME
    include: Collection[str] | None = None
    exclude: Collection[str] = ()
    newest_first: bool = True
    after: Order | None = None
    limit: int = 10

    def accepts(self, found: LakeEvent) -> bool:
        """Whether it is one of them; the same in words as in SQL."""
        if found.profile not in self.profiles or found.type not in self.types:
            return False
        if not self.start <= found.t < self.end or found.event in self.exclude:
            return False
        if self.include is not None and found.event not in self.include:
            return False
        if self.after is None:
            return True
        return found.order < self.after if self.newest_first else found.order > self.after

    def sorted(self, found: Iterable[LakeEvent]) -> list[LakeEvent]:
        """At most `limit` of them, in the order asked for."""
        return sorted(found, key=lambda each: each.order, reverse=self.newest_first)[: self.limit]


def event_of(entry: Entry) -> LakeEvent:
    """An event that the lake has not got yet, as it will have it."""
    return LakeEvent._make(row_of(entry, ()))


def events_of(manifest: ManifestReader, wish: Wish) -> tuple[Position, list[LakeEvent]]:
    """The events that the lake has, and the position up to which it has them. Raises Unavailable, Damaged."""
    position, files = manifest.files()
    files = _worth_a_look(files, wish)
    if not files:
        return position, []
    with engine(manifest.folder, memory=MEMORY) as connection:
        timer = Timer(SECONDS_MOST, connection.interrupt)
        timer.start()
        try:
            return position, _read(connection, manifest.folder, files, wish)
        finally:
            timer.cancel()


def _read(
    connection: duckdb.DuckDBPyConnection, folder: Path, files: Sequence[LakeFile], wish: Wish
) -> list[LakeEvent]:
    """Some files at a time, in the order asked for, until no other can have an event that belongs on the page."""
    nearest: Callable[[LakeFile], int] = lambda file: file.t_last if wish.newest_first else -file.t_first  # noqa: E731
    left = sorted(files, key=nearest, reverse=True)
    found: list[LakeEvent] = []
    while left:
        if len(found) == wish.limit:
            last = found[-1].t if wish.newest_first else -found[-1].t
            if nearest(left[0]) < last:
                break
        some, left = left[:FILES_AT_ONCE], left[FILES_AT_ONCE:]
        query, parameters = _query(folder, some, wish)
        rows = connection.execute(query, parameters).fetchall()
        found = wish.sorted([*found, *(LakeEvent._make(row) for row in rows)])
    return found


def _query(folder: Path, files: Sequence[LakeFile], wish: Wish) -> tuple[str, list[Any]]:
    conditions = ["profile IN (SELECT unnest(?))", "type IN (SELECT unnest(?))", "t >= ?", "t < ?"]
    parameters: list[Any] = [sorted(wish.profiles), sorted(wish.types), wish.start, wish.end]
    # Stated as bounds too, by which whole row groups are passed over.
    conditions += ["profile >= ?", "profile <= ?"]
    parameters += [min(wish.profiles), max(wish.profiles)]
    if wish.include is not None:
        conditions.append("event IN (SELECT unnest(?))")
        parameters.append(sorted(wish.include))
    if wish.exclude:
        conditions.append("(event IS NULL OR event NOT IN (SELECT unnest(?)))")
        parameters.append(sorted(wish.exclude))
    if wish.after is not None:
        conditions.append(f"({', '.join(Order._fields)}) {'<' if wish.newest_first else '>'} (?, ?, ?, ?)")
        parameters += wish.after
    direction = "DESC" if wish.newest_first else "ASC"
    order = ", ".join(f"{name} {direction}" for name in Order._fields)
    columns = ", ".join(quoted(name) for name in NAMES)
    parameters.append(wish.limit)
    query = f"""SELECT {columns} FROM {source_of(folder, files)}
                WHERE {" AND ".join(conditions)} ORDER BY {order} LIMIT ?"""  # noqa: S608 - all of it ours or quoted
    return query, parameters


def _worth_a_look(files: Iterable[LakeFile], wish: Wish) -> list[LakeFile]:
    """Those whose bounds do not rule out that they have one of the events."""
    lowest, highest = min(wish.profiles), max(wish.profiles)
    kinds = {OTHER, *(f"@{type_}" for type_ in wish.types)}
    return [
        file
        for file in files
        if file.t_last >= wish.start
        and file.t_first < wish.end
        and file.profile_last >= lowest
        and file.profile_first <= highest
        and (file.event is not None or file.folder in kinds)
        and (wish.include is None or file.event in wish.include or file.folder == OTHER)
        and (file.event is None or file.event not in wish.exclude)
        and (wish.after is None or _may_follow(file, wish.after, newest_first=wish.newest_first))
    ]


def _may_follow(file: LakeFile, after: Order, *, newest_first: bool) -> bool:
    return file.t_first <= after.t if newest_first else file.t_last >= after.t
