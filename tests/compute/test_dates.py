"""Dates: which texts are dates, and when a sliding comparator changes its answer."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.dates import DAY_MS, SLIDING, Interval, changes, lacks_zone, read_date

NOON_MS = 1_773_144_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-10T12:00:00Z",
        "2026-03-10T12:00",
        "2026-03-10T12:00Z",
        "2026-03-10T12:00:00.000999999",
        "2026-03-10T13:00:00+01:00",
        "2026-03-10T13:00:00+0100",
        "2026-03-10T06:30:00.0-05:30",
    ],
)
def test_a_moment_is_one_millisecond(text):
    assert read_date(text) == Interval(NOON_MS, NOON_MS)


def test_a_fraction_is_cut_to_milliseconds():
    assert read_date("2026-03-10T12:00:00.9999Z") == Interval(NOON_MS + 999, NOON_MS + 999)
    assert read_date("2026-03-10T12:00:00.1Z") == Interval(NOON_MS + 100, NOON_MS + 100)


def test_a_day_is_all_of_it_in_utc():
    assert read_date("1970-01-01") == Interval(0, DAY_MS - 1)
    assert read_date("2024-02-29") is not None
    assert read_date("0001-01-01") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30",
        "2025-02-29",
        "0000-01-01",
        "2026-3-10",
        "20260310",
        "10/03/2026",
        "2026-03-10 12:00:00",
        "2026-03-10t12:00:00Z",
        "2026-03-10T12:00:00z",
        "2026-03-10T24:00:00Z",
        "2026-03-10T12:60:00Z",
        "2026-03-10T12:00:60Z",
        "2026-03-10T12",
        "2026-03-10T12:00:00.Z",
        "2026-03-10T12:00:00.1234567890Z",
        "2026-03-10T12:00:00+1",
        "2026-03-10T12:00:00+24:00",
        "2026-03-10T12:00:00+01:60",
        "2026-03-10Z",
        "2026-03-10T12:00:00Z\n",
        " 2026-03-10",
        "٢٠٢٦-03-10",
        "2026-W11-2",
    ],
)
def test_any_other_text_is_no_date(text):
    assert read_date(text) is None


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_a_moment_is_counted_as_the_calendar_counts(when):
    epoch = datetime(1970, 1, 1)
    delta = when - epoch
    expected = delta.days * DAY_MS + delta.seconds * 1000 + delta.microseconds // 1000
    assert read_date(when.isoformat()) == Interval(expected, expected)


def test_a_zone_is_missed_only_on_a_moment():
    assert lacks_zone("2026-03-10T12:00:00")
    assert not lacks_zone("2026-03-10T12:00:00Z")
    assert not lacks_zone("2026-03-10T12:00:00+01:00")
    assert not lacks_zone("2026-03-10")
    assert not lacks_zone("soon")


instants = st.integers(-30, 30)


@given(
    st.sampled_from(sorted(SLIDING)),
    st.builds(lambda first, length: Interval(first, first + length), instants, st.integers(0, 5)),
    st.integers(1, 12),
)
def test_a_sliding_comparator_changes_at_the_instants_told_and_at_no_other(op, when, span_ms):
    answers = [(at_ms, SLIDING[op](when, span_ms, at_ms)) for at_ms in range(-60, 60)]
    changed = [at_ms for (at_ms, now), (_, earlier) in zip(answers[1:], answers, strict=False) if now is not earlier]
    assert tuple(changed) == changes(op, when, span_ms)


def test_a_renewal_day_is_within_the_last_week_until_the_eighth_day_begins():
    day = read_date("2026-03-10")
    first, until = read_date("2026-03-10T00:00:00.000Z"), read_date("2026-03-18T00:00:00.000Z")
    assert day and first and until
    assert changes("within_last", day, 7 * DAY_MS) == (first.first_ms, until.first_ms)


def test_a_renewal_moment_is_within_the_next_week_from_a_week_before_until_it_is_over():
    when, first = read_date("2026-03-20T09:00:00Z"), read_date("2026-03-13T09:00:00.000Z")
    assert when and first
    assert changes("within_next", when, 7 * DAY_MS) == (first.first_ms, when.first_ms + 1)
