"""Preview: how long one waits to see whom a definition would be true of, in a space of a million profiles.

Rule: the files are those that a space has after 90 days, laid down at once; what is measured is the whole question,
from the text of the definition to the count, ten profiles and their identifiers, in a process that has asked before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec

from bench import machine
from bench.measure import Extent, tell
from bench.report import Row, middle
from segue.compute.parse import parse
from segue.compute.sql import Defined, Preview, preview
from segue.lake.columns import NAMES, SORTED_BY, quoted
from segue.lake.history import SpaceFiles
from segue.lake.manifest import LakeFile, Manifest, PeopleFile
from segue.lake.people import PEOPLE
from segue.lake.rows import folder_of, property_columns
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.profile_rows import ProfilesDelta, ProfilesState
from segue.state.profiles import ProfileWriter

SECONDS_LIMIT = 2.0
PROFILES, EVENTS, DAYS = 1_000_000, 10_000_000, 90
ROUNDS = 5
DAY_MS = 86_400_000
END = datetime(2026, 11, 22, tzinfo=UTC)
END_MS = int(END.timestamp() * 1000)
SHARES = {"Page Viewed": 50, "Product Viewed": 25, "Product Added": 13, "Order Completed": 10, "Signed Up": 2}
"""Of a hundred events."""
FREQUENT = ("price", "revenue")

QUESTIONS = {
    "orders of a month and a trait": (
        "event('Order Completed').where(property('revenue') >= 100).within(30 days).count() >= 1"
        " AND trait('plan') != 'free'"
    ),
    "page views of all time, and none of late": (
        "event('Page Viewed').count() >= 5 AND NOT (event('Page Viewed').within(3 days).count() >= 1)"
    ),
    "a sum and a path into JSON": (
        "event('Order Completed').within(90 days).sum(property('revenue')) >= 200"
        " AND event('Product Viewed').where(context('page.path').contains('/sale')).within(30 days).count() >= 1"
    ),
}


def measure(extent: Extent) -> list[Row]:
    """The rows `preview`."""
    scale = 20 if extent.quick else 1
    with extent.folder() as folder, _all_cores(), _space(folder, scale) as files:
        return [_row(files, what, text, extent.rounds(ROUNDS)) for what, text in QUESTIONS.items()]


def _row(files: SpaceFiles, what: str, text: str, rounds: int) -> Row:
    _ask(files, text)
    seconds, found = [], None
    for _ in range(rounds):
        begun = time.perf_counter()
        found = _ask(files, text)
        seconds.append(time.perf_counter() - begun)
    assert found is not None
    tell(f"  {what}: {middle(seconds):.2f} s, {found.count:,} profiles")
    return Row(
        row="preview",
        what=what,
        value=middle(seconds),
        limit=SECONDS_LIMIT,
        at_least=False,
        unit="s",
        detail={"definition": text, "profiles": found.count, "seconds": seconds},
    )


def _ask(files: SpaceFiles, text: str) -> Preview:
    return preview(files, {"": Defined(tree=parse(text, "audience"))}, "", END_MS)


@contextmanager
def _all_cores() -> Iterator[None]:
    """There is no load beside it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, machine.SERVER_CORE | machine.LOAD_CORE)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _space(folder: Path, scale: int) -> Iterator[SpaceFiles]:
    """A space's files. Its log is empty: the lake has everything."""
    begun = time.perf_counter()
    lake = folder / "lake"
    lake.mkdir(parents=True)
    with closing(ProfileWriter(folder / "profiles.db")) as profiles:
        state = ProfilesState(position=EVENTS // scale, next_number=PROFILES // scale + 1)
        profiles.commit([ProfilesDelta(state=msgspec.msgpack.encode(state))])
    with duckdb.connect(config={"threads": machine.description()["cores"]}) as connection:
        lake_files = _events(connection, lake, scale)
        people = _people(connection, lake, scale)
    with closing(Manifest(lake)) as manifest:
        manifest.add(lake_files, EVENTS // scale)
        manifest.set_people([people], END_MS)
    with closing(SQLiteLogWriter(folder / "log", _Clock())), closing(SQLiteLogReader(folder / "log")) as log:
        megabytes = sum(file.bytes for file in lake_files) / 1e6
        tell(f"  made {EVENTS // scale:,} events, {megabytes:,.0f} MB, in {time.perf_counter() - begun:.0f} s")
        yield SpaceFiles(folder / "profiles.db", lake, log)


class _Clock:
    def now_ms(self) -> int:
        return END_MS


def _events(connection: duckdb.DuckDBPyConnection, lake: Path, scale: int) -> list[LakeFile]:
    """One file for each name and day, as compaction leaves them."""
    files = []
    offset = 0
    for place in range(DAYS):
        day = END - timedelta(days=DAYS - place)
        for name, share in SHARES.items():
            rows = EVENTS // scale // DAYS * share // 100
            path = lake / "events" / folder_of(name, "track") / day.strftime("%Y-%m-%d") / f"{offset:012d}.parquet"
            path.parent.mkdir(parents=True)
            columns = ", ".join(quoted(column) for column in (*NAMES, *property_columns(FREQUENT)))
            query = f"SELECT {columns} FROM ({_made(name, rows, offset, day, scale)}) ORDER BY {SORTED_BY}"
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)")
            files.append(_file(path, lake, name, day, rows, offset))
            offset += rows
    return files


def _made(name: str, rows: int, offset: int, day: datetime, scale: int) -> str:
    """Events of one name and day, at times and of profiles at random."""
    start = int(day.timestamp() * 1000)
    return f"""
        SELECT 1 + (hash(n) % {PROFILES // scale})::BIGINT AS profile, NULL::BIGINT AS account,
          {start} + (hash(n + 1) % {DAY_MS})::BIGINT AS t, t + 40 AS received_at, n AS log_offset,
          md5(n::VARCHAR) AS message_id,
          'website' AS source_id, '{"page" if name == "Page Viewed" else "track"}' AS type, '{name}' AS event,
          'user-' || profile AS user_id, NULL::VARCHAR AS anonymous_id, NULL::VARCHAR AS group_id,
          strftime(make_timestamp(t * 1000), '%Y-%m-%dT%H:%M:%S.%gZ') AS timestamp,
          (hash(n + 2) % 20000 / 100.0)::DECIMAL(9, 1)::DOUBLE::VARCHAR AS price, price AS "property.price",
          price AS "property.revenue", NULL::VARCHAR AS traits,
          '{{"order_id":"' || message_id || '","price":' || price || ',"revenue":' || price || ',"currency":"EUR",'
            || '"products":[{{"sku":"sku-' || hash(n + 3) % 5000 || '","quantity":' || n % 5 || '}}]}}' AS properties,
          '{{"ip":"10.0.' || n % 256 || '.1","library":{{"name":"analytics.js","version":"2.11.1"}},"page":{{"path":"/'
            || CASE n % 7 WHEN 0 THEN 'sale/' ELSE 'shop/' END || hash(n + 4) % 3000
            || '","title":"Shop"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"}}' AS context
        FROM range({offset}, {offset + rows}) AS each(n)"""


def _file(path: Path, lake: Path, name: str, day: datetime, rows: int, offset: int) -> LakeFile:
    start = int(day.timestamp() * 1000)
    return LakeFile(
        path=str(path.relative_to(lake)),
        folder=folder_of(name, "track"),
        event=name,
        day=day.strftime("%Y-%m-%d"),
        rows=rows,
        bytes=path.stat().st_size,
        first=offset,
        last=offset + rows - 1,
        received_first=start,
        received_last=start + DAY_MS + 40,
        t_first=start,
        t_last=start + DAY_MS,
        profile_first=1,
        profile_last=PROFILES,
        properties=FREQUENT,
    )


def _people(connection: duckdb.DuckDBPyConnection, lake: Path, scale: int) -> PeopleFile:
    """All profiles; each fifth is anonymous, each hundredth has absorbed another."""
    path = f"{PEOPLE}/{EVENTS // scale:012d}-base.parquet"
    (lake / PEOPLE).mkdir()
    connection.execute(
        f"""COPY (
              SELECT n AS profile, n % 5 <> 0 AS eligible, TRUE AS anonymous,
                CASE WHEN n % 5 = 0 THEN '["anonymous_id"]' WHEN n % 2 = 0 THEN '["anonymous_id","email","user_id"]'
                  ELSE '["anonymous_id","user_id"]' END AS types,
                CASE WHEN n % 100 = 1 THEN [n + 1] END AS absorbed,
                '{{"email":"' || n || '@example.com","firstName":"Ada","plan":"'
                  || CASE n % 3 WHEN 0 THEN 'free' WHEN 1 THEN 'pro' ELSE 'team' END
                  || '","createdAt":"2026-01-01T00:00:00.000Z","logins":' || n % 300 || '}}' AS traits
              FROM range(1, {PROFILES // scale + 1}) AS each(n) WHERE n % 100 <> 2
            ) TO '{lake / path}' (FORMAT parquet, COMPRESSION zstd)"""
    )
    return PeopleFile("base", path, PROFILES // scale, EVENTS // scale)
