"""What Astrolabe's sandbox must hold; the numbers are those of the vendors' contract, section 6."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from segue.core.event import Event
from segue.destinations.astrolabe import Settings, send
from tests.sandbox.conftest import Client, Reply, basic

INBOUND = "/astrolabe/connectors/segment"
ADMIN = "/astrolabe/_sandbox"
DEMO = "demo-astrolabe-key"
OK = {"status": "ok"}
IGNORED = {"status": "ignored", "reason": "free_email_provider"}

SEED_IDENTIFY = {"type": "identify", "userId": "userId123", "traits": {"email": "john.doe@example.com"}}
SEED_GROUP: dict[str, Any] = {
    "type": "group",
    "userId": "userId123",
    "groupId": "0e8c78ea9d97a7b8185e8632",
    "traits": {
        "name": "Initech",
        "industry": "Technology",
        "employees": 329,
        "plan": "enterprise",
        "total billed": 830,
    },
}
SEED_TRACK = {
    "type": "track",
    "userId": "userId123",
    "event": "User Registered",
    "properties": {"plan": "Pro Annual", "accountType": "Facebook"},
}


class Astrolabe:
    """One tester's view: connectors are added, events are sent, the state is read."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._numbers = itertools.count(1)

    def connector(self, free_email: str, name: str = "From Segment") -> tuple[str, str]:
        """The key and the id of a new connector."""
        made = self.client.post(f"{ADMIN}/keys", {"name": name, "free_email": free_email})
        assert made.status == 201
        return made.body["key"], made.body["id"]

    def send(self, event: dict[str, Any], key: str = DEMO) -> Reply:
        event = {"messageId": f"m{next(self._numbers)}", "timestamp": "2026-11-21T22:00:00.000Z", **event}
        return self.client.post(INBOUND, event, headers=basic(key))

    def identify(self, user_id: str, traits: dict[str, Any], key: str = DEMO, **members: Any) -> Reply:
        return self.send({"type": "identify", "userId": user_id, "traits": traits, **members}, key)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.client.state("astrolabe")[table]

    def user(self, user_id: str) -> dict[str, Any]:
        (row,) = [row for row in self.rows("users") if user_id in (row["external_id"], row["anonymous_id"])]
        return row

    def user_ids(self) -> list[str]:
        return [row["external_id"] or row["anonymous_id"] for row in self.rows("users")]

    def account(self) -> dict[str, Any]:
        (row,) = self.rows("accounts")
        return row


@pytest.fixture
def astrolabe(client: Client) -> Astrolabe:
    return Astrolabe(client)


@pytest.fixture
def block(astrolabe: Astrolabe) -> str:
    """The key of a connector that blocks free e-mail providers."""
    return astrolabe.connector("block")[0]


def test_as_02_as_04_a_connector_is_made_by_name_and_its_key_is_shown_once(astrolabe: Astrolabe) -> None:
    made = astrolabe.client.post(f"{ADMIN}/keys", {"name": "From Segment", "free_email": "block"}).body
    assert made["name"] == "From Segment"
    listed = astrolabe.client.get(f"{ADMIN}/keys").body
    assert made["key"] not in str(listed)
    assert made["key"] not in str(astrolabe.client.state("astrolabe"))
    assert astrolabe.send(SEED_IDENTIFY, made["key"]).status == 200


def test_as_03_a_connector_allows_or_blocks_and_nothing_else(astrolabe: Astrolabe) -> None:
    for choice in ("allow", "block"):
        made = astrolabe.client.post(f"{ADMIN}/keys", {"name": "A", "free_email": choice})
        assert (made.status, made.body["free_email"]) == (201, choice)
    for wrong in ({"free_email": "maybe"}, {"free_email": True}, {"name": ""}, {"name": 7}, {"colour": "red"}):
        refused = astrolabe.client.post(f"{ADMIN}/keys", wrong)
        assert refused.status == 400
        assert refused.body["message"]


def test_as_08_identify_of_a_new_user_creates_a_user_record(astrolabe: Astrolabe) -> None:
    reply = astrolabe.send({**SEED_IDENTIFY, "messageId": "first"})
    assert (reply.status, reply.body) == (200, {**OK, "user": "userId123"})
    assert astrolabe.rows("users") == [
        {
            "external_id": "userId123",
            "anonymous_id": None,
            "email": "john.doe@example.com",
            "properties": {"email": "john.doe@example.com"},
            "accounts": [],
            "primary_account": None,
            "key_id": "demo",
            "messageIds": ["first"],
        }
    ]


def test_as_09_identify_of_an_existing_user_updates_the_properties(astrolabe: Astrolabe) -> None:
    astrolabe.identify("u", {"email": "u@initech.com", "plan": "free", "seats": 1})
    astrolabe.identify("u", {"email": "v@initech.com", "plan": "paid", "tags": ["a"]})
    user = astrolabe.user("u")
    assert user["properties"] == {"email": "v@initech.com", "plan": "paid", "seats": 1, "tags": ["a"]}
    assert user["email"] == "v@initech.com"
    assert user["messageIds"] == ["m1", "m2"]


def test_as_07_as_10_as_14_the_seeds_three_calls_are_taken(astrolabe: Astrolabe) -> None:
    for call in (SEED_IDENTIFY, SEED_GROUP, SEED_TRACK):
        assert astrolabe.send(call).status == 200


def test_what_the_destination_sends_is_what_the_sandbox_takes(astrolabe: Astrolabe) -> None:
    settings = Settings(apiKey=DEMO, endpoint=f"http://127.0.0.1:8100{INBOUND}")
    for call in (SEED_IDENTIFY, SEED_GROUP, SEED_TRACK):
        body = json.dumps({**call, "messageId": call["type"]}).encode()
        (request,) = send(settings, Event(body))
        reply = astrolabe.client.call(request.method, request.url, raw=request.body, headers=dict(request.headers))
        assert (reply.status, reply.body["status"]) == (200, "ok")
    assert astrolabe.user("userId123")["messageIds"] == ["identify", "group"]
    assert astrolabe.rows("events")[0]["messageIds"] == ["track"]


def test_as_11_as_t7_the_seeds_group_creates_an_account_with_its_keys_and_types(astrolabe: Astrolabe) -> None:
    reply = astrolabe.send(SEED_GROUP)
    assert reply.body == {**OK, "account": "0e8c78ea9d97a7b8185e8632", "user": "userId123"}
    account = astrolabe.account()
    assert account["external_id"] == "0e8c78ea9d97a7b8185e8632"
    assert account["properties"] == SEED_GROUP["traits"]
    assert type(account["properties"]["total billed"]) is int
    assert type(account["properties"]["employees"]) is int


def test_as_12_as_t8_group_again_changes_what_it_names_and_keeps_the_rest(astrolabe: Astrolabe) -> None:
    astrolabe.send(SEED_GROUP)
    astrolabe.send({**SEED_GROUP, "traits": {"plan": "free"}})
    assert astrolabe.account()["properties"] == {**SEED_GROUP["traits"], "plan": "free"}


def test_as_13_group_associates_the_user_with_the_account(astrolabe: Astrolabe) -> None:
    astrolabe.send(SEED_IDENTIFY)
    astrolabe.send(SEED_GROUP)
    assert astrolabe.account()["users"] == ["userId123"]
    assert astrolabe.user("userId123")["accounts"] == ["0e8c78ea9d97a7b8185e8632"]


def test_as_d1_several_connectors_each_have_a_key_and_users_of_their_own(astrolabe: Astrolabe) -> None:
    first, first_id = astrolabe.connector("allow", "One")
    second, second_id = astrolabe.connector("block", "Two")
    astrolabe.identify("u", {"email": "one@initech.com"}, first)
    astrolabe.identify("u", {"email": "two@initech.com"}, second)
    emails = {row["key_id"]: row["email"] for row in astrolabe.rows("users")}
    assert emails == {first_id: "one@initech.com", second_id: "two@initech.com"}
    connectors = astrolabe.rows("connectors")
    assert [(row["name"], row["free_email"], row["enabled"], row["key_id"]) for row in connectors] == [
        ("Demo", "allow", True, "demo"),
        ("One", "allow", True, first_id),
        ("Two", "block", True, second_id),
    ]
    assert all(set(row) == {"name", "key", "free_email", "enabled", "key_id"} for row in connectors)


def test_as_d2_an_unknown_key_is_401_and_a_stopped_connector_403(astrolabe: Astrolabe) -> None:
    assert astrolabe.send(SEED_IDENTIFY, "never-issued").status == 401
    deleted, deleted_id = astrolabe.connector("allow")
    disabled, disabled_id = astrolabe.connector("allow")
    assert astrolabe.client.post(f"{ADMIN}/keys/{deleted_id}/revoke").status == 200
    assert astrolabe.client.post(f"{ADMIN}/keys/{disabled_id}/disable").status == 200
    for key in (deleted, disabled):
        reply = astrolabe.send(SEED_IDENTIFY, key)
        assert reply.status == 403
        assert reply.body["message"]
    assert [row["enabled"] for row in astrolabe.rows("connectors")] == [True, False, False]
    assert astrolabe.rows("users") == []
    assert astrolabe.client.post(f"{ADMIN}/keys/{disabled_id}/enable").status == 200
    assert astrolabe.send(SEED_IDENTIFY, disabled).status == 200


def test_as_d3_missing_traits_keep_old_values_and_null_stores_null(astrolabe: Astrolabe) -> None:
    astrolabe.identify("u", {"email": "u@initech.com", "plan": "free", "address": {"city": "Bonn", "zip": "1"}})
    astrolabe.identify("u", {"plan": None, "address": {"city": "Köln"}})
    user = astrolabe.user("u")
    assert user["properties"] == {"email": "u@initech.com", "plan": None, "address": {"city": "Köln"}}
    assert user["email"] == "u@initech.com"
    astrolabe.identify("u", {"email": None})
    assert astrolabe.user("u")["email"] is None


@pytest.mark.parametrize(
    "email",
    [
        *("x@gmail.com", "x@GMAIL.com", " x@gmail.com ", "x@ gmail.com", "x@gmail.com.", "x@ｇｍａｉｌ.com"),
        *("x@hey.com", "x@tuta.com", "x@free.fr", "x@yahoo.co.uk", "a@b@gmail.com"),
    ],
)
def test_as_d4_block_ignores_an_address_at_a_free_provider_however_it_is_written(
    astrolabe: Astrolabe, block: str, email: str
) -> None:
    reply = astrolabe.identify("u", {"email": email}, block)
    assert (reply.status, reply.body) == (200, IGNORED)
    assert astrolabe.rows("users") == []


@pytest.mark.parametrize("email", ["x@notgmail.com", "x@gmail.com.evil.io", "x@shop.za.com", "x@mail.gmail.com"])
def test_as_d4_as_t4_block_matches_the_domain_exactly(astrolabe: Astrolabe, block: str, email: str) -> None:
    assert astrolabe.identify("u", {"email": email}, block).body["status"] == "ok"
    assert astrolabe.user("u")["email"] == email


def test_as_d4_without_a_trait_the_address_in_the_context_decides(astrolabe: Astrolabe, block: str) -> None:
    in_context = {"context": {"traits": {"email": "x@gmail.com"}}}
    assert astrolabe.identify("u", {"plan": "free"}, block, **in_context).body == IGNORED
    assert astrolabe.identify("v", {"email": "v@initech.com"}, block, **in_context).body["status"] == "ok"
    assert astrolabe.user_ids() == ["v"]


@pytest.mark.parametrize("spelling", ["email", "Email", "EMAIL", "e_mail"])
def test_as_d4_the_trait_is_found_in_any_casing(astrolabe: Astrolabe, block: str, spelling: str) -> None:
    assert astrolabe.identify("u", {spelling: "x@gmail.com"}, block).body == IGNORED


def test_as_d5_allow_stores_the_same_call_like_any_other(astrolabe: Astrolabe) -> None:
    allow, _ = astrolabe.connector("allow")
    assert astrolabe.identify("u", {"email": "x@gmail.com"}, allow).body == {**OK, "user": "u"}
    assert astrolabe.user("u")["email"] == "x@gmail.com"


@pytest.mark.parametrize("traits", [{}, {"plan": "free"}, {"email": None}, {"email": 7}, {"email": "not-an-email"}])
def test_as_d6_as_t5_without_an_address_the_rule_does_not_apply(
    astrolabe: Astrolabe, block: str, traits: dict[str, Any]
) -> None:
    assert astrolabe.identify("u", traits, block).body["status"] == "ok"
    assert astrolabe.user("u")["properties"] == traits


def test_as_d7_as_t13_a_stored_user_who_turns_to_a_free_address_stays_as_they_were(
    astrolabe: Astrolabe, block: str
) -> None:
    astrolabe.identify("u", {"email": "a@initech.com", "plan": "free"}, block)
    before = astrolabe.user("u")
    assert astrolabe.identify("u", {"email": "a@gmail.com", "plan": "paid"}, block).body == IGNORED
    assert astrolabe.user("u") == before


def test_as_d7_the_events_of_that_stored_user_are_still_taken(astrolabe: Astrolabe, block: str) -> None:
    astrolabe.identify("u", {"email": "a@initech.com"}, block)
    astrolabe.identify("u", {"email": "a@gmail.com"}, block, anonymousId="browser")
    assert astrolabe.send({"type": "track", "userId": "u", "event": "Paid"}, block).body["status"] == "ok"
    assert astrolabe.send({"type": "track", "anonymousId": "browser", "event": "Paid"}, block).body["status"] == "ok"


def test_as_d8_track_calls_of_a_refused_id_are_ignored(astrolabe: Astrolabe, block: str) -> None:
    astrolabe.identify("u", {"email": "x@gmail.com"}, block)
    assert astrolabe.send({"type": "track", "userId": "u", "event": "Paid"}, block).body == IGNORED
    assert (astrolabe.rows("users"), astrolabe.rows("events")) == ([], [])


def test_as_d8_every_id_of_the_refused_call_is_remembered(astrolabe: Astrolabe, block: str) -> None:
    astrolabe.identify("u", {"email": "x@gmail.com"}, block, anonymousId="browser")
    for ids in ({"userId": "u"}, {"anonymousId": "browser"}, {"userId": "u", "anonymousId": "another"}):
        assert astrolabe.send({"type": "track", "event": "Paid", **ids}, block).body == IGNORED
    assert astrolabe.send({"type": "track", "event": "Paid", "userId": "browser"}, block).body["status"] == "ok"


def test_as_d8_as_t11_a_group_call_of_a_refused_id_makes_the_account_and_no_link(
    astrolabe: Astrolabe, block: str
) -> None:
    astrolabe.identify("userId123", {"email": "x@gmail.com"}, block)
    reply = astrolabe.send(SEED_GROUP, block)
    assert reply.status == 200
    assert reply.body["status"] == "ok"
    assert (reply.body["account"], reply.body["user"]) == (SEED_GROUP["groupId"], None)
    assert astrolabe.account()["properties"] == SEED_GROUP["traits"]
    assert astrolabe.account()["users"] == []
    assert astrolabe.rows("users") == []


def test_as_d8_a_later_identify_with_a_business_address_lifts_it(astrolabe: Astrolabe, block: str) -> None:
    astrolabe.identify("u", {"email": "x@gmail.com"}, block, anonymousId="browser")
    assert astrolabe.identify("u", {"plan": "paid"}, block).body == IGNORED
    assert astrolabe.identify("u", {"email": "x@initech.com"}, block, anonymousId="browser").body["status"] == "ok"
    for ids in ({"userId": "u"}, {"anonymousId": "browser"}):
        assert astrolabe.send({"type": "track", "event": "Paid", **ids}, block).body["status"] == "ok"
    assert astrolabe.user("u")["properties"] == {"email": "x@initech.com"}


def test_as_d8_an_address_in_the_context_keeps_out_whoever_is_not_stored(astrolabe: Astrolabe, block: str) -> None:
    in_context = {"context": {"traits": {"email": "x@gmail.com"}}}
    assert astrolabe.send({**SEED_TRACK, **in_context}, block).body == IGNORED
    assert astrolabe.send(SEED_TRACK, block).body == IGNORED
    assert astrolabe.send({**SEED_GROUP, "userId": "v", **in_context}, block).body["user"] is None
    assert astrolabe.rows("users") == []
    astrolabe.identify("w", {"email": "w@initech.com"}, block)
    assert astrolabe.send({**SEED_TRACK, "userId": "w", **in_context}, block).body["status"] == "ok"


def test_as_d8_what_one_connector_refused_another_still_takes(astrolabe: Astrolabe, block: str) -> None:
    astrolabe.identify("userId123", {"email": "x@gmail.com"}, block)
    other, _ = astrolabe.connector("block")
    assert astrolabe.send(SEED_TRACK, other).body["status"] == "ok"


def test_as_d8_refused_ids_are_remembered_across_a_restart(open_client: Callable[[], Client]) -> None:
    astrolabe = Astrolabe(open_client())
    block, _ = astrolabe.connector("block")
    astrolabe.identify("userId123", {"email": "x@gmail.com"}, block)
    again = Astrolabe(open_client())
    assert again.send({**SEED_TRACK, "messageId": "after"}, block).body == IGNORED
    assert set(again.client.state("astrolabe")) == {"users", "accounts", "events", "connectors"}


def test_as_d9_group_of_an_unknown_user_makes_a_bare_user_and_links_them(astrolabe: Astrolabe) -> None:
    astrolabe.send(SEED_GROUP)
    user = astrolabe.user("userId123")
    assert (user["properties"], user["email"]) == ({}, None)
    assert user["primary_account"] == SEED_GROUP["groupId"]
    assert astrolabe.account()["users"] == ["userId123"]
    assert user["messageIds"] == astrolabe.account()["messageIds"] == ["m1"]


def test_as_d9_group_links_by_the_anonymous_id_where_there_is_no_user_id(astrolabe: Astrolabe) -> None:
    astrolabe.send({"type": "group", "anonymousId": "browser", "groupId": "g"})
    assert astrolabe.account()["users"] == ["browser"]
    assert (astrolabe.user("browser")["external_id"], astrolabe.user("browser")["accounts"]) == (None, ["g"])


def test_as_d10_as_t10_group_without_any_user_id_makes_the_account_only(astrolabe: Astrolabe) -> None:
    reply = astrolabe.send({"type": "group", "groupId": "g", "traits": {"name": "Initech"}})
    assert reply.body == {**OK, "account": "g"}
    assert (astrolabe.account()["users"], astrolabe.rows("users")) == ([], [])


def test_as_d11_a_link_is_made_once_and_the_last_account_is_the_primary_one(astrolabe: Astrolabe) -> None:
    for group_id in ("g1", "g2", "g2"):
        astrolabe.send({"type": "group", "userId": "u", "groupId": group_id})
    assert astrolabe.user("u")["accounts"] == ["g1", "g2"]
    assert astrolabe.user("u")["primary_account"] == "g2"
    assert [account["users"] for account in astrolabe.rows("accounts")] == [["u"], ["u"]]
    astrolabe.send({"type": "group", "userId": "u", "groupId": "g1"})
    assert astrolabe.user("u")["accounts"] == ["g1", "g2"]
    assert astrolabe.user("u")["primary_account"] == "g1"


@pytest.mark.parametrize("group_id", [{}, {"groupId": None}, {"groupId": ""}, {"groupId": "  "}, {"groupId": ["g"]}])
def test_as_d12_group_without_group_id_is_400(astrolabe: Astrolabe, group_id: dict[str, Any]) -> None:
    reply = astrolabe.send({"type": "group", "userId": "u", **group_id})
    assert (reply.status, reply.body) == (400, {"message": "groupId is required"})
    assert astrolabe.rows("users") == []


@pytest.mark.parametrize("event", [{}, {"event": None}, {"event": ""}, {"event": " "}, {"event": 7}])
def test_as_d12_track_without_event_is_400(astrolabe: Astrolabe, event: dict[str, Any]) -> None:
    reply = astrolabe.send({"type": "track", "userId": "u", **event})
    assert (reply.status, reply.body) == (400, {"message": "event is required"})
    assert astrolabe.rows("users") == []


@pytest.mark.parametrize("call", [{"type": "identify"}, {"type": "track", "event": "Paid"}])
def test_a_call_about_nobody_is_400(astrolabe: Astrolabe, call: dict[str, Any]) -> None:
    reply = astrolabe.send(call)
    assert (reply.status, reply.body) == (400, {"message": "userId or anonymousId is required"})


def test_as_d13_as_t14_the_seeds_track_of_an_unknown_user_makes_a_bare_user_and_an_event(
    astrolabe: Astrolabe,
) -> None:
    assert astrolabe.send({**SEED_TRACK, "context": {"groupId": "g"}}).status == 200
    assert (astrolabe.user("userId123")["properties"], astrolabe.user("userId123")["email"]) == ({}, None)
    assert astrolabe.rows("events") == [
        {
            "external_id": "userId123",
            "anonymous_id": None,
            "event": "User Registered",
            "properties": {"plan": "Pro Annual", "accountType": "Facebook"},
            "timestamp": "2026-11-21T22:00:00.000Z",
            "account": "g",
            "messageId": "m1",
            "key_id": "demo",
            "messageIds": ["m1"],
        }
    ]
    assert astrolabe.rows("accounts") == []


@pytest.mark.parametrize("call", ["page", "screen", "alias"])
def test_as_d14_as_t17_other_calls_are_501(astrolabe: Astrolabe, call: str) -> None:
    reply = astrolabe.send({"type": call, "userId": "u"})
    assert (reply.status, reply.body) == (501, {"message": f"{call} is not supported"})


def test_as_d15_switching_to_block_does_not_remove_users_already_stored(astrolabe: Astrolabe) -> None:
    key, key_id = astrolabe.connector("allow")
    astrolabe.identify("u", {"email": "x@gmail.com"}, key)
    assert astrolabe.client.call("PATCH", f"{ADMIN}/keys/{key_id}", {"free_email": "block"}).status == 200
    assert astrolabe.user("u")["email"] == "x@gmail.com"
    assert astrolabe.identify("u", {"email": "x@gmail.com", "plan": "paid"}, key).body == IGNORED
    assert astrolabe.user("u")["properties"] == {"email": "x@gmail.com"}
    assert astrolabe.identify("v", {"email": "y@gmail.com"}, key).body == IGNORED
    assert astrolabe.send({"type": "track", "userId": "u", "event": "Paid"}, key).body["status"] == "ok"


def test_whoever_was_stored_while_all_were_allowed_is_refused_no_longer(astrolabe: Astrolabe) -> None:
    key, key_id = astrolabe.connector("block")
    astrolabe.identify("userId123", {"email": "x@gmail.com"}, key)
    astrolabe.client.call("PATCH", f"{ADMIN}/keys/{key_id}", {"free_email": "allow"})
    assert astrolabe.send(SEED_TRACK, key).body["status"] == "ok"
    astrolabe.client.call("PATCH", f"{ADMIN}/keys/{key_id}", {"free_email": "block"})
    assert astrolabe.send(SEED_TRACK, key).body["status"] == "ok"
    assert astrolabe.identify("userId123", {"plan": "paid"}, key).body["status"] == "ok"


def test_as_t1_the_seeds_identify_is_stored_where_free_providers_are_blocked(astrolabe: Astrolabe, block: str) -> None:
    assert astrolabe.send(SEED_IDENTIFY, block).body == {**OK, "user": "userId123"}
    assert astrolabe.user("userId123")["email"] == "john.doe@example.com"


def test_as_t2_as_t19_of_two_connectors_one_stores_a_gmail_user_and_the_other_ignores_them(
    astrolabe: Astrolabe, block: str
) -> None:
    allow, allow_id = astrolabe.connector("allow")
    event = {"type": "identify", "messageId": "same", "userId": "u", "traits": {"email": "x@gmail.com"}}
    assert astrolabe.send(event, allow).body["status"] == "ok"
    assert astrolabe.send(event, block).body == IGNORED
    assert [row["key_id"] for row in astrolabe.rows("users")] == [allow_id]


def test_as_t20_text_without_an_at_sign_is_stored_and_the_last_at_sign_counts(astrolabe: Astrolabe, block: str) -> None:
    assert astrolabe.identify("u", {"email": "not-an-email"}, block).body["status"] == "ok"
    assert astrolabe.identify("v", {"email": "a@b@gmail.com"}, block).body == IGNORED
    assert astrolabe.user_ids() == ["u"]


def test_an_anonymous_user_is_kept_apart_from_the_one_with_a_user_id(astrolabe: Astrolabe) -> None:
    astrolabe.send({"type": "identify", "anonymousId": "browser", "traits": {"plan": "free"}})
    astrolabe.identify("u", {"plan": "paid"}, anonymousId="browser")
    users = [(row["external_id"], row["anonymous_id"], row["properties"]) for row in astrolabe.rows("users")]
    assert users == [(None, "browser", {"plan": "free"}), ("u", None, {"plan": "paid"})]


def test_a_number_as_id_is_taken_as_text_and_field_names_in_any_casing(astrolabe: Astrolabe) -> None:
    astrolabe.send({"type": "identify", "user_id": 42, "traits": {}})
    astrolabe.send({"type": "group", "userId": "42", "group_id": 7})
    assert astrolabe.user_ids() == ["42"]
    assert astrolabe.account()["external_id"] == "7"


def test_traits_that_are_no_object_change_nothing(astrolabe: Astrolabe) -> None:
    astrolabe.identify("u", {"plan": "free"})
    assert astrolabe.send({"type": "identify", "userId": "u", "traits": ["x"]}).status == 200
    assert astrolabe.user("u")["properties"] == {"plan": "free"}


def test_personas_in_the_context_become_no_property(astrolabe: Astrolabe) -> None:
    context = {"personas": {"computation_class": "audience", "computation_key": "vip"}}
    astrolabe.identify("u", {"vip": True}, context=context)
    assert astrolabe.user("u")["properties"] == {"vip": True}


def test_a_thousand_traits_and_names_in_any_script_are_kept(astrolabe: Astrolabe) -> None:
    traits = {f"trait {n}": n for n in range(2_000)} | {"名前 ✓": "Zoë"}
    astrolabe.identify("ユーザー/1 ?", traits)
    assert astrolabe.user("ユーザー/1 ?")["properties"] == traits


def test_a_duplicate_changes_nothing_and_gets_the_first_answer(astrolabe: Astrolabe) -> None:
    first = astrolabe.send({**SEED_TRACK, "messageId": "same"})
    second = astrolabe.send({**SEED_TRACK, "messageId": "same"})
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["x-sandbox-duplicate"] == "1"
    assert len(astrolabe.rows("events")) == 1
