"""Vendors that are down, keys that are taken back, and switches that are thrown under load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .balance import watched
from .events import Event, track
from .load import TRACKS_IN, in_order, load_on, some_load
from .running import Instance
from .waiting import until
from .workspace import Entry, vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("instance-breaker")  # they share one


class Rig:
    """One instance for all tests of this module."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.entries: dict[str, Entry] = {
            "down": vendor_entry(instance, "plotline", "down", "down"),
            "revoked": vendor_entry(instance, "user-com", "revoked", "revoked", apiKey="first"),
            "switched": vendor_entry(instance, "astrolabe", "switched", "switched"),
            "beside": vendor_entry(instance, "pointillist", "switched", "beside"),
        }

    def text(self) -> str:
        return workspace_text(self.entries.values())

    def apply(self) -> None:
        self.instance.apply(self.text())


@pytest.fixture(scope="module")
def rig(make_shared: Any) -> Iterator[Rig]:
    rig = Rig(make_shared())
    rig.instance.file.write_text(rig.text())
    rig.instance.start()
    yield rig


def of_many(prefix: str, count: int) -> list[Event]:
    return [track(f"{prefix}-{number}") for number in range(count)]


def test_a_vendor_that_is_down_opens_the_breaker_and_gets_everything_once_it_is_back(rig):
    instance, plotline = rig.instance, rig.instance.vendor("plotline")
    plotline.fault(status=503, times=1_000_000)
    first = of_many("down", 15)
    instance.send(*first, key="down-key")
    until(lambda: instance.destination("down")["breaker"] != "closed", "the breaker opens")
    assert instance.destination("down")["breaker_reason"] == "failing"
    later = of_many("later", 40)
    instance.send(*later, key="down-key")
    waiting = until(lambda: (entry := instance.destination("down"))["accepted"] == 55 and entry, "all are counted")
    assert (waiting["delivered"], waiting["refused"]) == (0, {})
    plotline.heal()
    settled = instance.settled("down")["down"]
    assert (settled["delivered"], settled["refused"], settled["breaker"]) == (55, {}, "closed")
    assert settled["breaker_reason"] is None
    ids = {event["messageId"] for event in (*first, *later)}
    assert sorted(ids) == sorted(message for message in plotline.message_ids() if message in ids)


def test_a_revoked_key_stops_delivery_until_another_is_set_and_drains_nothing(rig):
    instance, user_com = rig.instance, rig.instance.vendor("user-com")
    key_id = user_com.new_key(key="first")["id"]
    before = track("before")
    instance.send(before, key="revoked-key")
    instance.settled("revoked")
    user_com.revoke(key_id)
    events = of_many("revoked", 60)
    instance.send(*events[:40], key="revoked-key")
    until(lambda: instance.destination("revoked")["breaker_reason"] == "key_refused", "the key is seen to be refused")
    instance.send(*events[40:], key="revoked-key")
    stopped = instance.destination("revoked")
    assert stopped["refused"] == {"INVALID_AUTHENTICATION": 20}
    assert (stopped["delivered"], stopped["lag"] + stopped["retrying"]) == (1, 40)

    user_com.new_key(key="second")
    rig.entries["revoked"]["settings"]["apiKey"] = "second"
    rig.apply()
    settled = instance.settled("revoked")["revoked"]
    assert (settled["delivered"], settled["breaker"]) == (41, "closed")
    assert settled["refused"] == {"INVALID_AUTHENTICATION": 20}

    instance.cli("redrive", "revoked", "--reason", "INVALID_AUTHENTICATION")
    settled = instance.settled("revoked")["revoked"]
    assert (settled["delivered"], settled["refused"]) == (61, {})
    ids = [event["messageId"] for event in (before, *events)]
    assert sorted(message for message in user_com.message_ids("event_occurrences") if message in ids) == sorted(ids)


def test_switching_off_and_on_under_load_counts_every_event_and_a_replay_fills_the_gap(rig):
    instance, switch = rig.instance, rig.entries["switched"]
    with watched(instance), load_on(instance, key="switched-key") as load:
        for enabled in (False, True, False, True):
            some_load(load, 60, then=40)
            switch["enabled"] = enabled
            rig.apply()
        some_load(load, 30, then=0)
    settled = instance.settled("switched", "beside")
    off, beside = settled["switched"], settled["beside"]
    assert off["filtered"]["DESTINATION_DISABLED"] > 0 and off["delivered"] > 0 and not off["refused"]
    assert off["delivered"] + off["filtered"]["DESTINATION_DISABLED"] == off["accepted"] == beside["delivered"]
    in_order("astrolabe", held(instance, "astrolabe", load.sent))

    instance.cli("replay", "switched", "--yes")
    assert instance.destination("switched") == off  # a replay stands outside the balance
    missing = set(load.acknowledged) - set(held(instance, "astrolabe", load.sent))
    assert not missing - {f"{user}:0" for user in {message.rpartition(":")[0] for message in load.sent}}
    of_users = set(instance.vendor("astrolabe").message_ids("users"))
    assert missing <= of_users


def held(instance: Instance, slug: str, sent: set[str]) -> list[str]:
    """The tracks of this test that a vendor holds."""
    return [message for message in instance.vendor(slug).message_ids(TRACKS_IN[slug]) if message in sent]
