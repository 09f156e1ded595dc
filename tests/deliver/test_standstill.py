"""For how long retry windows stand still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.deliver.standstill import OPEN_MOST_MS, Standstill

HOUR = 3_600_000


def since_begin(still: Standstill, now: int) -> int:
    """For how long the window of an event has stood still that was tried first when nothing had."""
    still.count(now)
    return still.since(0, 0)


def test_windows_stand_still_while_open_and_while_disabled_and_run_otherwise() -> None:
    still = Standstill(0)
    still.set_open(True, 10)
    assert since_begin(still, 30) == 20
    still.set_open(False, 40)
    assert since_begin(still, 1_000) == 30
    still.set_disabled(True, 1_000)
    still.set_disabled(False, 1_500)
    assert since_begin(still, 9_999) == 530


def test_a_moment_at_which_it_is_open_and_disabled_counts_once() -> None:
    still = Standstill(0)
    still.set_open(True, 0)
    still.set_disabled(True, 100)
    still.set_open(False, 200)
    still.set_disabled(False, 300)
    assert since_begin(still, 400) == 300


def test_all_openings_count_for_72_hours_in_all_of_each_event_and_the_time_disabled_is_not_taken_from_them() -> None:
    still = Standstill(0)
    still.set_open(True, 0)
    assert since_begin(still, 71 * HOUR) == 71 * HOUR
    still.set_disabled(True, 71 * HOUR)
    still.set_disabled(False, 171 * HOUR)
    assert since_begin(still, 500 * HOUR) == 172 * HOUR
    still.set_open(False, 500 * HOUR)
    later = still.stopped_ms, still.open_ms
    still.set_open(True, 501 * HOUR)
    assert since_begin(still, 600 * HOUR) == 172 * HOUR, "another opening gives it no further hours"
    assert still.since(*later) == 72 * HOUR, "an event that came later has all of its own"


def test_time_in_which_segue_did_not_run_counts_as_it_was_left() -> None:
    for is_open, is_disabled, counted in ((True, False, 3 + 12), (False, True, 10 + 5), (False, False, 3 + 5)):
        still = Standstill(20 * HOUR)
        still.restore(
            stopped_ms=3 * HOUR,
            open_ms=5 * HOUR,
            counted_to=13 * HOUR,
            is_open=is_open,
            is_disabled=is_disabled,
            now_ms=20 * HOUR,
        )
        assert since_begin(still, 20 * HOUR) == counted * HOUR


def test_a_wall_clock_that_was_set_back_between_two_lives_takes_nothing_away() -> None:
    still = Standstill(0)
    still.restore(stopped_ms=5, open_ms=0, counted_to=10 * HOUR, is_open=True, is_disabled=False, now_ms=HOUR)
    assert since_begin(still, HOUR) == 5
    assert since_begin(still, HOUR + 7) == 12


@given(st.lists(st.tuples(st.integers(0, 100 * HOUR), st.sampled_from(("open", "close", "disable", "enable")))))
def test_it_never_grows_faster_than_time_nor_shrinks(steps: list[tuple[int, str]]) -> None:
    still, now, last = Standstill(0), 0, 0
    for wait, step in steps:
        now += wait
        total = since_begin(still, now)
        assert last <= total <= last + wait
        last = total
        if step in ("open", "close"):
            still.set_open(step == "open", now)
        else:
            still.set_disabled(step == "disable", now)
        assert total - still.stopped_ms <= OPEN_MOST_MS
