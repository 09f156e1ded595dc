"""Which values of an event name somebody: Segment's places, configured keys, `context.externalIds`, blocked values."""

from __future__ import annotations

from typing import Any

import pytest

from segue.core.profile import DEFAULT_RULES, ExternalId, IdentifierRule, IdentityRules
from segue.resolve.identifiers import ADDED_TYPES_MOST, Identifiers
from tests.resolve.events import event_of


def ids(type_: str = "track", *, rules: IdentityRules = DEFAULT_RULES, **fields: Any) -> list[tuple[str, str]]:
    return [tuple(found) for found in Identifiers(rules).of(event_of(type_, **fields)).ids]


def rules_of(*identifiers: IdentifierRule, blocked: tuple[str, ...] = ()) -> IdentityRules:
    return IdentityRules(identifiers=identifiers, blocked=blocked)


def claim(type_: str, value: Any, **others: Any) -> dict[str, Any]:
    return {"id": value, "type": type_, "collection": "users", "encoding": "none"} | others


def test_the_ids_come_in_the_order_of_their_priority():
    assert ids("identify", anonymousId="a", userId="u", traits={"email": "e"}, context={"traits": {"email": "f"}}) == [
        ("user_id", "u"),
        ("email", "e"),
        ("email", "f"),
        ("anonymous_id", "a"),
    ]
    turned = rules_of(IdentifierRule(type="anonymous_id"), IdentifierRule(type="user_id"))
    assert ids(userId="u", anonymousId="a", rules=turned) == [("anonymous_id", "a"), ("user_id", "u")]


def test_a_type_that_the_rules_leave_out_is_not_promoted():
    only = rules_of(IdentifierRule(type="user_id"))
    device = {"type": "ios", "id": "D"}
    context = {"traits": {"email": "e"}, "device": device, "externalIds": [claim("email", "f")]}
    assert ids(userId="u", anonymousId="a", context=context, rules=only) == [("user_id", "u")]


def test_the_traits_of_an_account_and_the_properties_name_no_user():
    assert ids("group", userId="u", groupId="g", traits={"email": "office@x"}) == [("user_id", "u")]
    assert ids("track", userId="u", properties={"email": "friend@x"}) == [("user_id", "u")]


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ({"type": "ios", "id": "D"}, [("ios.id", "D")]),
        ({"type": "android", "id": "D", "token": "T"}, [("android.id", "D"), ("android.push_token", "T")]),
        ({"type": "ios", "advertisingId": "I", "adTrackingEnabled": True}, [("ios.idfa", "I")]),
        ({"type": "ios", "advertisingId": "I", "adTrackingEnabled": False}, []),
        ({"type": "ios", "advertisingId": "I", "adTrackingEnabled": "true"}, []),
        ({"type": "ios", "advertisingId": "I"}, []),
        ({"type": "IOS", "id": "D"}, []),
        ({"id": "D"}, []),
        ("phone", []),
    ],
)
def test_a_device_gives_ids_of_its_system(device: Any, found: list[tuple[str, str]]):
    assert ids(context={"device": device}) == found


def test_the_client_id_of_google_analytics_is_an_id():
    assert ids(context={"integrations": {"Google Analytics": {"clientId": "1.2"}}}) == [("ga_client_id", "1.2")]
    assert ids(context={"integrations": {"Google Analytics": True}}) == []


def test_a_configured_key_is_looked_up_in_both_spellings_and_three_places():
    rules = rules_of(IdentifierRule(type="crm_id", keys=("customerId",)), IdentifierRule(type="user_id"))
    assert ids(
        "identify",
        userId="u",
        traits={"customer_id": "1", "customerid": "no"},
        context={"traits": {"customerId": "2"}},
        properties={"customer_id": 3.0},
        rules=rules,
    ) == [("crm_id", "1"), ("crm_id", "2"), ("crm_id", "3"), ("user_id", "u")]
    snake = rules_of(IdentifierRule(type="crm_id", keys=("customer_id",)))
    assert ids("track", properties={"customerId": "4"}, rules=snake) == [("crm_id", "4")]


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, "", "x" * 501])
def test_what_is_no_text_or_number_of_a_fair_length_is_no_id(value: Any):
    rules = rules_of(IdentifierRule(type="crm_id", keys=("crm",)))
    assert ids("track", properties={"crm": value}, rules=rules) == []


def test_a_number_is_an_id_only_under_a_configured_key():
    rules = rules_of(IdentifierRule(type="crm_id", keys=("crm",)), IdentifierRule(type="email"))
    assert ids("identify", traits={"crm": 12, "email": 5}, rules=rules) == [("crm_id", "12")]


def test_external_ids_of_users_are_promoted_where_all_four_members_are_given():
    claims = [
        claim("user_id", "u"),
        claim("phone", "1"),
        claim("phone", "2", collection="accounts"),
        claim("phone", "3", encoding="base64"),
        claim("Phone", "4"),
        claim("phone", 5),
        {"id": "6", "type": "phone", "collection": "users"},
        claim("group_id", "g"),
        "7",
    ]
    assert ids(context={"externalIds": claims}) == [("user_id", "u"), ("phone", "1")]
    assert ids(context={"externalIds": claim("phone", "1")}) == []


def test_unknown_types_rank_behind_all_rules_by_their_name_whenever_they_came():
    one = Identifiers(DEFAULT_RULES)
    one.of(event_of(context={"externalIds": [claim("zip", "1")]}))
    event = event_of(context={"externalIds": [claim("zip", "1"), claim("badge", "2"), claim("ios.idfa", "3")]})
    assert [found.type for found in one.of(event).ids] == ["ios.idfa", "badge", "zip"]
    assert one.added == ["badge", "zip"]
    assert [found.type for found in Identifiers(DEFAULT_RULES, one.added).of(event).ids] == ["ios.idfa", "badge", "zip"]
    assert one.limit("zip") == (5, None)


def test_events_cannot_add_types_without_end():
    one = Identifiers(DEFAULT_RULES)
    one.of(event_of(context={"externalIds": [claim(f"t{number}", "1") for number in range(ADDED_TYPES_MOST + 5)]}))
    assert len(one.added) == ADDED_TYPES_MOST
    assert one.of(event_of(context={"externalIds": [claim("more", "1"), claim("t3", "1")]})).ids == [("t3", "1")]


@pytest.mark.parametrize("value", ["0", "000", "-", "0-0", "-1", "null", "anonymous"])
def test_blocked_values_identify_nobody_and_are_kept_apart(value: str):
    promoted = Identifiers(DEFAULT_RULES).of(event_of(userId=value, anonymousId="a"))
    assert promoted.ids == [ExternalId("anonymous_id", "a")]
    assert promoted.blocked == [ExternalId("user_id", value)]


def test_only_the_whole_of_a_blocked_text_blocks():
    assert ids(userId="nullable", anonymousId="anonymous1") == [("user_id", "nullable"), ("anonymous_id", "anonymous1")]


def test_an_id_given_twice_counts_once():
    event = {"traits": {"email": "e"}, "context": {"traits": {"email": "e"}, "externalIds": [claim("email", "e")]}}
    assert ids("identify", **event) == [("email", "e")]


def test_the_account_of_a_group_call_is_its_group_id_and_nothing_else():
    identifiers = Identifiers(DEFAULT_RULES)
    assert identifiers.account_of(event_of("group", userId="u", groupId="g")) == "g"
    assert identifiers.account_of(event_of("group", userId="u", groupId="null")) is None
    assert identifiers.account_of(event_of("group", userId="u", groupId="g" * 501)) is None
    assert identifiers.account_of(event_of("track", userId="u", context={"groupId": "g"})) is None
