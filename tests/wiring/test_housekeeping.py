from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import LogCapture

from segue.control.jobs import JobSpec, create_replay
from segue.control.secrets import Secrets
from segue.control.workspace import apply
from segue.control.workspace_file import parse_workspace
from segue.core.errors import OffsetExpired
from segue.core.event import NewRecord
from segue.lake.manifest import ManifestReaders
from segue.lake.writer import LakeWriter
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.settings import read_settings
from segue.state.control import ControlStore
from segue.state.deliveries import DeliveryReader, DeliveryWriter, Delta, DestinationState, ReplayState
from segue.state.profile_readers import ProfileReaders
from segue.state.profile_rows import ProfilesDelta, ProfilesState
from segue.state.profiles import ProfileWriter
from segue.wiring.housekeeping import Housekeeping

FILE = """
workspace: {name: Demo, slug: demo}
sources: [{slug: website, write_keys: [one]}]
destinations:
  - {slug: ahead, source: website, kind: planhat, enabled: true, settings: {apiKey: k}}
  - {slug: behind, source: website, kind: planhat, enabled: true, settings: {apiKey: k}}
  - {slug: "off", source: website, kind: planhat, enabled: false, settings: {apiKey: k}}
"""
SEGMENT = 10
HOUR_MS = 3_600_000
ENDLESS = "1000000GB"


class SetClock:
    def __init__(self) -> None:
        self.now = 1_790_000_000_000

    def now_ms(self) -> int:
        return self.now


class House:
    """A log of small segments, control with three destinations, state, and the housekeeping of all that."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.log = stack.enter_context(closing(SQLiteLogWriter(folder / "log", self.clock, segment_records=SEGMENT)))
        self.reader = stack.enter_context(closing(SQLiteLogReader(folder / "log")))
        self.control = stack.enter_context(closing(ControlStore(folder / "control.db", self.clock)))
        self.writer = stack.enter_context(closing(DeliveryWriter(folder / "state.db")))
        self.state = stack.enter_context(closing(DeliveryReader(folder / "state.db")))
        apply(self.control, parse_workspace(FILE.encode(), {}), Secrets.passing(), self.log.ends)
        self.profiles = stack.enter_context(closing(ProfileReaders(lambda space: folder / f"{space}" / "profiles.db")))
        self.lakes = stack.enter_context(closing(ManifestReaders(lambda space: folder / f"{space}" / "lake")))
        self.lines = LogCapture()

    def keeping(self, **settings: str) -> Housekeeping:
        given = {"SEGUE_LOG_KEEP": "1h", "SEGUE_DEDUP_WINDOW": "1h", "SEGUE_DISK_FLOOR": "1KB", **settings}
        return Housekeeping(
            self.folder,
            read_settings(given),
            log=self.log,
            control=self.control,
            state=self.state,
            profiles=self.profiles,
            lakes=self.lakes,
            clock=self.clock,
            lines=structlog.wrap_logger(None, processors=[self.lines], wrapper_class=structlog.BoundLogger),
        )

    def append(self, count: int) -> None:
        begin = self.log.ends().offset
        for number in range(begin, begin + count):
            self.log.append([NewRecord("website", "track", "u", f"m{number}", 1, b"{}", None)])
        assert self.log.settle(20)

    def stand(self, **positions: int) -> None:
        """Each destination has read so far."""
        numbers = {row.slug: row.id for row in self.control.snapshot().destinations}
        self.writer.commit(
            [
                Delta(
                    destination=numbers[slug], state=DestinationState(position=position, passed={"website": position})
                )
                for slug, position in positions.items()
            ]
        )

    def replay(self, slug: str, **state: Any) -> int:
        """A replay that has come so far; gives its number."""
        job = create_replay(self.control, slug, JobSpec())
        replays = {job.id: ReplayState(**({"position": 0, "end": 45} | state))}
        destination = DestinationState(position=45, passed={"website": 45})
        self.writer.commit([Delta(destination=job.destination, state=destination, replays=replays)])
        return job.id

    def said(self, what: str) -> list[Any]:
        return [line for line in self.lines.entries if line["event"] == what]

    def start(self) -> int:
        return self.reader.start(0)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


def test_what_is_old_goes_once_every_enabled_destination_has_passed_it(house):
    keeping = house.keeping()
    house.append(45)
    house.stand(ahead=45, behind=25)
    keeping.tidy()
    assert house.start() == 0  # not old enough
    house.clock.now += HOUR_MS
    keeping.tidy()
    assert house.start() == 20  # `off` has read nothing, and holds nothing up
    house.stand(behind=45)
    keeping.tidy()
    assert house.start() == 40  # the newest segment stays


def test_an_unfinished_event_keeps_its_segment(house):
    house.append(45)
    house.stand(ahead=45, behind=45)
    number = house.control.snapshot().destinations[1].id
    state = DestinationState(position=45, passed={"website": 45}, unfinished=[13])
    house.writer.commit([Delta(destination=number, state=state)])
    house.clock.now += HOUR_MS
    house.keeping().tidy()
    assert house.start() == 10


def test_a_destination_that_the_worker_has_not_met_yet_keeps_all_since_it_was_connected(house):
    house.append(45)
    house.clock.now += HOUR_MS
    house.keeping().tidy()
    assert house.start() == 0


def test_a_short_disk_drops_early_what_everybody_has_passed_and_nothing_else(house):
    house.append(45)
    house.stand(ahead=45, behind=25)
    house.keeping(SEGUE_DISK_FLOOR=ENDLESS).tidy()
    assert house.start() == 20
    assert house.said("log dropped")[0]["why"].startswith("disk is short")


def test_a_short_disk_drops_the_oldest_unread_only_where_that_is_allowed(house):
    house.append(45)
    house.stand(ahead=45, behind=5)
    house.keeping(SEGUE_DISK_FLOOR=ENDLESS, SEGUE_LOG_DROP_UNREAD="true").tidy()
    assert house.start() == 40
    with pytest.raises(OffsetExpired):
        house.reader.read(0, 5, 1)


def test_unread_ones_go_at_twice_the_floor_too_so_that_no_event_is_turned_away(house):
    house.append(45)
    house.stand(ahead=45, behind=5)
    floor = f"{shutil.disk_usage(house.folder).free * 3 // 4_000_000}MB"
    keeping = house.keeping(SEGUE_DISK_FLOOR=floor, SEGUE_LOG_DROP_UNREAD="true")
    assert keeping.disk_ok()
    keeping.tidy()
    assert house.start() == 40


def test_a_replay_under_way_keeps_what_it_has_still_to_read(house):
    house.append(45)
    house.stand(ahead=45, behind=45)
    job = house.replay("behind", position=25)
    house.clock.now += HOUR_MS
    house.keeping().tidy()
    assert house.start() == 20
    house.replay("ahead", position=45, unfinished=[34], state="done")
    number = house.control.snapshot().destinations[1].id
    over = {job: ReplayState(position=25, end=45, state="cancelled")}
    state = DestinationState(position=45, passed={"website": 45})
    house.writer.commit([Delta(destination=number, state=state, replays=over)])
    house.keeping().tidy()
    assert house.start() == 30, "one that is over or cancelled keeps only what it has on its way"


def test_a_replay_to_a_destination_that_is_off_holds_nothing_up(house):
    house.append(45)
    house.stand(ahead=45, behind=45)
    house.replay("behind")
    off = FILE.replace(
        "behind, source: website, kind: planhat, enabled: true",
        "behind, source: website, kind: planhat, enabled: false",
    )
    apply(house.control, parse_workspace(off.encode(), {}), Secrets.passing(), house.log.ends)
    house.clock.now += HOUR_MS
    house.keeping().tidy()
    assert house.start() == 40


def test_what_a_space_has_read_stays_until_its_lake_has_it(house):
    with_space = f"{FILE}spaces: [{{slug: prod, sources: [website]}}]\n"
    apply(house.control, parse_workspace(with_space.encode(), {}), Secrets.passing(), house.log.ends)
    house.append(45)
    house.stand(ahead=45, behind=45)
    house.clock.now += HOUR_MS
    number = house.control.snapshot().spaces[0].id
    (house.folder / f"{number}").mkdir()
    with (
        closing(ProfileWriter(house.folder / f"{number}" / "profiles.db")) as profiles,
        closing(LakeWriter(house.folder / f"{number}" / "lake")) as lake,
    ):
        house.keeping().tidy()
        assert house.start() == 0
        profiles.commit([ProfilesDelta(state=msgspec.msgpack.encode(ProfilesState(position=45)))])
        lake.write([], position=25, breathe=lambda: None)
        house.keeping().tidy()
        assert house.start() == 20
        lake.write([], position=45, breathe=lambda: None)
        house.keeping().tidy()
        assert house.start() >= 40


def test_a_replay_holds_nothing_up_where_the_disk_is_short(house):
    house.append(45)
    house.stand(ahead=45, behind=45)
    house.replay("behind")
    house.keeping(SEGUE_DISK_FLOOR=ENDLESS).tidy()
    assert house.start() == 40


async def test_the_disk_is_watched_on_after_a_failure_which_is_said_once(house):
    keeping = house.keeping(SEGUE_DISK_FLOOR=ENDLESS)
    keeping.look_s = 0.001
    house.append(45)
    house.stand(ahead=45, behind=25)
    broken = sqlite3.connect(house.folder / "state.db", isolation_level=None)
    broken.execute("ALTER TABLE destination RENAME TO gone")
    running = asyncio.create_task(keeping.run())
    async with asyncio.timeout(20):
        await until(lambda: house.said("log not tidied"))
        broken.execute("ALTER TABLE gone RENAME TO destination")
        await until(lambda: house.start() == 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    broken.close()
    complaints = [line["error"] for line in house.said("log not tidied")]
    assert len(complaints) == len(set(complaints))


async def until(look: Callable[[], object]) -> None:
    while not look():  # noqa: ASYNC110 - what is waited for happens in a thread
        await asyncio.sleep(0.001)
