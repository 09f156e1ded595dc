"""Retention of the log with real processes: what goes, what stays for whom, and what is counted for what went unread.

A disk between `disk.floor` and twice as much has the log tidied twice a second, and not once a minute: that is all that
the floor is for in the first test.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance as Folder
from segue.wiring.views import open_views

from .events import Event, track
from .running import Instance
from .test_disk import filled
from .waiting import until
from .workspace import Entry, vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("disk")  # one of them fills it

KEPT = 10
SOON = {"SEGUE_LOG_KEEP": "700ms", "SEGUE_DEDUP_WINDOW": "700ms"}
"""A tenth of a second old is then old enough for a segment to be ended."""


def spare(folder: Path) -> tuple[int, dict[str, str]]:
    """So much of the disk is above a floor under which lies more than half of what is free."""
    free = shutil.disk_usage(folder).free
    above = min(4 * 2**30, free // 4)  # much more than what others write to this disk meanwhile
    return above, {"SEGUE_DISK_FLOOR": f"{(free - above) // 1024}KB"}


def log_start(instance: Instance) -> int:
    with open_views(Folder(instance.data), SystemClock()) as views:
        return views.log.start(0)


def why_dropped(instance: Instance) -> set[str]:
    return {line["why"] for line in instance.log_lines() if line["event"] == "log dropped"}


def begun(instance: Instance) -> tuple[list[Entry], list[Event]]:
    """One destination that has all of ten events, and one that stands still before the first of them."""
    entries = [
        vendor_entry(instance, "plotline", "website", "reads"),
        vendor_entry(instance, "astrolabe", "website", "stands", apiKey="${KEY_OF_NOBODY}"),
    ]
    instance.file.write_text(workspace_text(entries))
    instance.start()
    events = [track(f"u{number}") for number in range(KEPT)]
    instance.send(*events, key="website-key")
    instance.settled("reads")
    assert instance.destination("stands")["lag"] == KEPT
    return entries, events


def test_what_is_older_than_it_is_kept_goes_when_every_enabled_destination_has_passed_it(make, tmp_path):
    instance = make(**SOON, **spare(tmp_path)[1])
    entries, events = begun(instance)
    until(lambda: len(list((instance.data / "log").glob("*.db"))) > 1, "the log has ended a segment")
    began = SystemClock().now_ms()
    until(lambda: SystemClock().now_ms() > began + 1_500, "it is older than it is kept")
    assert log_start(instance) == 0, "an enabled destination has not passed it"
    assert instance.deliveries(events[0]["messageId"])["stands"]["outcome"] == "waiting"

    entries[1]["enabled"] = False
    instance.apply(workspace_text(entries))
    until(lambda: log_start(instance) == KEPT, "all of them have gone")
    assert why_dropped(instance) <= {"kept long enough", "disk is short, and every reader has passed it"}
    shown = instance.status()
    assert shown["sources"][0]["accepted"] == KEPT
    for entry in shown["destinations"]:
        outcomes = entry["delivered"], *entry["filtered"].values(), *entry["refused"].values()
        assert entry["accepted"] == sum(outcomes) == KEPT and entry["lag"] == entry["retrying"] == 0
    again = track("u1")
    instance.send(again, key="website-key")
    instance.settled()
    assert again["messageId"] in instance.vendor("plotline").message_ids()


def test_what_was_dropped_unread_counts_as_refused_with_log_expired(make, tmp_path):
    above, floor = spare(tmp_path)
    instance = make(**SOON, **floor, SEGUE_LOG_DROP_UNREAD="true")
    entries, events = begun(instance)
    with filled(tmp_path, above * 3 // 2):
        until(lambda: log_start(instance) == KEPT, "the oldest have gone, read or not")
    assert "disk is short, and log.drop_unread is set" in why_dropped(instance)
    instance.kill("worker")  # which still had them in memory, and would have sent them
    until(lambda: instance.pids().get("worker"), "there is another worker")
    until(lambda: instance.post("/v1/track", track("u1"), "website-key").status_code == 200, "there is room again")

    entries[1]["settings"]["apiKey"] = "demo-astrolabe-key"
    instance.apply(workspace_text(entries))
    settled = instance.settled()
    refused = {slug: entry["refused"] for slug, entry in settled.items()}
    assert refused == {"reads": {}, "stands": {"LOG_EXPIRED": KEPT}}
    assert {(entry["accepted"], entry["lag"]) for entry in settled.values()} == {(KEPT + 1, 0)}
    assert settled["stands"]["delivered"] == 1
    arrived = instance.vendor("astrolabe").message_ids()
    assert not set(arrived) & {event["messageId"] for event in events}
