"""Why somebody is in or out: the tree with what each part is."""

from __future__ import annotations

from hypothesis import given, settings

from segue.compute.evaluate import value
from segue.compute.history import ABSENT
from segue.compute.parse import parse
from segue.compute.tracing import MESSAGE_IDS_MOST, Traced, trace
from segue.compute.tree import Condition
from tests.compute.definitions import audiences, computed_traits
from tests.compute.histories import (
    DAY,
    T0,
    WORDS,
    busy_audiences,
    busy_reductions,
    facts,
    profile,
    reaches,
    spans_of,
    track,
    version,
)


def test_each_part_is_shown_with_its_value_and_the_events_that_count():
    history = profile(
        track("A", T0 - DAY, {"v": 2}, message_id="m1"),
        track("A", T0, {"v": "x"}, message_id="m2"),
        track("A", T0 - 9 * DAY, {"v": 9}, message_id="m0"),
        traits={"plan": [version("free", T0, message_id="i1")]},
    )
    text = "NOT (trait('plan') = 'free') OR event('A').within(7 days).sum(property('v')) >= trait('least')"
    found = trace(parse(text, "audience"), history, T0)
    plan = Traced(text="trait('plan')", values=("free",), values_in_all=1, events=1, message_ids=("i1",))
    spent = Traced(
        text="event('A').within(7 days).sum(property('v'))",
        values=(2,),
        values_in_all=1,
        events=2,
        message_ids=("m2", "m1"),
        skipped=1,
    )
    least = Traced(text="trait('least')", values=(None,), values_in_all=1)
    is_free = Traced(text="trait('plan') = 'free'", truth=True, parts=(plan,))
    assert found == Traced(
        text=text,
        truth=False,
        parts=(
            Traced(text="NOT (trait('plan') = 'free')", truth=False, parts=(is_free,)),
            Traced(text=text.split(" OR ")[1], truth=False, parts=(spent, least)),
        ),
    )


def test_only_the_newest_events_are_named_and_all_are_counted():
    history = profile(*(track("A", T0 - n, message_id=f"m{n}") for n in range(50)))
    found = trace(parse("event('A').count()", "trait"), history, T0)
    assert found.events == 50
    assert found.message_ids == tuple(f"m{n}" for n in range(MESSAGE_IDS_MOST))


def test_a_computed_trait_that_is_absent_says_so():
    assert not trace(parse("event('A').count()", "trait"), profile(), T0).present


@settings(max_examples=150, deadline=None)
@given(facts(), busy_audiences() | busy_reductions(listed=True) | audiences(WORDS) | computed_traits(WORDS), reaches)
def test_the_root_of_a_trace_is_the_value(known, tree, reach):
    history = known.history()
    for instant in known.edges(*spans_of(tree))[::9]:
        found, expected = trace(tree, history, instant, reach), value(tree, history, instant, reach)
        if isinstance(tree, Condition):
            assert found.truth is expected
            assert agrees(found)
        elif expected is ABSENT:
            assert not found.present
        else:
            assert found.values == (expected,)
            assert len(found.message_ids) == min(found.events, MESSAGE_IDS_MOST)


def agrees(found: Traced) -> bool:
    """Whether a junction is what its parts make it."""
    below = [part.truth for part in found.parts if part.truth is not None]
    if not below:
        return True
    return found.truth in (all(below), any(below), not below[0]) and all(map(agrees, found.parts))


def test_a_list_of_values_is_cut_and_its_length_told():
    found = trace(parse("trait('v.$') = 1", "audience"), profile(traits={"v": list(range(99))}), T0)
    (left,) = found.parts
    assert (len(left.values), left.values_in_all) == (20, 99)
