"""The balance holds in every answer of status, under load, with vendors that fail; and nothing is lost on the way."""

from __future__ import annotations

import json

from segment.analytics import Client

from .balance import adds_up, watched
from .events import message_id
from .load import compare, load_on, some_load, vendors
from .running import SLUGS
from .waiting import until

ANSWERS = 100
EVENTS = 200


def test_the_numbers_add_up_in_every_answer_under_load(make):
    instance = make().start()
    failed: list[Exception] = []
    client = Client("demo-write-key", host=instance.url, on_error=lambda error, _: failed.append(error))
    by_client = [message_id() for _ in range(100)]
    for vendor in vendors(instance):
        vendor.fault(status=503, times=2, match={"userId": "t0-0"})
        vendor.fault(drop=True, match={"userId": "t0-1"})
        vendor.fault(status=400, times=2, match={"userId": "from-client"})
    instance.vendor("pointillist").fault(status=503, times=2)
    instance.vendor("pointillist").fault(status=400, times=2)
    with watched(instance) as watch, load_on(instance) as load:
        for message in by_client:
            client.screen(user_id="from-client", name="Home", message_id=message)
            client.identify(user_id="from-client", message_id=message + "-identify")
        some_load(load, EVENTS, then=0)
        until(lambda: watch.answers >= ANSWERS, "enough answers")
        client.shutdown()
        load.stop()
        settled = instance.settled()
    assert not failed and load.statuses == {200}
    assert {"lag", "retrying", "filtered", "refused"} <= watch.seen
    others = {*by_client, *(message + "-identify" for message in by_client)}
    (source,) = instance.status()["sources"]
    accepted = load.count + len(others)
    assert source == {"slug": "website", "accepted": accepted, "duplicates": 0, "dropped": {}}
    for slug in SLUGS:
        entry = settled[slug]
        assert adds_up(entry) and entry["accepted"] == accepted
        assert entry["filtered"] == {"UNSUPPORTED_EVENT_TYPE": len(by_client)}
        assert entry["refused"] == {"BAD_REQUEST": 2}
    refused = {"pointillist"}  # there it hit whoever came first
    compare(instance, load, besides=others, vendors=[slug for slug in SLUGS if slug not in refused])


def test_status_has_the_form_that_is_promised(make):
    instance = make().start()
    instance.post("/v1/track", {"userId": 42, "event": "x"})
    found = json.loads(instance.cli("status", "--json"))
    assert found["sources"] == [{"slug": "website", "accepted": 0, "duplicates": 0, "dropped": {"id_not_string": 1}}]
    assert found["stages"] == [{"name": name, "lag": 0} for name in ("deliver", "compute", "lake", "outbox")]
    assert found["destinations"][0] == {
        "slug": "plotline", "kind": "plotline", "enabled": True, "sources": ["website"], "accepted": 0, "delivered": 0,
        "filtered": {}, "refused": {}, "retrying": 0, "lag": 0, "breaker": "closed", "breaker_reason": None,
        "sandbox": True,
    }  # fmt: skip
