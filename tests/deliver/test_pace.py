"""Pace: never faster than the rate, and never slower than it either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.deliver.pace import Pace

RATES = st.floats(0.05, 2_000)
BURST_MS = 100


@given(RATES, st.lists(st.integers(0, 3_000), min_size=1, max_size=80))
def test_over_any_span_no_more_start_than_rate_times_span_and_the_burst(rate: float, waits: list[int]) -> None:
    pace, now, starts = Pace(rate), 1_700_000_000_000, list[int]()
    for wait in waits:
        now = max(now + wait % 7, pace.opens_at(now)) if wait % 3 else now + wait
        if pace.opens_at(now) <= now:
            pace.started(now)
            starts.append(now)
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            span_s = (starts[last] - starts[first]) / 1_000
            assert last - first + 1 <= rate * span_s + max(1.0, rate * BURST_MS / 1_000) + rate / 1_000 + 1e-3


@given(RATES)
def test_who_starts_whenever_it_is_open_keeps_the_rate(rate: float) -> None:
    pace, begin = Pace(rate), 1_700_000_000_000
    now = begin
    for _ in range(200):
        now = max(now, pace.opens_at(now))
        pace.started(now)
    # An instant is a whole millisecond: each start may come up to one later than it might, none is lost by that.
    assert now - begin <= 199 * 1_000 / rate + 2


def test_without_a_rate_all_may_start() -> None:
    pace = Pace(None)
    for _ in range(10_000):
        assert pace.opens_at(5) <= 5
        pace.started(5)


def test_a_pause_holds_until_its_end_and_a_shorter_one_does_not_end_it() -> None:
    pace = Pace(None)
    pace.pause(1_000)
    pace.pause(500)
    assert pace.opens_at(0) == 1_000
    assert pace.opens_at(1_000) <= 1_000


def test_a_faster_rate_does_not_wait_for_what_a_slower_one_held_back() -> None:
    pace = Pace(0.01)
    pace.started(0)
    assert pace.opens_at(0) >= 99_999
    pace.set_rate(100, 50)
    assert pace.opens_at(50) <= 60
    pace.set_rate(None, 60)
    assert pace.opens_at(60) <= 60


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_pause_outlives_a_change_of_rate(rate: float | None) -> None:
    pace = Pace(1.0)
    pace.pause(9_000)
    pace.set_rate(rate, 0)
    assert pace.opens_at(0) == 9_000
