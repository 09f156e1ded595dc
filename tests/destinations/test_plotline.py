"""What the Plotline destination must hold. The receiver has tests of its own, in `tests/sandbox`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from segue.core.destination import Request, check_settings, setting_fields
from segue.core.errors import Invalid
from segue.core.event import CALL_TYPES, Event
from segue.destinations.plotline import Settings, destination, send
from segue.route.decide import SEND, UNSUPPORTED, decide

ENDPOINT = "https://receiver.example/segment/events"
SETTINGS = Settings(apiKey="plotline_demo_key", endpoint=ENDPOINT)


def sent(body: bytes) -> Request:
    (request,) = list(send(SETTINGS, Event(body)))
    return request


def event(**fields: Any) -> bytes:
    return json.dumps({"messageId": "m1", "timestamp": "2026-11-21T10:00:00Z", "version": "1.1", **fields}).encode()


def test_the_catalog_holds_the_facts_of_segments_catalog() -> None:
    assert (destination.name, destination.slug) == ("Plotline", "plotline")
    assert destination.id == "669f7b835aae8164929d000e"
    assert destination.names == {"Plotline"}
    assert destination.status == "PUBLIC_BETA"
    assert destination.categories == ("Marketing Automation", "Personalization")
    assert destination.website == "http://www.plotline.so"
    assert not destination.browser_unbundling_public


def test_pl_01_the_catalog_says_what_it_is_and_who_maintains_it() -> None:
    for word in ("Mobile adoption", "stories", "videos", "animations", "streaks", "floating buttons"):
        assert word in destination.description
    assert destination.partner_owned
    assert destination.contact == "support@plotline.so"


def test_pl_02_the_help_says_where_the_key_comes_from() -> None:
    assert "dashboard" in destination.key_help
    assert "Credentials" in destination.key_help


def test_pl_03_identify_and_track_are_supported_and_nothing_else() -> None:
    assert destination.methods == {"identify", "track"}


@pytest.mark.parametrize("call", CALL_TYPES)
def test_pl_03_other_calls_are_not_sent(call: str) -> None:
    decision = decide(Event(event(type=call, userId="u")), destination, enabled=True, catalog_names=destination.names)
    assert decision is (SEND if call in ("identify", "track") else UNSUPPORTED)


def test_pl_04_pl_06_pl_07_identify_is_sent_as_an_identify_event() -> None:
    body = event(type="identify", userId="userId123", traits={"name": "John Doe"})
    request = sent(body)
    assert (request.method, request.url, request.body) == ("POST", ENDPOINT, body)
    assert dict(request.headers)["Authorization"] == "Basic cGxvdGxpbmVfZGVtb19rZXk6"
    assert json.loads(request.body)["type"] == "identify"
    assert json.loads(request.body)["traits"] == {"name": "John Doe"}


def test_pl_08_pl_10_pl_11_track_is_sent_as_a_track_event_also_without_properties() -> None:
    body = event(type="track", userId="userId123", event="Checkout Completed")
    assert sent(body).body == body
    assert json.loads(sent(body).body)["type"] == "track"


def test_no_settings_header_is_sent_for_there_is_no_other_setting() -> None:
    assert "X-Segment-Settings" not in dict(sent(event(type="track", userId="u", event="E")).headers)


@pytest.mark.parametrize("key", ["", "   ", None])
def test_pl_13_a_blank_key_is_refused(key: Any) -> None:
    with pytest.raises(Invalid, match=r"settings\.apiKey"):
        check_settings(destination, {"apiKey": key, "endpoint": ENDPOINT})


def test_pl_13_the_key_is_a_required_secret_text() -> None:
    (key,) = [field for field in setting_fields(Settings) if field.name == "apiKey"]
    assert (key.label, key.type, key.required, key.secret) == ("API Key", "string", True, True)
    assert "Your Plotline API key" in key.description


@pytest.mark.parametrize(
    "endpoint", [None, "", "receiver.example", "ftp://receiver.example/", "https://", "https://a b/"]
)
def test_the_endpoint_is_required_and_says_why(endpoint: Any) -> None:
    with pytest.raises(Invalid, match=r"settings\.endpoint"):
        check_settings(destination, {"apiKey": "k", "endpoint": endpoint})
    (field,) = [field for field in setting_fields(Settings) if field.name == "endpoint"]
    assert field.required
    assert "publishes none" in field.description
