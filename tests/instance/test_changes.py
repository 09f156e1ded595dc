"""Destinations that come, go and change under load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .balance import watched
from .load import Load, in_order, load_on, some_load
from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("instance-changes")  # they share one


class Rig:
    """One instance for all tests of this module; its source `website` always has the destination `beside`."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def apply(self, *entries: dict[str, Any]) -> None:
        beside = vendor_entry(self.instance, "pointillist", "website", "beside")
        self.instance.apply(workspace_text([beside, *entries]))


@pytest.fixture(scope="module")
def rig(make_shared: Any) -> Iterator[Rig]:
    instance = make_shared()
    instance.file.write_text(workspace_text([vendor_entry(instance, "pointillist", "website", "beside")]))
    yield Rig(instance.start())


def tracks_of(instance: Instance, load: Load) -> list[str]:
    """The tracks of this load that Astrolabe holds."""
    sent = load.sent
    return [message for message in instance.vendor("astrolabe").message_ids() if message in sent]


def test_a_destination_that_is_added_gets_every_event_from_then_on(rig):
    instance = rig.instance
    with watched(instance), load_on(instance, key="website-key", name="add") as load:
        some_load(load, 60, then=40)
        rig.apply(vendor_entry(instance, "astrolabe", "website", "added"))
        before = set(load.acknowledged)
        some_load(load, 80, then=0)
    added = instance.settled()["added"]
    assert 0 < added["accepted"] == added["delivered"]
    tracks = tracks_of(instance, load)
    in_order("astrolabe", tracks)
    after = {message for message in load.acknowledged if message not in before and not message.endswith(":0")}
    assert after <= set(tracks)
    first = load.acknowledged[0]
    assert first not in instance.vendor("astrolabe").message_ids("users")
    assert "added" not in {entry["destination"] for entry in instance.explain(first)["deliveries"]}


def test_one_that_is_taken_away_with_events_on_their_way_and_set_up_again_begins_anew(rig):
    instance = rig.instance
    gone = vendor_entry(instance, "astrolabe", "website", "gone")
    astrolabe = instance.vendor("astrolabe")
    with watched(instance, same=False), load_on(instance, key="website-key", name="gone") as load:
        rig.apply(gone)
        astrolabe.fault(status=503, times=1_000_000)
        some_load(load, 60, then=60)
        until(lambda: instance.destination("gone")["retrying"], "some wait for a retry")
        rig.apply()
        assert "gone" not in {entry["slug"] for entry in instance.status()["destinations"]}
        some_load(load, 20, then=20)
        astrolabe.heal()
        before = load.count
        rig.apply(gone)
        some_load(load, 60, then=0)
    again = instance.settled()["gone"]
    assert 0 < again["accepted"] == again["delivered"] <= load.count - before + 40
    in_order("astrolabe", tracks_of(instance, load))
    instance.kill("worker")
    assert instance.settled()["gone"] == again


def test_a_key_can_be_changed_under_load_and_nothing_is_lost(rig):
    instance, user_com = rig.instance, rig.instance.vendor("user-com")
    for key in ("first", "second"):
        user_com.new_key(key=key)
    rig.apply(vendor_entry(instance, "user-com", "website", "turned", apiKey="first"))
    with watched(instance), load_on(instance, key="website-key", name="turn") as load:
        for key in ("second", "first", "second"):
            some_load(load, 40, then=40)
            rig.apply(vendor_entry(instance, "user-com", "website", "turned", apiKey=key))
        some_load(load, 20, then=0)
    turned = instance.settled()["turned"]
    assert turned["accepted"] == turned["delivered"] == load.count
    rows = user_com.state()["event_occurrences"]
    in_order("user-com", [message for row in rows for message in row["messageIds"]])
    assert len({row["key_id"] for row in rows}) == 2
