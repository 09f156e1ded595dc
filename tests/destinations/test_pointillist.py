"""What the Pointillist destination must hold: the mapping, value by value.

The receiver has tests of its own, in `tests/sandbox`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.destination import Request, check_settings, setting_fields
from segue.core.errors import Invalid, Refused
from segue.core.event import CALL_TYPES, Event
from segue.destinations.pointillist import Settings, destination, header_text, send
from segue.route.decide import SEND, UNSUPPORTED, decide

SETTINGS = Settings(apiKey="demo-token")


def request_for(body: bytes) -> Request:
    (request,) = list(send(SETTINGS, Event(body)))
    return request


def raw(call: str, **fields: Any) -> bytes:
    event = {
        "type": call,
        "messageId": "m1",
        "userId": "u1",
        "event": "Viewed" if call == "track" else None,
        "timestamp": "2026-11-21T10:00:00.000Z",
        **fields,
    }
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def mapped(call: str, **fields: Any) -> dict[str, Any]:
    return dict(json.loads(request_for(raw(call, **fields)).body))


def test_the_catalog_holds_the_facts_of_segments_catalog() -> None:
    assert (destination.name, destination.slug) == ("Pointillist", "pointillist")
    assert destination.id == "56b17633e954a874ca44d3df"
    assert destination.names == {"Pointillist"}
    assert destination.status == "PUBLIC"
    assert destination.categories == ("Analytics",)
    assert destination.website == "http://www.pointillist.com/"
    assert destination.browser_unbundling_public
    assert not destination.partner_owned


def test_pt_01_the_help_says_to_toggle_it_on_and_whom_to_ask() -> None:
    assert "toggle the destination on" in destination.key_help
    assert destination.contact == "customer-success@pointillist.com"


@pytest.mark.parametrize("library", ["analytics.js", "analytics-ios", "analytics-android", "analytics-python"])
def test_pt_02_server_side_client_side_and_mobile_data_are_taken_alike(library: str) -> None:
    body = raw("track", context={"library": {"name": library}})
    assert decide(Event(body), destination, enabled=True, catalog_names=destination.names) is SEND
    assert json.loads(request_for(body).body)["eventType"] == "Viewed"


@pytest.mark.parametrize("call", CALL_TYPES)
def test_pt_d11_page_group_screen_and_alias_are_never_sent(call: str) -> None:
    decision = decide(Event(raw(call)), destination, enabled=True, catalog_names=destination.names)
    assert decision is (SEND if call in ("identify", "track") else UNSUPPORTED)


def test_pt_14_the_event_is_transformed_here_as_the_table_says() -> None:
    assert mapped(
        "track",
        anonymousId="a1",
        event="Order Completed",
        properties={"coupon": "XMAS", "revenue": 25.5, "items": 2},
        context={
            "campaign": {"source": "newsletter"},
            "location": {"city": "Lund"},
            "traits": {"plan": "pro", "age": 23},
            "device": {"model": "Pixel 8"},
            "os": {"name": "Android"},
        },
    ) == {
        "eventSource": "Segment",
        "eventType": "Order Completed",
        "eventTime": "2026-11-21T10:00:00.000Z",
        "actors": {"Customer": {"userId": "u1", "anonymousId": "a1"}},
        "labels": {
            "coupon": "XMAS",
            "campaign_source": "newsletter",
            "location_city": "Lund",
            "user_plan": "pro",
            "user_age": "23",
            "device_model": "Pixel 8",
            "os_name": "Android",
        },
        "numbers": {"revenue": 25.5, "items": 2},
    }


def test_the_request_goes_to_the_stream_with_token_and_messageid() -> None:
    request = request_for(raw("track", messageId="m-77"))
    assert (request.method, request.url) == ("POST", "https://stream.pointillist.com/event")
    headers = dict(request.headers)
    assert headers["apiToken"] == "demo-token"
    assert headers["X-Message-Id"] == "m-77"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["identify", None])
def test_pt_03_identify_becomes_an_identify_event(name: str | None) -> None:
    assert mapped("identify", event=name)["eventType"] == "identify"


def test_pt_04_both_ids_become_actor_identifiers() -> None:
    found = mapped("identify", anonymousId="a1")["actors"]
    assert found == {"Customer": {"userId": "u1", "anonymousId": "a1"}}


@pytest.mark.parametrize(
    ("ids", "identifiers"),
    [
        ({"anonymousId": "a1"}, {"userId": "u1", "anonymousId": "a1"}),
        ({}, {"userId": "u1"}),
        ({"userId": None, "anonymousId": "a1"}, {"anonymousId": "a1"}),
    ],
)
def test_pt_07_track_carries_one_id_or_both(ids: dict[str, Any], identifiers: dict[str, str]) -> None:
    assert mapped("track", **ids)["actors"] == {"Customer": identifiers}


def test_pt_06_traits_become_labels_and_numbers() -> None:
    traits = {"name": "Ada", "email": "ada@x.io", "age": 36, "vip": True, "since": "2026-01-01"}
    found = mapped("identify", traits=traits)
    assert found["labels"] == {"name": "Ada", "email": "ada@x.io", "vip": "true", "since": "2026-01-01"}
    assert found["numbers"] == {"age": 36}


def test_pt_08_the_event_name_becomes_the_event_type() -> None:
    assert mapped("track", event=" Söld 🎉 ")["eventType"] == " Söld 🎉 "


@pytest.mark.parametrize(
    ("timestamp", "event_time"),
    [
        ("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:00.000Z"),
        ("2026-11-21T12:00:00+02:00", "2026-11-21T10:00:00.000Z"),
        ("2026-11-21T10:00:00.123456Z", "2026-11-21T10:00:00.123Z"),
        ("2026-11-21", "2026-11-21T00:00:00.000Z"),
        ("yesterday", "2026-11-21T11:11:11.000Z"),
        (None, "2026-11-21T11:11:11.000Z"),
    ],
)
def test_pt_09_pt_t11_the_timestamp_becomes_the_event_time_in_utc(timestamp: str | None, event_time: str) -> None:
    found = mapped("track", timestamp=timestamp, receivedAt="2026-11-21T11:11:11.000Z")
    assert found["eventTime"] == event_time


@pytest.mark.parametrize("call", ["identify", "track"])
def test_pt_10_pt_11_pt_13_location_campaign_and_device_become_labels(call: str) -> None:
    context = {
        "location": {"city": "Lund", "latitude": 55.7},
        "campaign": {"source": "newsletter", "name": None},
        "device": {"model": "Pixel 8", "adTrackingEnabled": False},
        "os": {"name": "Android", "version": "14", "other": "no"},
        "locale": "sv-SE",
    }
    found = mapped(call, context=context)
    assert found["labels"] == {
        "location_city": "Lund",
        "location_latitude": "55.7",
        "campaign_source": "newsletter",
        "device_model": "Pixel 8",
        "device_adTrackingEnabled": "false",
        "os_name": "Android",
        "os_version": "14",
    }
    assert found["numbers"] == {}


def test_pt_12_pt_t7_user_traits_of_a_track_are_always_labels() -> None:
    found = mapped("track", context={"traits": {"age": 23, "plan": "pro", "vip": True}})
    assert found["labels"] == {"user_age": "23", "user_plan": "pro", "user_vip": "true"}
    assert found["numbers"] == {}


def test_context_traits_of_an_identify_are_left_alone() -> None:
    assert mapped("identify", traits={"a": "1"}, context={"traits": {"b": "2"}})["labels"] == {"a": "1"}


@pytest.mark.parametrize("spelling", ["anonymousId", "anonymousID"])
def test_pt_15_pt_t17_both_spellings_of_anonymous_id_are_read(spelling: str) -> None:
    found = mapped("track", **{spelling: "a1"})
    assert found["actors"] == {"Customer": {"userId": "u1", "anonymousId": "a1"}}


@pytest.mark.parametrize("value", [7, "", {"a": 1}, [1]])
def test_pt_15_what_is_no_text_under_the_other_spelling_is_no_identifier(value: Any) -> None:
    assert mapped("track", anonymousID=value)["actors"] == {"Customer": {"userId": "u1"}}


def test_pt_t8_lists_become_json_text_and_objects_are_flattened() -> None:
    found = mapped("track", properties={"revenue": 25.5, "tags": ["a", "b"], "addr": {"zip": "1"}})
    assert found["numbers"] == {"revenue": 25.5}
    assert found["labels"] == {"tags": '["a","b"]', "addr_zip": "1"}


def test_objects_are_flattened_four_names_deep() -> None:
    found = mapped("track", properties={"a": {"b": {"c": {"d": 1, "e": {"f": 2}}}, "n": {}}})
    assert found["numbers"] == {"a_b_c_d": 1}
    assert found["labels"] == {"a_b_c_e": '{"f":2}'}


def test_pt_t10_zero_and_empty_text_are_kept_and_null_is_dropped() -> None:
    found = mapped("track", properties={"zero": 0, "empty": "", "nothing": None, "negative": -1})
    assert found["numbers"] == {"zero": 0, "negative": -1}
    assert found["labels"] == {"empty": ""}


@pytest.mark.parametrize("number", [b"1e999", b"-1E400", b"9" * 400])
def test_a_number_that_is_infinite_to_a_receiver_is_dropped(number: bytes) -> None:
    body = raw("track", properties={"n": 123454321}, context={"traits": {"n": 123454321}})
    found = json.loads(request_for(body.replace(b"123454321", number)).body)
    assert found["numbers"] == {}
    assert found["labels"] == {}


@pytest.mark.parametrize(
    "number", [b"9007199254740993", b"0.10000000000000000555", b"25.50", b"1e3", b"-0", b"1" * 100]
)
def test_a_number_goes_out_with_the_digits_it_came_with(number: bytes) -> None:
    body = raw("track", properties={"n": 123454321}, context={"traits": {"n": 123454321}})
    out = request_for(body.replace(b"123454321", number)).body
    assert b'"numbers":{"n":' + number + b"}" in out
    assert b'"user_n":"' + number + b'"' in out


def test_the_context_keeps_its_name_and_the_property_is_prefixed() -> None:
    found = mapped(
        "track",
        properties={
            "campaign_source": "mine",
            "property_campaign_source": "taken",
            "user_age": "x",
            "a_b": "1",
            "a": {"b": "2"},
        },
        context={"campaign": {"source": "newsletter"}, "traits": {"age": 23}},
    )
    assert found["labels"] == {
        "campaign_source": "newsletter",
        "user_age": "23",
        "property_campaign_source": "mine",
        "property_property_campaign_source": "taken",
        "property_user_age": "x",
        "a_b": "1",
        "property_a_b": "2",
    }


def test_a_trait_whose_name_is_taken_by_the_context_is_prefixed() -> None:
    found = mapped("identify", traits={"device_model": "mine"}, context={"device": {"model": "Pixel 8"}})
    assert found["labels"] == {"device_model": "Pixel 8", "trait_device_model": "mine"}


@pytest.mark.parametrize("context", [None, 1, "x", [], {"location": "Lund", "campaign": [1], "device": None, "os": 7}])
def test_a_context_of_another_shape_gives_no_labels(context: Any) -> None:
    assert mapped("track", context=context)["labels"] == {}


@pytest.mark.parametrize("call", ["identify", "track"])
@pytest.mark.parametrize("members", [None, 1, "x", [1]])
def test_traits_and_properties_of_another_shape_give_nothing(call: str, members: Any) -> None:
    found = mapped(call, traits=members, properties=members)
    assert (found["labels"], found["numbers"]) == ({}, {})


def test_an_event_without_time_or_name_or_id_is_refused_and_says_so() -> None:
    for missing, field in (("timestamp", "timestamp"), ("event", "event"), ("userId", "userId")):
        with pytest.raises(Refused, match=field) as refused:
            request_for(raw("track", **{missing: None}))
        assert refused.value.reason == "PAYLOAD_VALIDATION_FAILED"


def test_pt_t16_an_audience_is_a_label_true_or_false() -> None:
    for inside in (True, False):
        found = mapped("identify", traits={"order_completed_last_30days": inside})
        assert found["labels"] == {"order_completed_last_30days": str(inside).lower()}


@pytest.mark.parametrize(
    ("message_id", "header"),
    [
        ("m 1", "m 1"),
        ("a\r\nX-Other: b", "utf-8''a%0D%0AX-Other%3A%20b"),
        ("ключ", "utf-8''%D0%BA%D0%BB%D1%8E%D1%87"),
        (" m1", "utf-8''%20m1"),
        ("", "utf-8''"),
    ],
)
def test_a_messageid_cannot_break_the_headers(message_id: str, header: str) -> None:
    assert header_text(message_id) == header


@pytest.mark.parametrize("key", ["", "  ", None, "a\nb", "a\n", "ключ"])
def test_pt_17_a_blank_token_or_one_that_is_no_header_is_refused(key: Any) -> None:
    with pytest.raises(Invalid, match=r"settings\.apiKey"):
        check_settings(destination, {"apiKey": key})


def test_pt_17_the_setting_is_called_api_token_and_comes_from_customer_success() -> None:
    token, endpoint = setting_fields(Settings)
    assert (token.name, token.label, token.required, token.secret) == ("apiKey", "API Token", True, True)
    assert "customer-success@pointillist.com" in token.description
    assert (endpoint.hidden, endpoint.required) == (True, False)
    assert endpoint.default == "https://stream.pointillist.com/event"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=5), st.dictionaries(st.text(max_size=8), JSON_VALUES))
def test_every_leaf_but_null_arrives_once_as_a_label_or_a_number(properties: Any, traits: Any) -> None:
    found = mapped("track", properties=properties, context={"traits": traits})
    assert all(isinstance(label, str) for label in found["labels"].values())
    assert all(isinstance(number, (int, float)) for number in found["numbers"].values())
    leaves = _leaves(properties) + _leaves(traits)
    assert len(found["labels"]) + len(found["numbers"]) == leaves


def _leaves(members: dict[str, Any], depth: int = 1) -> int:
    count = 0
    for value in members.values():
        if isinstance(value, dict) and depth < 4:
            count += _leaves(value, depth + 1)
        else:
            count += value is not None
    return count
