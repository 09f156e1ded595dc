"""For how long retry windows stand still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.deliver.standstill import OPEN_MOST_MS, Standstill

HOUR = 3_600_000


def test_windows_stand_still_while_open_and_while_disabled_and_run_otherwise() -> None:
    still = Standstill(0)
    still.set_open(True, 10)
    assert still.total_ms(30) == 20
    still.set_open(False, 40)
    assert still.total_ms(1_000) == 30
    still.set_disabled(True, 1_000)
    still.set_disabled(False, 1_500)
    assert still.total_ms(9_999) == 530


def test_a_moment_at_which_it_is_open_and_disabled_counts_once() -> None:
    still = Standstill(0)
    still.set_open(True, 0)
    still.set_disabled(True, 100)
    still.set_open(False, 200)
    still.set_disabled(False, 300)
    assert still.total_ms(400) == 300


def test_one_opening_counts_for_72_hours_in_all_and_the_time_disabled_within_it_is_not_taken_from_them() -> None:
    still = Standstill(0)
    still.set_open(True, 0)
    assert still.total_ms(71 * HOUR) == 71 * HOUR
    still.set_disabled(True, 71 * HOUR)
    still.set_disabled(False, 171 * HOUR)
    assert still.total_ms(500 * HOUR) == 172 * HOUR
    still.set_open(False, 500 * HOUR)
    still.set_open(True, 501 * HOUR)
    assert still.total_ms(600 * HOUR) == (172 + 72) * HOUR


def test_time_in_which_segue_did_not_run_counts_as_it_was_left() -> None:
    for is_open, is_disabled, counted in ((True, False, 8), (False, True, 10), (False, False, 3)):
        still = Standstill(20 * HOUR)
        still.restore(
            total_ms=3 * HOUR,
            open_ms=OPEN_MOST_MS - 5 * HOUR,
            counted_to=13 * HOUR,
            is_open=is_open,
            is_disabled=is_disabled,
            now_ms=20 * HOUR,
        )
        assert still.total_ms(20 * HOUR) == counted * HOUR


def test_a_wall_clock_that_was_set_back_between_two_lives_takes_nothing_away() -> None:
    still = Standstill(0)
    still.restore(total_ms=5, open_ms=0, counted_to=10 * HOUR, is_open=True, is_disabled=False, now_ms=HOUR)
    assert still.total_ms(HOUR) == 5
    assert still.total_ms(HOUR + 7) == 12


@given(st.lists(st.tuples(st.integers(0, 100 * HOUR), st.sampled_from(("open", "close", "disable", "enable")))))
def test_it_never_grows_faster_than_time_nor_shrinks(steps: list[tuple[int, str]]) -> None:
    still, now, last = Standstill(0), 0, 0
    for wait, step in steps:
        now += wait
        total = still.total_ms(now)
        assert last <= total <= last + wait
        last = total
        if step in ("open", "close"):
            still.set_open(step == "open", now)
        else:
            still.set_disabled(step == "disable", now)
        assert still.open_ms <= OPEN_MOST_MS
