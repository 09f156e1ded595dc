"""What the worker lets go of: what explains events that the log has dropped, and jobs that control has forgotten."""

from __future__ import annotations

from segue.control.jobs import JobSpec, create_replay
from segue.state.deliveries import DeadLetter, ReplayState

from .files import Files, working

PLANHAT = {"slug": "planhat", "kind": "planhat", "settings": {"apiKey": "k"}}


async def tidied(files: Files) -> None:
    """A worker looks after the state once."""
    async with working(files) as worker:
        await worker._tidy()


def stored(files: Files) -> set[int]:
    return set(files.views.state.replays())


async def test_a_job_that_control_has_forgotten_goes_once_nothing_of_it_is_left_to_do(files: Files) -> None:
    files.apply(PLANHAT)
    files.accept("one")
    known = create_replay(files.control, "planhat", JobSpec()).id
    over = ReplayState(position=1, end=1, state="done")
    waits = ReplayState(position=1, end=1, state="done", retrying=1)
    files.passed("planhat", replays={known: over, known + 1: over, known + 2: waits})
    await tidied(files)
    assert stored(files) == {known, known + 2}, "one that control names would begin again without its row"


async def test_what_explains_events_that_the_log_holds_stays(files: Files) -> None:
    files.apply(PLANHAT)
    files.accept("one", "two")
    number = files.number("planhat")
    letter = DeadLetter(number, 0, 1, "website", "two", 0, "[]", 9, "BAD_REQUEST", b"", b"")
    files.passed("planhat", dead=[letter], disabled=[(number, 0, 0)])
    await tidied(files)
    assert files.views.state.dead_letters_of(number, 1) == [letter]
    assert files.views.state.disabled_at(number, 0)
    (found,) = files.explain("two")
    assert found["deliveries"] == [
        {"destination": "planhat", "outcome": "refused", "reason": "BAD_REQUEST", "attempts": []}
    ]
