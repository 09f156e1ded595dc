"""Planhat's adapter: metadata, settings, and what exactly goes out (`PH-*` of the vendor contract)."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.destination import Request, check_settings, setting_fields
from segue.core.errors import Invalid
from segue.core.event import Event
from segue.destinations import catalog
from segue.destinations.planhat import SUBDOMAINS, Settings, body_for, destination

TOKEN = "demo-planhat-token"


def event_of(**fields: Any) -> Event:
    return Event(json.dumps({"type": "identify", "messageId": "m1", **fields}).encode())


def request_for(event: Event, **settings: Any) -> Request:
    flow = destination.send(check_settings(destination, {"apiKey": TOKEN, **settings}), event)
    return next(flow)


def test_planhat_is_found_in_the_catalog_with_segments_metadata():
    kind = catalog()["planhat"]
    assert kind.id == "55bbefd70a20f4e22f0fb3e5"
    assert kind.names == {"Planhat"}
    assert (kind.status, kind.partner_owned, kind.browser_unbundling_public) == ("PUBLIC", False, True)
    assert kind.categories == ("Customer Success",)
    assert "PROPOSED" in kind.contract
    assert kind.max_rate == pytest.approx(200 / 60)


def test_ph_01_identify_page_track_and_group_are_taken_and_so_is_alias():
    assert destination.methods == {"identify", "page", "track", "group", "alias"}


@pytest.mark.parametrize("call", ["identify", "page", "track", "group", "alias"])
def test_ph_01_each_type_goes_out_as_itself(call: str):
    assert json.loads(request_for(event_of(type=call, userId="u1")).body)["type"] == call


def test_ph_02_the_help_for_the_key_says_where_planhat_shows_it():
    assert destination.key_help == "App Settings > API Access"


def test_ph_03_an_event_needs_one_post_from_the_server_and_nothing_else():
    flow = destination.send(Settings(apiKey=TOKEN), event_of(userId="u1"))
    assert next(flow).method == "POST"
    with pytest.raises(StopIteration):
        next(flow)


def test_ph_04_and_ph_08_the_user_id_goes_out_under_both_spellings():
    sent = json.loads(request_for(event_of(userId="12345")).body)
    assert (sent["userId"], sent["user_id"]) == ("12345", "12345")


def test_ph_08_an_event_without_a_user_id_gets_none_added():
    assert "user_id" not in json.loads(request_for(event_of(anonymousId="a1")).body)


def test_ph_08_a_user_id_of_the_senders_own_stays_unless_it_is_null():
    assert json.loads(body_for(event_of(userId="u1", user_id="legacy")))["user_id"] == "legacy"
    assert json.loads(body_for(event_of(userId="u1", user_id=None)))["user_id"] == "u1"


@pytest.mark.parametrize("call", ["identify", "page", "track", "group", "alias"])
def test_ph_09_every_call_says_that_segment_is_its_source(call: str):
    assert json.loads(body_for(event_of(type=call, userId="u1")))["source"] == "Segment"


def test_ph_09_a_source_of_the_senders_own_gives_way_and_no_key_comes_twice():
    pairs = json.loads(body_for(event_of(source="web", userId="u1")), object_pairs_hook=list)
    assert [value for key, value in pairs if key == "source"] == ["Segment"]
    assert [key for key, _ in pairs] == ["type", "messageId", "source", "userId", "user_id"]


def test_ph_09_a_source_that_is_written_with_an_escape_does_not_come_twice_either():
    body = rb'{"type":"page","messageId":"m","\u0073ource":"web","userId":"u"}'
    keys = [key for key, _ in json.loads(body_for(Event(body)), object_pairs_hook=list)]
    assert sorted(keys) == ["messageId", "source", "type", "userId", "user_id"]


@pytest.mark.parametrize("token", ["", " ", "\n"])
def test_ph_15_a_blank_tenant_token_is_refused_without_being_shown(token: str):
    with pytest.raises(Invalid) as refused:
        check_settings(destination, {"apiKey": token})
    assert refused.value.field == "settings.apiKey"


def test_ph_15_the_tenant_token_is_required_and_secret():
    with pytest.raises(Invalid, match="apiKey"):
        check_settings(destination, {})
    field = setting_fields(Settings)[0]
    assert (field.name, field.label, field.required, field.secret) == ("apiKey", "Tenant Token", True, True)
    assert "App Settings > API Access" in field.description


def test_ph_16_the_subdomain_is_a_select_whose_default_is_api_and_whose_first_three_are_segments():
    field = setting_fields(Settings)[1]
    assert (field.name, field.type, field.default, field.required) == ("subdomain", "select", "api", False)
    assert field.choices == SUBDOMAINS
    assert field.choices[:3] == ("api", "api-eu", "analytics")


def test_ph_t16_the_subdomain_becomes_the_host():
    assert request_for(event_of()).url == "https://api.planhat.com/dock/segment"
    assert request_for(event_of(), subdomain="api-eu").url == "https://api-eu.planhat.com/dock/segment"
    assert request_for(event_of(), subdomain="api-of-1").url == "https://api-of-1.planhat.com/dock/segment"


@pytest.mark.parametrize("subdomain", ["evil.com/", "", "API", "a.b", "api\n", "api@evil", "a" * 33, None])
def test_ph_t16_a_subdomain_that_is_no_host_label_is_refused(subdomain: object):
    with pytest.raises(Invalid, match="subdomain"):
        check_settings(destination, {"apiKey": TOKEN, "subdomain": subdomain})


def test_the_hidden_endpoint_takes_the_place_of_planhats_address():
    sandbox = "http://127.0.0.1:8100/planhat/dock/segment"
    assert request_for(event_of(), endpoint=sandbox).url == sandbox
    assert setting_fields(Settings)[2].hidden


def test_the_wire_is_family_a_with_the_subdomain_as_the_shown_setting():
    headers = dict(request_for(event_of(), apiKey="segment", subdomain="api-eu").headers)
    assert headers["Authorization"] == "Basic c2VnbWVudDo="
    assert headers["Content-Type"] == "application/json"
    assert json.loads(b64decode(headers["X-Segment-Settings"])) == {"subdomain": "api-eu"}


def test_what_was_sent_stays_as_sent_to_the_byte_around_the_two_added_keys():
    sent = '{ "type":"track" , "messageId":"m","userId":"ü","event":"ß", "n": 9007199254740993, "d":1.50E+2 }'
    assert body_for(Event(sent.encode())).decode() == sent[:-1] + ',"user_id":"ü","source":"Segment"}'


def test_it_stays_as_sent_to_the_byte_also_where_a_source_stands_further_down():
    sent = b'{ "type":"track","messageId":"m", "event":"e","context":{"campaign":{ "source":"x" }},"d":1.50E+2}'
    assert body_for(Event(sent)) == sent[:-1] + b',"source":"Segment"}'


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.text(max_size=8) | st.sampled_from(["source", "user_id", "traits", "Source"])
OWN_KEYS = {"type", "messageId", "userId", "anonymousId", "event", "timestamp"}


@given(
    fields=st.dictionaries(KEYS.filter(lambda key: key not in OWN_KEYS), JSON_VALUES, max_size=5),
    user_id=st.none() | st.text(min_size=1),
    ascii_only=st.booleans(),
)
def test_every_other_value_goes_out_as_it_came_in(fields: dict[str, Any], user_id: str | None, ascii_only: bool):
    came = {"type": "identify", "messageId": "m", **fields, "userId": user_id}
    body = json.dumps(came, ensure_ascii=ascii_only).encode()
    went = body_for(Event(body))
    pairs = json.loads(went, object_pairs_hook=list)
    assert len(pairs) == len(dict(pairs))
    raw_in = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    raw_out = msgspec.json.decode(went, type=dict[str, msgspec.Raw])
    assert bytes(raw_out.pop("source")) == b'"Segment"'
    raw_in.pop("source", None)
    if user_id and fields.get("user_id") is None:
        assert msgspec.json.decode(raw_out.pop("user_id")) == user_id
        raw_in.pop("user_id", None)
    assert {key: bytes(value) for key, value in raw_out.items()} == {key: bytes(value) for key, value in raw_in.items()}
