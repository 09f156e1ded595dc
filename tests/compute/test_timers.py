"""Timers: an answer changes at none but the instants that they say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.compute.evaluate import value
from segue.compute.parse import parse
from segue.compute.timers import next_change
from segue.compute.windows import Reach
from tests.compute.definitions import audiences, computed_traits
from tests.compute.histories import (
    DAY,
    HOUR,
    T0,
    WORDS,
    busy_audiences,
    busy_reductions,
    changes,
    facts,
    profile,
    reaches,
    spans_of,
    track,
    version,
)

DEFINITIONS = st.one_of(
    busy_audiences(), busy_audiences(), busy_reductions(listed=True), audiences(WORDS), computed_traits(WORDS)
)


@settings(max_examples=400, deadline=None)
@given(facts(), DEFINITIONS, reaches)
def test_nothing_changes_between_an_instant_and_the_next_change(known, tree, reach):
    history = known.history()
    edges = known.edges(*spans_of(tree), *([reach.retention_ms] if reach.retention_ms else []))
    until, expected = None, None
    for instant in edges:
        if expected is None or (until is not None and instant >= until):
            expected = [value(tree, history, instant, reach)]
            until = next_change(tree, history, instant, reach)
            assert until is None or until > instant
            if until is not None:
                assert value(tree, history, until - 1, reach) == expected[0]
        else:
            assert value(tree, history, instant, reach) == expected[0], (instant, until)


@settings(max_examples=80, deadline=None)
@given(facts(most=4), DEFINITIONS, reaches, st.data())
def test_each_wake_leads_to_the_next_until_there_is_none(known, tree, reach, data):
    history = known.history()
    edges = known.edges(*spans_of(tree))
    instant = data.draw(st.sampled_from(edges)) if edges else T0
    wakes = 0
    while (following := next_change(tree, history, instant, reach)) is not None:
        assert following > instant
        instant, wakes = following, wakes + 1
        assert wakes <= 500
    last = value(tree, history, instant, reach)
    assert all(value(tree, history, instant + later, reach) == last for later in (1, HOUR, DAY, 4000 * DAY))


def ago(*days: float) -> list:
    return [track("A", T0 - round(n * DAY)) for n in days]


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        ("event('A').count() >= 1", [1], None),
        ("event('A').within(7 days).count() >= 2", [6, 5, 1], 2),
        ("event('A').within(7 days).count() > 2", [6, 5, 1], 1),
        ("event('A').within(7 days).count() >= 4", [6, 5, 1], None),
        ("event('A').within(7 days).count() <= 2", [6, 5, 1], 1),
        ("event('A').within(7 days).count() <= 1", [6, 5, 1], 2),
        ("event('A').within(7 days).count() <= 3", [6, 5, 1], None),
        ("event('A').within(7 days).count() < 3", [6, 5, 1], 1),
        ("event('A').within(7 days).count() = 3", [6, 5, 1], 1),
        ("event('A').within(7 days).count() = 1", [6, 5, 1], 2),
        ("event('A').within(7 days).count() = 4", [6, 5, 1], None),
        ("event('A').within(7 days).count() != 0", [6, 5, 1], 6),
        ("event('A').within(7 days).count() >= 0", [6, 5, 1], None),
        ("event('A').within(7 days).count() >= '2'", [6, 5, 1], 2),
        ("event('A').within(7 days).count() >= 1.5", [6, 5, 1], 2),
        ("event('A').within(7 days).count() = 1.5", [6, 5, 1], 1),
        ("event('A').between(2 days, 7 days).count() >= 3", [6, 5, 1], 1),
        ("event('A').between(2 days, 7 days).count() >= 1", [6, 5, 1], 2),
        ("event('A').within(7 days).last(context('x')).exists()", [6], None),
        ("NOT (event('A').within(7 days).count() >= 2)", [6, 5, 1], 2),
        ("event('A').within(7 days).count() >= 2 AND event('A').within(7 days).count() >= 3", [6, 5, 1], 1),
        ("audience('a') OR trait('x') > 2", [1], None),
    ],
)
def test_a_window_is_awaited_no_longer_than_its_threshold_needs(text, days, expected):
    found = next_change(parse(text, "audience"), profile(*ago(*days)), T0)
    assert found == (None if expected is None else T0 + expected * DAY)


def test_a_maximum_is_awaited_until_the_last_that_holds_it_has_left():
    history = profile(*(track("A", T0 - n * DAY, {"v": v}) for n, v in ((6, 9), (5, 2), (4, 9.0), (3, 1))))
    tree = parse("event('A').within(7 days).max(property('v')) > 5", "audience")
    assert next_change(tree, history, T0) == T0 + 3 * DAY
    tree = parse("event('A').within(7 days).last(property('v')) < 5", "audience")
    assert next_change(tree, history, T0) == T0 + 4 * DAY
    tree = parse("event('A').within(7 days).first(property('v')) > 5", "audience")
    assert next_change(tree, history, T0) == T0 + DAY


def test_retention_ends_what_no_window_ends():
    history = profile(track("A", T0 - 5 * DAY, received_at=T0 - 4 * DAY))
    text = "event('A').count() >= 1"
    assert changes(text, history) is None
    assert changes(text, history, reach=Reach(retention_ms=30 * DAY)) == T0 + 26 * DAY


def test_a_date_in_where_is_awaited():
    history = profile(track("A", T0 - DAY, {"due": "2026-03-12T12:00:00Z"}))
    text = "event('A').where(property('due').within_next(1 day)).count() >= 1"
    assert changes(text, history) == T0 + DAY
    assert changes(text, history, T0 + DAY) == T0 + 2 * DAY + 1


def test_a_later_version_of_a_trait_is_awaited_at_an_instant_before_it():
    history = profile(traits={"x": [version(1, T0 - DAY), version(2, T0)]})
    assert changes("trait('x') = 2", history, T0 - 2 * DAY) == T0
    assert changes("trait('x') = 2", history) is None


def test_a_computed_trait_that_decayed_stays_until_retention_takes_its_last_event():
    history = profile(track("A", T0 - 8 * DAY))
    tree = parse("event('A').within(7 days).count()", "trait")
    assert next_change(tree, history, T0) is None
    assert next_change(tree, history, T0, Reach(retention_ms=9 * DAY)) == T0 + DAY
