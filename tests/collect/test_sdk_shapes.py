"""Requests in the shapes of SDKs that do not run here (`segment.md` 14): Swift, Kotlin, React Native, analytics.js."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from .rig import NOW_ISO, PEER, Rig, basic, call

CONTEXT = {
    "app": {"name": "Shop", "version": "1.2", "build": "7", "namespace": "com.example.shop"},
    "device": {"id": "D0", "manufacturer": "Apple", "model": "iPhone15,2", "type": "ios", "name": "iPhone"},
    "locale": "de-DE",
    "network": {"cellular": False, "wifi": True},
    "os": {"name": "iOS", "version": "17.1"},
    "screen": {"width": 393, "height": 852},
    "timezone": "Europe/Berlin",
}


def mobile(library: str, message_id: str) -> dict[str, Any]:
    return {
        "type": "track",
        "anonymousId": "C0FFEE",
        "messageId": message_id,
        "timestamp": "2026-09-21T14:13:10.500Z",
        "event": "Order Completed",
        "properties": {"total": 27.50, "n": 9007199254740993},
        "context": {**CONTEXT, "library": {"name": library, "version": "1.5.0"}},
        "integrations": {},
        "_metadata": {"bundled": [], "unbundled": [], "bundledIds": []},
    }


MOBILE = [
    # Swift: Basic, batch and sentAt and writeKey in the body.
    ("analytics-swift", "/v1/b", [basic("wk"), ("User-Agent", "analytics-ios/1.5.0")], {"writeKey": "wk"}, False),
    # Kotlin: gzip, Basic, the key in the body too.
    (
        "analytics-kotlin",
        "/v1/b",
        [basic("wk"), ("Content-Encoding", "gzip"), ("Content-Type", "text/plain")],
        {"writeKey": "wk"},
        True,
    ),
    # React Native: the key in the body alone.
    (
        "@segment/analytics-react-native",
        "/v1/b",
        [("Content-Type", "application/json; charset=utf-8")],
        {"writeKey": "wk"},
        False,
    ),
    # Android's classic library: gzip to the import path.
    ("analytics-android", "/v1/import", [basic("wk"), ("Content-Encoding", "gzip")], {}, True),
]


@pytest.mark.parametrize(("library", "path", "headers", "head", "packed"), MOBILE)
async def test_a_mobile_batch_is_taken(
    rig: Rig, library: str, path: str, headers: list[tuple[str, str]], head: dict[str, str], packed: bool
) -> None:
    body = json.dumps({"batch": [mobile(library, "m1"), mobile(library, "m2")], "sentAt": NOW_ISO, **head}).encode()
    reply = await rig.post(path, gzip.compress(body) if packed else body, *headers, key=None)
    assert reply.json == {"success": True}
    assert rig.drops() == []
    first, second = rig.events()
    assert (first["messageId"], second["messageId"]) == ("m1", "m2")
    assert first["timestamp"] == "2026-09-21T14:13:10.500Z"
    assert first["context"] == {**CONTEXT, "library": {"name": library, "version": "1.5.0"}, "ip": PEER}
    assert b'"total": 27.5, "n": 9007199254740993' in rig.bodies()[0]


async def test_mobile_settings_are_found_without_the_version(rig: Rig) -> None:
    for path in ("/v1/projects/wk/settings", "/projects/wk/settings"):
        reply = await call(rig.app, "GET", path, headers=[("Host", "10.0.2.2:8000")])
        assert reply is not None
        assert reply.json["integrations"]["Segment.io"]["apiHost"] == "10.0.2.2:8000/v1"
        assert reply.json["edgeFunction"] == {}
        assert reply.json["middlewareSettings"] == {"routingRules": []}


def browser(kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-09-21T14:13:19.000Z",
        "integrations": {},
        "userId": None,
        "anonymousId": "5f2b6f8e-0000-4000-8000-000000000000",
        "type": kind,
        "context": {
            "page": {"path": "/", "referrer": "", "search": "", "title": "Shop 🛒", "url": "https://shop.example/"},
            "userAgent": "Mozilla/5.0",
            "locale": "de",
            "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
            "timezone": "Europe/Berlin",
        },
        "messageId": f"ajs-next-1790000000000-{kind}",
        "writeKey": "wk",
        "sentAt": "2026-09-21T14:13:20.000Z",
        "_metadata": {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []},
        **fields,
    }


BROWSER = [
    ("t", browser("track", event="Clicked", properties={"a": 1})),
    ("i", browser("identify", userId="u1", traits={"email": "ada@example.com"})),
    ("p", browser("page", name="Home", properties={"path": "/"})),
    ("g", browser("group", userId="u1", groupId="g1", traits={})),
    ("a", browser("alias", userId="u1", previousId="5f2b6f8e")),
    ("s", browser("screen", name="Home", properties={})),
]


@pytest.mark.parametrize(("letter", "event"), BROWSER)
async def test_an_event_of_analytics_js_is_taken(rig: Rig, letter: str, event: dict[str, Any]) -> None:
    body = json.dumps(event, ensure_ascii=False).encode()
    reply = await rig.post(f"/v1/{letter}", body, ("Content-Type", "text/plain"), ("Origin", "https://shop.example"))
    assert reply.json == {"success": True}
    (kept,) = rig.events()
    expected = {key: value for key, value in event.items() if key != "writeKey"}
    assert kept == {
        **expected,
        "context": {**event["context"], "ip": PEER},
        "timestamp": "2026-09-21T14:13:19.000Z",
        "originalTimestamp": event["timestamp"],
        "receivedAt": NOW_ISO,
    }


async def test_a_batch_of_analytics_js_on_unload_is_taken(rig: Rig) -> None:
    batch = [event for _, event in BROWSER]
    body = {"writeKey": "wk", "batch": batch, "sentAt": "2026-09-21T14:13:20.000Z"}
    assert (await rig.post("/v1/b", body, ("Content-Type", "text/plain"), key=None)).status == 200
    assert [event["type"] for event in rig.events()] == [event["type"] for event in batch]


async def test_an_emoji_cut_in_half_by_a_browser_is_kept(rig: Rig) -> None:
    body = json.dumps(browser("track", event="Cut \ud83d")).encode()
    assert (await rig.post("/v1/t", body)).status == 200
    assert rig.events()[0]["event"] == "Cut \ufffd"


async def test_the_batch_of_analytics_node_is_taken(rig: Rig) -> None:
    event = {
        "type": "track",
        "userId": "u1",
        "event": "E",
        "properties": {},
        "integrations": {},
        "messageId": "node-next-1790000000000-0",
        "timestamp": "2026-09-21T14:13:19.000Z",
        "_metadata": {"jsRuntime": "node"},
        "context": {"library": {"name": "@segment/analytics-node", "version": "3.1.0"}},
    }
    body = {"batch": [event], "writeKey": "wk", "sentAt": NOW_ISO}
    reply = await rig.post("/v1/batch", body, ("User-Agent", "analytics-node-next/latest"), ("X-Retry-Count", "1"))
    assert reply.status == 200
    assert rig.events()[0]["context"] == event["context"]
