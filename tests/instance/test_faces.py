"""What an instance shows besides its work: health, CORS, metrics, and log lines that give nothing away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from segue import __version__

from .events import identify, track
from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("instance-faces")  # they share one

SECRETS = ("hunter2-wrong-key", "hunter2-hook-secret", "demo-plotline-key")
BODY = "Peter.Gibbons@initech.com"


@pytest.fixture(scope="module")
def instance(make_shared: Any) -> Iterator[Instance]:
    instance = make_shared(SEGUE_LOGGING_LEVEL="debug")
    entries = [
        vendor_entry(instance, "plotline", "website", slug="good"),
        vendor_entry(instance, "plotline", "website", slug="wrong", apiKey="hunter2-wrong-key"),
        {
            "slug": "hook", "source": "website", "kind": "webhook", "enabled": True,
            "settings": {"hooks": ["http://127.0.0.1:9/"], "sharedSecret": "hunter2-hook-secret"},
        },
    ]  # fmt: skip
    instance.file.write_text(workspace_text(entries))
    yield instance.start()


def get(instance: Instance, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{instance.url}{path}", headers=headers, timeout=10)


def test_the_health_routes_answer(instance):
    assert (get(instance, "/livez").status_code, get(instance, "/livez").json()) == (200, {"live": True})
    assert get(instance, "/readyz").json() == {"ready": True, "reasons": []}
    assert get(instance, "/version").json() == {"version": __version__}
    assert get(instance, "/nothing").status_code == 404


def test_an_instance_whose_worker_is_dead_is_not_ready_until_there_is_another(instance):
    instance.kill("worker")
    until(lambda: get(instance, "/readyz").status_code == 200, "ready again")
    assert get(instance, "/livez").status_code == 200


def test_browsers_may_send_events_from_any_page_and_read_nothing_else(instance):
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    preflight = requests.options(f"{instance.url}/v1/t", headers=asked, timeout=10)
    assert preflight.status_code < 300
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
    answer = instance.post("/v1/track", track("u1"), "website-key", headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    document = get(instance, "/v1/projects/website-key/settings", Origin="https://shop.example")
    assert document.headers["access-control-allow-origin"] == "*"
    assert list(document.json()["integrations"]) == ["Segment.io"]
    for path in ("/readyz", "/metrics", "/version"):
        assert "access-control-allow-origin" not in get(instance, path, Origin="https://shop.example").headers


def test_the_metrics_say_what_status_says(instance):
    instance.settled()
    shown = {entry["slug"]: entry for entry in instance.status()["destinations"]}
    lines = get(instance, "/metrics").text.splitlines()
    for slug, entry in shown.items():
        assert f'segue_delivered_total{{destination="{slug}"}} {float(entry["delivered"])}' in lines
        assert f'segue_lag{{destination="{slug}"}} 0.0' in lines
    assert f'segue_accepted_total{{source="website"}} {float(shown["good"]["accepted"])}' in lines


def test_no_log_line_holds_a_secret_or_an_event(instance):
    instance.vendor("plotline").fault(status=503, times=1)
    instance.send(identify("u-secret", email=BODY), track("u-secret", "Seen by nobody"), key="website-key")
    instance.post("/v1/track", {"userId": 42, "event": BODY, "properties": {"email": BODY}}, "website-key")
    requests.post(f"{instance.url}/v1/track", data=b'{"email": "%s", ' % BODY.encode(), timeout=10)
    instance.settled()
    assert instance.destination("wrong")["refused"] and instance.destination("hook")["refused"]
    said = instance.said()
    for text in (*SECRETS, BODY, BODY.lower(), "Seen by nobody"):
        assert text not in said
    exported, shown = instance.cli("export"), json.dumps(instance.status())
    assert not any(secret in exported + shown for secret in SECRETS)
