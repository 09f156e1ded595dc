"""All definitions of a space together: references at the same instant."""

from __future__ import annotations

from collections.abc import Callable, Collection

from hypothesis import given, settings
from hypothesis import strategies as st

from segue.compute.answers import Answers, Computation
from segue.compute.history import ABSENT, UNDEFINED, History
from segue.compute.parse import parse
from segue.compute.references import in_order, references
from segue.compute.tree import Definition
from segue.compute.windows import WHOLE
from segue.core.profile import ExternalId
from tests.compute.definitions import audiences
from tests.compute.histories import (
    AUDIENCES,
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
)


def space(history: History, *, once_in: Collection[str] = (), **definitions: str) -> Answers:
    trees = {key: parse(text, "trait" if key.startswith("t_") else "audience") for key, text in definitions.items()}
    return Answers({key: Computation(tree=tree) for key, tree in trees.items()}, history, once_in=once_in)


def test_a_computed_key_owns_its_name():
    history = profile(track("A", T0), traits={"t_n": 7, "other": 7})
    found = space(history, t_n="event('A').count()", a="trait('t_n') = 1", b="trait('other') = 7", c="trait('t_n') = 7")
    assert [found.value(key, T0) for key in "abc"] == [True, True, False]
    assert found.value("c", T0 - 1) is False, "no custom value steps in where the computed one is absent"
    assert found.trait("other", T0) is UNDEFINED


def test_a_computed_list_is_read_entry_by_entry():
    history = profile(*(track("A", T0 - n, {"v": v}) for n, v in enumerate("xyz")))
    found = space(history, t_v="event('A').unique(property('v'))", a="trait('t_v.$') = 'y'", b="trait('t_v') = 'y'")
    assert (found.value("a", T0), found.value("b", T0)) == (True, False)


def test_a_reference_of_a_reference_wakes_with_it():
    history = profile(track("A", T0 - 5 * DAY))
    found = space(
        history,
        t_n="event('A').within(7 days).count()",
        few="trait('t_n') < 1",
        out="NOT (audience('few'))",
    )
    assert found.next_change("out", T0) == T0 + 2 * DAY
    assert [found.value("out", T0 + 2 * DAY + off) for off in (-1, 0)] == [True, False]


def test_who_is_no_member_for_want_of_an_id_is_in_no_audience_for_others_either():
    history = profile(track("A", T0), ids=[ExternalId("anonymous_id", "9")])
    trees = {"a": parse("event('A').count() = 1", "audience"), "b": parse("audience('a')", "audience")}
    closed = Answers(
        {key: Computation(tree=tree, include_anonymous=key == "b") for key, tree in trees.items()}, history
    )
    assert not closed.value("b", T0)
    open_ = Answers({key: Computation(tree=tree, include_anonymous=True) for key, tree in trees.items()}, history)
    assert open_.value("b", T0)


def test_an_audience_has_no_value_for_who_never_was_in_it():
    history = profile(track("A", T0 - 9 * DAY))
    never = space(history, a="event('A').within(7 days).count() >= 1")
    assert [never.trait("a", T0 + n * DAY) for n in (-10, -9, 0)] == [ABSENT, True, ABSENT]
    once = space(history, once_in={"a"}, a="event('A').within(7 days).count() >= 1")
    assert [once.trait("a", T0 + n * DAY) for n in (-10, -9, 0)] == [False, True, False]
    assert not once.audience("a", T0)


def test_a_computed_trait_may_be_false_and_is_no_audience():
    found = space(profile(track("A", T0, {"v": False})), t_v="event('A').first(property('v'))")
    assert found.trait("t_v", T0) is False
    true = space(profile(track("A", T0, {"v": True})), t_v="event('A').first(property('v'))")
    assert not true.audience("t_v", T0)


def naming(*allowed: str) -> Callable[[Definition], bool]:
    """Whether a definition refers to none but these, so that there is no circle."""

    def names_no_others(tree: Definition) -> bool:
        named = references(tree)
        return (named.audiences | named.traits).isdisjoint(set(AUDIENCES) - set(allowed))

    return names_no_others


TOP = audiences(WORDS).filter(lambda tree: not naming()(tree))


@settings(max_examples=60, deadline=None)
@given(
    known=facts(most=4),
    spend=busy_reductions().filter(naming()),
    other=busy_audiences().filter(naming("spend")),
    aud=(busy_audiences() | audiences(WORDS)).filter(naming("spend", "other")),
    top=TOP,
    reach=reaches,
    once_in=st.sets(st.sampled_from(AUDIENCES)),
)
def test_nothing_changes_until_the_next_change_of_all_that_is_referred_to(
    known, spend, other, aud, top, reach, once_in
):
    trees = {"spend": spend, "other": other, "aud": aud, "top": top}
    assert in_order(trees)
    computations = {key: Computation(tree=tree, reach=reach if key == "aud" else WHOLE) for key, tree in trees.items()}
    found = Answers(computations, known.history(), once_in=once_in)
    until, expected, begun = None, None, False
    for instant in known.edges(*spans_of(*trees.values()))[::5]:
        if not begun or (until is not None and instant >= until):
            begun, expected, until = True, found.trait("top", instant), found.next_change("top", instant)
            assert until is None or found.trait("top", until - 1) == expected
        assert found.trait("top", instant) == expected
