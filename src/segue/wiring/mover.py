"""The mover: puts what spaces have decided to say into the log, where destinations read it.

Rule: the messages of a space enter the log in the order of its outbox, each once: one append at a time is on its way,
and the next begins after it is durable. It writes nothing but the log; the worker deletes a row when it has met the
message there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from segue.core.clock import Clock, iso
from segue.core.errors import SegueError, Unavailable
from segue.core.event import NewRecord, Record
from segue.state.outbox import OutboxRow
from segue.state.outbox_reader import OutboxReader, OutboxReaders
from segue.state.quarantine import Drop
from segue.state.spaces import SpaceRow

ROWS_AT_ONCE = 1_000
BYTES_AT_ONCE = 1_000_000
"""So few that the requests that share the commit wait for milliseconds only."""
AGAIN_S = 1.0
COMPLAIN_AT = 2
"""Failures in a row before a line is logged: at a start the worker may still be bringing the file up to date."""

Answer = TypeVar("Answer")


class Appender(Protocol):
    """What the mover asks of the collector's group commit."""

    def submit(self, records: Sequence[NewRecord], drops: Sequence[Drop]) -> asyncio.Future[list[int | None]]:
        """Durable when the answer comes. Raises Unavailable, at once or as the answer."""
        ...


class Found(Protocol):
    """What the mover asks of the log."""

    def find(self, message_id: str, sources: Iterable[str]) -> list[Record]:
        """Every record held of these sources with this messageId."""
        ...


class _Space(Struct):
    """One space, how far its outbox is moved, and what went wrong how often. `again_at` is the loop's time."""

    row: SpaceRow
    moved: int | None = None  # the last `seq` that is in the log; None until that was looked up
    failures: int = 0
    again_at: float = 0.0
    told: str = ""


class Mover:
    """Moves the outboxes of all spaces, until cancelled. Made and used on one event loop."""

    def __init__(
        self,
        outboxes: OutboxReaders,
        *,
        log: Found,
        committer: Appender,
        woken: asyncio.Event,
        disk_ok: Callable[[], bool],
        clock: Clock,
        lines: FilteringBoundLogger,
    ) -> None:
        """`woken` is set by whoever knows that there may be more to move; `disk_ok` as the collector asks it."""
        self._outboxes = outboxes
        self._log = log
        self._committer = committer
        self._woken = woken
        self._disk_ok = disk_ok
        self._clock = clock
        self._lines = lines
        self._spaces: dict[int, _Space] = {}
        self._thread = ThreadPoolExecutor(1, "mover")
        self.again_s = AGAIN_S

    def use(self, rows: Sequence[SpaceRow]) -> None:
        """Move what these spaces say, and nothing else."""
        self._spaces = {row.id: self._spaces.get(row.id) or _Space(row) for row in rows}
        self._woken.set()

    async def run(self) -> None:
        """Move what there is, each time that it is woken. What cannot be moved now is tried again."""
        pause = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            self._woken.clear()
            pause = None if await self.move_all() else self.again_s

    def close(self) -> None:
        """Wait until nothing is read any more. An append that is on its way is the group commit's."""
        self._thread.shutdown()

    async def move_all(self) -> bool:
        """Move until nothing is left; False where something is that could not be moved now."""
        self._outboxes.keep(self._spaces)
        now = asyncio.get_running_loop().time()
        left = [space for space in self._spaces.values() if space.again_at <= now]
        is_done = len(left) == len(self._spaces)
        while left:
            more = []
            for space in left:
                try:
                    if await self._move(space):
                        more.append(space)
                    self._well(space)
                except Exception as error:  # whatever it is, the other spaces must not wait for this one
                    self._failed(space, error)
                    is_done = False
            left = more
        return is_done

    async def _move(self, space: _Space) -> bool:
        """Move some; whether there may be more."""
        reader = self._outboxes.get(space.row.id)
        if reader is None:
            return False
        if space.moved is None:
            space.moved = await self._read(self._last_moved, reader, space.row.own_source)
        rows = await self._read(partial(reader.rows, space.moved, count=ROWS_AT_ONCE, size=BYTES_AT_ONCE))
        if not rows:
            return False
        if not self._disk_ok():
            raise Unavailable("the disk is short: the log takes no more events")
        now = self._clock.now_ms()
        await self._committer.submit([as_record(space.row.own_source, row, now) for _, row in rows], ())
        space.moved = rows[-1][0]
        return True

    async def _read(self, read: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, read, *arguments)

    def _last_moved(self, reader: OutboxReader, source: str) -> int:
        """The last `seq` that a process before this one has moved: how far the messages are in the log.

        They were moved in order, so that it is found by halves, whatever the age of the rows: the log need not still
        know them as duplicates.
        """
        moved, last = 0, reader.last()
        while moved < last:
            middle = (moved + last + 1) // 2
            found = reader.next_id(middle - 1)
            if found is not None and self._log.find(found[1], [source]):
                moved = found[0]
            else:
                last = middle - 1
        return moved

    def _well(self, space: _Space) -> None:
        if space.told:
            self._lines.info("a space's messages are moved again", space=space.row.slug)
        space.failures, space.again_at, space.told = 0, 0.0, ""

    def _failed(self, space: _Space, error: Exception) -> None:
        space.failures += 1
        space.again_at = asyncio.get_running_loop().time() + self.again_s
        why = str(error) if isinstance(error, SegueError) else f"{type(error).__name__}: {error}"
        if space.failures >= COMPLAIN_AT and why != space.told:
            space.told = why
            self._lines.warning("a space's messages wait in its outbox", space=space.row.slug, error=why)


def as_record(source: str, row: OutboxRow, now_ms: int) -> NewRecord:
    """The row as the log takes it, received now."""
    body = row.body[:-1] + b',"receivedAt":"' + iso(now_ms).encode() + b'"}'
    return NewRecord(source, row.type, row.user_key, row.message_id, now_ms, body, row.destinations)
