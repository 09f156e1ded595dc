"""The spaces of an instance, as the worker runs them: each with its own loop, and its own file to commit to.

Rule: one process resolves a space, and it alone writes that space's file and its lake; what a deleted space left is
removed, here or at the next start.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import partial

from structlog.typing import FilteringBoundLogger

from segue.core.clock import Clock
from segue.log.tail import Tail
from segue.resolve.resolver import Resolver
from segue.stage import StageLoop
from segue.state.control import Control
from segue.state.profiles import ProfileReader, ProfileWriter
from segue.state.spaces import SpaceRow
from segue.wiring.instance import Instance
from segue.wiring.lake_stage import FLUSH_MS, LakeStage
from segue.wiring.space_stage import SpaceStage

REMOVE_S = 30.0
"""How long a space that is deleted may take to end; what its threads write meanwhile could not be removed."""


class _Running:
    """One space at work: what is open, and the loop that drives it."""

    def __init__(
        self,
        row: SpaceRow,
        instance: Instance,
        tail: Tail,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        lake_flush_ms: int,
    ) -> None:
        path = instance.profiles(row.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.row = row
        self._writer = ProfileWriter(path)
        self._reader = ProfileReader(path)
        resolver = Resolver(space=row.id, rules=row.identity, rows=self._reader)
        self._lake = LakeStage(
            row.slug,
            profiles=path,
            lake=instance.lake(row.id),
            log=instance.log,
            clock=clock,
            lines=log,
            flush_ms=lake_flush_ms,
        )
        self._stage = SpaceStage(row, resolver, tail, clock, lake=self._lake)
        self.loop = StageLoop(clock=clock, commit=self._writer.commit, failed=partial(_not_written, log, row.slug))
        self.loop.add(self._stage)

    def reconfigure(self, row: SpaceRow) -> None:
        self.row = row
        self._stage.reconfigure(row)
        self.loop.wake_all()

    async def close(self, grace_s: float) -> None:
        try:
            await asyncio.gather(self.loop.close(grace_s), self._lake.close(grace_s))
        finally:
            self._reader.close()
            self._writer.close()


class Spaces:
    """All spaces. Made, reloaded and closed on one event loop."""

    def __init__(
        self,
        instance: Instance,
        tail: Tail,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        lake_flush_ms: int = FLUSH_MS,
    ) -> None:
        self._instance = instance
        self._lake_flush_ms = lake_flush_ms
        self._tail = tail
        self._clock = clock
        self._log = log
        self._running: dict[int, _Running] = {}
        self._removals: set[asyncio.Task[None]] = set()

    def grown(self) -> None:
        """The log has new records."""
        for running in self._running.values():
            running.loop.wake_all()

    def reload(self, control: Control) -> None:
        """Run the spaces that control has now, and no other."""
        wanted = {row.id: row for row in control.spaces}
        for number in set(self._stored()) | set(self._running):
            if number not in wanted:
                self._remove(number)
        for row in wanted.values():
            known = self._running.get(row.id)
            if known is None:
                self._running[row.id] = _Running(
                    row, self._instance, self._tail, self._clock, self._log, lake_flush_ms=self._lake_flush_ms
                )
            elif known.row != row:
                known.reconfigure(row)
        self.grown()

    async def close(self, grace_s: float) -> None:
        """Commit what there is, and end."""
        ended = await asyncio.gather(
            *(running.close(grace_s) for running in self._running.values()), *self._removals, return_exceptions=True
        )
        self._running.clear()
        for error in ended:
            if isinstance(error, Exception):
                self._log.error("a space did not end well; it goes on at its last commit", error=str(error))

    def _stored(self) -> list[int]:
        folder = self._instance.spaces
        return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.exists() else []

    def _remove(self, number: int) -> None:
        running = self._running.pop(number, None)
        task = asyncio.get_running_loop().create_task(self._removed(number, running))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def _removed(self, number: int, running: _Running | None) -> None:
        if running is not None:
            await running.close(REMOVE_S)
        folder = self._instance.profiles(number).parent
        try:
            await asyncio.to_thread(shutil.rmtree, folder)
        except FileNotFoundError:
            pass  # an earlier change of control removes it already
        except OSError as error:
            self._log.warning("what a deleted space left cannot be removed", folder=str(folder), error=str(error))
        else:
            self._log.info("space removed", space=number)


def _not_written(log: FilteringBoundLogger, space: str, error: Exception) -> None:
    log.error(
        "profiles not written; none is changed until they are", space=space, error=f"{type(error).__name__}: {error}"
    )
