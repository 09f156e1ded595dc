"""The mover with the real log, group commit and outbox: each message once and in order, wherever it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from segue.collect.commit import Committer
from segue.collect.limits import CollectLimits
from segue.collect.metrics import CollectMetrics
from segue.core.errors import Unavailable
from segue.core.event import Event, Record
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.computed_rows import ComputedDelta, ComputeState
from segue.state.outbox import OutboxRow
from segue.state.outbox_reader import OutboxReaders
from segue.state.profile_rows import ProfilesDelta, ProfilesState
from segue.state.profiles import ProfileWriter
from segue.state.quarantine import Quarantine
from segue.state.spaces import SpaceRow
from segue.wiring import mover as module
from segue.wiring.mover import Mover

from .files import NOW, SetClock

PROD, DEV = SpaceRow(id=1, slug="prod", name="Prod"), SpaceRow(id=2, slug="dev", name="Dev")
HOUR = 3_600_000
STATE = msgspec.msgpack.encode(ProfilesState())


class Cut(BaseException):
    """The process is killed here."""


class Appends:
    """The group commit; `cut` says before and after each append whether the process ends, `fails` whether it cannot."""

    def __init__(self, committer: Committer) -> None:
        self.committer = committer
        self.cut: Callable[[str], bool] = lambda _: False
        self.fails = False
        self.sizes: list[int] = []

    def submit(self, records: Any, drops: Any) -> asyncio.Future[list[int | None]]:
        if self.fails:
            raise Unavailable("too many requests wait for the event log; send again")
        self.sizes.append(len(records))
        return asyncio.ensure_future(self._submit(records, drops))

    async def _submit(self, records: Any, drops: Any) -> list[int | None]:
        if self.cut("before"):
            raise Cut
        offsets = await self.committer.submit(records, drops)
        if self.cut("after"):
            raise Cut
        return offsets


class World:
    """The collector's side of an instance, and a worker that only says things and meets them in the log."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.log = stack.enter_context(closing(SQLiteLogWriter(folder / "log", self.clock, dedup_window_ms=HOUR)))
        self.reader = stack.enter_context(closing(SQLiteLogReader(folder / "log")))
        quarantine = stack.enter_context(closing(Quarantine(folder / "quarantine.db")))
        self.committer = Committer(
            self.log, quarantine, clock=self.clock, limits=CollectLimits(), metrics=CollectMetrics()
        )
        self.appends = Appends(self.committer)
        self.outboxes = stack.enter_context(closing(OutboxReaders(self.path)))
        self.writers = {row.id: stack.enter_context(closing(ProfileWriter(self.path(row.id)))) for row in (PROD, DEV)}
        self._movers = stack
        self.disk_ok = True
        self.said: dict[int, list[str]] = {PROD.id: [], DEV.id: []}
        self.met = 0  # offset of the next record that the worker reads
        self.mover = self.begin()

    def path(self, space: int) -> Path:
        folder = self.folder / str(space)
        folder.mkdir(exist_ok=True)
        return folder / "profiles.db"

    def begin(self) -> Mover:
        """A collector starts: it knows nothing of what another has moved."""
        self.woken = asyncio.Event()
        self.mover = self._movers.enter_context(closing(self._mover()))
        self.mover.again_s = 0.001
        self.mover.use((PROD, DEV))
        return self.mover

    def _mover(self) -> Mover:
        return Mover(
            self.outboxes,
            log=self.reader,
            committer=self.appends,
            woken=self.woken,
            disk_ok=lambda: self.disk_ok,
            clock=self.clock,
            lines=structlog.get_logger(),
        )

    def say(self, space: SpaceRow, count: int = 1) -> None:
        ids = [f"personas_{space.slug}_{len(self.said[space.id]) + place}" for place in range(count)]
        self.said[space.id] += ids
        body = b'{"type":"identify","messageId":"%s","userId":"u1"}'
        rows = [OutboxRow(id_, "identify", "u1", "7,9", self.clock.now, body % id_.encode()) for id_ in ids]
        self._commit(space.id, outbox=rows)

    def meet(self, count: int) -> None:
        """The worker reads so much of the log, and deletes what it met of each space."""
        records = self.reader.read(0, self.met, count)
        self.met += len(records)
        for space in (PROD, DEV):
            self._commit(space.id, moved=[each.message_id for each in records if each.source == space.own_source])

    def _commit(self, space: int, **rows: Any) -> None:
        computed = ComputedDelta(state=ComputeState(), **rows)
        self.writers[space].commit([ProfilesDelta(state=STATE, computed=computed)])

    def logged(self, space: SpaceRow) -> list[Record]:
        return [record for record in self.reader.read(0, 0, 100_000) if record.source == space.own_source]

    def check(self) -> None:
        """Every message is in the log once, in order, and none ever came as a duplicate."""
        ends = self.reader.ends()
        for space in (PROD, DEV):
            said = self.said[space.id]
            assert [record.message_id for record in self.logged(space)] == said
            assert ends.sources.get(space.own_source, (0, 0)) == (len(said), 0)


@asynccontextmanager
async def made(folder: Path) -> AsyncIterator[World]:
    with ExitStack() as stack:
        world = World(folder, stack)
        try:
            yield world
        finally:
            await world.committer.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made(tmp_path) as world:
        yield world


async def test_messages_enter_the_log_in_order_with_whom_they_are_for(world: World) -> None:
    world.say(PROD, 2)
    world.say(DEV)
    world.clock.now += 5
    assert await world.mover.move_all()
    world.check()
    first = world.logged(PROD)[0]
    assert (first.destinations, first.user_key, first.type) == ("7,9", "u1", "identify")
    assert first.received_at == NOW + 5
    assert msgspec.json.decode(first.body)["receivedAt"] == "2026-09-21T14:13:20.005Z"
    assert Event(first.body).message_id == first.message_id == "personas_prod_0"


async def test_what_is_met_in_the_log_is_deleted_and_nothing_is_moved_twice(world: World) -> None:
    world.say(PROD, 3)
    await world.mover.move_all()
    world.meet(2)
    await world.mover.move_all()
    world.say(PROD)
    await world.mover.move_all()
    world.check()
    assert world.appends.sizes == [3, 1]


async def test_no_append_is_larger_than_its_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 4)
    world.say(PROD, 10)
    await world.mover.move_all()
    world.check()
    assert world.appends.sizes == [4, 4, 2]


async def test_what_cannot_be_appended_now_is_tried_again_and_said_once(world: World) -> None:
    world.appends.fails = True
    world.say(PROD)
    with capture_logs() as lines:
        for _ in range(4):
            world.mover._spaces[PROD.id].again_at = 0
            assert not await world.mover.move_all()
        world.appends.fails = False
        world.mover._spaces[PROD.id].again_at = 0
        assert await world.mover.move_all()
    assert [(line["log_level"], line["space"]) for line in lines] == [("warning", "prod"), ("info", "prod")]
    world.check()


async def test_nothing_is_moved_while_the_disk_is_short(world: World) -> None:
    world.disk_ok = False
    world.say(PROD)
    assert not await world.mover.move_all()
    assert world.logged(PROD) == []


async def test_a_space_in_trouble_holds_up_no_other(world: World, tmp_path: Path) -> None:
    world.say(PROD)
    world.say(DEV)
    world.writers.pop(PROD.id).close()
    world.outboxes.close()
    world.path(PROD.id).write_bytes(b"no database" * 100)
    assert not await world.mover.move_all()
    assert len(world.logged(DEV)) == 1


async def test_it_moves_when_it_is_woken_and_tries_again_by_itself(world: World) -> None:
    running = asyncio.create_task(world.mover.run())
    world.appends.fails = True
    world.say(PROD, 2)
    world.woken.set()
    await until(lambda: world.mover._spaces[PROD.id].failures > 1)
    world.appends.fails = False
    await until(lambda: len(world.logged(PROD)) == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("met", [0, 3, 7])
async def test_cut_at_an_append_it_goes_on_where_the_log_stands(world: World, moment: str, met: int) -> None:
    world.say(PROD, 5)
    await world.mover.move_all()
    world.say(PROD, 4)
    world.appends.cut = moment.__eq__
    with pytest.raises(Cut):
        await world.mover.move_all()
    world.appends.cut = lambda _: False
    world.clock.now += 2 * HOUR  # the log no longer knows them as duplicates
    world.meet(met)
    await world.begin().move_all()
    world.check()


@pytest.mark.parametrize("seed", range(12))
async def test_each_message_is_in_the_log_once_wherever_it_is_cut(tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    random = Random(seed)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", random.choice((1, 3, 50)))
    async with made(tmp_path) as world:
        world.appends.cut = lambda _: random.random() < 0.2
        for _ in range(40):
            step = random.choice(("say", "say", "move", "move", "meet", "wait"))
            if step == "say":
                world.say(random.choice((PROD, DEV)), random.randint(1, 9))
            elif step == "meet":
                world.meet(random.randint(0, 12))
            elif step == "wait":
                world.clock.now += random.choice((1, HOUR, 30 * HOUR))
            else:
                try:
                    await world.mover.move_all()
                except Cut:
                    world.begin()
        world.appends.cut = lambda _: False
        await world.begin().move_all()
        world.check()
        world.meet(10_000)
        assert all(reader.count() == 0 for space in (PROD, DEV) if (reader := world.outboxes.get(space.id)))
