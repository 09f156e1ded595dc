"""The plain evaluator: the tables through whole definitions, and what order of arrival must not change."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.compute.evaluate import value
from segue.compute.history import ABSENT, History, Occurrence
from segue.compute.parse import parse
from segue.compute.timers import next_change
from segue.compute.tracing import trace
from segue.compute.windows import Reach
from tests.compute.definitions import audiences, computed_traits
from tests.compute.histories import (
    DAY,
    HOUR,
    MINUTE,
    T0,
    WORDS,
    busy_audiences,
    busy_reductions,
    computed,
    facts,
    is_true,
    profile,
    reaches,
    spans_of,
    track,
    version,
)
from tests.compute.test_comparators import cells, dated_cells


@pytest.mark.parametrize(("text", "comparison", "expected"), [*cells(), *dated_cells()])
def test_each_cell_of_the_tables_holds_of_traits_and_of_properties(text, comparison, expected):
    found = json.loads(text)
    gap = " " if comparison[0] in "=!<>" else ""
    traits = profile(track("A", T0, {"a": found}), traits={"a": found})
    assert is_true(f"trait('a'){gap}{comparison}", traits) is expected
    assert is_true(f"NOT (trait('a'){gap}{comparison})", traits) is not expected
    assert is_true(f"event('A').where(property('a'){gap}{comparison}).count() = 1", traits) is expected
    assert is_true(f"event('A').last(property('a')){gap}{comparison}", traits) is expected
    missing = profile(track("A", T0))
    if found is None:
        assert is_true(f"trait('a'){gap}{comparison}", missing) is expected
        assert is_true(f"event('A').where(property('a'){gap}{comparison}).count() = 1", missing) is expected


def test_and_binds_tighter_than_or_and_not_turns_a_leaf():
    history = profile(traits={"t": 1})
    yes, no = "trait('t') = 1", "trait('t') = 2"
    for text, expected in {
        f"{yes} OR {no} AND {no}": True,
        f"({yes} OR {no}) AND {no}": False,
        f"NOT ({no}) AND {no}": False,
        f"NOT ({no} AND {no})": True,
    }.items():
        assert is_true(text, history) is expected, text


def test_a_stream_has_only_what_has_happened():
    history = profile(track("A", T0))
    assert not is_true("event('A').count() >= 1", history, T0 - 1)
    assert is_true("event('A').count() >= 1", history, T0)


@given(st.lists(st.integers(-5, 5), max_size=6), st.integers(0, 3), st.integers(1, 4), st.integers(-1, 1))
def test_windows_count_by_age(ages, near, more, off):
    history = profile(*(track("A", T0 - age * HOUR, message_id=f"{n}") for n, age in enumerate(ages)))
    at, far = T0 + off, near + more
    age_ms = [at - (T0 - age * HOUR) for age in ages]
    within = computed(f"event('A').within({far} hours).count()", history, at)
    between = computed(f"event('A').between({near} hours, {far} hours).count()", history, at)
    if any(age >= 0 for age in age_ms):
        assert within == sum(0 <= age < far * HOUR for age in age_ms)
        assert between == sum(near * HOUR <= age < far * HOUR for age in age_ms)
    else:
        assert within is between is ABSENT


def test_where_sees_properties_context_traits_and_audiences():
    event = Occurrence(
        t=T0, received_at=T0, message_id="m", source="web", type="track", name="A",
        properties='{"p":5}', context='{"page":{"url":"/pricing"}}',
    )  # fmt: skip
    history = profile(event, traits={"least": 5})
    for where, expected in {
        "property('p') = 5": True,
        "context('page.url').contains('/pri')": True,
        "property('p') >= trait('least')": True,
        "property('p') > trait('least')": False,
        "property('p') = trait('none')": False,
        "property('p') != trait('none')": False,
        "trait('least').exists() AND NOT (audience('a'))": True,
        "property('p') = property('p')": True,
    }.items():
        assert is_true(f"event('A').where({where}).count() = 1", history) is expected, where


def test_a_reducer_may_stand_on_either_side():
    history = profile(track("A", T0 - 1, {"v": 2}), track("A", T0, {"v": 3}), traits={"n": 2})
    assert is_true("event('A').count() = trait('n')", history)
    assert is_true("trait('n') < event('A').max(property('v'))", history)
    assert is_true("event('A').first(property('v')) != event('A').last(property('v'))", history)


@pytest.mark.parametrize(
    ("type_", "name", "path", "expected"),
    [
        ("page", "Home", "page_name", "Home"),
        ("screen", "Home", "screen_name", "Home"),
        ("page", "Home", "screen_name", None),
        ("page", "", "page_name", "own"),
    ],
)
def test_the_name_of_a_page_is_a_property_of_its_event(type_, name, path, expected):
    own = '{"page_name":"own"}'
    fields = {"t": T0, "received_at": T0, "message_id": "m", "source": "web", "type": type_, "name": name}
    stream = "Page Viewed" if type_ == "page" else "Screen Viewed"
    found = computed(f"event('{stream}').first(property('{path}'))", profile(Occurrence(properties=own, **fields)))
    assert found == (ABSENT if expected is None else expected)


@pytest.mark.parametrize("type_", ["identify", "group", "alias"])
def test_other_calls_are_in_no_stream(type_):
    event = Occurrence(t=T0, received_at=T0, message_id="m", source="web", type=type_, name="A")
    assert is_true("event('A').count() = 0", profile(event))


def test_the_latest_version_of_a_trait_counts_and_null_is_a_version():
    versions = [version("new", T0), version("old", T0 - DAY), version(None, T0 + DAY)]
    for order in itertools.permutations(versions):
        history = profile(traits={"x": list(order)})
        assert [history.trait("x", T0 + n * DAY) for n in (-2, -1, 0, 1)] == [None, "old", "new", None]


def test_versions_at_one_instant_are_told_apart_by_receipt_and_message_id():
    tied = [version("a", T0, message_id="m2"), version("b", T0, message_id="m1")]
    assert profile(traits={"x": tied}).trait("x", T0) == "a"
    later = version("c", T0, received_at=T0 + 1, message_id="m0")
    assert profile(traits={"x": [later, *tied]}).trait("x", T0) == "c"


def test_events_beyond_the_reach_do_not_count():
    history = profile(track("A", T0 - 5 * DAY, received_at=T0 - DAY), track("A", T0 - 2 * DAY))
    for reach, expected in [
        (Reach(), 2),
        (Reach(retention_ms=2 * DAY), 1),
        (Reach(retention_ms=2 * DAY + 1), 2),
        (Reach(retention_ms=DAY), ABSENT),
        (Reach(received_from_ms=T0 - DAY), 1),
        (Reach(from_ms=T0 - 2 * DAY), 1),
        (Reach(from_ms=T0 - 2 * DAY + 1), ABSENT),
    ]:
        assert computed("event('A').count()", history, reach=reach) == expected, reach


def test_a_computed_trait_is_there_once_an_event_had_a_value_for_it():
    week = "event('A').within(7 days)"
    never, empty = profile(), profile(track("A", T0 - 8 * DAY))
    had = profile(track("A", T0 - 8 * DAY, {"v": "x"}))
    for reducer, of_empty, of_had in [
        ("count()", 0, 0),
        ("sum(property('v'))", ABSENT, 0),
        ("avg(property('v'))", ABSENT, None),
        ("last(property('v'))", ABSENT, None),
        ("unique(property('v'))", ABSENT, []),
        ("unique(property('v')).count()", ABSENT, 0),
    ]:
        found = [computed(f"{week}.{reducer}", history) for history in (never, empty, had)]
        assert found == [ABSENT, of_empty, of_had], reducer
    assert computed(f"{week}.where(property('v') = 'y').count()", had) is ABSENT


def test_a_session_is_the_newest_run_of_events_that_pass():
    history = profile(*(track("A", T0 - n * MINUTE, {"v": n}) for n in (95, 75, 40, 20)))
    session = "event('A').expires_after(1800 seconds)"
    assert computed(f"{session}.sum(property('v'))", history) == 60
    assert computed(f"{session}.where(property('v') != 40).sum(property('v'))", history) == 20
    late = track("A", T0 - 50 * MINUTE, {"v": 1}, received_at=T0)
    joined = profile(*history.stream("A"), late)
    assert computed(f"{session}.sum(property('v'))", joined) == 231
    assert computed(f"{session}.unique(property('v'))", joined, T0 + 10 * MINUTE) == []
    assert computed(f"{session}.avg(property('v'))", joined, T0 + 10 * MINUTE) is None


DEFINITIONS = st.one_of(
    busy_audiences(), busy_audiences(), busy_reductions(listed=True), audiences(WORDS), computed_traits(WORDS)
)


@settings(max_examples=150, deadline=None)
@given(facts(), DEFINITIONS, reaches, st.data())
def test_the_order_of_arrival_does_not_matter(known, tree, reach, data):
    order = data.draw(st.permutations(range(len(known.occurrences))))
    one, other = known.history(), known.history(order)
    for instant in known.edges(*spans_of(tree))[::7]:
        assert value(tree, one, instant, reach) == value(tree, other, instant, reach)
        assert next_change(tree, one, instant, reach) == next_change(tree, other, instant, reach)
        assert trace(tree, one, instant, reach) == trace(tree, other, instant, reach)


@settings(max_examples=100, deadline=None)
@given(facts(), DEFINITIONS)
def test_an_event_that_is_still_to_come_changes_nothing_now(known, tree):
    for instant in known.edges(*spans_of(tree))[::11]:
        past = [fields for fields in known.occurrences if fields["t"] <= instant]
        versions = [each for each in known.versions if each[1].cause.t <= instant]
        then = known._replace(occurrences=past, versions=versions).history()
        assert value(tree, known.history(), instant) == value(tree, then, instant)


def test_an_empty_history_has_an_answer_to_everything():
    assert value(parse("event('A').count() = 0 AND trait('x').absent()", "audience"), History(), T0) is True
    assert computed("event('A').count()", History()) is ABSENT
