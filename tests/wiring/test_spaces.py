"""The spaces that a worker runs: who is known after what the log holds, after restarts and changes of control."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from segue.control.workspace import apply
from segue.control.workspace_file import parse_workspace
from segue.core.event import NewRecord
from segue.core.profile import ExternalId
from segue.log.sqlite_reader import SQLiteLogReader
from segue.log.tail import Tail
from segue.state.profiles import ProfileReader
from segue.wiring import spaces as running_spaces
from segue.wiring.spaces import Spaces

from .files import Files

PROD = {"slug": "prod", "sources": ["website"]}


def define(files: Files, *spaces: dict[str, Any]) -> None:
    """Make the workspace hold two sources and these spaces."""
    file = {
        "workspace": {"name": "Demo", "slug": "demo"},
        "sources": [{"slug": slug, "write_keys": [slug]} for slug in ("website", "shop")],
        "spaces": list(spaces),
    }
    apply(files.control, parse_workspace(msgspec.json.encode(file), {}), files.secrets, files.log.ends)


def identify(files: Files, user: str, source: str = "website", **traits: Any) -> None:
    """Append an identify call."""
    files.clock.now += 1
    message = f"{source}-{files.clock.now}"
    event = {"type": "identify", "userId": user, "messageId": message, "traits": traits}
    body = msgspec.json.encode(event)
    files.log.append([NewRecord(source, "identify", user, message, files.clock.now, body)])


@asynccontextmanager
async def running(files: Files) -> AsyncIterator[Spaces]:
    """The spaces at work, as the worker runs them."""
    with closing(SQLiteLogReader(files.instance.log)) as reader:
        spaces = Spaces(files.instance, Tail(reader), files.clock, structlog.get_logger())
        try:
            spaces.reload(files.control.snapshot())
            yield spaces
        finally:
            await spaces.close(5)


async def caught_up(files: Files) -> None:
    """Wait until every space has read and committed all that the log holds."""
    control = files.control.snapshot()

    def is_behind() -> bool:
        states = files.views.profile_states(control)
        end = files.log.ends().offset
        return any(row.id not in states or states[row.id].position < end for row in control.spaces)

    async with asyncio.timeout(30):
        while is_behind():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a thread commits


def known(files: Files, space: int, user: str) -> dict[str, str] | None:
    """The traits of a user, None where the space does not know him."""
    with closing(ProfileReader(files.instance.profiles(space))) as profiles:
        found = profiles.find("users", ExternalId("user_id", user))
    return None if found is None else {name: trait.value for name, trait in found.traits.items()}


async def test_a_new_space_takes_what_the_log_still_holds_and_then_what_comes(files: Files) -> None:
    identify(files, "early", plan="free")
    define(files, PROD)
    async with running(files) as spaces:
        await caught_up(files)
        identify(files, "late", plan="paid")
        spaces.grown()
        await caught_up(files)
    assert known(files, 1, "early") == {"plan": '"free"'}
    assert known(files, 1, "late") == {"plan": '"paid"'}


async def test_a_space_goes_on_where_its_last_commit_stands(files: Files) -> None:
    define(files, PROD)
    identify(files, "u1", plan="free")
    async with running(files):
        await caught_up(files)
    identify(files, "u1", seats=3)
    async with running(files):
        await caught_up(files)
    assert known(files, 1, "u1") == {"plan": '"free"', "seats": "3"}
    with closing(ProfileReader(files.instance.profiles(1))) as profiles:
        state = profiles.state()
    assert (state.applied, state.users, state.position) == (2, 1, 2)


async def test_each_space_knows_only_the_users_of_its_sources(files: Files) -> None:
    define(files, PROD, {"slug": "shop", "sources": ["shop"]})
    identify(files, "u1")
    identify(files, "u2", source="shop")
    async with running(files):
        await caught_up(files)
    assert [known(files, space, user) for space in (1, 2) for user in ("u1", "u2")] == [{}, None, None, {}]


async def test_a_source_that_is_added_counts_from_then_on(files: Files) -> None:
    define(files, PROD)
    identify(files, "before", source="shop")
    async with running(files) as spaces:
        await caught_up(files)
        define(files, {"slug": "prod", "sources": ["website", "shop"]})
        spaces.reload(files.control.snapshot())
        identify(files, "after", source="shop")
        spaces.grown()
        await caught_up(files)
    assert [known(files, 1, user) for user in ("before", "after")] == [None, {}]


async def test_what_a_deleted_space_left_is_removed_also_where_it_was_deleted_while_nothing_ran(files: Files) -> None:
    define(files, PROD, {"slug": "dev", "sources": ["website"]})
    identify(files, "u1")
    async with running(files) as spaces:
        await caught_up(files)
        define(files, PROD)
        spaces.reload(files.control.snapshot())
    assert [path.name for path in files.instance.spaces.iterdir()] == ["1"]
    define(files)
    async with running(files):
        pass
    assert list(files.instance.spaces.iterdir()) == []


async def test_a_space_of_the_same_name_begins_anew_after_its_deletion(files: Files) -> None:
    define(files, PROD)
    identify(files, "u1", plan="free")
    async with running(files) as spaces:
        await caught_up(files)
        define(files)
        spaces.reload(files.control.snapshot())
        define(files, PROD)
        spaces.reload(files.control.snapshot())
        await caught_up(files)
    assert known(files, 2, "u1") == {"plan": '"free"'}


# -- spaces that cannot be read ----------------------------------------------------------------------------------------

DEV = {"slug": "dev", "sources": ["website"]}


def settle(path: Path) -> None:
    """Have all of it in the one file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def break_head(path: Path) -> None:
    """Make it no database."""
    settle(path)
    with path.open("r+b") as file:
        file.write(b"\0" * 100)


def break_pages(path: Path) -> None:
    """Leave the head, which says what is in the file, and nothing of that."""
    settle(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def stalls(files: Files) -> dict[str, str | None]:
    """Why each space stands still, by its slug."""
    return {entry["slug"]: entry.get("stall") for entry in files.views.status()["spaces"]}


async def until_left_out(files: Files, slug: str) -> str:
    """Wait until the space is left out; gives why."""
    async with asyncio.timeout(30):
        while not (found := stalls(files)[slug]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # threads and timers
    return found


@pytest.mark.parametrize("damage", [break_head, break_pages])
async def test_a_space_whose_file_is_broken_is_left_out_and_named_while_the_others_go_on(files: Files, damage) -> None:
    define(files, PROD, DEV)
    identify(files, "before")
    async with running(files):
        await caught_up(files)
    files.views.profiles.close()
    damage(files.instance.profiles(1))
    with capture_logs() as lines:
        async with running(files) as spaces:
            identify(files, "after")
            spaces.grown()
            why = await until_left_out(files, "prod")
            spaces.reload(files.control.snapshot())  # it is not tried again, and not told again
            async with asyncio.timeout(30):
                while known(files, 2, "after") is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    folder = files.instance.profiles(1).parent
    assert why.startswith(f"{folder}/profiles.db: ")
    assert f"restore a backup, or move {folder} away" in why
    assert [(line["space"], line["error"]) for line in lines if line["event"].startswith("space left out")] == [
        ("prod", why)
    ]
    assert stalls(files)["dev"] is None


async def test_a_space_that_breaks_while_it_runs_is_left_out(files: Files) -> None:
    define(files, PROD)
    async with running(files) as spaces:
        for number in range(300):
            identify(files, f"u{number}")
        spaces.grown()
        await caught_up(files)
        files.views.profiles.close()
        break_pages(files.instance.profiles(1))
        identify(files, "u1")
        identify(files, "later")
        spaces.grown()
        assert "profiles.db" in await until_left_out(files, "prod") or "malformed" in stalls(files)["prod"]


async def test_a_space_whose_broken_folder_was_moved_away_begins_anew(files: Files, tmp_path: Path) -> None:
    define(files, PROD)
    identify(files, "u1", plan="free")
    async with running(files):
        await caught_up(files)
    files.views.profiles.close()
    break_head(files.instance.profiles(1))
    async with running(files):
        await until_left_out(files, "prod")
    files.instance.profiles(1).parent.rename(tmp_path / "away")
    files.views.profiles.close()
    async with running(files):
        await caught_up(files)
    assert stalls(files) == {"prod": None}
    assert known(files, 1, "u1") == {"plan": '"free"'}


async def test_a_broken_space_can_be_deleted(files: Files) -> None:
    define(files, PROD)
    identify(files, "u1")
    async with running(files):
        await caught_up(files)
    files.views.profiles.close()
    break_head(files.instance.profiles(1))
    async with running(files) as spaces:
        await until_left_out(files, "prod")
        define(files)
        spaces.reload(files.control.snapshot())
    assert list(files.instance.spaces.iterdir()) == []


async def test_a_space_that_cannot_be_begun_now_is_tried_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_spaces, "AGAIN_S", 0.01)
    define(files, PROD)
    identify(files, "u1")
    folder = files.instance.profiles(1).parent
    folder.parent.mkdir()
    folder.write_text("in its way")
    async with running(files) as spaces:
        assert known_files(files) == ["1"]
        folder.unlink()
        spaces.grown()
        await caught_up(files)
    assert stalls(files) == {"prod": None}


def known_files(files: Files) -> list[str]:
    return [path.name for path in files.instance.spaces.iterdir()]


async def test_a_lake_whose_manifest_is_broken_is_named_while_its_space_goes_on(files: Files) -> None:
    define(files, PROD)
    identify(files, "u1")
    async with running(files):
        await caught_up(files)
        async with asyncio.timeout(30):
            while not (files.instance.lake(1) / "lake.db").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    files.views.lakes.close()
    break_head(files.instance.lake(1) / "lake.db")
    async with running(files) as spaces:
        identify(files, "u2")
        spaces.grown()
        async with asyncio.timeout(30):
            while known(files, 1, "u2") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "lake.db" in (stalls(files)["prod"] or "")
