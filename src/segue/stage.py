"""The one loop: stages read, decide and act; what they changed is committed together, by one writer.

A commit runs at most every 100 ms, or as soon as 500 outcomes wait. While one runs the stages go on; what they change
meanwhile belongs to the next.

Rule: a commit that fails is repeated with the same changes, and no stage begins anything new until it has succeeded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

from segue.core.clock import Clock

COMMIT_EVERY_MS = 100
COMMIT_OUTCOMES = 500
COMMIT_AGAIN_S = 1.0
PUMP_AGAIN_MS = 1_000
CLOSE_MOST_S = 5.0


class Stage(Protocol):
    """A step of the way of an event, as the loop drives it."""

    @property
    def outcomes(self) -> int:
        """Final outcomes since the last `take`."""
        ...

    @property
    def dirty(self) -> bool:
        """Whether `take` would give anything."""
        ...

    @property
    def flying(self) -> int:
        """How much of it is on its way in the world; it calls `wake` when some of that has come back."""
        ...

    def pump(self) -> int | None:
        """Do all that can be done now; gives the instant to be called again, in ms, or None to wait for `wake`."""
        ...

    def take(self) -> Any:
        """What changed since the last call."""
        ...

    def committed(self) -> None:
        """What `take` gave is durable."""
        ...


class StageLoop:
    """Drives the stages of one process. All of it runs on one event loop; only `commit` runs in a thread."""

    def __init__(
        self,
        *,
        clock: Clock,
        commit: Callable[[Sequence[Any]], None],
        failed: Callable[[Exception], None],
        broken: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        """`failed` is told why a commit failed, `broken` what a stage raised; it says whether it has seen to it."""
        self._clock = clock
        self._commit = commit
        self._failed = failed
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "commit")
        self._stages: list[Stage] = []
        self._awake: set[int] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._turn: asyncio.Handle | None = None
        self._commit_timer: asyncio.TimerHandle | None = None
        self._committing: asyncio.Task[None] | None = None
        self._last_commit_ms = 0
        self._halted = False
        self._closing = False
        self._landed = asyncio.Event()

    @property
    def halted(self) -> bool:
        """Whether a commit has failed, and nothing may begin until one succeeds."""
        return self._halted

    def add(self, stage: Stage) -> None:
        """Drive this stage from now on."""
        self._stages.append(stage)
        self.wake(stage)

    def remove(self, stage: Stage) -> None:
        """Drive it no longer; what it has not committed is dropped."""
        self._stages.remove(stage)
        self._awake.discard(id(stage))
        timer = self._timers.pop(id(stage), None)
        if timer is not None:
            timer.cancel()

    def wake(self, stage: Stage) -> None:
        """Pump the stage in this turn of the loop or the next."""
        self._awake.add(id(stage))
        self._landed.set()
        self._schedule()

    def wake_all(self) -> None:
        """The log has grown, or control changed."""
        self._awake.update(id(stage) for stage in self._stages)
        self._schedule()

    async def close(self, grace_s: float = CLOSE_MOST_S) -> None:
        """Begin nothing new, let what is on its way come back, and commit; raises what the commit raises.

        Waits `grace_s` seconds for all that is on its way, a commit among it.
        """
        self._closing = True
        for timer in (*self._timers.values(), self._commit_timer, self._turn):
            if timer is not None:
                timer.cancel()
        give_up_at = self._loop.time() + grace_s
        await self._land(give_up_at)
        if self._committing is not None:
            await asyncio.wait({self._committing}, timeout=max(0.0, give_up_at - self._loop.time()))
            if self._committing is not None:
                self._committing.cancel()
                self._halted = True
        deltas = [stage.take() for stage in self._stages if stage.dirty]
        try:
            # After a commit that failed, later changes must not be written without it.
            if deltas and not self._halted:
                await self._loop.run_in_executor(self._thread, self._commit, deltas)
        finally:
            self._halted = True  # what comes back now is too late to be noted, and must lead to nothing new
            self._thread.shutdown()

    async def _land(self, give_up_at: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(give_up_at):
                while any(stage.flying for stage in self._stages):
                    self._landed.clear()
                    await self._landed.wait()

    async def in_writer(self, work: Callable[[], Any]) -> Any:
        """Run maintenance of the state in the writer's thread, between commits."""
        return await self._loop.run_in_executor(self._thread, work)

    def _schedule(self) -> None:
        if self._turn is None and not self._closing:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        if self._halted:
            return
        awake, self._awake = self._awake, set()
        for stage in self._stages:
            if id(stage) in awake:
                self._pump(stage)
        self._plan_commit()

    def _pump(self, stage: Stage) -> None:
        try:
            at = stage.pump()
        except Exception as error:  # one that is broken must not stop the others, nor stay silent
            if not self._broken(error):
                self._loop.call_exception_handler({"message": "a stage cannot go on", "exception": error})
            at = self._clock.now_ms() + PUMP_AGAIN_MS
        timer = self._timers.pop(id(stage), None)
        if timer is not None:
            timer.cancel()
        if at is None:
            return
        wait_ms = at - self._clock.now_ms()
        if wait_ms <= 0:
            self.wake(stage)
        else:
            self._timers[id(stage)] = self._loop.call_later(wait_ms / 1000, self.wake, stage)

    def _plan_commit(self) -> None:
        if self._committing is not None or self._closing:
            return
        outcomes, dirty = 0, False
        for stage in self._stages:
            outcomes += stage.outcomes
            dirty = dirty or stage.dirty
        if not dirty:
            return
        wait_ms = self._last_commit_ms + COMMIT_EVERY_MS - self._clock.now_ms()
        if outcomes >= COMMIT_OUTCOMES or wait_ms <= 0:
            self._begin_commit()
        elif self._commit_timer is None:
            self._commit_timer = self._loop.call_later(wait_ms / 1000, self._begin_commit)

    def _begin_commit(self) -> None:
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None
        if self._committing is None and not self._closing:
            self._committing = self._loop.create_task(self._run_commit())

    async def _run_commit(self) -> None:
        stages = [stage for stage in self._stages if stage.dirty]
        deltas = [stage.take() for stage in stages]
        while True:
            try:
                await asyncio.shield(self._loop.run_in_executor(self._thread, self._commit, deltas))
                break
            except Exception as error:  # whatever it is, the outcomes must not be lost: say so, and try again
                self._halted = True
                self._failed(error)
                if self._closing:
                    self._committing = None
                    return
                await asyncio.sleep(COMMIT_AGAIN_S)
        self._last_commit_ms = self._clock.now_ms()
        self._halted = False
        self._committing = None
        for stage in stages:
            stage.committed()
            self._awake.add(id(stage))
        self._schedule()
