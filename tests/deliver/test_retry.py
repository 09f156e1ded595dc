"""Delays between attempts, and the window in which they are made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.deliver.retry import DELAY_MOST_MS, WINDOW_MS, clamp_due, delay_ms, window_ends_at

LUCK = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), LUCK)
def test_a_delay_is_half_to_whole_of_two_to_the_attempts_in_seconds(attempts: int, luck: float) -> None:
    longest = min(1_000 * 2 ** min(attempts, 30), 300_000)
    assert longest // 2 <= delay_ms(attempts, luck) <= longest


def test_delays_spread_over_their_range() -> None:
    assert [delay_ms(1, 0.0), delay_ms(1, 0.5), delay_ms(9, 0.0)] == [1_000, 1_500, 150_000]


@given(st.integers(0, 10**13), st.integers(0, 10**10))
def test_a_window_is_four_hours_and_what_it_stood_still(started_at: int, stopped: int) -> None:
    assert window_ends_at(started_at=started_at, stopped_since_ms=stopped) - started_at - stopped == 4 * 3_600_000
    assert WINDOW_MS == 4 * 3_600_000


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_due_time_read_back_is_never_later_than_the_longest_delay(due_at: int, now: int) -> None:
    clamped = clamp_due(due_at, now)
    assert clamped <= now + DELAY_MOST_MS
    assert clamped == due_at or clamped < due_at
