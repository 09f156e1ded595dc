"""The stage loop on a real event loop: commits in groups, and nothing begins while one fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from segue import stage as stage_module
from segue.stage import COMMIT_OUTCOMES, StageLoop


class Wall:
    def now_ms(self) -> int:
        return round(time.monotonic() * 1000) + 10**12


class Counting:
    """A stage that counts how often it was pumped, and what of it is durable."""

    def __init__(self, name: str, pump: Callable[[], int | None] = lambda: None) -> None:
        self.name = name
        self.pumps = 0
        self.outcomes = 0
        self.dirty = False
        self.flying = 0
        self.taken: list[int] = []
        self.durable = 0
        self._pump = pump

    def pump(self) -> int | None:
        self.pumps += 1
        return self._pump()

    def change(self, outcomes: int = 1) -> None:
        self.outcomes += outcomes
        self.dirty = True

    def take(self) -> Any:
        self.taken.append(self.outcomes)
        taken, self.outcomes, self.dirty = (self.name, self.outcomes), 0, False
        return taken

    def committed(self) -> None:
        self.durable += 1


class Disk:
    """Where commits go; it may fail, or be slow."""

    def __init__(self) -> None:
        self.commits: list[list[Any]] = []
        self.tries = 0
        self.fails = 0
        self.gate: Any = None

    def commit(self, deltas: Sequence[Any]) -> None:
        self.tries += 1
        if self.gate is not None:
            self.gate.result()
        if self.fails:
            self.fails -= 1
            raise OSError("disk full")
        self.commits.append(list(deltas))


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until it is true; the test's own time limit ends a wait that does not."""
    while not true():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.002)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed commit, or a broken pump, is tried again soon."""
    monkeypatch.setattr(stage_module, "COMMIT_AGAIN_S", 0.01)
    monkeypatch.setattr(stage_module, "PUMP_AGAIN_MS", 10)


def loop_of(disk: Disk, *stages: Counting, failed: Callable[[Exception], None] = lambda error: None) -> StageLoop:
    loop = StageLoop(clock=Wall(), commit=disk.commit, failed=failed)
    for stage in stages:
        loop.add(stage)
    return loop


async def test_what_all_stages_changed_is_one_commit(disk: Disk) -> None:
    one, other, idle = Counting("one"), Counting("other"), Counting("idle")
    loop = loop_of(disk, one, other, idle)
    one.change()
    other.change(3)
    await until(lambda: bool(one.durable and other.durable))
    assert disk.commits == [[("one", 1), ("other", 3)]]
    assert idle.durable == 0
    await loop.close()
    assert len(disk.commits) == 1, "nothing was left to commit"


async def test_changes_made_during_a_commit_belong_to_the_next_one(disk: Disk) -> None:
    disk.gate = Future[None]()
    stage = Counting("one")
    loop = loop_of(disk, stage)
    stage.change(1)
    await until(lambda: disk.tries == 1)
    pumps = stage.pumps
    stage.change(7)
    loop.wake(stage)
    await until(lambda: stage.pumps > pumps)
    assert stage.taken == [1], "stages go on while a commit runs, but a second one waits for it"
    disk.gate.set_result(None)
    await until(lambda: stage.durable == 2)
    assert disk.commits == [[("one", 1)], [("one", 7)]]
    await loop.close()


async def test_many_outcomes_are_committed_without_waiting_for_the_timer(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "COMMIT_EVERY_MS", 10**7)
    stage = Counting("one")
    loop = loop_of(disk, stage)
    stage.change()
    await until(lambda: stage.durable == 1)
    stage.change(COMMIT_OUTCOMES - 1)
    loop.wake(stage)
    await asyncio.sleep(0.05)
    assert stage.durable == 1
    stage.change(1)
    loop.wake(stage)
    await until(lambda: stage.durable == 2)
    await loop.close()


@pytest.mark.usefixtures("quick")
async def test_a_failed_commit_is_repeated_with_the_same_changes_and_nothing_begins_meanwhile(disk: Disk) -> None:
    disk.fails = 3
    errors: list[Exception] = []
    stage = Counting("one")
    pumps_at_failure: list[int] = []

    def failed(error: Exception) -> None:
        errors.append(error)
        pumps_at_failure.append(stage.pumps)
        stage.change(5)
        loop.wake(stage)

    loop = loop_of(disk, stage, failed=failed)
    stage.change(2)
    await until(lambda: stage.durable == 2)
    assert len(errors) == 3
    assert len(set(pumps_at_failure)) == 1, "it was pumped while a commit was failing"
    assert disk.commits == [[("one", 2)], [("one", 15)]]
    await loop.close()


async def test_a_stage_is_pumped_when_it_asked_to_be_and_when_it_is_woken(disk: Disk) -> None:
    clock = Wall()
    stage = Counting("one")
    stage._pump = lambda: clock.now_ms() + 5 if stage.pumps < 4 else None
    loop = loop_of(disk, stage)
    await until(lambda: stage.pumps == 4)
    await asyncio.sleep(0.05)
    assert stage.pumps == 4
    loop.wake_all()
    await until(lambda: stage.pumps == 5)
    await loop.close()


@pytest.mark.usefixtures("quick")
async def test_a_stage_that_breaks_stops_no_other_one_and_is_tried_again(disk: Disk) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    broken, sound = Counting("broken"), Counting("sound")

    def breaks() -> int | None:
        if broken.pumps < 3:
            raise ZeroDivisionError
        return None

    broken._pump = breaks
    loop = loop_of(disk, broken, sound)
    sound.change()
    await until(lambda: broken.pumps == 3 and sound.durable == 1)
    assert [type(error) for error in told] == [ZeroDivisionError] * 2
    await loop.close()


async def test_a_removed_stage_is_pumped_no_more(disk: Disk) -> None:
    clock = Wall()
    gone, left = Counting("gone", lambda: clock.now_ms() + 3), Counting("left")
    loop = loop_of(disk, gone, left)
    await until(lambda: gone.pumps > 2)
    loop.remove(gone)
    pumps = gone.pumps
    loop.wake_all()
    loop.wake(gone)
    await until(lambda: left.pumps > 1)
    await asyncio.sleep(0.02)
    assert gone.pumps == pumps
    await loop.close()


async def test_closing_lets_what_is_on_its_way_come_back_first(disk: Disk) -> None:
    stage = Counting("one")
    loop = loop_of(disk, stage)
    await until(lambda: stage.pumps == 1)
    stage.flying = 1
    closing = asyncio.get_running_loop().create_task(loop.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    stage.flying = 0
    stage.change(6)
    loop.wake(stage)
    await closing
    assert disk.commits == [[("one", 6)]]


async def test_closing_does_not_wait_for_ever_for_what_does_not_come_back(disk: Disk) -> None:
    stage = Counting("one")
    loop = loop_of(disk, stage)
    stage.flying = 1
    stage.change(2)
    await loop.close(grace_s=0.01)
    assert disk.commits == [[("one", 2)]]


async def test_closing_commits_what_there_is(disk: Disk) -> None:
    stage = Counting("one")
    loop = loop_of(disk, stage)
    await asyncio.sleep(0)
    stage.change(4)
    await loop.close()
    assert disk.commits == [[("one", 4)]]
    pumps = stage.pumps
    loop.wake(stage)
    await asyncio.sleep(0.01)
    assert stage.pumps == pumps


async def test_closing_waits_for_the_commit_under_way_and_commits_the_rest(disk: Disk) -> None:
    disk.gate = Future[None]()
    stage = Counting("one")
    loop = loop_of(disk, stage)
    stage.change(1)
    await until(lambda: disk.tries == 1)
    stage.change(2)
    closing = asyncio.get_running_loop().create_task(loop.close())
    await asyncio.sleep(0.01)
    disk.gate.set_result(None)
    await closing
    assert disk.commits == [[("one", 1)], [("one", 2)]]


@pytest.mark.usefixtures("quick")
async def test_closing_writes_no_later_change_without_the_one_that_failed(disk: Disk) -> None:
    disk.fails = 10**6
    stage = Counting("one")
    loop = loop_of(disk, stage, failed=lambda error: stage.change(9))
    stage.change(1)
    await until(lambda: disk.tries >= 2)
    await loop.close()
    assert disk.commits == []


async def test_a_last_commit_that_fails_is_heard_of(disk: Disk) -> None:
    stage = Counting("one")
    loop = loop_of(disk, stage)
    await asyncio.sleep(0)
    disk.fails = 1
    stage.change()
    with pytest.raises(OSError, match="disk full"):
        await loop.close()


async def test_maintenance_runs_between_commits(disk: Disk) -> None:
    disk.gate = Future[None]()
    stage, order = Counting("one"), list[str]()
    loop = loop_of(disk, stage)
    stage.change()
    await until(lambda: disk.tries == 1)
    work = asyncio.get_running_loop().create_task(loop.in_writer(lambda: order.append("work")))
    await asyncio.sleep(0.01)
    assert order == []
    disk.gate.set_result(None)
    await work
    assert len(disk.commits) == 1
    await loop.close()
