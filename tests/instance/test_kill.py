"""SIGKILL at any moment loses nothing that was acknowledged, sends no user's events out of order and doubles none.

KILL_ROUNDS sets how often each test kills (8), KILL_SEED which moments and processes it chooses.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable

import pytest

from .balance import watched
from .load import compare, load_on, some_load, vendors
from .running import SLUGS, Instance
from .waiting import until
from .workspace import vendor_entries, workspace_text

ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))
SEED = int(os.environ.get("KILL_SEED", "1"))

RESTARTS_IN_PEACE = 4  # a child that dies more often than five times a minute ends the instance, rightly


class Killer:
    """Kills one thing a round, and sees to it that the instance comes back."""

    def __init__(self, instance: Instance, luck: random.Random, *, single: bool) -> None:
        self._instance = instance
        self._luck = luck
        self._single = ["--single"] if single else []
        self._killed: Counter[str] = Counter()
        self.done: list[str] = []

    def strike(self) -> None:
        """One kill, of a process or of all; or a TERM, which is to lose as little."""
        children = ["single", "sandboxes"] if self._single else ["collector", "worker", "sandboxes"]
        children = [role for role in children if self._killed[role] < RESTARTS_IN_PEACE]
        target = self._luck.choice([*children, *children, "supervisor", "all", "term"])
        self.done.append(target)
        if target in children:
            self._instance.kill(target)
            self._killed[target] += 1
            return
        if target == "supervisor":
            self._instance.kill_supervisor()
        elif target == "all":
            self._instance.kill_all()
        else:
            assert self._instance.terminate() == 0
        self._killed.clear()
        self._instance.start(*self._single)


def trouble(instance: Instance, luck: random.Random) -> None:
    """A vendor that fails a few times, in one way or another."""
    faults = [
        {"status": 503, "times": 3},
        {"status": 500, "times": 12},
        {"drop": True, "times": 3},
        {"slow_ms": 300, "times": 5},
        {"status": 429, "headers": {"Retry-After": "1"}},
    ]
    luck.choice(vendors(instance)).fault(**luck.choice(faults))


def sandboxes_answer(instance: Instance) -> Callable[[], bool]:
    def look() -> bool:
        try:
            instance.vendor("plotline").ask("GET", "keys")
        except OSError:
            return False
        return True

    return look


@pytest.mark.timeout(60 + 40 * ROUNDS)
@pytest.mark.parametrize("single", [False, True], ids=["apart", "single"])
def test_nothing_acknowledged_is_lost_reordered_or_doubled_by_kills(make, single):
    instance, luck = make(), random.Random(SEED)
    instance.file.write_text(workspace_text(vendor_entries(instance, "website"), ["website"]))
    instance.start(*(["--single"] if single else []))
    killer = Killer(instance, luck, single=single)
    with watched(instance) as watch, load_on(instance, key="website-key") as load:
        for number in range(ROUNDS):
            if number % 2:
                until(sandboxes_answer(instance), "the sandboxes answer")
                trouble(instance, luck)
            some_load(load, luck.randint(1, 60), then=60)
            killer.strike()
        some_load(load, 10, then=0)
    until(sandboxes_answer(instance), "the sandboxes answer")
    for vendor in vendors(instance):
        vendor.heal()
    settled = instance.settled()
    print(killer.done, load.count, "acknowledged,", watch.answers, "answers of status,", watch.seen)
    compare(instance, load)
    (source,) = instance.status()["sources"]
    assert load.count <= source["accepted"] <= len(load.sent)
    for slug in SLUGS:
        entry = settled[f"website-{slug}"]
        assert (entry["delivered"], entry["refused"], entry["filtered"]) == (source["accepted"], {}, {})
