"""The worker: one delivery for each destination, driven by one loop, committed by one writer; beside them the spaces.

Rule: it alone writes `state.db`; what control and the log say it only reads.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from structlog.typing import FilteringBoundLogger

from segue.control.destinations import masker, open_settings
from segue.control.jobs import EventFilter, spec_of
from segue.control.secrets import Secrets
from segue.control.status import lag
from segue.core.clock import Clock
from segue.core.destination import Destination
from segue.core.errors import Invalid
from segue.core.event import Event
from segue.deliver.delivery import Delivery
from segue.deliver.ledger import DAY_MS, Answers
from segue.deliver.plan import Plan
from segue.deliver.replay import Replay
from segue.destinations import catalog
from segue.log import LogReader
from segue.log.tail import Tail
from segue.route.decide import SEND, Filtered, decide
from segue.stage import StageLoop
from segue.state.control import Control, ControlStore, DestinationRow
from segue.state.deliveries import (
    DELIVERED_KEEP_MS,
    DeliveryReader,
    DeliveryWriter,
    Delta,
    DestinationState,
    ReplayState,
)
from segue.state.jobs import JobRow
from segue.wiring.instance import Instance
from segue.wiring.lake_stage import FLUSH_MS
from segue.wiring.own_sandboxes import OwnSandboxes
from segue.wiring.spaces import Spaces

STANDING_MS = 300_000
MAINTENANCE_S = 30.0
CUT_AT_ONCE = 5_000
"""Rows that go in one piece of maintenance, so that it never holds up a commit for long."""


def decider(kind: Destination) -> Callable[[Event], str | None]:
    """The kind's decision about an event, as the reason code by which it is not sent."""
    names = kind.names

    def code(event: Event) -> str | None:
        found = decide(event, kind, enabled=True, catalog_names=names)
        return None if found is SEND or not isinstance(found, Filtered) else found.code

    return code


def plan_of(row: DestinationRow, secrets: Secrets, sandboxes: OwnSandboxes | None = None) -> Plan:
    """What control says of a destination; nothing is lost while it is stalled.

    Settings that cannot be read stall it, and so do own sandboxes that do not run, of which `sandboxes` knows.
    """
    kind = catalog()[row.kind]
    settings, stall = None, ""
    try:
        settings = open_settings(row, secrets, os.environ)
        stall = sandboxes.absence(row.settings, os.environ) if sandboxes is not None else ""
    except Invalid as error:
        stall = str(error)
    return Plan(
        kind=kind,
        sources=frozenset(row.sources),
        since=row.ordinals,
        enabled=row.enabled,
        settings=settings,
        decide=decider(kind),
        mask=masker(row, secrets, os.environ).mask,
        max_rate=row.max_rate or None,
        max_concurrency=row.max_concurrency,
        stall=stall,
    )


class Worker:
    """All deliveries and spaces of an instance. Made, run and closed on one event loop."""

    def __init__(
        self,
        *,
        instance: Instance,
        control: ControlStore,
        secrets: Secrets,
        reader: LogReader,
        writer: DeliveryWriter,
        rows: DeliveryReader,
        network: Any,
        clock: Clock,
        log: FilteringBoundLogger,
        sandboxes: OwnSandboxes | None = None,
        lake_flush_ms: int = FLUSH_MS,
        lake_keep_ms: int | None = None,
        emitted: Callable[[], None] = lambda: None,
    ) -> None:
        """`emitted` is called, from any thread, where a space may have new messages for the log."""
        self._control = control
        self._secrets = secrets
        self._reader = reader
        self._writer = writer
        self._rows = rows
        self._network = network
        self._clock = clock
        self._log = log
        self._sandboxes = sandboxes
        self._tail = Tail(reader, told=True)
        self._emitted = emitted
        self._spaces = Spaces(
            instance,
            self._tail,
            clock,
            log,
            lake_flush_ms=lake_flush_ms,
            lake_keep_ms=lake_keep_ms,
            passed=self._passed,
            appended=self._appended,
            emitted=emitted,
        )
        self._answers = Answers(rows)
        self._known: dict[int, tuple[DestinationRow, Delivery]] = {}
        self._jobs_begun: set[int] = set()
        self._standing: set[int] = set()
        self._breakers: dict[int, str | None] = {}  # why each is open, as the log was told; None: it is closed
        self._loop = StageLoop(clock=clock, commit=self._commit, failed=self._commit_failed)
        self._maintenance: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take up every destination where its last commit left it."""
        self.reload()
        self._maintenance = asyncio.get_running_loop().create_task(self._maintain())
        self._emitted()  # one that was killed may have written what it told nobody of

    def grown(self) -> None:
        """The log has new records."""
        self._tail.grown()
        self._loop.wake_all()
        self._spaces.grown()

    def reload(self) -> None:
        """Control has changed: settings and switches hold for every attempt not yet begun."""
        self._tail.grown()  # the word of it may have stood for one of new records
        control = self._control.snapshot()
        states = self._rows.destinations()
        for row in control.destinations:
            self._take_up(row, states.get(row.id))
        for number in set(self._known) - {row.id for row in control.destinations}:
            self._loop.remove(self._known.pop(number)[1])
            self._breakers.pop(number, None)
        self._begin_jobs(control)
        self._loop.wake_all()
        self._spaces.reload(control)

    def _appended(self, source: str) -> int:
        """The last ordinal of a source in the log."""
        return self._reader.ends().sources.get(source, (0, 0))[0]

    def _passed(self, destination: int, source: str) -> int | None:
        """The last ordinal of a source that a destination has passed; None where it does not go on."""
        known = self._known.get(destination)
        if known is None or known[1].stall:
            return None
        row, delivery = known
        return delivery.ledger.state.passed.get(source, row.ordinals.get(source, 0))

    async def close(self, grace_s: float) -> None:
        """Let what is on its way come back, for so long, commit what there is, and end."""
        if self._maintenance is not None:
            self._maintenance.cancel()
            await asyncio.gather(self._maintenance, return_exceptions=True)
        await asyncio.gather(self._loop.close(grace_s), self._spaces.close(grace_s))

    def _take_up(self, row: DestinationRow, state: DestinationState | None) -> None:
        known = self._known.get(row.id)
        if known is None:
            delivery = Delivery(
                row.id,
                self._plan(row),
                state or DestinationState(position=row.offset, passed=dict(row.ordinals)),
                clock=self._clock,
                luck=random.random,
                network=self._network,
                records=self._tail,
                rows=self._rows,
                answers=self._answers,
                wake=self._loop.wake,
                halted=lambda: self._loop.halted,
            )
            self._breakers[row.id] = delivery.breaker.reason
            self._known[row.id] = (row, delivery)
            self._loop.add(delivery)
        elif known[0] != row:
            known[1].reconfigure(self._plan(row))
            self._known[row.id] = (row, known[1])

    def _plan(self, row: DestinationRow) -> Plan:
        plan = plan_of(row, self._secrets, self._sandboxes)
        if plan.stall:
            self._log.error("destination stalled", destination=row.slug, reason=plan.stall)
        return plan

    def _begin_jobs(self, control: Control) -> None:
        stored = self._rows.replays()
        for job in control.jobs:
            known = self._known.get(job.destination)
            if known is None:
                continue
            row, delivery = known
            if job.id not in self._jobs_begun:
                state = stored.get(job.id)
                if state is None and not job.cancelled:
                    self._begin_job(job, row, delivery)
                elif state is not None and not state.is_over and job.kind == "replay":
                    delivery.start_replay(job.id, self._replay(job, state))
                self._jobs_begun.add(job.id)
            if job.cancelled and job.id in delivery.replays:
                delivery.replays[job.id].cancel(delivery)

    def _begin_job(self, job: JobRow, row: DestinationRow, delivery: Delivery) -> None:
        spec = spec_of(job)
        if job.kind == "redrive":
            delivery.redrive(job.id, spec.reasons, spec.message_ids)
            self._log.info("redrive", job=job.id, destination=row.slug)
            return
        begin = self._reader.seek(0, spec.from_ms)
        end = self._reader.seek(0, job.created_at if spec.to_ms is None else spec.to_ms)
        delivery.start_replay(job.id, self._replay(job, ReplayState(position=begin, end=end)))

    def _replay(self, job: JobRow, state: ReplayState) -> Replay:
        chosen = EventFilter(spec_of(job))

        def takes(event: Event) -> bool:
            return chosen.accepts(type=event.type, event=event.event, message_id=event.message_id)

        return Replay(job.id, takes, state, self._tail)

    def _commit(self, deltas: Sequence[Delta]) -> None:
        self._writer.commit(deltas)
        self._tell_of_breakers(deltas)

    def _tell_of_breakers(self, deltas: Sequence[Delta]) -> None:
        """A breaker that closes gets a line, and one that opens, or is open for another reason; not each probe."""
        for number, state in ((delta.destination, delta.state) for delta in deltas):
            known, told = self._known.get(number), self._breakers.get(number)
            if known is None or state.breaker_reason == told:
                continue
            self._breakers[number] = state.breaker_reason
            if state.breaker_reason is None:
                self._log.info("breaker closed", destination=known[0].slug, reason=told)
            else:
                self._log.warning("breaker opened", destination=known[0].slug, reason=state.breaker_reason)

    def _commit_failed(self, error: Exception) -> None:
        self._log.error("state not written; nothing is sent until it is", error=f"{type(error).__name__}: {error}")

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(MAINTENANCE_S)
            try:
                self._watch_cursors()
                await self._tidy()
            except sqlite3.Error as error:
                self._log.warning("state not tidied", error=str(error))

    def _watch_cursors(self) -> None:
        """A cursor that stands for five minutes although there is something to read gets a line, once."""
        now = self._clock.now_ms()
        ends = self._reader.ends()
        for number, (row, delivery) in self._known.items():
            state = delivery.ledger.state
            behind = state.position < ends.offset or bool(delivery.window)
            if behind and now - state.moved_at >= STANDING_MS:
                if number not in self._standing:
                    self._standing.add(number)
                    self._log.warning(
                        "cursor stands",
                        destination=row.slug,
                        minutes=(now - state.moved_at) // 60_000,
                        breaker=delivery.breaker.reason,
                        stall=delivery.stall or None,
                        retrying=state.retrying,
                        lag=lag(row, state, ends),
                    )
            else:
                self._standing.discard(number)

    async def _tidy(self) -> None:
        """Keep the bounds of what is kept for `explain`, of dead letters and of jobs."""
        now = self._clock.now_ms()
        before, start = now - DELIVERED_KEEP_MS, self._reader.start(0)
        for number, (_, delivery) in list(self._known.items()):
            ledger, cut = delivery.ledger, CUT_AT_ONCE
            while cut == CUT_AT_ONCE:
                work = partial(
                    self._writer.cut_delivered, number, before_ms=before, excess=ledger.delivered_excess(), most=cut
                )
                cut = await self._loop.in_writer(work)
                ledger.delivered_cut(cut)
            expired = partial(self._writer.cut_expired, number, start, most=CUT_AT_ONCE)
            while await self._loop.in_writer(expired) == CUT_AT_ONCE:
                pass
        await self._cut_jobs()
        known = list(self._known)
        while not await self._loop.in_writer(lambda: self._writer.forget(known, most=CUT_AT_ONCE)):
            pass
        while await self._loop.in_writer(lambda: self._writer.cut_answers(before - DAY_MS, most=CUT_AT_ONCE)):
            pass

    async def _cut_jobs(self) -> None:
        """Forget the jobs that control, which keeps the newest, has forgotten, once nothing of them is left to do.

        Never one that control still names: without its row it would begin again.
        """
        under_way = {job for _, delivery in self._known.values() for job in delivery.ledger.replays}
        kept = under_way.union(job.id for job in self._control.snapshot().jobs)
        gone = [job for job, replay in self._rows.replays().items() if job not in kept and not replay.retrying]
        if gone:
            await self._loop.in_writer(lambda: self._writer.cut_jobs(gone))
