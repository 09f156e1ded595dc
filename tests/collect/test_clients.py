"""Unmodified SDKs against a running collector."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rudderstack.analytics.client as rudder
import segment.analytics.client as segment

from segue.collect.limits import CollectLimits

from .rig import SOURCES, Served, served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as found:
        yield found


def speak(client: Any) -> None:
    client.identify("u1", {"email": "ada@example.com", "born": datetime.date(1815, 12, 10)})
    client.track("u1", "Order Completed", {"total": 27.5}, timestamp=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
    client.page("u1", "Docs", "Start", {"path": "/start"})
    client.screen("u1", "Main", "Home")
    client.group("u1", "g1", {"plan": "pro"})
    client.alias("anon", "u1")
    client.track(user_id=None, anonymous_id="a1", event="Seen")
    client.flush()
    client.join()


@pytest.mark.parametrize("packed", [False, True])
def test_segment_analytics_python_is_understood(server: Served, packed: bool) -> None:
    failures: list[Any] = []
    client = segment.Client("wk", host=server.url, gzip=packed, on_error=lambda error, _items: failures.append(error))
    speak(client)
    check(server, failures)


@pytest.mark.parametrize("packed", [False, True])
def test_rudder_sdk_python_is_understood(server: Served, packed: bool) -> None:
    failures: list[Any] = []
    client = rudder.Client("wk", host=server.url, gzip=packed, on_error=lambda error, _items: failures.append(error))
    speak(client)
    check(server, failures)


def check(server: Served, failures: list[Any]) -> None:
    assert failures == []
    assert server.rig.drops() == []
    events = server.rig.events()
    assert [event["type"] for event in events] == ["identify", "track", "page", "screen", "group", "alias", "track"]
    assert all("writeKey" not in event and event["receivedAt"] and event["sentAt"] for event in events)
    assert events[1]["originalTimestamp"].startswith("2026-01-02T00:00:00")
    assert events[1]["timestamp"].startswith(("2026-01-02T", "2026-01-01T23:59:59"))
    assert events[6]["anonymousId"] == "a1"
    assert all("ip" not in event["context"] for event in events)


def test_segment_analytics_python_reads_our_errors(tmp_path: Path) -> None:
    failures: list[Any] = []
    with served(tmp_path, sources=SOURCES) as server:
        client = segment.Client("sk", host=server.url, on_error=lambda error, _items: failures.append(error))
        client.track("u1", "Fine")
        client._enqueue(  # what a wrapper of the SDK may let through
            {"type": "page", "userId": "u1", "name": 5, "timestamp": None, "context": {}, "integrations": {},
             "messageId": None}
        )  # fmt: skip
        client.flush()
        client.join()
        assert [event["event"] for event in server.rig.events()] == ["Fine"]
    assert [(error.status, error.code) for error in failures] == [(400, "name_not_string")]
    assert failures[0].message


def test_segment_analytics_python_comes_again_after_429(tmp_path: Path) -> None:
    with served(tmp_path, limits=CollectLimits(requests_per_second=1)) as server:
        client = segment.Client("wk", host=server.url, upload_size=1, upload_interval=0.01)
        client.track("u1", "One")
        client.track("u1", "Two")
        client.flush()
        client.join()
        assert sorted(event["event"] for event in server.rig.events()) == ["One", "Two"]
        assert server.rig.metrics.requests["batch", 429] >= 1


def test_the_same_batch_sent_again_is_counted_and_not_kept(server: Served) -> None:
    import requests

    body = json.dumps({"batch": [{"type": "track", "userId": "u", "event": "E", "messageId": "m"}], "writeKey": "wk"})
    for _ in range(3):
        reply = requests.post(f"{server.url}/v1/batch", data=body, timeout=10)
        assert reply.json() == {"success": True}
    assert len(server.rig.events()) == 1
    assert server.rig.writer.ends() == (1, {"website": (1, 2)})
