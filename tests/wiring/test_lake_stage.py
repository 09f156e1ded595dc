"""A space's lake as the worker fills it: behind the resolver, from its cursor on, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import structlog

from segue.control.units import DAY_MS
from segue.lake.manifest import ManifestReader, ManifestReaders
from segue.log.sqlite_reader import SQLiteLogReader
from segue.log.tail import Tail
from segue.state.profiles import ProfileReader
from segue.wiring import lake_stage
from segue.wiring.spaces import Spaces
from tests.lake.rig import read

from .files import Files
from .test_spaces import PROD, caught_up, define, identify


@asynccontextmanager
async def running(files: Files, *, flush_ms: int = 1, keep_ms: int | None = None) -> AsyncIterator[Spaces]:
    """The spaces at work, with lakes that wait for so long."""
    with closing(SQLiteLogReader(files.instance.log)) as reader:
        spaces = Spaces(
            files.instance,
            Tail(reader),
            files.clock,
            structlog.get_logger(),
            lake_flush_ms=flush_ms,
            lake_keep_ms=keep_ms,
        )
        try:
            spaces.reload(files.control.snapshot())
            yield spaces
        finally:
            await spaces.close(5)


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def position(files: Files) -> int:
    """The lake's cursor; -1 where there is no lake yet."""
    with closing(ManifestReaders(files.instance.lake)) as manifests:
        manifest = manifests.get(1)
        return -1 if manifest is None else manifest.position().offset


def held(files: Files) -> list[tuple[Any, ...]]:
    """What the lake holds: offset, profile and message of each event."""
    lake = files.instance.lake(1)
    with closing(ManifestReader(lake / "lake.db")) as manifest:
        return read(lake, manifest.files()[1], ("log_offset", "profile", "message_id"))


def waiting(files: Files) -> list[int]:
    """The offsets of the events that the resolver keeps for the lake."""
    with closing(ProfileReader(files.instance.profiles(1))) as profiles, profiles.snapshot():
        return [each.offset for each in profiles.placed(0)]


async def test_what_is_resolved_is_in_the_lake_once_across_restarts(files: Files) -> None:
    define(files, PROD)
    for turn in range(3):
        async with running(files) as spaces:
            for user in ("a", "b"):
                identify(files, user, turn=turn)
            identify(files, "other", "shop")
            spaces.grown()
            await until(lambda: position(files) == files.log.ends().offset)
    assert [(offset, profile) for offset, profile, _ in held(files)] == [(0, 1), (1, 2), (3, 1), (4, 2), (6, 1), (7, 2)]


async def test_events_wait_for_the_lake_until_it_has_them(files: Files) -> None:
    define(files, PROD)
    async with running(files, flush_ms=3_600_000) as spaces:
        await until(lambda: position(files) >= 0)
        identify(files, "a")
        identify(files, "b")
        spaces.grown()
        await caught_up(files)
        await asyncio.sleep(0.05)
        assert position(files) == 0
        assert waiting(files) == [0, 1]
    async with running(files) as spaces:
        await until(lambda: position(files) == 2)
        identify(files, "c")
        spaces.grown()
        await until(lambda: position(files) == 3 and 0 not in waiting(files))
    assert [offset for offset, *_ in held(files)] == [0, 1, 2]


async def test_a_lake_that_cannot_be_written_holds_up_nobody_and_goes_on(files: Files) -> None:
    define(files, PROD)
    async with running(files) as spaces:
        await until(lambda: position(files) >= 0)
        obstacle = files.instance.lake(1) / "events"
        obstacle.write_text("in the way")
        identify(files, "a")
        spaces.grown()
        await caught_up(files)
        assert position(files) == 0
        obstacle.unlink()
    async with running(files):
        await until(lambda: position(files) == 1)
    assert [offset for offset, *_ in held(files)] == [0]


async def test_a_deleted_space_takes_its_lake_along(files: Files) -> None:
    define(files, PROD)
    async with running(files) as spaces:
        identify(files, "a")
        spaces.grown()
        await until(lambda: position(files) == 1)
        define(files)
        spaces.reload(files.control.snapshot())
        await until(lambda: not files.instance.lake(1).parent.exists())


def offsets(files: Files) -> list[int]:
    return [offset for offset, *_ in held(files)]


async def test_days_of_which_nothing_counts_any_more_go_at_the_start(files: Files) -> None:
    define(files, PROD)
    async with running(files) as spaces:
        for _ in range(3):
            identify(files, "a")
            files.clock.now += DAY_MS
            spaces.grown()
            await until(lambda: position(files) == files.log.ends().offset)
    # They came three days, two days and one day ago, by the middle of a day.
    for keep, kept in ((None, [0, 1, 2]), (3, [0, 1, 2]), (2, [1, 2]), (1, [2])):
        async with running(files, keep_ms=keep and keep * DAY_MS):
            await until(lambda kept=kept: offsets(files) == kept)
    assert position(files) == 3


async def test_days_go_where_no_event_comes(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_stage, "OLD_DAYS_S", 0.01)
    define(files, PROD)
    async with running(files, keep_ms=DAY_MS) as spaces:
        identify(files, "a")
        spaces.grown()
        await until(lambda: position(files) == 1)
        assert offsets(files) == [0]
        files.clock.now += 2 * DAY_MS
        await until(lambda: offsets(files) == [])
        files.clock.now += 3_600_000
        await until(lambda: not list((files.instance.lake(1) / "events").rglob("*.parquet")))


async def test_no_day_goes_while_an_event_of_that_time_has_still_to_be_resolved(files: Files) -> None:
    define(files, PROD)
    async with running(files) as spaces:
        identify(files, "a")
        spaces.grown()
        await until(lambda: position(files) == 1)
    identify(files, "b")
    files.clock.now += 31 * DAY_MS
    instance = files.instance
    work = lake_stage._Work(instance.profiles(1), instance.lake(1), instance.log, files.clock, DAY_MS)
    assert work.tidy()[1] == 0
    work.close()
    assert offsets(files) == [0]
    async with running(files, keep_ms=DAY_MS):
        await until(lambda: position(files) == 2 and offsets(files) == [])
