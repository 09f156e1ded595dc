"""What becomes of events where something stands in their way: filters, switches, keys, and vendors that fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from .events import Event, identify, message_id, one_of_each, track
from .receiver import Receiver
from .running import SLUGS, Instance
from .waiting import until
from .workspace import Entry, vendor_entries, vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("instance-outcomes")  # they share one

BAD_KEYS = {"plotline": "wrong", "planhat": "wrong", "pointillist": "wrong", "user-com": "taken-back"}


def refuses_poison(body: Any) -> int:
    return 400 if any(event["event"] == "poison" for event in body) else 200


class Rig:
    """One instance for all tests of this module; each test has sources and destinations of its own."""

    def __init__(self, instance: Instance, receiver: Receiver) -> None:
        self.instance = instance
        self.receiver = receiver
        self.entries: list[Entry] = [
            *vendor_entries(instance, "filters"),
            vendor_entry(instance, "astrolabe", "switch"),
            *(vendor_entry(instance, kind, "keys", apiKey=key) for kind, key in BAD_KEYS.items()),
            vendor_entry(instance, "plotline", "keys", slug="keys-off", apiKey="switched-off"),
            vendor_entry(instance, "user-com", "keys", slug="keys-second", apiKey="second"),
            *vendor_entries(instance, "faults"),
            *vendor_entries(instance, "one", ["plotline", "planhat"]),
            *vendor_entries(instance, "two", ["plotline"]),
            {
                "slug": "hooks", "source": "hooks", "kind": "webhook", "enabled": True,
                "settings": {"hooks": [receiver.url], "batch_size": 10},
            },
        ]  # fmt: skip

    def text(self) -> str:
        return workspace_text(self.entries)


@pytest.fixture(scope="module")
def rig(make_shared: Any) -> Iterator[Rig]:
    with Receiver(refuses_poison).serving() as receiver:
        instance = make_shared(SEGUE_ALLOW_INTERNAL=f"127.0.0.1:{receiver.port}")
        rig = Rig(instance, receiver)
        instance.file.write_text(rig.text())
        instance.start()
        user_com, plotline = instance.vendor("user-com"), instance.vendor("plotline")
        user_com.new_key(key="second")
        user_com.revoke(user_com.new_key(key="taken-back")["id"])
        plotline.disable(plotline.new_key(key="switched-off")["id"])
        yield rig


def test_the_integrations_object_filters_by_name_and_every_event_is_counted(rig):
    """UC-T22"""
    chosen: dict[str, dict[str, Any]] = {
        "all": {},
        "none": {"All": False},
        "not-plotline": {"Plotline": False},
        "wrong-case": {"All": False, "user.com": True},
        "user-com-1": {"All": False, "UserEngage": True},
        "user-com-2": {"All": False, "“User.com”": True},
        "user-com-3": {"All": False, "User.com": True},
        "options": {"All": False, "Astrolabe": {"session": 1}},
    }
    events = {f"f-{name}": track(f"f-{name}", integrations=given) for name, given in chosen.items()}
    rig.instance.send(*events.values(), key="filters-key")
    settled = rig.instance.settled(*(f"filters-{slug}" for slug in SLUGS))
    arrived = {
        slug: {name for name, event in events.items() if rig.instance.vendor(slug).requests(event["messageId"])}
        for slug in SLUGS
    }
    assert arrived == {
        "plotline": {"f-all"},
        "pointillist": {"f-all", "f-not-plotline"},
        "planhat": {"f-all", "f-not-plotline"},
        "user-com": {"f-all", "f-not-plotline", "f-user-com-1", "f-user-com-2", "f-user-com-3"},
        "astrolabe": {"f-all", "f-not-plotline", "f-options"},
    }
    for slug in SLUGS:
        entry, came = settled[f"filters-{slug}"], len(arrived[slug])
        assert (entry["accepted"], entry["delivered"], entry["refused"]) == (8, came, {})
        assert entry["filtered"] == {"FILTERED_BY_INTEGRATIONS_OBJECT": 8 - came}


def test_nothing_is_sent_while_a_destination_is_off_and_again_once_it_is_on(rig):
    """AS-05, AS-T16"""
    instance = rig.instance
    entry = next(entry for entry in rig.entries if entry["slug"] == "switch-astrolabe")
    sent: dict[str, Event] = {}
    for name, enabled in (("first", True), ("off", False), ("again", True)):
        entry["enabled"] = enabled
        instance.apply(rig.text())
        sent[name] = track(f"switch-{name}")
        instance.send(sent[name], key="switch-key")
        instance.settled("switch-astrolabe")
    found = instance.destination("switch-astrolabe")
    assert (found["delivered"], found["filtered"]) == (2, {"DESTINATION_DISABLED": 1})
    arrived = instance.vendor("astrolabe").message_ids()
    assert [event["messageId"] in arrived for event in sent.values()] == [True, False, True]
    shown = instance.deliveries(sent["off"]["messageId"])["switch-astrolabe"]
    assert (shown["outcome"], shown["reason"]) == ("filtered", "DESTINATION_DISABLED")


def test_a_wrong_key_is_refused_for_good_at_once_with_the_vendors_words(rig):
    """PL-T8, PH-T17, UC-T16, PT-T13"""
    instance, event = rig.instance, identify("keys-1", email="ann@initech.com")
    instance.send(event, key="keys-key")
    settled = instance.settled(*(entry["slug"] for entry in rig.entries if entry["source"] == "keys"))
    assert {slug: (entry["delivered"], entry["refused"]) for slug, entry in settled.items()} == {
        **{f"keys-{kind}": (0, {"INVALID_AUTHENTICATION": 1}) for kind in BAD_KEYS},
        "keys-off": (0, {"INVALID_AUTHENTICATION": 1}),
        "keys-second": (1, {}),
    }
    words = {
        "keys-plotline": (401, "Invalid API key"),
        "keys-planhat": (401, "Unauthorized"),
        "keys-pointillist": (401, None),
        "keys-user-com": (403, "Segment API key revoked"),
        "keys-off": (403, None),
    }
    deliveries = instance.deliveries(event["messageId"])
    for slug, (status, message) in words.items():
        shown = deliveries[slug]
        (attempt,) = shown["attempts"]
        said = json.loads(attempt["response"]["body"])["message"]
        assert (shown["outcome"], shown["reason"]) == ("refused", "INVALID_AUTHENTICATION")
        assert attempt["response"]["status"] == status and said == (message or said) and said
    for kind, calls in {"plotline": 2, "planhat": 1, "pointillist": 1, "user-com": 2}.items():
        assert len(instance.vendor(kind).requests(event["messageId"])) == calls


def test_a_vendor_that_fails_for_a_while_gets_each_event_once_and_in_order(rig):
    """PL-T14, PL-T16, UC-T8, PT-T14, PH-D13 and closed sockets, side by side: each needs its seconds."""
    instance = rig.instance
    first, hung, paused = identify("down", n=1), track("hung"), identify("paused", n=1)
    page: Event = {"type": "page", "userId": "slow", "name": "Home", "messageId": message_id()}
    burst, cut = track("burst"), identify("cut", n=1)
    instance.vendor("plotline").fault(status=503, times=2, match={"userId": "down"})
    instance.vendor("plotline").fault(slow_ms=6_000, match={"userId": "hung"})
    instance.vendor("user-com").fault(slow_ms=6_000, match={"userId": "slow"})
    instance.vendor("pointillist").fault(status=500, match={"eventType": "Burst"})
    instance.vendor("planhat").fault(status=429, headers={"Retry-After": "1"}, match={"userId": "paused"})
    instance.vendor("astrolabe").fault(drop=True, times=2, match={"userId": "cut"})
    burst["event"] = "Burst"
    second = track("down", "Behind It")
    instance.send(first, second, hung, page, burst, cut, key="faults-key")
    instance.send(paused, key="faults-key")
    planhat = instance.vendor("planhat")
    until(lambda: planhat.requests(paused["messageId"]), "Planhat has asked for a pause")
    after = [identify(f"others-{number}", n=number) for number in range(5)]
    instance.send(*after, key="faults-key")
    waiting = instance.destination("faults-planhat")
    assert (waiting["retrying"], waiting["breaker"]) == (0, "closed")
    settled = instance.settled(*(f"faults-{slug}" for slug in SLUGS))
    assert {(entry["accepted"], *entry["refused"]) for entry in settled.values()} == {(12,)}

    def called(slug: str) -> list[dict[str, Any]]:
        return instance.vendor(slug).requests()

    def statuses(slug: str, event: Event) -> list[tuple[int | None, bool]]:
        calls = instance.vendor(slug).requests(event["messageId"])
        return [(call["answer"] and call["answer"]["status"], call["duplicate"]) for call in calls]

    def made(slug: str, table: str, event: Event) -> int:
        return instance.vendor(slug).message_ids(table).count(event["messageId"])

    assert statuses("plotline", first) == [(503, False), (503, False), (200, False)]
    assert statuses("plotline", second) == [(200, False)]
    of_user = [call["body"]["messageId"] for call in called("plotline") if call["body"]["userId"] == "down"]
    assert of_user == [first["messageId"]] * 3 + [second["messageId"]]
    assert statuses("plotline", hung) == [(200, False), (200, True)] and made("plotline", "events", hung) == 1
    assert statuses("user-com", page) == [(200, False), (200, True)] and made("user-com", "page_views", page) == 1
    assert statuses("pointillist", burst) == [(500, False), (202, False)] and made("pointillist", "events", burst) == 1
    assert statuses("astrolabe", cut) == [(None, False), (None, False), (200, False)]
    attempts = instance.deliveries(hung["messageId"])["faults-plotline"]["attempts"]
    assert [attempt.get("error") or attempt["response"]["status"] for attempt in attempts] == ["ETIMEDOUT", 200]

    # While it is paused nobody's event goes to Planhat.
    users = {"paused", *(event["userId"] for event in after)}
    calls = [call for call in called("planhat") if call["body"]["userId"] in users]
    assert [call["answer"]["status"] for call in calls] == [429, *[200] * 6]
    begun, resumed = (datetime.fromisoformat(call["at"]) for call in calls[:2])
    assert (resumed - begun).total_seconds() >= 0.9


def test_two_sources_feed_only_their_own_destinations(rig):
    instance = rig.instance
    ours = one_of_each("of-one")
    theirs = [track("of-two"), track("of-two")]
    instance.send(*ours, key="one-key")
    instance.send(*theirs, key="two-key")
    settled = instance.settled("one-plotline", "one-planhat", "two-plotline")
    assert [entry["accepted"] for entry in settled.values()] == [6, 6, 2]
    accepted = {entry["slug"]: entry["accepted"] for entry in instance.status()["sources"]}
    assert (accepted["one"], accepted["two"]) == (6, 2)
    assert len(instance.vendor("planhat").rows("contacts", externalId="of-one")) == 1
    assert not any(instance.vendor("planhat").requests(event["messageId"]) for event in theirs)


def test_a_batch_that_is_refused_whole_is_tried_again_one_by_one(rig):
    instance = rig.instance
    events = [track(f"hook-{number}", "poison" if number == 3 else "fine") for number in range(8)]
    instance.send(*events, key="hooks-key")
    entry = instance.settled("hooks")["hooks"]
    assert (entry["delivered"], entry["refused"]) == (7, {"BAD_REQUEST": 1})
    taken = [event["messageId"] for body in rig.receiver.bodies if refuses_poison(body) == 200 for event in body]
    assert sorted(taken) == sorted(event["messageId"] for event in events if event["event"] == "fine")
    assert max(len(body) for body in rig.receiver.bodies) > 1
    poison = [body for body in rig.receiver.bodies if refuses_poison(body) != 200]
    assert len(poison[-1]) == 1 and len(poison) == 2
