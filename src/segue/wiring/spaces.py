"""The spaces of an instance, as the worker runs them: each with its own loop, and its own file to commit to.

Rule: one process resolves a space, and it alone writes that space's file and its lake; what a deleted space left is
removed, here or at the next start. A space that cannot be read is left out and named, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from structlog.typing import FilteringBoundLogger

from segue.core.clock import Clock
from segue.core.errors import Damaged, SegueError
from segue.destinations import catalog
from segue.log.tail import Tail
from segue.stage import StageLoop
from segue.state.computations import ComputationRow
from segue.state.computed import ComputedReader
from segue.state.control import Control
from segue.state.database import is_damage
from segue.state.profile_rows import ProfilesDelta
from segue.state.profiles import ProfileReader, ProfileWriter
from segue.state.spaces import SpaceRow
from segue.wiring.instance import Instance
from segue.wiring.lake_stage import FLUSH_MS, LakeStage

if TYPE_CHECKING:
    from segue.compute.catching_up import Target

Passed = Callable[[int, str], int | None]

AGAIN_S = 10.0
"""How long a space that cannot be begun now waits until it is tried again; one whose files are broken is not."""
LEAVE_S = 1.0
"""How long one that is left out may take to end; nothing that it has not committed can be."""
REMOVE_S = 30.0
"""How long a space that is deleted may take to end; what its threads write meanwhile could not be removed."""


class Definitions(NamedTuple):
    """What a space computes, and whom it tells. `keep_ms`: how long after its receipt an event counts."""

    rows: tuple[ComputationRow, ...]
    targets: Mapping[int, Target]
    keep_ms: int | None


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
        definitions: Definitions,
        lake_flush_ms: int,
        passed: Passed,
        appended: Callable[[str], int],
        broken: Callable[[Exception], bool],
        emitted: Callable[[], None],
    ) -> None:
        """`broken` is told what its stage or its commit raised, and says whether it leaves the space out."""
        # An instance without spaces has no need of the memory that these take.
        from segue.resolve.resolver import Resolver
        from segue.wiring.space_past import SpacePast
        from segue.wiring.space_stage import SpaceStage

        path = instance.profiles(row.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.row = row
        self._definitions = definitions
        with ExitStack() as opened:
            self._writer = opened.enter_context(closing(ProfileWriter(path)))
            reader = opened.enter_context(closing(ProfileReader(path)))
            computed = opened.enter_context(closing(ComputedReader(path)))
            resolver = Resolver(space=row.id, rules=row.identity, rows=reader)
            self._past = SpacePast(instance.lake(row.id), log, self._wake)
            self._stage = SpaceStage(
                row, resolver, tail, clock, computed=computed, past=self._past, passed=passed, appended=appended
            )
            self._use(definitions)
            self._files = opened.pop_all()

        def not_written(error: Exception) -> None:
            if not broken(error):
                _tell_not_written(log, row.slug, error)

        self._lake = LakeStage(
            row.slug,
            profiles=path,
            lake=instance.lake(row.id),
            log=instance.log,
            clock=clock,
            lines=log,
            flush_ms=lake_flush_ms,
            keep_ms=definitions.keep_ms,
            grown=self._wake,
        )
        self._stage.before(self._lake)
        commit = partial(_commit, self._writer, emitted)
        self.loop = StageLoop(clock=clock, commit=commit, failed=not_written, broken=broken)
        self.loop.add(self._stage)

    def reconfigure(self, row: SpaceRow, definitions: Definitions) -> None:
        if row != self.row:
            self.row = row
            self._stage.reconfigure(row)
        if definitions != self._definitions:
            self._definitions = definitions
            self._use(definitions)
        self.loop.wake_all()

    def abandon(self) -> None:
        """What is not committed will not be."""
        self._stage.abandon()

    async def close(self, grace_s: float) -> None:
        try:
            await asyncio.gather(self.loop.close(grace_s), self._lake.close(grace_s), self._past.close())
        finally:
            self._files.close()

    def _use(self, definitions: Definitions) -> None:
        self._stage.use(definitions.rows, definitions.targets, retention_ms=definitions.keep_ms)

    def _wake(self) -> None:
        self.loop.wake_all()


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
        lake_keep_ms: int | None = None,
        passed: Passed = lambda _destination, _source: None,
        appended: Callable[[str], int] = lambda _source: 1 << 62,
        emitted: Callable[[], None] = lambda: None,
    ) -> None:
        """`passed` gives the last ordinal of a source that a destination has passed; None where it is not at work.

        `appended` gives the last ordinal of a source in the log. `emitted` is called from any thread when an outbox
        has new rows.
        """
        self._instance = instance
        self._passed = passed
        self._appended = appended
        self._emitted = emitted
        self._definitions: dict[int, Definitions] = {}
        self._lake_flush_ms = lake_flush_ms
        self._lake_keep_ms = lake_keep_ms
        self._tail = tail
        self._clock = clock
        self._log = log
        self._running: dict[int, _Running] = {}
        self._left_out: dict[int, str] = {}  # why, by the space's id
        self._again: dict[int, asyncio.TimerHandle] = {}
        self._endings: dict[int, asyncio.Task[None]] = {}

    def grown(self) -> None:
        """The log has new records."""
        for running in self._running.values():
            running.loop.wake_all()

    def reload(self, control: Control) -> None:
        """Run the spaces that control has now, and no other."""
        wanted = {row.id: row for row in control.spaces}
        self._definitions = {row.id: self._defined(control, row) for row in control.spaces}
        for number in set(self._stored()) | set(self._running):
            if number not in wanted:
                self._remove(number)
        for row in wanted.values():
            known = self._running.get(row.id)
            if known is None:
                self._begin(row)
            else:
                self._reconfigure(known, row)
        self.grown()

    def _defined(self, control: Control, space: SpaceRow) -> Definitions:
        from segue.compute.catching_up import Target  # as above

        rows = tuple(control.computations_of(space.id))
        named = {connection.destination for row in rows for connection in row.connections}
        kinds = catalog()
        targets = {row.id: Target(kinds[row.kind].name, row.enabled) for row in control.destinations if row.id in named}
        return Definitions(rows, targets, self._lake_keep_ms)

    def _reconfigure(self, known: _Running, row: SpaceRow) -> None:
        try:
            known.reconfigure(row, self._definitions[row.id])
        except Exception as error:  # what is at hand may be half of the old and half of the new
            self._begin_anew(row, error)

    def _begin(self, row: SpaceRow) -> None:
        """Run the space, unless it is left out for good; what hinders it now is told, and tried again."""
        if row.id in self._left_out and row.id not in self._again:
            return
        self._cancel(row.id)
        try:
            self._running[row.id] = _Running(
                row,
                self._instance,
                self._tail,
                self._clock,
                self._log,
                definitions=self._definitions[row.id],
                lake_flush_ms=self._lake_flush_ms,
                passed=self._passed,
                appended=self._appended,
                broken=partial(self._leave_out_if_broken, row),
                emitted=self._emitted,
            )
        except Exception as error:  # whatever it is, it must not hold up deliveries and the other spaces
            self._leave_out(row, error)
            if not is_damage(error):
                self._again[row.id] = asyncio.get_running_loop().call_later(AGAIN_S, self._begin, row)
        else:
            self._left_out.pop(row.id, None)
            self._instance.left_out(row.id).unlink(missing_ok=True)

    def _leave_out_if_broken(self, row: SpaceRow, error: Exception) -> bool:
        """What a running space raised: where its files are broken, it ends."""
        from segue.wiring.space_stage import HalfDone  # as above

        if isinstance(error, HalfDone):
            cause = error.__cause__
            if not isinstance(cause, Exception) or not is_damage(cause):
                self._begin_anew(row, error)
                return True
            error = cause
        folder = str(self._instance.profiles(row.id).parent)
        if not is_damage(error) or (isinstance(error, Damaged) and not str(error).startswith(folder)):
            return False  # of the log, which others read too
        running = self._running.pop(row.id, None)
        if running is not None:
            self._leave_out(row, error)
            self._end(row.id, self._left(row, running))
        return True

    def _begin_anew(self, row: SpaceRow, error: Exception) -> None:
        """Let go of what is at hand, and go on after a while at what is committed."""
        running = self._running.pop(row.id, None)
        self._log.error("a space begins anew at its last commit", space=row.slug, error=str(error))
        if running is not None:
            running.abandon()
            self._end(row.id, self._left(row, running))
        self._again[row.id] = asyncio.get_running_loop().call_later(AGAIN_S, self._begin, row)

    def _leave_out(self, row: SpaceRow, error: Exception) -> None:
        """Say once that nothing is done for the space, why, and what to do."""
        folder = self._instance.profiles(row.id).parent
        why = str(error) if isinstance(error, SegueError) else f"{type(error).__name__}: {error}"
        if is_damage(error):
            why += f"; stop Segue, then restore a backup, or move {folder} away: the space then begins anew, with "
            why += "what the log still holds"
        if self._left_out.get(row.id) != why:
            self._left_out[row.id] = why
            self._log.error("space left out; nothing else waits for it", space=row.slug, error=why)
            with suppress(OSError):  # it is for `status` alone
                self._instance.left_out(row.id).write_text(why)

    async def _left(self, row: SpaceRow, running: _Running) -> None:
        try:
            await running.close(LEAVE_S)
        except Exception as error:  # of what is broken anyhow
            self._log.debug("a space that is left out did not end well", space=row.slug, error=str(error))

    def _cancel(self, number: int) -> None:
        timer = self._again.pop(number, None)
        if timer is not None:
            timer.cancel()

    async def close(self, grace_s: float) -> None:
        """Commit what there is, and end."""
        for number in list(self._again):
            self._cancel(number)
        ended = await asyncio.gather(
            *(running.close(grace_s) for running in self._running.values()),
            *self._endings.values(),
            return_exceptions=True,
        )
        self._running.clear()
        for error in ended:
            if isinstance(error, Exception):
                self._log.error("a space did not end well; it goes on at its last commit", error=str(error))

    def _stored(self) -> list[int]:
        folder = self._instance.spaces
        return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.exists() else []

    def _remove(self, number: int) -> None:
        self._cancel(number)
        self._left_out.pop(number, None)
        self._end(number, self._removed(number, self._running.pop(number, None), self._endings.get(number)))

    def _end(self, number: int, ending: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if self._endings.get(number) is task:
                del self._endings[number]

        self._endings[number] = task = asyncio.get_running_loop().create_task(ending)
        task.add_done_callback(ended)

    async def _removed(self, number: int, running: _Running | None, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
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


def _commit(writer: ProfileWriter, emitted: Callable[[], None], deltas: Sequence[ProfilesDelta]) -> None:
    """Write it, and have what it says moved on."""
    writer.commit(deltas)
    if any(delta.computed is not None and delta.computed.outbox for delta in deltas):
        emitted()


def _tell_not_written(log: FilteringBoundLogger, space: str, error: Exception) -> None:
    log.error(
        "profiles not written; none is changed until they are", space=space, error=f"{type(error).__name__}: {error}"
    )
