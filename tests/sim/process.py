"""One life of the worker: the machines, and a driver that does step by step what `segue.stage.StageLoop` does.

The loop itself has its own tests; here commits take time, fail, or are cut off by a crash before or after they are
durable, all by the seed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from segue.core.errors import Unavailable
from segue.deliver.delivery import Delivery
from segue.deliver.ledger import Answers
from segue.deliver.limits import Limits
from segue.deliver.plan import Plan
from segue.log.tail import Tail
from segue.stage import COMMIT_AGAIN_S, COMMIT_EVERY_MS, COMMIT_OUTCOMES
from segue.state.deliveries import DeliveryReader, DeliveryWriter, Delta, DestinationState
from tests.sim.world import Clock, Log, Network, Time


class FailingRows:
    """The state as the machines read it; `fails` says whether a read does."""

    def __init__(self, path: Path, fails: Callable[[], bool]) -> None:
        self.reader = DeliveryReader(path)
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        if self._fails():
            raise Unavailable("the state cannot be read just now")
        return getattr(self.reader, name)


class Process:
    """Machines by destination, with the timers and the commits of the stage loop."""

    def __init__(
        self, time: Time, random: Random, log: Log, path: Path, skew_ms: int, luck: Callable[[], float]
    ) -> None:
        self.time = time
        self.clock = Clock(time, skew_ms)
        self.alive = True
        self.halted = False
        self.machines: dict[int, Delivery] = {}
        self.networks: dict[int, Network] = {}
        self.commit_fails: Callable[[], bool] = lambda: False
        self.read_fails: Callable[[], bool] = lambda: False
        self.after_commit: Callable[[list[Delta]], None] = lambda deltas: None
        self.after_pump: Callable[[int, Delivery, int | None], None] = lambda number, machine, at: None
        self._random = random
        self._luck = luck
        self._tail = Tail(log, told=True)
        self.writer = DeliveryWriter(path)
        self.rows = FailingRows(path, lambda: self.read_fails())
        self._answers = Answers(self.rows.reader)
        self._numbers: dict[int, int] = {}
        self._timers: dict[int, int] = {}
        self._awake: set[int] = set()
        self._turn_is_due = False
        self._committing = False
        self._commit_at: int | None = None
        self._last_commit = 0

    def add(self, number: int, plan: Plan, state: DestinationState, network: Network, limits: Limits) -> None:
        """Raises Unavailable where it cannot be restored just now."""
        self.networks[number] = network
        self.machines[number] = Delivery(
            number,
            plan,
            state,
            clock=self.clock,
            luck=self._luck,
            network=network,
            records=self._tail,
            rows=self.rows,
            answers=self._answers,
            wake=lambda machine: self.wake(number),
            halted=lambda: self.halted,
            limits=limits,
        )
        self.wake(number)

    def wake(self, number: int) -> None:
        self._awake.add(number)
        if not self._turn_is_due:
            self._turn_is_due = True
            self.time.after(0, self._turn)

    def grown(self) -> None:
        """The log has new records."""
        self._tail.grown()
        for number in self.machines:
            self.wake(number)

    def is_awake(self, number: int) -> bool:
        """Whether the machine will be pumped in the next turn."""
        return number in self._awake

    def die(self) -> None:
        """As by SIGKILL."""
        self.alive = False
        for network in self.networks.values():
            network.alive = False
        self.rows.reader.close()
        self.writer.close()

    def _turn(self) -> None:
        self._turn_is_due = False
        if not self.alive or self.halted:
            return
        awake, self._awake = self._awake, set()
        for number in sorted(awake & set(self.machines)):
            at = self.machines[number].pump()
            self.after_pump(number, self.machines[number], at)
            self._set_timer(number, at)
        self._plan_commit()

    def _set_timer(self, number: int, at: int | None) -> None:
        ticket = self._timers[number] = self._timers.get(number, 0) + 1
        if at is None:
            return

        def ring() -> None:
            if self.alive and self._timers[number] == ticket:
                self.wake(number)

        self.time.after(at - self.clock.now_ms(), ring)

    def _plan_commit(self) -> None:
        if self._committing:
            return
        dirty = [machine for machine in self.machines.values() if machine.dirty]
        if not dirty:
            return
        wait = self._last_commit + COMMIT_EVERY_MS - self.time.now
        if wait <= 0 or sum(machine.outcomes for machine in dirty) >= COMMIT_OUTCOMES:
            self._begin_commit()
        elif self._commit_at is None or self._commit_at <= self.time.now:
            self._commit_at = self.time.now + wait
            self.time.after(wait, self._commit_if_due)

    def _commit_if_due(self) -> None:
        if self.alive and not self._committing:
            self._begin_commit()

    def _begin_commit(self) -> None:
        self._committing = True
        stages = [machine for machine in self.machines.values() if machine.dirty]
        deltas = [machine.take() for machine in stages]
        self._try(stages, deltas)

    def _try(self, stages: list[Delivery], deltas: list[Delta]) -> None:
        written = self._random.choice((0, 1, 5, 30, 400))
        reported = self._random.choice((0, 0, 1, 20))

        def write() -> None:
            if not self.alive:
                return
            try:
                if self.commit_fails():
                    # With a last delta that cannot be written: what stands before it must leave no trace.
                    self.writer.commit(
                        [*deltas, Delta(destination="none", state=DestinationState(position=0, passed={}))]
                    )
                self.writer.commit(deltas)
            except sqlite3.Error:
                self.halted = True
                self.time.after(round(COMMIT_AGAIN_S * 1000), lambda: self._try(stages, deltas))
            else:
                self.after_commit(deltas)
                self.time.after(reported, report)

        def report() -> None:
            if not self.alive:
                return
            self._last_commit = self.time.now
            self.halted = False
            self._committing = False
            for machine in stages:
                machine.committed()
                self.wake(machine.ledger.destination)

        self.time.after(written, write)
