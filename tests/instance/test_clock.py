"""A clock that `SEGUE_CLOCK` moves, with real processes: forward, and what is left when it is taken away again."""

from __future__ import annotations

import pytest

from segue.control.units import DAY_MS
from segue.core.clock import from_iso
from segue.wiring.clock import SystemClock

from .events import track
from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

MONTH_MS = 31 * DAY_MS
SOON_MS = 600_000
"""A clock and what was noted by it are not farther apart than this in a test."""


def moved(instance: Instance, offset: str) -> Instance:
    """The instance, started again with its clock moved."""
    assert instance.terminate() == 0
    instance.environment["SEGUE_CLOCK"] = offset
    return instance.start()


def begun(make, **settings: str) -> Instance:
    """One that delivers to one vendor, and to one where nobody listens."""
    instance = make(**settings)
    entries = [
        vendor_entry(instance, "plotline", "website", "reads"),
        vendor_entry(instance, "planhat", "website", "down"),
    ]
    instance.file.write_text(workspace_text(entries))
    return instance.start()


def is_near(text: str, time_ms: int) -> bool:
    return abs(from_iso(text) - time_ms) < SOON_MS


@pytest.mark.parametrize("single", [False, True], ids=["apart", "single"])
def test_every_process_sees_the_time_that_the_clock_was_moved_to(make, single):
    instance = make(SEGUE_CLOCK="offset:+31d")
    instance.file.write_text(workspace_text([vendor_entry(instance, "plotline", "website", "reads")]))
    instance.start(*(["--single"] if single else []))
    now = SystemClock().now_ms()
    assert "clock      the clock is moved for tests: SEGUE_CLOCK=offset:+31d" in instance.said()
    event = track("u1")
    instance.send(event, key="website-key")
    instance.settled("reads")
    explained = instance.explain(event["messageId"])
    assert is_near(explained["receivedAt"], now + MONTH_MS)  # the collector's
    assert is_near(explained["deliveries"][0]["attempts"][0]["at"], now + MONTH_MS)  # the worker's
    assert is_near(instance.vendor("plotline").requests(event["messageId"])[0]["at"], now + MONTH_MS)  # the sandboxes'
    # A command goes by the clock of the running server, also from a shell that does not move its own.
    del instance.environment["SEGUE_CLOCK"]
    assert "! the clock is moved for tests: SEGUE_CLOCK=offset:+31d" in instance.cli("status")
    assert '"clock": "offset:+31d"' in instance.cli("status", "--json")
    assert instance.cli("replay", "reads", "--from", "1h", "--dry-run").startswith("1 of 1 event ")


def test_after_a_jump_forward_retries_are_due_and_messages_are_forgotten(make):
    instance = begun(make)
    instance.vendor("planhat").fault(status=503)
    event = track("u1")
    instance.send(event, key="website-key")
    until(lambda: instance.destination("down")["retrying"] == 1, "the event waits for a retry")
    instance.vendor("planhat").heal()
    moved(instance, "offset:+31d")
    assert instance.settled("down")["down"]["delivered"] == 1
    # The window of deduplication, in the log's own time, is over.
    instance.send(event, key="website-key")
    assert instance.status()["sources"][0]["accepted"] == 2


def test_an_offset_that_is_taken_away_again_is_told_and_nothing_is_lost(make):
    instance = begun(make, SEGUE_CLOCK="offset:+31d")
    instance.vendor("planhat").fault(status=503)
    first = track("u1")
    instance.send(first, key="website-key")
    until(lambda: instance.destination("down")["retrying"] == 1, "the event waits for a retry")
    instance.vendor("planhat").heal()
    moved(instance, "")
    now = SystemClock().now_ms()
    assert MONTH_MS - SOON_MS < instance.status()["clock_behind_ms"] <= MONTH_MS
    words = " behind the newest event: until it has caught up, windows and timers stand still"
    assert words in instance.cli("status")
    assert any(words in line["event"] and line["level"] == "warning" for line in instance.log_lines())
    second = track("u2")
    # The first is not forgotten, for the log's own time has not gone back.
    instance.send(first, second, key="website-key")
    source = instance.status()["sources"][0]
    assert (source["accepted"], source["duplicates"]) == (2, 1)
    assert is_near(instance.explain(second["messageId"])["receivedAt"], now)
    assert instance.settled("reads")["reads"]["delivered"] == 2
    # And forward again it is as if nothing had been.
    moved(instance, "offset:+32d")
    assert "clock_behind_ms" not in instance.status()
    assert instance.settled("down")["down"]["delivered"] == 2
