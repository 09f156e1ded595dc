"""Housekeeping of the log: retention, and what is done when the disk gets short.

Rule: an event that an enabled destination, a space or its lake has not passed is dropped only where
`log.drop_unread` says so. A replay under way keeps what it has still to read beyond `log.keep`, but not where the disk
is short.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from segue.control.status import unread_state
from segue.core.clock import Clock
from segue.core.errors import Damaged
from segue.lake.manifest import ManifestReaders
from segue.log import Dropped, LogWriter
from segue.settings import Settings
from segue.state.control import Control, ControlStore
from segue.state.deliveries import DeliveryReader, DestinationState, ReplayState
from segue.state.profile_readers import ProfileReaders

LOOK_AT_DISK_S = 0.5
RETENTION_S = 60.0
EARLY_DROPS_AT_ONCE = 64


def passed_by_all(control: Control, states: dict[int, DestinationState], end: int) -> int:
    """The lowest offset that an enabled destination has still to read; the log's end where there is none."""
    lowest = end
    for row in control.destinations:
        if row.enabled:
            state = states.get(row.id) or unread_state(row)
            lowest = min(lowest, state.position, *state.unfinished)
    return lowest


def passed_by_replays(control: Control, replays: dict[int, ReplayState], end: int) -> int:
    """The lowest offset that a replay to an enabled destination has still to read; the log's end where there is none.

    One to a destination that is disabled makes no progress, and one that control has forgotten is not gone on with.
    """
    lowest = end
    enabled = {row.id for row in control.destinations if row.enabled}
    for job in control.jobs:
        replay = replays.get(job.id)
        if replay is not None and job.destination in enabled:
            begin = replay.position if replay.state == "running" else end
            lowest = min(lowest, begin, *replay.unfinished)
    return lowest


def passed_by_spaces(control: Control, profiles: ProfileReaders, lakes: ManifestReaders, end: int) -> int:
    """The lowest offset that a space or its lake has still to read; the log's end where there is none.

    One whose files are broken has still to read everything: what mends it goes on from its last commit.
    """
    numbers = [row.id for row in control.spaces]
    profiles.keep(numbers)
    lakes.keep(numbers)
    lowest = end
    for number in numbers:
        try:
            reader, manifest = profiles.get(number), lakes.get(number)
            lowest = min(lowest, 0 if reader is None else reader.state().position)
            lowest = min(lowest, 0 if manifest is None else manifest.position().offset)
        except Damaged:
            return 0
    return lowest


class Housekeeping:
    """Watches the disk twice a second, and drops what may go."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        log: LogWriter,
        control: ControlStore,
        state: DeliveryReader,
        profiles: ProfileReaders,
        lakes: ManifestReaders,
        clock: Clock,
        lines: FilteringBoundLogger,
    ) -> None:
        self._folder = folder
        self._floor = settings.disk.floor_bytes
        self._keep_ms = settings.log.keep_ms
        self._drop_unread = settings.log.drop_unread
        self._log = log
        self._control = control
        self._state = state
        self._profiles = profiles
        self._lakes = lakes
        self._clock = clock
        self._lines = lines
        self._trouble: str | None = None
        self.look_s = LOOK_AT_DISK_S
        self.free_bytes = shutil.disk_usage(folder).free

    def disk_ok(self) -> bool:
        """Whether there is room for more events."""
        return self.free_bytes >= self._floor

    async def run(self) -> None:
        """Look after the log until cancelled. What goes wrong is said, and tried again: the disk must be watched on."""
        loop = asyncio.get_running_loop()
        tidy_at = loop.time() + RETENTION_S
        while True:
            await asyncio.sleep(self.look_s)
            try:
                self._look_at_disk()
                if self.free_bytes < 2 * self._floor or loop.time() >= tidy_at:
                    tidy_at = loop.time() + RETENTION_S
                    await asyncio.to_thread(self.tidy)
            except Exception as error:  # the edge of a task that nobody waits for
                self._complain(f"{type(error).__name__}: {error}")

    def _look_at_disk(self) -> None:
        was_ok = self.disk_ok()
        self.free_bytes = shutil.disk_usage(self._folder).free
        if was_ok != self.disk_ok():
            say = self._lines.warning if was_ok else self._lines.info
            say("disk is short: events are refused" if was_ok else "disk has room again", free=self.free_bytes)

    def tidy(self) -> None:
        """Drop what may go. Raises what the log and the state raise."""
        end = self._log.ends().offset
        control = self._control.snapshot()
        passed = passed_by_all(control, self._state.destinations(), end)
        passed = min(passed, passed_by_spaces(control, self._profiles, self._lakes, end))
        old = min(passed, passed_by_replays(control, self._state.replays(), end))
        self._say(self._log.retain(passed=old, keep_ms=self._keep_ms, now_ms=self._clock.now_ms()), "kept long enough")
        for _ in range(EARLY_DROPS_AT_ONCE):
            if shutil.disk_usage(self._folder).free >= 2 * self._floor or not self._drop_early(passed):
                break
        self._complain(self._log.trouble)

    def _complain(self, trouble: str | None) -> None:
        """A line for a trouble that was not there before; not one twice a second."""
        if trouble != self._trouble and trouble is not None:
            self._lines.warning("log not tidied", error=trouble)
        self._trouble = trouble

    def _drop_early(self, passed: int) -> bool:
        """Drop one piece for the disk's sake; False where nothing may go.

        Unread ones, where that is allowed, go at twice the floor too: the purpose is that no event is turned away.
        """
        gone = self._log.drop_passed(passed)
        if gone is not None:
            self._say(gone, "disk is short, and every reader has passed it")
        elif self._drop_unread:
            gone = self._log.drop_oldest()
            self._say(gone, "disk is short, and log.drop_unread is set")
        return gone is not None

    def _say(self, gone: Dropped | None, why: str) -> None:
        if gone is not None:
            self._lines.info("log dropped", start=gone.start, end=gone.end, why=why)
