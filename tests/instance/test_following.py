"""A running instance follows what `segue apply` has stored, whatever stands in its way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .events import track
from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("instance-following")  # they share one


class Rig:
    """One instance for all tests of this module."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.entry = vendor_entry(instance, "plotline", "website", "plotline")

    def text(self) -> str:
        return workspace_text([self.entry])

    def switch(self, on: bool) -> None:
        self.entry["enabled"] = on
        self.instance.apply(self.text())

    def outcome(self) -> str:
        """What becomes of an event that is sent now."""
        event = track("u1")
        self.instance.send(event, key="website-key")
        self.instance.settled()
        return "delivered" if self.instance.vendor("plotline").requests(event["messageId"]) else "filtered"


@pytest.fixture(scope="module", params=["apart", "single"])
def rig(make_shared: Any, request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(make_shared())
    rig.instance.file.write_text(rig.text())
    rig.instance.start(*(["--single"] if request.param == "single" else []))
    yield rig


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def fill_wake_pipe(instance: Instance) -> None:
    """Put so many words into the pipe to the worker that there is room for none."""
    pid = instance.pids()["collector"]
    pipes = json.loads(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2])
    pipe = os.open(f"/proc/{pid}/fd/{pipes['wake']}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(pipe, b"e")
    except BlockingIOError:
        os.close(pipe)


def test_what_is_applied_holds_for_the_next_event(rig):
    for on in (False, True, False, True):
        rig.switch(on)
        assert rig.outcome() == ("delivered" if on else "filtered")


def test_a_source_and_its_key_can_be_added_and_switched_off_while_it_runs(rig):
    instance = rig.instance
    assert instance.post("/v1/track", track("u1"), "another-key").status_code == 200
    instance.apply(workspace_text([rig.entry], ["website", "another"]))
    instance.send(track("u1"), key="another-key")
    accepted = {entry["slug"]: entry["accepted"] for entry in instance.status()["sources"]}
    assert accepted["another"] == 1  # the first was nobody's
    instance.apply(rig.text())
    instance.send(track("u1"), key="another-key")
    assert [entry["slug"] for entry in instance.status()["sources"]] == ["website"]


def test_control_that_cannot_be_read_for_a_while_is_followed_afterwards(rig):
    instance = rig.instance
    control = sqlite3.connect(instance.data / "control.db", isolation_level=None)
    control.execute("BEGIN IMMEDIATE")
    control.execute("UPDATE destination SET enabled = 0")
    control.execute("UPDATE workspace SET version = version + 1")
    control.execute("ALTER TABLE job RENAME TO gone")
    control.execute("COMMIT")
    seen = len(instance.log_lines())
    instance.poke()
    until(lambda: complaints(instance, seen), "it says that it cannot")
    assert instance.post("/v1/track", track("u1"), "website-key").status_code == 200
    control.execute("ALTER TABLE gone RENAME TO job")
    control.close()
    until(lambda: rig.outcome() == "filtered", "it has followed")
    rig.switch(True)
    assert rig.outcome() == "delivered"


def complaints(instance: Instance, seen: int) -> list[dict[str, Any]]:
    return [line for line in instance.log_lines()[seen:] if line["event"].startswith("control not followed")]


def test_a_worker_that_stood_still_hears_of_what_was_applied_meanwhile(rig):
    instance, was_on = rig.instance, rig.entry["enabled"]
    if "single" in instance.pids():
        with stopped(instance.pids()["single"]):
            pass  # there is no pipe; that it goes on is all there is to see
        assert rig.outcome() == "delivered"
        return
    with stopped(instance.pids()["worker"]):
        fill_wake_pipe(instance)
        rig.switch(not was_on)
    assert rig.outcome() == ("delivered" if not was_on else "filtered")
    rig.switch(was_on)
