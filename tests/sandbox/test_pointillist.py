"""Pointillist's sandbox: whose events are whose, and what labels and numbers are good for."""

from __future__ import annotations

from typing import Any

import pytest

from segue.destinations.pointillist import destination
from segue.sandbox.pointillist import fault_of, is_numeric, is_time
from segue.sandbox.pointillist_metrics import measured
from tests.sandbox.conftest import Client, Reply, deliver

INBOUND = "/pointillist/event"
ADMIN = "/pointillist/_sandbox"
DEMO = {"apiToken": "demo-pointillist-key"}

LOADERS_EVENT = {
    "eventSource": "POS",
    "eventType": "Sale",
    "eventTime": "2015-9-24 7:6:23-0700",
    "actors": {"Customer": {"Loyalty_Card_Id": "1234567890"}, "Product": {"Product_Id": "7680850106"}},
    "labels": {"Payment_Method": "Cash"},
    "numbers": {"Sale_Amount": "80.77"},
    "location": {"countryCode": "US"},
}


def send(client: Client, call: str = "track", message_id: str = "m1", **fields: Any) -> Reply:
    event = {"type": call, "messageId": message_id, "event": "Viewed" if call == "track" else None, **fields}
    return deliver(client, destination, event)


def post(client: Client, body: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    return client.post(INBOUND, body, headers=DEMO if headers is None else headers)


def actors(client: Client) -> list[str]:
    return [event["actor"] for event in client.state("pointillist")["events"]]


def test_pt_03_identify_logs_an_identify_event(client: Client) -> None:
    reply = send(client, "identify", userId="u1", anonymousId="a1", traits={"plan": "pro", "age": 23})
    assert (reply.status, reply.body) == (202, {"status": "accepted"})
    assert client.state("pointillist")["events"] == [
        {
            "eventSource": "Segment",
            "eventType": "identify",
            "eventTime": "2026-11-21T10:00:00.000Z",
            "actors": {"Customer": {"userId": "u1", "anonymousId": "a1"}},
            "labels": {"plan": "pro"},
            "numbers": {"age": 23},
            "actor": "u1",
            "messageId": "m1",
            "messageIds": ["m1"],
            "key_id": "demo",
        }
    ]


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"apiToken": "wrong"}, 401), ({"APITOKEN": "demo-pointillist-key"}, 202)]
)
def test_pt_d1_pt_t13_the_token_stands_in_a_header_of_any_case(
    client: Client, headers: dict[str, str], status: int
) -> None:
    reply = post(client, LOADERS_EVENT, headers)
    assert reply.status == status
    assert ("message" in reply.body) is (status == 401)


@pytest.mark.parametrize("verb", ["disable", "revoke"])
def test_pt_d1_a_disabled_token_answers_403(client: Client, verb: str) -> None:
    client.post(f"{ADMIN}/keys/demo/{verb}")
    reply = post(client, LOADERS_EVENT)
    assert reply.status == 403
    assert reply.body["message"]


def test_the_loaders_own_event_is_taken_also_without_a_content_type(client: Client) -> None:
    assert post(client, LOADERS_EVENT, {**DEMO, "content-type": ""}).status == 202
    assert actors(client) == ["1234567890"]
    assert post(client, LOADERS_EVENT, {**DEMO, "content-type": "text/plain"}).status == 415


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eventType", None),
        ("eventType", " "),
        ("eventType", 7),
        ("eventTime", None),
        ("eventTime", "yesterday"),
        ("eventTime", 1700000000),
        ("actors", None),
        ("actors", {}),
        ("actors", {"Customer": {}}),
        ("actors", {"Customer": {"userId": ""}}),
        ("actors", {"Customer": "u1"}),
        ("actors", []),
    ],
)
def test_pt_d2_what_an_event_needs_is_named_in_the_400(client: Client, field: str, value: Any) -> None:
    reply = post(client, {**LOADERS_EVENT, field: value})
    assert reply.status == 400
    assert field in reply.body["message"]
    assert client.state("pointillist")["events"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", {"a": 1}),
        ("labels", {"a": None}),
        ("labels", []),
        ("numbers", {"a": "many"}),
        ("numbers", {"a": True}),
        ("numbers", {"a": None}),
        ("numbers", {"a": "NaN"}),
        ("numbers", {"a": "1_000"}),
        ("numbers", {"a": ""}),
        ("numbers", 1),
    ],
)
def test_pt_d3_labels_are_text_and_numbers_numeric(client: Client, field: str, value: Any) -> None:
    reply = post(client, {**LOADERS_EVENT, field: value})
    assert reply.status == 400
    assert field in reply.body["message"]


@pytest.mark.parametrize("value", [1, 0, -2.5, "80.77", "-1e3", 12345678901234567890, "007"])
def test_pt_d3_numbers_may_be_json_numbers_or_text(value: Any) -> None:
    assert is_numeric(value)
    assert fault_of({**LOADERS_EVENT, "numbers": {"n": value}}) is None


@pytest.mark.parametrize("value", [10**400, "1e999", float("inf"), "٣"])
def test_pt_d3_what_no_number_can_hold_is_not_numeric(value: Any) -> None:
    assert not is_numeric(value)


@pytest.mark.parametrize(
    "text", ["2015-9-24 7:6:23-0700", "2026-11-21T10:00:00.000Z", "2026-11-21T12:00:00+02:00", "2026-11-21"]
)
def test_a_time_may_be_the_loaders_or_iso(text: str) -> None:
    assert is_time(text)


def test_pt_05_pt_d4_pt_t1_earlier_anonymous_events_go_to_the_user_who_is_identified(client: Client) -> None:
    for number in range(3):
        send(client, message_id=f"m{number}", anonymousId="a1")
    send(client, message_id="other", anonymousId="a2")
    assert actors(client) == ["a1", "a1", "a1", "a2"]
    send(client, "identify", "m9", userId="u1", anonymousId="a1")
    assert actors(client) == ["u1", "u1", "u1", "a2", "u1"]


def test_pt_d4_pt_t2_later_anonymous_events_follow(client: Client) -> None:
    send(client, "identify", "m1", userId="u1", anonymousId="a1")
    send(client, message_id="m2", anonymousId="a1")
    assert actors(client) == ["u1", "u1"]


def test_pt_d5_a_track_with_both_ids_associates_as_well(client: Client) -> None:
    send(client, message_id="m1", anonymousId="a1")
    send(client, message_id="m2", anonymousId="a1", userId="u1")
    send(client, message_id="m3", anonymousId="a1")
    assert actors(client) == ["u1", "u1", "u1"]


def test_pt_d6_a_second_user_of_one_device_gets_only_what_comes_later(client: Client) -> None:
    send(client, message_id="m1", anonymousId="a1")
    send(client, "identify", "m2", userId="u1", anonymousId="a1")
    send(client, message_id="m3", anonymousId="a1")
    send(client, "identify", "m4", userId="u2", anonymousId="a1")
    send(client, message_id="m5", anonymousId="a1")
    assert actors(client) == ["u1", "u1", "u1", "u2", "u2"]


def test_pt_d7_an_event_with_its_own_user_id_is_never_moved(client: Client) -> None:
    send(client, message_id="m1", userId="u1", anonymousId="a1")
    send(client, message_id="m2", userId="u3")
    send(client, "identify", "m3", userId="u2", anonymousId="a1")
    assert actors(client) == ["u1", "u3", "u2"]


def test_pt_d8_several_anonymous_ids_join_one_user(client: Client) -> None:
    send(client, message_id="m1", anonymousId="a1")
    send(client, message_id="m2", anonymousId="a2")
    send(client, "identify", "m3", userId="u1", anonymousId="a1")
    send(client, "identify", "m4", userId="u1", anonymousId="a2")
    assert actors(client) == ["u1"] * 4


def test_pt_d10_the_association_is_visible_at_once(client: Client) -> None:
    send(client, message_id="m1", anonymousId="a1")
    assert send(client, "identify", "m2", userId="u1", anonymousId="a1").status == 202
    assert [event["messageId"] for event in client.get(f"{ADMIN}/events?actor=u1").body] == ["m1", "m2"]


def test_association_stays_within_a_key(client: Client) -> None:
    client.post(f"{ADMIN}/keys", {"key": "second"})
    body = {**LOADERS_EVENT, "actors": {"Customer": {"anonymousId": "a1"}}}
    post(client, body, {"apiToken": "second"})
    send(client, "identify", "m2", userId="u1", anonymousId="a1")
    assert actors(client) == ["a1", "u1"]


def test_pt_t4_identify_without_anonymous_id_associates_nothing(client: Client) -> None:
    send(client, message_id="m1", anonymousId="a1")
    send(client, "identify", "m2", userId="u1")
    events = client.state("pointillist")["events"]
    assert events[1]["actors"] == {"Customer": {"userId": "u1"}}
    assert actors(client) == ["a1", "u1"]


def test_pt_t5_identify_without_user_id_is_logged_under_the_anonymous_id(client: Client) -> None:
    send(client, "identify", "m1", anonymousId="a1")
    assert actors(client) == ["a1"]


def test_pt_15_pt_t17_the_receiver_too_reads_anonymous_id_in_the_tables_spelling(client: Client) -> None:
    post(client, {**LOADERS_EVENT, "actors": {"Customer": {"anonymousID": "a1"}}})
    post(client, {**LOADERS_EVENT, "actors": {"Customer": {"userId": "u1", "anonymousID": "a1"}}})
    assert actors(client) == ["u1", "u1"]


def test_pt_t14_the_same_event_again_is_one_stored_event(client: Client) -> None:
    """PT-T14, the receiver's half: the body has no id, so `X-Message-Id` says that it is the same."""
    client.post(f"{ADMIN}/faults", {"status": 500, "match": {"type": "track"}})
    replies = [send(client, userId="u1") for _ in range(3)]
    assert [reply.status for reply in replies] == [500, 202, 202]
    assert replies[2].headers["x-sandbox-duplicate"] == "1"
    assert len(actors(client)) == 1


def test_a_messageid_that_is_no_header_text_comes_back_whole(client: Client) -> None:
    send(client, userId="u1", message_id="ключ\n1")
    assert client.state("pointillist")["events"][0]["messageIds"] == ["ключ\n1"]


def test_pt_t16_entering_and_leaving_an_audience_are_identify_events(client: Client) -> None:
    for number, inside in enumerate([True, False]):
        send(client, "identify", f"m{number}", userId="u1", traits={"order_completed_last_30days": inside})
    found = client.state("pointillist")["events"]
    assert [event["labels"]["order_completed_last_30days"] for event in found] == ["true", "false"]
    assert {event["eventType"] for event in found} == {"identify"}


def test_pt_06_pt_d9_events_are_filtered_by_label(client: Client) -> None:
    send(client, message_id="m1", userId="u1", properties={"coupon": "XMAS"})
    send(client, message_id="m2", userId="u1", properties={"coupon": "EASTER"})
    send(client, message_id="m3", userId="u2", properties={"coupon": "XMAS"})
    found = client.get(f"{ADMIN}/events?label.coupon=XMAS").body
    assert [event["messageId"] for event in found] == ["m1", "m3"]
    assert len(client.get(f"{ADMIN}/events?label.coupon=XMAS&actor=u2").body) == 1
    assert client.get(f"{ADMIN}/events?label.coupon=NONE").body == []


def test_pt_06_pt_d9_numbers_are_measured_by_actor(client: Client) -> None:
    for number, (user, revenue) in enumerate([("u1", 0.1), ("u1", 0.2), ("u2", 5)]):
        send(client, message_id=f"m{number}", userId=user, properties={"revenue": revenue})
    by_actor = client.get(f"{ADMIN}/metrics/revenue?agg=sum&by=actor").body
    assert by_actor["values"] == {"u1": 0.3, "u2": 5}
    assert client.get(f"{ADMIN}/metrics/revenue").body["value"] == 5.3
    assert client.get(f"{ADMIN}/metrics/revenue?agg=count").body["value"] == 3
    assert client.get(f"{ADMIN}/metrics/nothing").body["value"] is None
    assert client.get(f"{ADMIN}/metrics/revenue?agg=median").status == 400
    assert client.get(f"{ADMIN}/metrics/revenue?by=weather").status == 400


@pytest.mark.parametrize(("agg", "value"), [("sum", 3.5), ("count", 2), ("avg", 1.75), ("min", 1), ("max", 2.5)])
def test_a_metric_takes_numbers_and_numeric_text_together(agg: str, value: float) -> None:
    events = [{"numbers": {"n": "1"}}, {"numbers": {"n": 2.5}}, {"numbers": {}}, {}]
    assert measured(events, "n", agg=agg, by=None)["value"] == value


def test_big_numbers_stand_in_the_state_as_sent(client: Client) -> None:
    send(client, userId="u1", properties={"n": 9007199254740993, "big": 12345678901234567890123})
    assert client.state("pointillist")["events"][0]["numbers"] == {
        "n": 9007199254740993,
        "big": 12345678901234567890123,
    }
