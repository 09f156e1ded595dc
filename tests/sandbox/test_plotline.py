"""Plotline's sandbox: what identify and track leave there, and what a marketer makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from segue.destinations.plotline import destination
from segue.sandbox.plotline_campaigns import filled
from tests.sandbox.conftest import Client, Reply, basic, deliver

INBOUND = "/plotline/segment/events"
ADMIN = "/plotline/_sandbox"

SEED_IDENTIFY = {"type": "identify", "userId": "userId123", "traits": {"name": "John Doe"}}
SEED_TRACK = {"type": "track", "userId": "userId123", "event": "Checkout Completed"}


def send(client: Client, event: dict[str, Any], key: str | None = None) -> Reply:
    return deliver(client, destination, event, key=key)


def identify(client: Client, user: str, message_id: str, **traits: Any) -> Reply:
    return send(client, {"type": "identify", "userId": user, "messageId": message_id, "traits": traits})


def attributes(client: Client, user: str) -> dict[str, Any]:
    (found,) = [row for row in client.state("plotline")["users"] if row["distinct_id"] == user]
    return dict(found["attributes"])


def test_pl_t1_pl_06_the_seeds_identify_is_stored_verbatim(client: Client) -> None:
    assert send(client, SEED_IDENTIFY).body == {"success": True}
    assert client.state("plotline") == {
        "users": [
            {
                "distinct_id": "userId123",
                "attributes": {"name": "John Doe"},
                "string_values": {"name": "John Doe"},
                "key_id": "demo",
                "messageIds": ["m1"],
            }
        ],
        "events": [],
        "campaigns": [],
    }


def test_pl_t2_pl_04_a_second_identify_adds_and_keeps(client: Client) -> None:
    send(client, SEED_IDENTIFY)
    identify(client, "userId123", "m2", plan="pro")
    (user,) = client.state("plotline")["users"]
    assert user["attributes"] == {"name": "John Doe", "plan": "pro"}
    assert user["messageIds"] == ["m1", "m2"]


def test_pl_d1_pl_t8_an_unknown_key_answers_401_and_a_disabled_one_403(client: Client) -> None:
    unknown = send(client, SEED_IDENTIFY, key="wrong")
    assert (unknown.status, unknown.body) == (401, {"message": "Invalid API key"})
    client.post(f"{ADMIN}/keys/demo/disable")
    disabled = send(client, SEED_IDENTIFY)
    assert disabled.status == 403
    assert disabled.body["message"]
    assert client.state("plotline")["users"] == []


def test_pl_d2_identify_merges_shallowly_and_null_removes(client: Client) -> None:
    identify(client, "u1", "m1", plan="pro", address={"city": "Lund", "zip": "1"}, old="x")
    identify(client, "u1", "m2", address={"city": "Oslo"}, old=None, never=None)
    assert attributes(client, "u1") == {"plan": "pro", "address": {"city": "Oslo"}}


def test_pl_d3_pl_t7_values_keep_their_type_and_show_their_string_form(client: Client) -> None:
    identify(client, "u1", "m1", age=30, vip=True, ratio=1.5, tags=["a"], address={"city": "Lund"})
    (user,) = client.state("plotline")["users"]
    assert user["attributes"] == {
        "age": 30,
        "vip": True,
        "ratio": 1.5,
        "tags": ["a"],
        "address": {"city": "Lund"},
    }
    assert user["string_values"] == {"age": "30", "vip": "true", "ratio": "1.5"}
    shown = client.get(f"{ADMIN}/users/u1").body["attributes"]
    assert shown["age"] == {"value": 30, "string_value": "30", "targetable": True}
    assert shown["tags"] == {"value": ["a"], "string_value": None, "targetable": False}


def test_pl_d4_pl_t5_track_for_an_unknown_user_makes_the_user_and_stores_the_event(client: Client) -> None:
    send(client, SEED_TRACK)
    state = client.state("plotline")
    assert [(user["distinct_id"], user["attributes"]) for user in state["users"]] == [("userId123", {})]
    assert len(state["events"]) == 1


def test_pl_t4_pl_10_track_without_properties_is_stored_with_none(client: Client) -> None:
    assert send(client, SEED_TRACK).status == 200
    assert client.state("plotline")["events"] == [
        {
            "distinct_id": "userId123",
            "event": "Checkout Completed",
            "properties": {},
            "timestamp": "2026-11-21T10:00:00.000Z",
            "messageId": "m1",
            "messageIds": ["m1"],
            "key_id": "demo",
        }
    ]


def test_pl_08_all_events_of_a_user_are_stored_in_order(client: Client) -> None:
    for number in range(5):
        send(client, {**SEED_TRACK, "messageId": f"m{number}", "event": f"Step {number}", "properties": {"n": number}})
    found = client.state("plotline")["events"]
    assert [(event["event"], event["properties"]) for event in found] == [
        (f"Step {number}", {"n": number}) for number in range(5)
    ]


def test_track_does_not_touch_attributes(client: Client) -> None:
    identify(client, "u1", "m1", plan="pro")
    context = {"traits": {"plan": "free"}}
    send(client, {"type": "track", "userId": "u1", "event": "E", "messageId": "m2", "context": context})
    (user,) = client.state("plotline")["users"]
    assert user["attributes"] == {"plan": "pro"}
    assert user["messageIds"] == ["m1"]


@pytest.mark.parametrize("traits", [None, {}, "text", [1]])
def test_pl_d5_identify_without_traits_makes_the_user(client: Client, traits: Any) -> None:
    body = {"type": "identify", "userId": "u1", "traits": traits}
    assert client.post(INBOUND, body, headers=basic("demo-plotline-key")).status == 200
    assert attributes(client, "u1") == {}


@pytest.mark.parametrize("name", [None, "", "   ", 7])
def test_pl_d6_track_without_event_answers_400(client: Client, name: Any) -> None:
    body = {"type": "track", "userId": "u1", "event": name}
    reply = client.post(INBOUND, body, headers=basic("demo-plotline-key"))
    assert (reply.status, reply.body) == (400, {"message": "event is required"})
    assert client.state("plotline")["users"] == []


@pytest.mark.parametrize("call", ["identify", "track"])
def test_pl_d7_neither_user_id_nor_anonymous_id_answers_400(client: Client, call: str) -> None:
    body = {"type": call, "event": "E", "userId": " "}
    reply = client.post(INBOUND, body, headers=basic("demo-plotline-key"))
    assert (reply.status, reply.body) == (400, {"message": "userId is required"})


@pytest.mark.parametrize("call", ["page", "screen", "group", "alias"])
def test_pl_d8_pl_03_other_calls_answer_501(client: Client, call: str) -> None:
    reply = client.post(INBOUND, {"type": call, "userId": "u1"}, headers=basic("demo-plotline-key"))
    assert (reply.status, reply.body) == (501, {"message": f"{call} is not supported"})


def test_pl_d9_pl_05_pl_09_attributes_and_event_names_can_be_picked(client: Client) -> None:
    identify(client, "u1", "m1", plan="pro", tags=["a"])
    identify(client, "u2", "m2", plan="free")
    send(client, {**SEED_TRACK, "messageId": "m3"})
    send(client, {**SEED_TRACK, "messageId": "m4"})
    assert client.get(f"{ADMIN}/attributes").body == [
        {"name": "plan", "values": ["pro", "free"], "targetable": True},
        {"name": "tags", "values": [], "targetable": False},
    ]
    assert client.get(f"{ADMIN}/events").body == [{"name": "Checkout Completed", "count": 2}]
    assert client.get(f"{ADMIN}/users/nobody").status == 404
    assert [event["messageId"] for event in client.get(f"{ADMIN}/users/userId123").body["events"]] == ["m3", "m4"]


def test_pl_d9_pl_05_a_campaign_aims_by_attributes_and_personalises_its_text(client: Client) -> None:
    identify(client, "u1", "m1", name="Ada", plan="pro", age=30)
    identify(client, "u2", "m2", name="Bo", plan="free", age=30)
    identify(client, "u3", "m3", plan="pro", age=31)
    made = client.post(
        f"{ADMIN}/campaigns",
        {"audience": {"attributes": {"plan": "pro", "age": 30}}, "goal_event": "Done", "template": "Hi {{ name }}!"},
    )
    assert made.status == 201
    shown = client.get(f"{ADMIN}/campaigns/{made.body['id']}").body
    assert shown["members"] == ["u1"]
    assert shown["texts"] == {"u1": "Hi Ada!"}
    (row,) = client.state("plotline")["campaigns"]
    assert row == {**made.body, "key_id": "demo"}


def test_pl_d9_pl_09_events_define_the_audience_of_a_campaign(client: Client) -> None:
    send(client, {**SEED_TRACK, "messageId": "m1"})
    identify(client, "u2", "m2", name="Bo")
    made = client.post(f"{ADMIN}/campaigns", {"audience": {"events": ["Checkout Completed"]}})
    assert client.get(f"{ADMIN}/campaigns/{made.body['id']}").body["members"] == ["userId123"]


def test_pl_t13_a_goal_event_is_counted_with_the_users_it_converted(client: Client) -> None:
    made = client.post(f"{ADMIN}/campaigns", {"goal_event": "Checkout Completed"})
    for number, user in enumerate(["u1", "u2", "u1"]):
        send(client, {**SEED_TRACK, "userId": user, "messageId": f"m{number}"})
    send(client, {**SEED_TRACK, "event": "Other", "messageId": "m9"})
    shown = client.get(f"{ADMIN}/campaigns/{made.body['id']}").body
    assert (shown["goal_count"], shown["converting_users"]) == (3, 2)


@pytest.mark.parametrize(
    ("body", "status"),
    [({"audience": []}, 400), ({"unknown": 1}, 400), ({"audience": {"country": "SE"}}, 400), ({"key_id": "no"}, 404)],
)
def test_a_campaign_that_cannot_be_is_refused(client: Client, body: dict[str, Any], status: int) -> None:
    assert client.post(f"{ADMIN}/campaigns", body).status == status
    assert client.get(f"{ADMIN}/campaigns/nothing").status == 404


def test_a_text_is_filled_in_one_pass() -> None:
    values = {"name": "{{plan}}", "plan": "pro"}
    assert filled("{{name}} {{ plan }} {{missing}} {{}} {name}", values) == "{{plan}} pro   {name}"


def test_pl_d10_an_anonymous_profile_is_not_merged_into_a_user(client: Client) -> None:
    send(client, {"type": "identify", "anonymousId": "a1", "traits": {"theme": "dark"}, "messageId": "m1"})
    send(client, {**SEED_IDENTIFY, "anonymousId": "a1", "messageId": "m2"})
    assert attributes(client, "a1") == {"theme": "dark"}
    assert attributes(client, "userId123") == {"name": "John Doe"}


@pytest.mark.parametrize("name", ["🎉 Done", "x" * 300, "   leading blanks", 'tab\tand "quotes"'])
def test_pl_t10_an_event_name_is_stored_exactly_as_sent(client: Client, name: str) -> None:
    send(client, {**SEED_TRACK, "event": name})
    assert client.state("plotline")["events"][0]["event"] == name


def test_pl_t11_the_same_messageid_twice_makes_one_event(client: Client) -> None:
    send(client, SEED_TRACK)
    assert send(client, SEED_TRACK).headers["x-sandbox-duplicate"] == "1"
    assert len(client.state("plotline")["events"]) == 1


def test_users_of_two_keys_are_apart(client: Client) -> None:
    other = client.post(f"{ADMIN}/keys").body
    identify(client, "u1", "m1", plan="pro")
    send(client, {"type": "identify", "userId": "u1", "traits": {"plan": "free"}}, key=other["key"])
    found = client.state("plotline")["users"]
    assert [(user["key_id"], user["attributes"]["plan"]) for user in found] == [("demo", "pro"), (other["id"], "free")]
    assert client.get(f"{ADMIN}/users/u1?key_id={other['id']}").body["attributes"]["plan"]["value"] == "free"
