"""The stage that brings one space's events into its lake, behind the resolver and in a thread of its own.

It reads what the resolver has committed, and the log, again: so it can stand still or be killed at any moment and goes
on at its cursor. What is newer than the cursor is read from the log by whoever asks.

Rule: it never runs ahead of the resolver's commits; cursor and files are one commit of the lake's manifest; what goes
wrong here holds up neither the resolver nor deliveries, but the log is kept until it has passed. No day goes that may
hold an event which still counts at the time of the next event to be resolved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from sqlite3 import Error as SQLiteError

from structlog.typing import FilteringBoundLogger

from segue.core.clock import Clock
from segue.core.errors import OffsetExpired, SegueError
from segue.core.event import Event, Record
from segue.lake.rows import Entry, day_of
from segue.lake.writer import LakeWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.profile_rows import Placed
from segue.state.profiles import ProfileReader

FLUSH_MS = 60_000
EVENTS_MOST = 10_000
"""So many are written at once, as soon as they wait."""
BYTES_MOST = 8_000_000
"""And not more than so many bytes of them, which are in memory together."""
RECORDS_AT_ONCE = 256
AGAIN_S = 10.0
OLD_DAYS_S = 3_600.0
BREATH_S = 0.0002


class _Ended(Exception):  # noqa: N818 - no error
    """The stage is being closed: what is under way is left as a crash would leave it."""


class LakeStage:
    """One space's. Made, told and closed on one event loop."""

    def __init__(
        self,
        space: str,
        *,
        profiles: Path,
        lake: Path,
        log: Path,
        clock: Clock,
        lines: FilteringBoundLogger,
        flush_ms: int = FLUSH_MS,
        keep_ms: int | None = None,
        grown: Callable[[], None] = lambda: None,
    ) -> None:
        """`profiles` is the file that the resolver writes, `lake` and `log` are folders.

        `keep_ms`: how long after its receipt an event counts; None: for ever. `grown` is called when the lake has come
        further.
        """
        self.position = 0
        """The lake's cursor, as far as it is known here."""
        self._space = space
        self._grown = grown
        self._work = _Work(profiles, lake, log, clock, keep_ms)
        self._flush_s = flush_ms / 1000
        self._keeps_all = keep_ms is None
        self._lines = lines
        self._thread = ThreadPoolExecutor(1, "lake")
        self._resolved = 0
        self._wanted = 0
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._hourly: asyncio.TimerHandle | None = None
        self._trouble = ""
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._due.set()  # once at the start: a crash may have left something to be done

    def want(self, position: int) -> None:
        """Have all below this offset as soon as it is committed, rather than when it is time."""
        self._wanted = position
        if self.position < position <= self._resolved:
            self._due.set()

    def resolved(self, position: int) -> None:
        """The resolver has committed up to this offset."""
        self._resolved = position
        if position - self.position >= EVENTS_MOST or self.position < self._wanted <= position:
            self._due.set()
        elif self._timer is None and position > self.position:
            self._timer = asyncio.get_running_loop().call_later(self._flush_s, self._due.set)

    async def close(self, grace_s: float) -> None:
        """End what is under way, which takes a moment, and let go of the files."""
        self._task.cancel()
        for timer in (self._timer, self._hourly):
            if timer is not None:
                timer.cancel()
        self._work.ended = True
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._work.close)
        await asyncio.wait({closing}, timeout=grace_s)
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._due.wait()
            self._due.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            try:
                more = await loop.run_in_executor(self._thread, self._work.flush)
                self.position = self._work.position
                self._grown()
                if more:
                    self._due.set()
                else:
                    self._tell(await loop.run_in_executor(self._thread, self._work.tidy))
                    self.resolved(self._resolved)
                    self._look_for_old_days()
                self._trouble = ""
            except _Ended:
                return
            except Exception as error:  # the edge of a task that nobody waits for; the next try may succeed
                self._complain(_told(error))
                await asyncio.sleep(AGAIN_S)
                self._due.set()

    def _look_for_old_days(self) -> None:
        """Have it tidied in an hour again, also where no event comes: days end by themselves."""
        if self._hourly is not None:
            self._hourly.cancel()
        if not self._keeps_all:
            self._hourly = asyncio.get_running_loop().call_later(OLD_DAYS_S, self._due.set)

    def _tell(self, dropped: tuple[str, int]) -> None:
        before, events = dropped
        if events:
            self._lines.info("history dropped", space=self._space, before=before, events=events)

    def _complain(self, trouble: str) -> None:
        """A line for a trouble that was not there before; not one with each try."""
        if trouble != self._trouble:
            self._lines.error("lake not written; it will be", space=self._space, error=trouble)
        self._trouble = trouble


class _Work:
    """What the thread does. Its files are opened there, at the first turn."""

    def __init__(self, profiles: Path, lake: Path, log: Path, clock: Clock, keep_ms: int | None) -> None:
        self._paths = (profiles, lake)
        self._clock = clock
        self._keep_ms = keep_ms
        self._dropped_before = ""
        self._log = SQLiteLogReader(log)
        self._files: tuple[ProfileReader, LakeWriter] | None = None
        self.ended = False

    @property
    def position(self) -> int:
        """The lake's cursor."""
        return 0 if self._files is None else self._files[1].position.offset

    def flush(self) -> bool:
        """Write a bounded part of what the resolver has committed; gives whether there is more."""
        profiles, writer = self._opened()
        start = writer.position.offset
        with profiles.snapshot():
            end = profiles.state().position
            placed = list(islice(profiles.placed(start), EVENTS_MOST + 1))
        if end <= start:
            return False
        entries, taken = self._entries(placed[:EVENTS_MOST])
        more = taken < len(placed)
        position = placed[taken].offset if more else end
        writer.write(entries, position=position, expired=taken - len(entries), breathe=self._breathe)
        return more

    def tidy(self) -> tuple[str, int]:
        """Drop what is too old, make few files of many, write who has changed, and remove what was replaced.

        Gives the day before which events were dropped, and how many.
        """
        profiles, writer = self._opened()
        dropped = self._drop_old()
        while writer.compact(self._clock.now_ms(), self._breathe):
            pass
        writer.refresh_people(profiles, self._clock.now_ms(), self._breathe)
        writer.sweep(self._clock.now_ms())
        return dropped

    def _drop_old(self) -> tuple[str, int]:
        """Drop the days of which nothing counts any more."""
        if self._keep_ms is None:
            return "", 0
        profiles, writer = self._opened()
        unread = self._log.read(0, max(profiles.state().position, self._log.start(0)), 1)
        now = min([self._clock.now_ms(), *(record.received_at for record in unread)])
        before = day_of(now - self._keep_ms)
        if before <= self._dropped_before:
            return before, 0
        # Which profiles have changed is known from the events that are in the lake.
        writer.refresh_people(profiles, self._clock.now_ms(), self._breathe, whole=True)
        events = writer.drop_days(before, self._clock.now_ms())
        self._dropped_before = before
        return before, events

    def close(self) -> None:
        """Let go of the files."""
        self._log.close()
        if self._files is not None:
            for file in self._files:
                file.close()

    def _opened(self) -> tuple[ProfileReader, LakeWriter]:
        self._breathe()
        if self._files is None:
            profiles, lake = self._paths
            reader = ProfileReader(profiles)
            try:
                self._files = (reader, LakeWriter(lake))
            except BaseException:
                reader.close()
                raise
        return self._files

    def _entries(self, placed: Sequence[Placed]) -> tuple[list[Entry], int]:
        """The events of the first of these, as many as may be in memory, without those that the log has lost."""
        entries: list[Entry] = []
        taken = size = 0
        while taken < len(placed) and size < BYTES_MOST:
            some = placed[taken : taken + RECORDS_AT_ONCE]
            records = {record.offset: record for record in self._records(some)}
            for each in some:
                record = records.get(each.offset)
                if record is not None:
                    entries.append(Entry(record, Event(record.body), each))
                    size += len(record.body)
            taken += len(some)
            self._breathe()
        return entries, taken

    def _records(self, placed: Sequence[Placed]) -> Iterator[Record]:
        """The records of these events. Where others stand between them, each is looked up by itself."""
        first, last = placed[0].offset, placed[-1].offset
        if last - first < 2 * len(placed):
            try:
                yield from self._log.read(0, first, last - first + 1)
                return
            except OffsetExpired:
                pass
        yield from self._log.get(each.offset for each in placed)

    def _breathe(self) -> None:
        if self.ended:
            raise _Ended
        time.sleep(BREATH_S)  # gives up the interpreter, which the loop may be waiting for


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, SegueError | SQLiteError) else f"{type(error).__name__}: {error}"
