"""One run by its seed: a time of trouble, then healing, then nothing may be left over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec

from segue.core.destination import Request, Response
from segue.core.errors import Unavailable
from segue.core.event import Event
from segue.deliver.delivery import Delivery
from segue.deliver.limits import Limits
from segue.deliver.plan import Plan
from segue.deliver.replay import Replay
from segue.state.deliveries import DeliveryWriter, DestinationState, ReplayState
from tests.sim.kinds import BAD, CRASHY, PARTS, SINGLE, SKIPPED, STEPS, UNMAPPABLE, WEBHOOK, settings_of
from tests.sim.oracle import Oracle, Subject
from tests.sim.process import Process
from tests.sim.world import MOODS, Log, Network, Time, Vendor

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
SOURCES = ("web", "app")
SPACE = "space:prod"
NAMES = ("seen",) * 30 + (BAD, CRASHY, UNMAPPABLE, SKIPPED)
LENGTHS = (*(20 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE) * 2, 10 * HOUR, 90 * HOUR)
HEALED_WITHIN = 12 * HOUR
"""The last pause that a vendor asked for, the longest delay, and one attempt after another of the longest lane."""


def decide(event: Event) -> str | None:
    """Route's part: one name goes nowhere."""
    return "FILTERED_BY_INTEGRATIONS_OBJECT" if event.event == SKIPPED else None


class Simulation:
    """Everything is drawn from `seed`; the state's file is in `folder`."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random = Random(seed)
        self.path = folder / "state.db"
        DeliveryWriter(self.path).close()
        self.time = Time()
        self.log = Log()
        self.oracle = Oracle(self.log)
        self.limits = random.choice(
            (
                Limits(),
                Limits(window=8, uncommitted=30, replay_window=5, retry_rows=40, dead_letters=10),
                Limits(window=30, uncommitted=200, retry_bytes=4_000),
            )
        )
        self.commits_fail = self.reads_fail = 0.0
        self.people = random.choice((2, 6, 40))
        self.vendors: dict[int, Vendor] = {}
        self.plans: dict[int, Plan] = {}
        self.told: set[int] = set()
        self.jobs: dict[int, tuple[str, int, ReplayState | None]] = {}
        self.cancelled: set[int] = set()
        self.skew_ms = 0
        self.trouble = True
        self.pumps = 0
        self._append(random.randint(0, 5))
        self.firsts: dict[int, DestinationState] = {}
        for number, kind in enumerate((SINGLE, WEBHOOK, PARTS, STEPS)[: random.choice((1, 2, 2, 4))], 1):
            self._connect(number, random.choice((SINGLE, kind)))
        self.process = self._born()

    def run(self) -> None:
        """Raises AssertionError where something does not hold."""
        random = self.random
        self.time.after(0, self._trouble)
        self.time.run(self.time.now + random.choice(LENGTHS))
        self._heal()
        until = self.time.now + HEALED_WITHIN
        while self.time.step(until):
            pass
        self.oracle.healed(self.process)
        self.process.die()

    # -- the cast ----------------------------------------------------------------------------------------------------

    def _connect(self, number: int, kind: object) -> None:
        random = self.random
        sources = frozenset(random.choice((("web",), ("app",), SOURCES)))
        vendor = self.vendors[number] = Vendor(random)
        self.plans[number] = Plan(
            kind=kind,
            sources=sources,
            enabled=random.random() < 0.9,
            settings=settings_of(kind, vendor.key, random.choice((1, 3, 20))),
            decide=decide,
            mask=bytes,
            max_rate=random.choice((None, None, 3.0, 200.0)),
            max_concurrency=random.choice((1, 3, 50)),
        )
        passed = {source: self.log.ordinals.get(source, 0) for source in sources}
        self.firsts[number] = DestinationState(position=len(self.log.records), passed=passed)
        self.oracle.subjects[number] = Subject(number, sources, self.firsts[number], vendor)

    def _born(self) -> Process:
        """A process that has restored every machine; one that could not read the state would start again."""
        reads_fail, self.reads_fail = self.reads_fail, 0.0
        process = Process(self.time, self.random, self.log, self.path, self.skew_ms, self.random.random)
        process.commit_fails = lambda: self.random.random() < self.commits_fail
        process.read_fails = self.log.fails = lambda: self.random.random() < self.reads_fail
        self.process = process
        process.after_commit = lambda deltas: self.oracle.committed(process, deltas)
        process.after_pump = lambda number, machine, at: self._pumped(machine, at)
        states = process.rows.reader.destinations()
        for number, plan in self.plans.items():
            state = states.get(number) or msgspec.convert(msgspec.to_builtins(self.firsts[number]), DestinationState)
            process.add(number, plan, state, self._network(process, number), self.limits)
        stored = process.rows.reader.replays()
        for job, (sort, number, first) in self.jobs.items():
            state = stored.get(job, None if job in self.cancelled else first)
            self._begin(process.machines[number], job, sort, state, known=job in stored)
        self.reads_fail = reads_fail
        return process

    def _network(self, process: Process, number: int) -> Network:
        network = Network(self.time, self.random, self.vendors[number], self.log)

        def started(request: Request, offsets: list[int]) -> None:
            begins = self.plans[number].kind is not STEPS or (request.method == "PUT" and request.judge)
            self.oracle.request(process, number, offsets, begins=begins)

        def answered(response: Response, give: Callable[[], None]) -> None:
            machine = process.machines[number]
            before = counted(machine.ledger.state)
            give()
            self.oracle.answered(machine, before, response)

        network.on_start, network.around_answer = started, answered
        return network

    def _pumped(self, machine: Delivery, at: int | None) -> None:
        self.pumps += 1
        self.oracle.pumped(self.process, machine, at, thorough=self.pumps % 20 == 0)

    # -- trouble -----------------------------------------------------------------------------------------------------

    def _trouble(self) -> None:
        if not self.trouble:
            return
        acts: tuple[tuple[int, Callable[[], None]], ...] = (
            (30, lambda: self._append(self.random.choice((1, 1, 2, 5, 20)))),
            (2, lambda: self._append(self.random.choice((60, 120)))),
            (14, self._change_mood),
            (4, self._change_plan),
            (3, self._switch),
            (2, self._revoke),
            (3, self._crash),
            (2, self._fail_commits),
            (2, self._fail_reads),
            (1, self._expire),
            (2, self._replay),
            (1, self._cancel),
            (2, self._redrive),
            (2, self._tell_too),
        )
        self.random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()
        pause = self.random.choice((1, 30, 300, 2 * SECOND, 10 * SECOND))
        if self.random.random() < 0.05:
            pause = self.random.choice((5 * MINUTE, HOUR, 5 * HOUR, 20 * HOUR))
        self.time.after(self.random.randint(0, pause), self._trouble)

    def _append(self, count: int) -> None:
        if len(self.log.records) > 400 and self.trouble:
            return
        for _ in range(count):
            person, device = self.random.randrange(self.people), self.random.randrange(self.people)
            ids = self.random.choice(
                (
                    {"userId": f"u{person}"},
                    {"anonymousId": f"a{device}"},
                    {"userId": f"u{person}", "anonymousId": f"a{device}"},
                )
            )
            event = {"type": "track", "event": self.random.choice(NAMES), **ids}
            if self.random.random() < 0.2:
                self._tell(event, person)
            else:
                self.log.append(self.random.choice(SOURCES), event, self.time.now)
        if self.log.records and self.oracle.subjects:
            self.process.grown()

    def _tell(self, event: dict[str, str], person: int) -> None:
        """A space says something to some of those that are known to be told, and to one that does not exist."""
        told = self.random.sample(sorted(self.told), self.random.randint(0, len(self.told)))
        if self.random.random() < 0.5:
            event = {"type": event["type"], "event": event["event"]}
        names = ",".join(map(str, (*told, 70)))
        self.log.append(SPACE, event, self.time.now, destinations=names, user_key=f"use_{person}")

    def _tell_too(self) -> None:
        """Control has one more destination told of a computation; the process hears of it a little later."""
        number = self._any()
        subject, last = self.oracle.subjects[number], self.log.ordinals.get(SPACE, 0)
        if SPACE in subject.sources:
            return
        subject.sources.add(SPACE)
        subject.passed_at_begin[SPACE] = last

        def heard() -> None:
            plan = self.plans[number]
            self._reconfigure(number, replace(plan, sources=plan.sources | {SPACE}, since={SPACE: last}))
            self.told.add(number)

        self.time.after(self.random.choice((0, 0, 50, 5_000)), heard)

    def _change_mood(self) -> None:
        vendor = self._any_vendor()
        vendor.mood = self.random.choice((*MOODS, "fine", "fine", "fine", "flaky"))
        vendor.batch_most = self.random.choice((1_000, 1_000, 2))

    def _change_plan(self) -> None:
        number = self._any()
        plan = self.plans[number]
        settings = settings_of(plan.kind, self.vendors[number].key, self.random.choice((1, 3, 20)))
        rate, concurrency = self.random.choice((None, 3.0, 200.0)), self.random.choice((1, 3, 50))
        stall = "the settings cannot be read" if self.random.random() < 0.1 else ""
        self._reconfigure(
            number, replace(plan, settings=settings, max_rate=rate, max_concurrency=concurrency, stall=stall)
        )

    def _switch(self) -> None:
        number = self._any()
        self._reconfigure(number, replace(self.plans[number], enabled=not self.plans[number].enabled))

    def _revoke(self) -> None:
        vendor = self._any_vendor()
        vendor.key = f"key-{self.random.random()}"

    def _reconfigure(self, number: int, plan: Plan) -> None:
        self.plans[number] = plan
        self.process.machines[number].reconfigure(plan)
        self.process.wake(number)

    def _crash(self) -> None:
        committed = self.process.rows.reader.destinations()
        for number, machine in self.process.machines.items():
            self.oracle.subjects[number].lost_memory(machine, committed.get(number))
        self.process.die()
        self.skew_ms += self.random.choice((0, 0, 0, -HOUR, 7, HOUR))
        self._born()

    def _fail_commits(self) -> None:
        self.commits_fail = self.random.choice((0.3, 0.9))
        self.time.after(self.random.randint(0, MINUTE), self._mend)

    def _fail_reads(self) -> None:
        self.reads_fail = self.random.choice((0.1, 0.9))
        self.time.after(self.random.randint(0, MINUTE), self._mend)

    def _mend(self) -> None:
        self.commits_fail = self.reads_fail = 0.0

    def _expire(self) -> None:
        """Retention without regard for who has read what, as with `log.drop_unread` on a full disk."""
        self.log.begin = self.random.randint(self.log.begin, len(self.log.records))
        for subject in self.oracle.subjects.values():
            subject.excused.update(range(self.log.begin))

    def _replay(self) -> None:
        number = self._any()
        end = self.random.randint(0, len(self.log.records))
        state = ReplayState(position=self.random.randint(max(0, end - 60), end), end=end)
        for offsets in (self.oracle.subjects[number].excused, self.oracle.subjects[number].replayed):
            offsets.update(range(state.position, end))
        self._ask(number, "replay", state)

    def _redrive(self) -> None:
        for number in self.random.choice(([self._any()], [self._any()] * 2)):
            self._ask(number, "redrive", None)

    def _ask(self, number: int, sort: str, state: ReplayState | None) -> None:
        job = len(self.jobs) + 1
        self.jobs[job] = (sort, number, state)
        self._begin(self.process.machines[number], job, sort, state, known=False)
        self.process.wake(number)

    def _begin(self, machine: Delivery, job: int, sort: str, state: ReplayState | None, *, known: bool) -> None:
        """As the worker does with a job that it has not begun in this life."""
        if sort == "redrive":
            if not known:
                reasons = ("BAD_REQUEST", "INVALID_AUTHENTICATION", "RETRY") if job % 3 else ()
                machine.redrive(job, reasons, ())
        elif state is not None and not state.is_over:
            state = msgspec.convert(msgspec.to_builtins(state), ReplayState)
            replay = Replay(job, lambda event: True, state, self.process._tail)
            try:
                machine.start_replay(job, replay)
            except Unavailable:
                self.jobs.pop(job) if not known else None
        if job in self.cancelled and job in machine.replays:
            machine.replays[job].cancel(machine)

    def _cancel(self) -> None:
        job = self.random.randint(0, len(self.jobs))
        if job in self.jobs:
            self.cancelled.add(job)
            machine = self.process.machines[self.jobs[job][1]]
            if job in machine.replays:
                machine.replays[job].cancel(machine)
                self.process.wake(self.jobs[job][1])

    def _any(self) -> int:
        return self.random.choice(list(self.plans))

    def _any_vendor(self) -> Vendor:
        return self.vendors[self._any()]

    # -- healing -----------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.trouble = False
        self.commits_fail = self.reads_fail = 0.0
        for number, vendor in self.vendors.items():
            vendor.mood, vendor.batch_most = "fine", 1_000
            plan = self.plans[number]
            settings = settings_of(plan.kind, vendor.key, self.random.choice((1, 3)))
            self._reconfigure(number, replace(plan, settings=settings, enabled=True, stall="", max_rate=None))
        self._append(20)  # a breaker closes by a success only


def counted(state: DestinationState) -> DestinationState:
    """A copy whose counts stay as they are."""
    return msgspec.structs.replace(state, refused=dict(state.refused))
