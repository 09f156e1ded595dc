"""What the User.com destination must hold. The receiver has tests of its own, in `tests/sandbox`."""

from __future__ import annotations

import base64
import json

import pytest

from segue.core.destination import Verdict, check_settings, setting_fields, verdict
from segue.core.errors import Invalid
from segue.core.event import CALL_TYPES, Event
from segue.core.reasons import refusal_reason
from segue.destinations import catalog
from segue.destinations.user_com import Settings, destination, send
from segue.route.decide import EXCLUDED, SEND, UNSUPPORTED, decide

ENDPOINT = "http://127.0.0.1:8100/user-com/api/segment/"
SETTINGS = Settings(apiKey="segment", endpoint=ENDPOINT)


def decision(**fields: object) -> object:
    event = {"type": "track", "messageId": "m", "userId": "u", "event": "E", **fields}
    return decide(Event(json.dumps(event).encode()), destination, enabled=True, catalog_names=destination.names)


def test_the_catalog_holds_the_facts_of_segments_catalog() -> None:
    assert catalog()["user-com"] is destination
    assert (destination.name, destination.id) == ("User.com", "59c93d8a3c0414000129bcb5")
    assert destination.previous_names == ("UserEngage", "\u201cUser.com\u201d", "User.com")
    assert (destination.status, destination.website) == ("PUBLIC", "https://www.user.com")
    assert destination.categories == ("Personalization", "SMS & Push Notifications", "Email")
    assert destination.browser_unbundling_public
    assert not destination.partner_owned
    assert "userengage.com" in destination.contact


def test_identify_track_page_and_group_are_supported_and_nothing_else() -> None:
    assert destination.methods == {"identify", "track", "page", "group"}
    for call in CALL_TYPES:
        taken = call in ("identify", "track", "page", "group")
        assert decision(type=call) is (SEND if taken else UNSUPPORTED)


def test_uc_01_the_help_says_where_a_key_is_generated_and_revoked() -> None:
    assert "App settings > Advanced > Segment API keys" in destination.key_help
    assert "generated" in destination.key_help
    assert "revoked" in destination.key_help


def test_uc_25_uc_26_the_help_names_both_causes_of_a_403() -> None:
    assert "403" in destination.key_help
    assert "App settings > Advanced > Domains" in destination.key_help


@pytest.mark.parametrize("call", sorted(destination.methods))
def test_the_event_goes_out_byte_for_byte_under_basic_auth(call: str) -> None:
    event = {"type": call, "messageId": "m", "userId": "ü", "event": "E", "groupId": "g", "n": 9007199254740993}
    body = json.dumps(event, indent=1).encode()
    (request,) = list(send(SETTINGS, Event(body)))
    assert (request.method, request.url, request.body) == ("POST", ENDPOINT, body)
    sent = dict(request.headers)
    assert sent["Authorization"] == "Basic c2VnbWVudDo="
    assert sent["Content-Type"] == "application/json"
    assert sent["User-Agent"] == "Segment.io/1.0"
    assert "X-Segment-Settings" not in sent
    assert not request.judge


def test_a_key_of_any_text_is_encoded_as_utf_8() -> None:
    settings = Settings(apiKey="schlüssel:1", endpoint=ENDPOINT)
    (request,) = list(send(settings, Event(b'{"type":"track","messageId":"m"}')))
    encoded = dict(request.headers)["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(encoded).decode() == "schlüssel:1:"


def test_uc_28_the_api_key_is_a_required_secret_text() -> None:
    key = {field.name: field for field in setting_fields(Settings)}["apiKey"]
    assert (key.label, key.type, key.required, key.secret) == ("API Key", "string", True, True)
    assert "secret Segment API key" in key.description


@pytest.mark.parametrize("key", [None, "", "   ", 7])
def test_uc_28_a_blank_key_is_refused(key: object) -> None:
    with pytest.raises(Invalid, match="apiKey"):
        check_settings(destination, {"apiKey": key, "endpoint": ENDPOINT})


def test_the_endpoint_is_required_and_says_why() -> None:
    endpoint = {field.name: field for field in setting_fields(Settings)}["endpoint"]
    assert endpoint.required
    assert "publishes none" in endpoint.description
    with pytest.raises(Invalid, match="endpoint"):
        check_settings(destination, {"apiKey": "k"})


@pytest.mark.parametrize("endpoint", ["", "user.com", "ftp://user.com/", "https://", "https://a b/"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(Invalid, match="endpoint"):
        check_settings(destination, {"apiKey": "k", "endpoint": endpoint})


def test_the_contract_says_what_is_proposed() -> None:
    assert "PROPOSED" in destination.contract


@pytest.mark.parametrize("name", ["UserEngage", "\u201cUser.com\u201d", "User.com"])
def test_uc_t22_each_of_its_names_lets_an_event_through(name: str) -> None:
    assert decision(integrations={"All": False, name: True}) is SEND
    assert decision(integrations={name: False}) is EXCLUDED


@pytest.mark.parametrize("name", ["user.com", "userengage", '"User.com"', "user-com"])
def test_uc_t22_a_name_in_another_spelling_does_not(name: str) -> None:
    assert decision(integrations={"All": False, name: True}) is EXCLUDED


def test_uc_t16_a_403_is_final_and_blames_the_key() -> None:
    assert verdict(403) is Verdict.REFUSED
    assert refusal_reason(403) == "INVALID_AUTHENTICATION"
