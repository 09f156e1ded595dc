"""Matching, merging and demotion: the reference's algorithm and its worked example, limits and caps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from segue.core.profile import IDS_MAX, MERGES_MAX, Cause, ExternalId, LinkedId
from segue.resolve.graph import Decision, Demoted, decide

NOW = 100_000


@dataclass
class Somebody:
    number: int
    ids: Sequence[LinkedId]
    absorbed: Sequence[int] = ()


def linked(*ids: str, at: int = 0) -> list[LinkedId]:
    return [LinkedId(*text.split(":"), Cause(0, at, at, "m", "web")) for text in ids]


def external(*ids: str) -> list[ExternalId]:
    return [ExternalId(*text.split(":")) for text in ids]


def decided(event: str, *people: Somebody, **limits: int | tuple[int, int | None]) -> Decision:
    """`limits` for each type; left out: user_id 1, others 5, for ever."""

    def limit(type_: str) -> tuple[int, int | None]:
        found = limits.get(type_, 1 if type_ == "user_id" else 5)
        return found if isinstance(found, tuple) else (found, None)

    owners = {known.external_id: person.number for person in people for known in person.ids}
    ids = external(*event.split())
    met = {owners[external_id] for external_id in ids if external_id in owners}
    return decide(
        ids,
        {external_id: owners[external_id] for external_id in ids if external_id in owners},
        {person.number: person for person in people if person.number in met},
        limit,
        NOW,
    )


def test_without_a_match_a_profile_is_made():
    assert decided("user_id:a email:e") == Decision(None, (), tuple(external("user_id:a", "email:e")), ())


def test_one_match_is_attached_to_and_learns_the_new_ids():
    assert decided("user_id:a email:e", Somebody(3, linked("email:e"))) == Decision(
        3, (), tuple(external("user_id:a")), ()
    )


def test_several_matches_become_the_oldest():
    people = [Somebody(7, linked("anonymous_id:x")), Somebody(2, linked("email:e")), Somebody(5, linked("user_id:a"))]
    assert decided("user_id:a email:e anonymous_id:x", *people) == Decision(2, (5, 7), (), ())


def test_the_worked_example_of_the_reference():
    jane = Somebody(1, linked("user_id:abc123", "email:jane"))
    assert decided("user_id:abc456 email:jane", jane) == Decision(
        None, (), tuple(external("user_id:abc456")), (Demoted(ExternalId("email", "jane"), "limit:user_id", 1),)
    )


def test_a_shared_anonymous_id_joins_no_two_users():
    people = [Somebody(1, linked("user_id:a", "anonymous_id:x")), Somebody(2, linked("user_id:b"))]
    assert decided("user_id:b anonymous_id:x", *people) == Decision(
        2, (), (), (Demoted(ExternalId("anonymous_id", "x"), "limit:user_id", 1),)
    )


def test_the_lowest_priority_goes_first_even_where_another_is_at_fault():
    people = [Somebody(1, linked("user_id:a")), Somebody(2, linked("user_id:b", "email:e"))]
    assert decided("user_id:a email:e anonymous_id:new", *people) == Decision(
        1,
        (),
        (),
        (
            Demoted(ExternalId("anonymous_id", "new"), "limit:user_id", None),
            Demoted(ExternalId("email", "e"), "limit:user_id", 2),
        ),
    )


def test_what_was_dropped_but_is_on_the_profile_anyway_is_not_demoted():
    people = [Somebody(1, linked("user_id:a", "anonymous_id:x")), Somebody(2, linked("user_id:b", "email:e"))]
    assert [each.external_id for each in decided("user_id:a email:e anonymous_id:x", *people).demoted] == external(
        "email:e"
    )


def test_a_profile_that_exceeds_a_tightened_limit_is_still_attached_to():
    strandeds = Somebody(1, linked("user_id:a", "user_id:b"))
    assert decided("user_id:a anonymous_id:x", strandeds).profile == 1
    assert decided("user_id:c anonymous_id:x", strandeds, Somebody(2, linked("anonymous_id:x"))).profile == 2
    assert decided("user_id:a email:e", strandeds, Somebody(2, linked("email:e"))).absorbed == (2,)
    assert decided("user_id:a email:e", strandeds, Somebody(2, linked("email:e", "user_id:c"))).absorbed == ()


def test_a_sliding_limit_counts_only_what_came_within_its_period():
    emails = linked("email:1", "email:2", at=NOW - 1_000)
    assert decided("user_id:a email:3", Somebody(1, [*linked("user_id:a"), *emails]), email=(2, 1_001)).added == ()
    assert decided("user_id:a email:3", Somebody(1, [*linked("user_id:a"), *emails]), email=(2, 1_000)).added == tuple(
        external("email:3")
    )


def test_an_event_alone_cannot_break_a_limit():
    assert decided("user_id:a user_id:b email:e") == Decision(
        None,
        (),
        tuple(external("user_id:a")),
        (
            Demoted(ExternalId("email", "e"), "limit:user_id", None),
            Demoted(ExternalId("user_id", "b"), "limit:user_id", None),
        ),
    )


@pytest.mark.parametrize(("absorbed", "merged"), [(MERGES_MAX - 1, (2,)), (MERGES_MAX, ())])
def test_no_profile_absorbs_more_than_the_cap(absorbed: int, merged: tuple[int, ...]):
    people = [Somebody(1, linked("email:e"), range(100, 100 + absorbed)), Somebody(2, linked("anonymous_id:x"))]
    decision = decided("email:e anonymous_id:x", *people)
    assert (decision.profile, decision.absorbed) == (1, merged)
    reasons = [] if merged else [Demoted(ExternalId("anonymous_id", "x"), "merges", 2)]
    assert list(decision.demoted) == reasons


def test_beyond_the_cap_of_ids_none_is_added_and_events_still_resolve():
    full = Somebody(1, linked("user_id:a", *(f"email:{number}" for number in range(IDS_MAX - 2))))
    decision = decided("user_id:a email:x email:y", full, email=5_000)
    assert decision == Decision(1, (), tuple(external("email:x")), (Demoted(ExternalId("email", "y"), "ids", None),))


def test_no_merge_makes_more_ids_than_the_cap():
    full = Somebody(1, linked("user_id:a", *(f"email:{number}" for number in range(IDS_MAX - 1))))
    decision = decided("user_id:a anonymous_id:x", full, Somebody(2, linked("anonymous_id:x")), email=5_000)
    assert decision == Decision(1, (), (), (Demoted(ExternalId("anonymous_id", "x"), "ids", 2),))
