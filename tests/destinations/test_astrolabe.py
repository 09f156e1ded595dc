"""What the Astrolabe destination must hold. The receiver has tests of its own, in `tests/sandbox`."""

from __future__ import annotations

import base64
import json

import pytest

from segue.core.destination import check_settings, setting_fields
from segue.core.errors import Invalid
from segue.core.event import CALL_TYPES, Event
from segue.destinations import catalog
from segue.destinations.astrolabe import Settings, destination, send
from segue.route.decide import DISABLED, SEND, UNSUPPORTED, decide

ENDPOINT = "http://127.0.0.1:8100/astrolabe/connectors/segment"
SETTINGS = Settings(apiKey="segment", endpoint=ENDPOINT)


def test_the_catalog_holds_the_facts_of_segments_catalog() -> None:
    assert catalog()["astrolabe"] is destination
    assert (destination.name, destination.id) == ("Astrolabe", "64d2643196f4937712e54198")
    assert destination.names == {"Astrolabe"}
    assert destination.status == "PUBLIC_BETA"
    assert destination.categories == (
        "Raw Data",
        "CRM",
        "Customer Success",
        "Marketing Automation",
        "Analytics",
    )
    assert destination.website == "https://astrolabe.so"


def test_as_01_the_catalog_says_what_it_is_and_who_maintains_it() -> None:
    assert "revenue operations" in destination.description.lower()
    assert destination.partner_owned
    assert destination.contact == "team@astrolabe.so"


def test_as_02_as_03_as_04_the_help_says_where_the_key_comes_from() -> None:
    for step in ("console.astrolabe.so", "Add Connector", "Segment.com Connector", "free email", "key"):
        assert step in destination.key_help


def test_as_06_identify_group_and_track_are_supported_and_nothing_else() -> None:
    assert destination.methods == {"identify", "group", "track"}


def test_as_05_as_t16_nothing_is_sent_while_the_destination_is_off() -> None:
    event = Event(b'{"type":"identify","messageId":"m","userId":"u"}')
    assert decide(event, destination, enabled=False, catalog_names=destination.names) is DISABLED
    assert decide(event, destination, enabled=True, catalog_names=destination.names) is SEND


@pytest.mark.parametrize("call", CALL_TYPES)
def test_as_t17_other_calls_are_not_sent(call: str) -> None:
    event = Event(json.dumps({"type": call, "messageId": "m", "userId": "u"}).encode())
    decision = decide(event, destination, enabled=True, catalog_names=destination.names)
    assert decision is (SEND if call in ("identify", "group", "track") else UNSUPPORTED)


@pytest.mark.parametrize(
    "call",
    [
        {"type": "identify", "userId": "userId123", "traits": {"email": "john.doe@example.com"}},
        {
            "type": "group",
            "userId": "userId123",
            "groupId": "0e8c78ea9d97a7b8185e8632",
            "traits": {"total billed": 830},
        },
        {
            "type": "track",
            "userId": "userId123",
            "event": "User Registered",
            "properties": {"plan": "Pro Annual"},
        },
    ],
    ids=["identify", "group", "track"],
)
def test_as_07_as_10_as_14_the_event_goes_out_byte_for_byte_under_basic_auth(call: dict[str, object]) -> None:
    body = json.dumps({"messageId": "m", **call}, indent=1).encode()
    (request,) = list(send(SETTINGS, Event(body)))
    assert (request.method, request.url, request.body) == ("POST", ENDPOINT, body)
    sent = dict(request.headers)
    assert sent["Authorization"] == "Basic c2VnbWVudDo="
    assert sent["Content-Type"] == "application/json"
    assert sent["User-Agent"] == "Segment.io/1.0"
    assert "X-Segment-Settings" not in sent
    assert not request.judge


def test_as_16_the_api_key_is_a_required_secret_text() -> None:
    key = {field.name: field for field in setting_fields(Settings)}["apiKey"]
    assert (key.label, key.type, key.required, key.secret) == ("API Key", "string", True, True)
    assert "Your Astrolabe API key" in key.description


@pytest.mark.parametrize("key", [None, "", "   ", 7])
def test_as_16_a_blank_key_is_refused(key: object) -> None:
    with pytest.raises(Invalid, match="apiKey"):
        check_settings(destination, {"apiKey": key, "endpoint": ENDPOINT})


def test_the_endpoint_is_required_and_says_why() -> None:
    endpoint = {field.name: field for field in setting_fields(Settings)}["endpoint"]
    assert endpoint.required
    assert "publishes none" in endpoint.description
    with pytest.raises(Invalid, match="endpoint"):
        check_settings(destination, {"apiKey": "k"})


@pytest.mark.parametrize("endpoint", ["", "astrolabe.so", "ftp://astrolabe.so/", "https://", "https://a b/"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(Invalid, match="endpoint"):
        check_settings(destination, {"apiKey": "k", "endpoint": endpoint})


def test_a_key_of_any_text_is_encoded_as_utf_8() -> None:
    (request,) = list(
        send(Settings(apiKey="schlüssel:1", endpoint=ENDPOINT), Event(b'{"type":"track","messageId":"m"}'))
    )
    encoded = dict(request.headers)["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(encoded).decode() == "schlüssel:1:"
