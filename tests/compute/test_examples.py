"""The worked examples of the contract, by their number."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from segue.compute.answers import Answers, Computation
from segue.compute.checks import Kind
from segue.compute.evaluate import is_member
from segue.compute.history import ABSENT, History, Occurrence
from segue.compute.parse import parse
from segue.core.profile import ExternalId
from tests.compute.histories import DAY, HOUR, MINUTE, T0, changes, computed, is_true, ms, profile, track, version

W30 = "event('OC').within(30 days).count() >= 1"


def ordered(*days_ago: float, name: str = "OC") -> History:
    """A profile with an event so many days before T0 each."""
    return profile(*(track(name, T0 - round(days * DAY)) for days in days_ago))


def test_1_a_member_leaves_when_the_window_has_passed():
    assert is_true(W30, ordered(5))
    assert changes(W30, ordered(5)) == T0 + 25 * DAY


def test_2_the_far_end_is_open():
    assert not is_true(W30, ordered(30))
    assert is_true(W30, ordered(30), T0 - 1)


def test_4_an_event_outside_the_window_does_not_matter():
    assert is_true(W30, ordered(40, 29))
    assert changes(W30, ordered(40, 29)) == T0 + DAY


def test_5_two_in_the_window_end_with_the_second_newest():
    two = "event('OC').within(30 days).count() >= 2"
    assert is_true(two, ordered(29, 10, 1))
    assert changes(two, ordered(29, 10, 1)) == T0 + 20 * DAY


def test_7_and_8_between_is_closed_near_and_open_far():
    between = "event('OC').between(7 days, 10 days).count() >= 1"
    assert is_true(between, ordered(7))
    assert changes(between, ordered(7)) == T0 + 3 * DAY
    assert not is_true(between, ordered(10))
    assert is_true(between, ordered(10), T0 - 1)
    assert changes(between, ordered(6)) == T0 + DAY


def test_10_a_day_is_24_hours_when_the_clocks_change():
    history = profile(track("OC", ms("2026-03-28T11:00:00")))
    day = "event('OC').within(1 day).count() >= 1"
    assert is_true(day, history, ms("2026-03-29T10:00:00"))
    assert not is_true(day, history, ms("2026-03-29T11:00:00"))


def test_11_an_event_from_the_future_counts_from_its_receipt():
    history = profile(track("OC", min(T0 + 2 * DAY, T0)))  # as the resolver caps it
    day = "event('OC').within(1 day).count() >= 1"
    assert is_true(day, history)
    assert not is_true(day, history, T0 + DAY)


def test_13_a_late_event_counts_as_of_its_own_time():
    late = profile(track("OC", T0 - 40 * DAY, received_at=T0))
    assert not is_true(W30, late)
    assert changes(W30, late) is None
    assert is_true("event('OC').count() >= 1", late)


def test_14_a_late_event_lets_a_profile_in_again():
    history = profile(track("OC", T0 - 31 * DAY), track("OC", T0 - 10 * DAY, received_at=T0))
    assert is_true(W30, history)
    assert changes(W30, history) == T0 + 20 * DAY


@pytest.mark.parametrize(
    ("number", "traits", "text", "expected"),
    [
        (16, {}, "NOT (trait('a') >= 0)", True),
        (17, {}, "trait('a') != 5", False),
        (17, {}, "NOT (trait('a') = 5)", True),
        (19, {"vip": True}, "trait('vip') = 'true'", True),
        (19, {"vip": "true"}, "trait('vip') = 'true'", True),
        (19, {"vip": "True"}, "trait('vip') = 'true'", False),
        (19, {"vip": 1}, "trait('vip') = 'true'", False),
        (20, {"n": "5.0"}, "trait('n') = 5", True),
        (20, {"n": "5.0"}, "trait('n') = '5'", False),
        (20, {"n": 5}, "trait('n') = '5.0'", True),
        (22, {"zip": "01234"}, "trait('zip') >= 1000", False),
        (22, {"zip": "01234"}, "NOT (trait('zip') >= 1000)", True),
        (23, {"tags": ["new", "vip"]}, "trait('tags').contains('vip')", True),
        (23, {"tags": ["new", "vip"]}, "trait('tags') = 'vip'", False),
        (23, {"tags": ["new", "vip"]}, "trait('tags.$') = 'vip'", True),
        (25, {"tags": ["new", "vip"]}, "trait('tags.$').omits('vip')", False),
        (25, {"tags": ["new", "vip"]}, "trait('tags.$') != 'vip'", True),
        (26, {"a.b": 1, "a": {"b": 2}}, "trait('a.b') = 2", True),
        (26, {"a.b": 1, "a": {"b": 2}}, "trait('a\\\\.b') = 1", True),
        (31, {"d": "2026-03-10T00:00:00+02:00"}, "trait('d').before_date('2026-03-10')", True),
    ],
)
def test_16_to_31_values_of_traits(number, traits, text, expected):
    assert is_true(text, profile(traits=traits)) is expected, number


def test_25_absent_is_true_where_no_entry_has_a_value():
    history = profile(track("A", T0, {"p": [{"c": "x"}, {}]}))
    assert not is_true("event('A').where(property('p.$.c').absent()).count() >= 1", history)
    assert is_true("event('A').where(property('p.$.d').absent()).count() >= 1", history)


def test_28_a_day_is_within_the_last_days_from_its_first_to_its_last_instant():
    history, text = profile(traits={"renewal": "2026-03-10"}), "trait('renewal').within_last(7 days)"
    first, last = ms("2026-03-10T00:00:00"), ms("2026-03-18T00:00:00")
    assert [is_true(text, history, at) for at in (first - 1, first, last - 1, last)] == [False, True, True, False]
    assert changes(text, history, first - DAY) == first
    assert changes(text, history, first) == last
    assert changes(text, history, last) is None


def test_29_a_moment_is_within_the_next_days():
    history, text = profile(traits={"renewal": "2026-03-20T09:00:00Z"}), "trait('renewal').within_next(7 days)"
    assert changes(text, history) == ms("2026-03-13T09:00:00")
    assert changes(text, history, ms("2026-03-13T09:00:00")) == ms("2026-03-20T09:00:00") + 1


@pytest.mark.parametrize("date", ["10/03/2026", 1773144000])
@pytest.mark.parametrize(
    "comparison",
    ["before_date('2030-01-01')", "after_date('2000-01-01')"]
    + [f"{name}(7 days)" for name in ("within_last", "within_next", "before_last", "after_next")],
)
def test_32_what_is_no_date_is_in_no_date_comparator_but_in_its_opposite(date, comparison):
    history = profile(traits={"d": date})
    assert not is_true(f"trait('d').{comparison}", history)
    assert is_true(f"NOT (trait('d').{comparison})", history)


def test_34_a_sum_is_exact_in_any_order_of_arrival():
    events = [track("OC", T0 - n, {"v": v}) for n, v in enumerate([0.1, 0.2])]
    for order in itertools.permutations(events):
        assert is_true("event('OC').sum(property('v')) = 0.3", profile(*order))


def test_35_without_events_a_sum_is_0_and_the_rest_null():
    expected = {".sum(property('v')) < 10": True, ".avg(property('v')) < 10": False, ".count() = 0": True}
    expected |= {".max(property('v')).absent()": True}
    for text, truth in expected.items():
        assert is_true(f"event('OC'){text}", profile()) is truth, text


def test_37_unique_values_are_texts_in_the_order_of_their_code_points():
    given: list[Any] = ["b", "B", "a", "é", 5, "5", None]
    history = profile(*(track("OC", T0 - n, {"c": c}) for n, c in enumerate(given)))
    assert computed("event('OC').unique(property('c'))", history) == ["5", "B", "a", "b", "é"]
    assert computed("event('OC').unique(property('c')).count()", history) == 5


def test_38_equal_times_are_told_apart_by_message_id():
    second, first = track("OC", T0, {"v": 2}, message_id="m2"), track("OC", T0, {"v": 1}, message_id="m1")
    assert computed("event('OC').first(property('v'))", profile(second, first)) == 1
    assert computed("event('OC').last(property('v'))", profile(second, first)) == 2


def test_40_a_count_that_decayed_is_0_and_one_that_never_was_is_absent():
    definitions = {
        "orders_30d": "event('OC').within(30 days).count()",
        "less": "trait('orders_30d') < 1",
        "not_more": "NOT (trait('orders_30d') >= 1)",
    }
    once, never = answers(definitions, ordered(31)), answers(definitions, profile())
    assert (once.value("orders_30d", T0), never.value("orders_30d", T0)) == (0, ABSENT)
    assert (once.value("less", T0), never.value("less", T0)) == (True, False)
    assert (once.value("not_more", T0), never.value("not_more", T0)) == (True, True)


def test_41_a_session_ends_when_it_was_quiet_for_long_enough():
    history = profile(*(track("PV", T0 - minutes * MINUTE) for minutes in (180, 40, 20, 5)))
    text = "event('PV').expires_after(1800 seconds).count()"
    assert computed(text, history) == 3
    assert computed(text, history, T0 + 25 * MINUTE - 1) == 3
    assert computed(text, history, T0 + 25 * MINUTE) == 0


def test_50_a_reference_reads_the_trait_as_it_is_now():
    spend = [version(50, T0 - 9 * DAY), version(70, T0)]
    history = profile(track("Buy", T0 - 5 * DAY, {"price": 60}), traits={"avg_spend": spend})
    text = "event('Buy').where(property('price') >= trait('avg_spend')).count() >= 1"
    assert is_true(text, history, T0 - 1)
    assert not is_true(text, history)
    assert changes(text, history, T0 - DAY) == T0


def answers(definitions: dict[str, str], history: History, *once_in: str) -> Answers:
    """A space of definitions; those that end in a count are computed traits. The profile was in audiences before."""
    trees = {}
    for key, text in definitions.items():
        kind: Kind = "trait" if text.endswith("count()") else "audience"
        trees[key] = parse(text, kind)
    return Answers({key: Computation(tree=tree) for key, tree in trees.items()}, history, once_in=once_in)


def test_52_an_audience_is_false_only_for_who_was_in_it_once():
    definitions = {"a": W30, "not_a": "NOT (audience('a'))", "was_a": "trait('a') = 'false'"}
    history = profile(track("OC", T0))
    before, after = answers(definitions, history), answers(definitions, history, "a")
    assert (before.value("not_a", T0 - 1), before.value("was_a", T0 - 1)) == (True, False)
    assert (before.value("not_a", T0), before.value("was_a", T0)) == (False, False)
    assert (after.value("not_a", T0), after.value("was_a", T0)) == (False, False)
    assert (after.value("not_a", T0 + 30 * DAY), after.value("was_a", T0 + 30 * DAY)) == (True, True)


def test_53_a_reference_changes_at_the_instant_at_which_the_other_does():
    definitions = {"a": W30, "c": "audience('a') AND trait('x') = '1'"}
    space = answers(definitions, profile(track("OC", T0 - 5 * DAY), traits={"x": "1"}))
    closing = T0 + 25 * DAY
    assert space.next_change("a", T0) == space.next_change("c", T0) == closing
    assert [space.value(key, closing - 1) for key in "ac"] == [True, True]
    assert [space.value(key, closing) for key in "ac"] == [False, False]


def test_55_a_profile_without_an_id_to_be_sent_by_is_no_member():
    event, anonymous = track("OC", T0 - DAY), ExternalId("anonymous_id", "9")
    tree = parse(W30, "audience")
    alone = profile(event, ids=[anonymous])
    assert not is_member(tree, alone, T0 - 1)
    assert is_member(tree, alone, T0 - 1, include_anonymous=True)
    assert is_member(tree, profile(event, ids=[ExternalId("user_id", "u1"), anonymous]), T0)


def test_56_a_merged_profile_is_evaluated_over_the_union():
    assert is_true("event('OC').count() = 0", profile())
    assert not is_true("event('OC').count() = 0", ordered(1))


def test_64_events_of_excluded_sources_do_not_count():
    history = profile(track("OC", T0 - DAY, source="src_test"))
    assert is_true(W30, history)
    assert not is_true(W30.replace(".within", ".sources(exclude: 'src_test').within"), history)


def test_65_page_calls_are_page_viewed_with_their_name_as_a_property():
    page = Occurrence(t=T0 - DAY, received_at=T0 - DAY, message_id="p", source="web", type="page", name="Pricing")
    assert is_true("event('Page Viewed').where(property('page_name') = 'Pricing').count() >= 1", profile(page))
    assert not is_true("event('Pricing').count() >= 1", profile(page))
    assert is_true("event('Page Viewed').count() = 2", profile(page, track("Page Viewed", T0 - HOUR)))
