"""Replay and redrive, also where the worker dies in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance as Folder
from segue.wiring.views import open_views

from .events import Event, identify, track
from .running import Instance
from .waiting import until
from .workspace import Entry, vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("instance-jobs")  # they share one

EVENTS = 60
SLOW = 60.0  # requests a second, of which a replay takes half


class Rig:
    """One instance for all tests of this module."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.entries: dict[str, Entry] = {
            slug: vendor_entry(instance, kind, slug, slug)
            for slug, kind in (("replayed", "plotline"), ("redriven", "pointillist"), ("cancelled", "astrolabe"))
        }

    def text(self) -> str:
        return workspace_text(self.entries.values())

    def set_rate(self, slug: str, rate: float | None) -> None:
        self.entries[slug]["max_rate"] = rate
        self.instance.apply(self.text())


@pytest.fixture(scope="module")
def rig(make_shared: Any) -> Iterator[Rig]:
    rig = Rig(make_shared())
    rig.instance.file.write_text(rig.text())
    rig.instance.start()
    yield rig


def replays(instance: Instance) -> dict[int, Any]:
    with open_views(Folder(instance.data), SystemClock()) as views:
        return views.state.replays()


@contextmanager
def running(instance: Instance, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`segue ARGUMENTS` beside the test."""
    command = [sys.executable, "-m", "segue.cli", *arguments, "--data", str(instance.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=instance.environment) as process:
        try:
            yield process
        finally:
            process.kill()


def calls_of(instance: Instance, vendor: str, events: list[Event]) -> Counter[str]:
    """How often a vendor was called with each of these events."""
    ids = {event["messageId"] for event in events}
    found = instance.vendor(vendor).requests()
    called = [call["headers"].get("x-message-id") or call["body"].get("messageId") for call in found]
    return Counter(message for message in called if message in ids)


def test_a_replay_sends_what_its_filter_names_once_more_and_goes_on_after_a_kill(rig):
    instance = rig.instance
    tracks, others = (
        [track(f"p-{n % 20}", "Wanted", n=n) for n in range(EVENTS)],
        [identify("p", n=1), track("p", "Other")],
    )
    instance.send(*tracks, *others, key="replayed-key")
    before = instance.settled("replayed")["replayed"]
    counted = json.loads(instance.cli("replay", "replayed", "--event", "Wanted", "--dry-run", "--json"))
    assert (counted["matched"], counted["send"], counted["read"]) == (EVENTS, EVENTS, EVENTS + 2)
    assert not replays(instance)

    rig.set_rate("replayed", SLOW)
    with running(instance, "replay", "replayed", "--event", "Wanted", "--yes", "--json") as process:
        until(lambda: any(state.delivered > 5 for state in replays(instance).values()), "the replay has begun")
        instance.kill("worker")
        until(lambda: any(state.delivered > 20 for state in replays(instance).values()), "the replay goes on")
        instance.kill("worker")
        last = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 0
    assert (last["state"], last["matched"], last["delivered"], last["retrying"]) == ("done", EVENTS, EVENTS, 0)
    rig.set_rate("replayed", None)
    assert instance.destination("replayed") == before
    called = calls_of(instance, "plotline", tracks)
    assert set(called) == {event["messageId"] for event in tracks} and min(called.values()) == 2
    # Only what was under way or not yet committed at a kill is sent once more.
    assert sum(called.values()) < 2 * EVENTS + EVENTS
    assert set(calls_of(instance, "plotline", others).values()) == {1}
    assert instance.vendor("plotline").message_ids().count(tracks[0]["messageId"]) == 1


def test_a_redrive_sends_dead_letters_again_and_none_is_lost_by_a_kill(rig):
    instance, pointillist = rig.instance, rig.instance.vendor("pointillist")
    pointillist.fault(status=400, times=EVENTS, body={"message": "not today"})
    events = [track(f"r-{n % 20}", "Refused", n=n) for n in range(EVENTS)]
    instance.send(*events, key="redriven-key")
    assert instance.settled("redriven")["redriven"]["refused"] == {"BAD_REQUEST": EVENTS}
    shown = instance.deliveries(events[0]["messageId"])["redriven"]
    assert shown["reason"] == "BAD_REQUEST" and "not today" in shown["attempts"][0]["response"]["body"]

    rig.set_rate("redriven", SLOW)
    instance.cli("redrive", "redriven", "--message-id", events[0]["messageId"])
    until(lambda: instance.destination("redriven")["delivered"] == 1, "one is delivered")
    assert instance.destination("redriven")["refused"] == {"BAD_REQUEST": EVENTS - 1}
    instance.cli("redrive", "redriven")
    until(lambda: instance.destination("redriven")["delivered"] > 10, "the redrive has begun")
    instance.kill("worker")
    settled = instance.settled("redriven")["redriven"]
    assert (settled["delivered"], settled["refused"]) == (EVENTS, {})
    ids = [event["messageId"] for event in events]
    assert sorted(message for message in pointillist.message_ids() if message in ids) == sorted(ids)


def test_a_replay_to_a_destination_that_is_off_is_refused(rig):
    instance = rig.instance
    rig.entries["cancelled"]["enabled"] = False
    instance.apply(rig.text())
    instance.send(track("off"), key="cancelled-key")
    instance.settled("cancelled")
    with running(instance, "replay", "cancelled", "--yes") as process:
        process.communicate(timeout=60)
        assert process.returncode == 1
