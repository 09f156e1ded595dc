"""What every kind of destination must hold, the ones that are not written yet among them."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from typing import Any

import msgspec
import pytest

import segue.destinations
from segue.core.destination import Destination, Request, Response, check_settings, setting_fields
from segue.core.errors import Invalid, Unsuccessful
from segue.core.event import CALL_TYPES, Event
from segue.core.reasons import FILTERED
from segue.destinations import catalog
from segue.destinations._partner import basic

KINDS = pytest.mark.parametrize("kind", catalog().values(), ids=lambda kind: kind.slug)

KEY = "sk_test_key"
ENDPOINT = "https://receiver.example/in"

EVENT = {
    "messageId": "m1",
    "userId": "u1",
    "anonymousId": "a1",
    "event": "Ordér 🎉",
    "groupId": "g1",
    "previousId": "u0",
    "timestamp": "2026-11-21T10:00:00.000Z",
    "traits": {"ключ": "värde", "n": 9007199254740993, "nested": {"list": [1, {"a": None}]}},
    "properties": {"price": 25.5, "big": 12345678901234567890, "emoji": "🎉"},
    "context": {"traits": {"plan": "pro"}, "page": {"url": "https://shop.example/"}},
}


def settings_of(kind: Destination) -> Any:
    """The least that a kind can be set up with."""
    values: dict[str, Any] = {}
    for field in setting_fields(kind.settings):
        if field.name == "endpoint":
            values[field.name] = ENDPOINT
        elif field.required:
            values[field.name] = KEY
        elif field.type == "array":
            values[field.name] = [ENDPOINT]
    return check_settings(kind, values)


def requests_of(kind: Destination, body: bytes) -> list[Request]:
    """Every request of one event, each answered with 200."""
    flow, requests = kind.send(settings_of(kind), Event(body)), []
    try:
        request = next(flow)
        while True:
            requests.append(request)
            request = flow.send(Response(status=200))
    except StopIteration:
        return requests


def calls(kind: Destination, **fields: Any) -> list[bytes]:
    return [json.dumps({"type": call, **EVENT, **fields}, ensure_ascii=False).encode() for call in sorted(kind.methods)]


def patterns_of(schema: Any) -> list[str]:
    """Every pattern in a JSON Schema."""
    if isinstance(schema, dict):
        inner = [pattern for value in schema.values() for pattern in patterns_of(value)]
        return [*inner, schema["pattern"]] if isinstance(schema.get("pattern"), str) else inner
    return [pattern for value in schema for pattern in patterns_of(value)] if isinstance(schema, list) else []


def test_the_catalog_is_found_by_looking_and_sorted_by_name() -> None:
    names = [found.name for found in pkgutil.iter_modules(segue.destinations.__path__)]
    assert len(catalog()) == sum(not name.startswith("_") for name in names)
    shown = [kind.name.lower() for kind in catalog().values()]
    assert shown == sorted(shown)


def test_the_five_vendors_and_the_webhook_are_there() -> None:
    assert catalog().keys() >= {"plotline", "pointillist", "planhat", "user-com", "astrolabe", "webhook"}


def test_slugs_ids_and_names_are_each_used_once() -> None:
    kinds = catalog().values()
    assert len({kind.slug for kind in kinds}) == len({kind.id for kind in kinds}) == len(kinds)
    names = [name for kind in kinds for name in kind.names]
    assert len(names) == len(set(names))


@KINDS
def test_the_metadata_is_complete(kind: Destination) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", kind.slug)
    assert re.fullmatch(r"[0-9a-f]{24}", kind.id)
    assert kind.name in kind.previous_names
    assert kind.status in ("PUBLIC", "PUBLIC_BETA")
    assert kind.categories
    assert kind.docs_url.startswith("https://segment.com/docs/")
    for text in (kind.description, kind.contact, kind.key_help, kind.contract):
        assert text.strip()
    assert kind.max_rate is None or kind.max_rate > 0


@KINDS
def test_the_contract_says_what_is_proposed_by_us(kind: Destination) -> None:
    assert "PROPOSED" in kind.contract


@KINDS
def test_the_module_says_what_it_is_and_which_rule_holds(kind: Destination) -> None:
    doc = inspect.getdoc(importlib.import_module(kind.send.__module__)) or ""
    assert "Rule:" in doc


@KINDS
def test_the_methods_are_call_types_and_others_are_filtered(kind: Destination) -> None:
    assert kind.methods
    assert kind.methods <= set(CALL_TYPES)
    assert "UNSUPPORTED_EVENT_TYPE" in FILTERED


@pytest.mark.parametrize(
    ("slug", "methods"),
    [
        ("plotline", {"identify", "track"}),
        ("pointillist", {"identify", "track"}),
        ("planhat", {"identify", "track", "page", "group", "alias"}),
        ("user-com", {"identify", "track", "page", "group"}),
        ("astrolabe", {"identify", "track", "group"}),
    ],
)
def test_the_methods_are_those_of_segments_catalog(slug: str, methods: set[str]) -> None:
    assert catalog()[slug].methods == methods


@KINDS
def test_every_setting_has_a_label_a_description_and_a_type(kind: Destination) -> None:
    fields = setting_fields(kind.settings)
    assert fields
    for field in fields:
        assert field.label.strip()
        assert field.description.strip()
        assert field.type in ("string", "boolean", "select", "number", "array", "text-map")
        assert not (field.hidden and field.required)


@KINDS
def test_a_key_is_a_required_secret_and_a_blank_one_is_refused(kind: Destination) -> None:
    keys = [field for field in setting_fields(kind.settings) if field.name == "apiKey"]
    if kind.slug == "webhook":
        assert keys == []  # a shared secret is optional there
        return
    (key,) = keys
    assert (key.type, key.required, key.secret) == ("string", True, True)
    for blank in ("", "  ", None, 7):
        with pytest.raises(Invalid, match=r"settings\.apiKey"):
            check_settings(kind, {"apiKey": blank, "endpoint": ENDPOINT})


@KINDS
def test_an_unknown_setting_is_refused_and_no_value_is_quoted(kind: Destination) -> None:
    with pytest.raises(Invalid) as invalid:
        check_settings(kind, {"apiKey": "s3cr3t-value", "endpoint": ENDPOINT, "unheard": "s3cr3t-value"})
    assert "s3cr3t-value" not in str(invalid.value)


@pytest.mark.parametrize("slug", ["plotline", "user-com", "astrolabe"])
def test_an_endpoint_that_is_not_publicly_known_is_required_and_says_why(slug: str) -> None:
    (endpoint,) = [field for field in setting_fields(catalog()[slug].settings) if field.name == "endpoint"]
    assert endpoint.required
    assert "Required, because" in endpoint.description
    with pytest.raises(Invalid, match="endpoint"):
        check_settings(catalog()[slug], {"apiKey": KEY})


@pytest.mark.parametrize("slug", ["planhat", "pointillist"])
def test_a_known_endpoint_may_be_overridden_by_a_hidden_setting(slug: str) -> None:
    kind = catalog()[slug]
    (endpoint,) = [field for field in setting_fields(kind.settings) if field.name == "endpoint"]
    assert endpoint.hidden
    event = Event(calls(kind)[0])
    default = next(kind.send(check_settings(kind, {"apiKey": KEY}), event))
    assert default.url.startswith("https://")
    assert next(kind.send(settings_of(kind), event)).url == ENDPOINT


@pytest.mark.parametrize("slug", [slug for slug in catalog() if slug != "webhook"])
@pytest.mark.parametrize(
    "endpoint", ["", "receiver.example", "javascript:alert(1)", "http://", "https://a b/", f"{ENDPOINT}\n", 7]
)
def test_an_endpoint_is_an_address(slug: str, endpoint: Any) -> None:
    with pytest.raises(Invalid, match=r"settings\.endpoint"):
        check_settings(catalog()[slug], {"apiKey": KEY, "endpoint": endpoint})


@KINDS
def test_no_setting_of_one_line_lets_a_line_end_through(kind: Destination) -> None:
    """Its pattern is read by Python, where `$` also holds before a line end, and by JSON Schema, where it does not."""
    for pattern in patterns_of(msgspec.json.schema(kind.settings)):
        if pattern.startswith("^"):
            assert pattern.endswith(r"$(?!\n)"), pattern
    plain = {"apiKey": KEY, "endpoint": ENDPOINT, "subdomain": "api"}
    names = {field.name for field in setting_fields(kind.settings)}
    for name in {"endpoint", "subdomain"} & names:
        given = {key: value for key, value in plain.items() if key in names}
        with pytest.raises(Invalid, match=rf"settings\.{name}"):
            check_settings(kind, {**given, name: plain[name] + "\n"})


@KINDS
def test_every_call_type_becomes_one_post_that_http_can_carry(kind: Destination) -> None:
    for body in calls(kind):
        (request,) = requests_of(kind, body)
        assert (request.method, request.url) == ("POST", ENDPOINT)
        for name, value in request.headers:
            assert re.fullmatch(r"[A-Za-z0-9-]+", name)
            assert value.isascii()
            assert value.isprintable()
        headers = {name.lower(): value for name, value in request.headers}
        assert len(headers) == len(request.headers)
        assert headers["content-type"] == "application/json"
        assert headers["user-agent"] == "Segment.io/1.0"
        assert isinstance(json.loads(request.body), dict)
        assert KEY.encode() not in request.body
        assert KEY not in request.url


@KINDS
def test_a_flow_makes_the_same_requests_when_it_runs_again(kind: Destination) -> None:
    for body in calls(kind):
        assert requests_of(kind, body) == requests_of(kind, body)


@KINDS
def test_two_thousand_traits_and_odd_ids_do_not_break_a_flow(kind: Destination) -> None:
    many = {f"k{number}": number for number in range(2000)}
    for body in calls(kind, traits=many, properties=many, userId="ü\n" * 20, messageId="ключ\r\n"):
        (request,) = requests_of(kind, body)
        assert json.loads(request.body)


@KINDS
def test_a_flow_ends_by_itself_when_its_answer_is_a_failure(kind: Destination) -> None:
    flow = kind.send(settings_of(kind), Event(calls(kind)[0]))
    request = next(flow)
    if request.judge:
        with pytest.raises(Unsuccessful):
            flow.send(Response(status=503))
    flow.close()


@pytest.mark.parametrize("slug", ["plotline", "planhat", "user-com", "astrolabe"])
def test_family_a_posts_with_segments_headers(slug: str) -> None:
    kind = catalog()[slug]
    (request,) = requests_of(kind, calls(kind)[0])
    headers = dict(request.headers)
    shown = headers.pop("X-Segment-Settings", None)
    assert headers == {
        "Accept": "*/*",
        "Authorization": basic(KEY),
        "Cache-Control": "no-cache",
        "Content-Type": "application/json",
        "User-Agent": "Segment.io/1.0",
    }
    assert (shown is None) is (slug != "planhat")


@pytest.mark.parametrize("slug", ["plotline", "user-com", "astrolabe"])
def test_family_a_posts_the_events_own_bytes(slug: str) -> None:
    kind = catalog()[slug]
    for body in calls(kind):
        assert requests_of(kind, body)[0].body == body
