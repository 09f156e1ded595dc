"""The way of an event: every call type, through the shape of every SDK, to all five vendors."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
import requests
from segment.analytics import Client

from .events import Event, one_of_each
from .running import Instance

pytestmark = pytest.mark.xdist_group("instance-shapes")  # they share one

KEY = "demo-write-key"
BASIC = "Basic " + b64encode(f"{KEY}:".encode()).decode()
TAKES = {
    "plotline": {"identify", "track"},
    "pointillist": {"identify", "track"},
    "planhat": {"identify", "track", "page", "group", "alias"},
    "user-com": {"identify", "track", "page", "group"},
    "astrolabe": {"identify", "track", "group"},
}

Send = Callable[[str, list[Event]], None]


def post(url: str, body: bytes, **headers: str) -> None:
    answer = requests.post(url, data=body, headers={name.replace("_", "-"): text for name, text in headers.items()})
    assert (answer.status_code, answer.json()) == (200, {"success": True})


def by_analytics_python(url: str, events: list[Event]) -> None:
    client = Client(KEY, host=url, max_retries=2, on_error=lambda error, _: pytest.fail(str(error)))
    for event in events:
        given = {"user_id": event["userId"], "message_id": event["messageId"]}
        match event["type"]:
            case "identify":
                client.identify(traits=event["traits"], **given)
            case "track":
                client.track(event=event["event"], properties=event["properties"], **given)
            case "page":
                client.page(name=event["name"], properties=event["properties"], **given)
            case "screen":
                client.screen(name=event["name"], **given)
            case "group":
                client.group(group_id=event["groupId"], traits=event["traits"], **given)
            case "alias":
                client.alias(previous_id=event["previousId"], **given)
    client.shutdown()


def by_analytics_node(url: str, events: list[Event]) -> None:
    batch = {"batch": events, "writeKey": KEY, "sentAt": "2026-11-21T10:00:00.000Z"}
    agent = "analytics-node-next/latest"
    post(f"{url}/v1/batch", json.dumps(batch).encode(), Authorization=BASIC, User_Agent=agent)


def by_analytics_js(url: str, events: list[Event]) -> None:
    library = {"name": "analytics.js", "version": "npm:next-1.70.0"}
    for event in events:
        call = {**event, "writeKey": KEY, "anonymousId": "ajs-anonymous", "context": {"library": library}}
        origin = "https://shop.example"
        kind = "text/plain"
        post(f"{url}/v1/{event['type'][0]}", json.dumps(call).encode(), Content_Type=kind, Origin=origin)


def by_kotlin(url: str, events: list[Event]) -> None:
    library = {"name": "analytics-kotlin", "version": "1.16.3"}
    calls = [{**event, "anonymousId": "device", "context": {"library": library}} for event in events]
    batch = {"batch": calls, "sentAt": "2026-11-21T10:00:00.000Z", "writeKey": KEY}
    post(f"{url}/v1/b", json.dumps(batch).encode(), Authorization=BASIC, Content_Type="application/json; charset=utf-8")


def by_swift(url: str, events: list[Event]) -> None:
    batch = {"batch": events, "sentAt": "2026-11-21T10:00:00.000Z", "writeKey": KEY}
    post(f"{url}/v1/b", json.dumps(batch).encode(), Content_Type="application/json; charset=utf-8")


def by_classic_android(url: str, events: list[Event]) -> None:
    batch = {"batch": events, "sentAt": "2026-11-21T10:00:00.000Z"}
    body = gzip.compress(json.dumps(batch).encode())
    post(f"{url}/v1/import", body, Authorization=BASIC, Content_Encoding="gzip")


def by_pixel(url: str, events: list[Event]) -> None:
    for event in events:
        data = b64encode(json.dumps({**event, "writeKey": KEY}).encode()).decode()
        answer = requests.get(f"{url}/v1/pixel/{event['type']}", params={"data": data})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")


SHAPES: dict[str, Send] = {
    "python": by_analytics_python,
    "node": by_analytics_node,
    "browser": by_analytics_js,
    "kotlin": by_kotlin,
    "swift": by_swift,
    "android": by_classic_android,
    "pixel": by_pixel,
}


@pytest.fixture(scope="module")
def sent(make_shared: Any) -> tuple[Instance, dict[str, dict[str, Event]]]:
    """An instance to which a call of each type was sent in each shape; the calls by shape and type."""
    instance = make_shared().start()
    calls = {shape: one_of_each(f"u-{shape}") for shape in SHAPES}
    for shape, send in SHAPES.items():
        send(instance.url, calls[shape])
    instance.settled()
    return instance, {shape: {event["type"]: event for event in events} for shape, events in calls.items()}


def test_every_call_of_every_sdk_is_accepted_and_what_a_vendor_does_not_take_is_filtered(sent):
    """AS-06, AS-T17, PL-03, PT-D11, PH-01"""
    instance, _ = sent
    status = instance.status()
    assert status["sources"] == [{"slug": "website", "accepted": 6 * len(SHAPES), "duplicates": 0, "dropped": {}}]
    found = {
        entry["slug"]: (entry["delivered"], entry["filtered"], entry["refused"]) for entry in status["destinations"]
    }
    assert found == {
        slug: (len(SHAPES) * len(types), {"UNSUPPORTED_EVENT_TYPE": len(SHAPES) * (6 - len(types))}, {})
        for slug, types in TAKES.items()
    }


@pytest.mark.parametrize("vendor", TAKES)
def test_a_vendor_is_called_once_for_each_event_it_takes_and_never_for_another(sent, vendor):
    instance, calls = sent
    found = instance.vendor(vendor).requests()
    arrived = [call["headers"].get("x-message-id") or call["body"]["messageId"] for call in found]
    taken = [calls[shape][kind]["messageId"] for shape in SHAPES for kind in TAKES[vendor]]
    assert sorted(arrived) == sorted(taken)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_vendor_understands_what_it_got(sent, shape):
    instance, calls = sent
    user = f"u-{shape}"
    track, group = calls[shape]["track"]["messageId"], calls[shape]["group"]["messageId"]

    (known,) = instance.vendor("plotline").rows("users", distinct_id=user)
    assert known["attributes"] == {"email": f"{user}@initech.com", "name": "Peter"}
    assert instance.vendor("plotline").rows("events", distinct_id=user)[0]["messageIds"] == [track]

    events = instance.vendor("pointillist").rows("events", actor=user)
    assert [event["messageIds"] for event in events] == [
        [calls[shape][kind]["messageId"]] for kind in ("identify", "track")
    ]

    (contact,) = instance.vendor("planhat").rows("contacts", externalId=user)
    assert (contact["name"], contact["email"]) == ("Peter", f"{user}@initech.com")
    assert [[track]] == [
        row["messageIds"] for row in instance.vendor("planhat").rows("activities") if track in row["messageIds"]
    ]

    (person,) = instance.vendor("user-com").rows("users", custom_id=user)
    assert (person["email"], person["page_views"]) == (f"{user}@initech.com", 1)
    assert instance.vendor("user-com").rows("companies", custom_id=f"{user}-group")[0]["name"] == "Initech"

    (account,) = instance.vendor("astrolabe").rows("accounts", external_id=f"{user}-group")
    assert (account["properties"], account["messageIds"]) == ({"name": "Initech", "employees": 329}, [group])
    assert len(instance.vendor("astrolabe").rows("users", external_id=user)) == 1


def test_an_event_can_be_explained_from_the_request_to_each_answer(sent):
    instance, calls = sent
    page = calls["node"]["page"]["messageId"]
    event = instance.explain(page)
    outcomes = {entry["destination"]: (entry["outcome"], entry.get("reason")) for entry in event["deliveries"]}
    assert outcomes == {
        slug: ("delivered", None) if "page" in types else ("filtered", "UNSUPPORTED_EVENT_TYPE")
        for slug, types in TAKES.items()
    }
    (attempt,) = next(entry for entry in event["deliveries"] if entry["destination"] == "planhat")["attempts"]
    assert (attempt["response"]["status"], attempt["request"]["url"]) == (200, instance.endpoint("planhat"))
    assert "demo-planhat-key" not in json.dumps(attempt)
