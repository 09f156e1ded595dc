"""The spaces that a worker runs: who is known after what the log holds, after restarts and changes of control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import msgspec
import structlog

from segue.control.workspace import apply
from segue.control.workspace_file import parse_workspace
from segue.core.event import NewRecord
from segue.core.profile import ExternalId
from segue.log.sqlite_reader import SQLiteLogReader
from segue.log.tail import Tail
from segue.state.profiles import ProfileReader
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
        return any(states[row.id].position < files.log.ends().offset for row in control.spaces)

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
