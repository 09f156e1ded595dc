"""`replay` and `redrive` as a person runs them; what becomes of them under kills stands in tests/instance."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ..instance.events import track
from ..instance.running import Instance
from ..instance.waiting import until
from ..instance.workspace import Entry, vendor_entry, workspace_text
from .calling import Said, begun, hint_in, segue


class Rig:
    """An instance with one destination on each of two vendors, and what was sent to them."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.entries: dict[str, Entry] = {
            slug: vendor_entry(instance, slug, "website", slug) for slug in ("plotline", "pointillist")
        }
        self.sent = [track(f"u{n}", "Wanted" if n % 2 else "Other") for n in range(10)]

    def apply(self, slug: str, **changes: Any) -> None:
        self.entries[slug].update(changes)
        self.instance.apply(workspace_text(self.entries.values()))

    def call(self, *arguments: object) -> Said:
        """`segue ARGUMENTS` about this instance."""
        return segue(*arguments, "--data", self.instance.data)

    def calls(self, vendor: str) -> list[str]:
        """The messageIds that a vendor was called with, in order."""
        called = self.instance.vendor(vendor).requests()
        return [each["headers"].get("x-message-id") or each["body"]["messageId"] for each in called]


@pytest.fixture(scope="module")
def rig(make_shared: Any) -> Iterator[Rig]:
    rig = Rig(make_shared())
    rig.instance.file.write_text(workspace_text(rig.entries.values()))
    rig.instance.start()
    rig.instance.send(*rig.sent, {"type": "page", "userId": "u", "messageId": "a page"}, key="website-key")
    rig.instance.settled()
    yield rig


# -- replay --------------------------------------------------------------------------------------------------------


def ago(**time: int) -> str:
    return (datetime.now(UTC) - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("words", "matched", "send"),
    [
        ([], 11, 10),
        (["--from", "2h"], 11, 10),
        (["--from", "1h30m", "--to", "1h"], 0, 0),
        (["--from", ago(hours=2), "--to", ago(hours=1)], 0, 0),
        (["--from", ago(hours=2)], 11, 10),
        (["--to", "1h"], 0, 0),
        (["--event", "Wanted"], 5, 5),
        (["--event", "Wanted", "--event", "Other"], 10, 10),
        (["--type", "page"], 1, 0),
        (["--type", "track", "--event", "Other"], 5, 5),
        (["--message-id", "a page"], 1, 0),
        (["--message-id", "never sent"], 0, 0),
    ],
)
def test_a_dry_run_counts_what_the_filter_names_and_sends_nothing(rig, words, matched, send):
    before = len(rig.calls("plotline"))
    counted = rig.call("replay", "plotline", *words, "--dry-run", "--json").json
    assert (counted["matched"], counted["send"], counted["filtered"]) == (matched, send, matched - send)
    text = rig.call("replay", "plotline", *words, "--dry-run").out
    assert text.startswith(f"{send} of {matched} event{'' if matched == 1 else 's'} would be sent to plotline")
    assert len(rig.calls("plotline")) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--from", "2h", "--to", "3h"], "--to: must be after from"),
        (["--from", "yesterday"], "--from: 'yesterday' is neither an instant like "),
        (["--to", "2h ago"], "--to: '2h ago' is neither"),
        (["--type", "tracks"], "--type: there is no 'tracks'; did you mean \"track\"?"),
    ],
)
def test_a_filter_that_makes_no_sense_names_its_option(rig, words, line):
    assert rig.call("replay", "plotline", *words, "--dry-run").line.startswith(line)


def test_without_a_terminal_nothing_is_sent_unless_yes_is_said(rig):
    said = rig.call("replay", "plotline")
    assert said.code == 1
    assert said.out.startswith("10 of 11 events would be sent")
    assert said.err == (
        "Error: nothing was sent: there is no terminal to ask on; say --yes to send without being asked\n"
    )
    assert sorted(rig.calls("plotline")) == sorted(event["messageId"] for event in rig.sent)


def test_where_there_is_nothing_to_send_nothing_is_asked(rig):
    assert rig.call("replay", "plotline", "--type", "page").out.startswith("0 of 1 event would be sent")
    assert rig.call("replay", "plotline", "--type", "page", "--json").json["send"] == 0


def test_a_replay_keeps_the_message_ids_and_stays_outside_the_balance(rig):
    before, calls = rig.instance.destination("plotline"), len(rig.calls("plotline"))
    said = rig.call("replay", "plotline", "--event", "Wanted", "--yes")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "5 delivered, 0 refused, 0 waiting for a retry"
    wanted = [event["messageId"] for event in rig.sent if event["event"] == "Wanted"]
    assert sorted(rig.calls("plotline")[calls:]) == sorted(wanted)
    assert rig.instance.destination("plotline") == before
    done = rig.call("replay", "plotline", "--message-id", wanted[0], "--yes", "--json").json
    assert (done["state"], done["matched"], done["delivered"], done["retrying"]) == ("done", 1, 1, 0)
    assert isinstance(done["job"], int)


def on_a_terminal(rig: Rig, answer: bytes, *arguments: str) -> Said:
    """`segue ARGUMENTS` on a terminal, where the question is answered."""
    ours, theirs = pty.openpty()
    try:
        with begun(*arguments, "--data", rig.instance.data, stdin=theirs) as running:
            os.write(ours, answer)
            return running.ended()
    finally:
        os.close(ours)
        os.close(theirs)


def test_on_a_terminal_a_person_is_asked(rig):
    calls = len(rig.calls("plotline"))
    said = on_a_terminal(rig, b"n\n", "replay", "plotline", "--event", "Wanted")
    assert (said.code, "Send them? [y/N]" in said.out + said.err) == (0, True)
    assert len(rig.calls("plotline")) == calls
    said = on_a_terminal(rig, b"y\n", "replay", "plotline", "--event", "Wanted")
    assert said.code == 0
    assert "5 delivered" in said.out
    assert len(rig.calls("plotline")) == calls + 5


def test_ctrl_c_leaves_a_replay_running_and_says_how_it_is_stopped(rig):
    rig.apply("plotline", max_rate=0.2)  # the replay has half of it, and would take minutes
    calls = len(rig.calls("plotline"))
    with begun("replay", "plotline", "--yes", "--data", rig.instance.data) as running:
        until(lambda: len(rig.calls("plotline")) > calls, "the replay has begun")
        said = running.interrupted()
    assert said.code == 130
    stop = hint_in(said.err, "replay")
    (shown,) = rig.call("status", "--json").json["replays"]
    assert (shown["kind"], shown["destination"], shown["state"]) == ("replay", "plotline", "running")
    (line,) = [line for line in rig.call("status").out.splitlines() if line.startswith("plotline: replay ")]
    assert hint_in(line, "replay").partition("replay ")[2] == stop.partition("replay ")[2]
    assert "replay plotline --cancel " in stop and stop.endswith(f"--data {rig.instance.data}")
    words = stop.partition("replay ")[2].split()
    assert "takes in no more events" in segue("replay", *words).out
    rig.apply("plotline", max_rate=None)
    until(lambda: rig.call("status", "--json").json["replays"] == [], "what was on its way has ended")
    assert rig.call("replay", "plotline", "--cancel", "99").line == "--cancel: there is no replay 99 to plotline"


def test_a_destination_that_is_off_gets_no_replay_but_is_counted_for(rig):
    rig.apply("plotline", enabled=False)
    assert rig.call("replay", "plotline", "--dry-run", "--json").json["send"] == 10
    said = rig.call("replay", "plotline", "--yes")
    assert said.code == 1
    assert said.err == "Error: destination: plotline is disabled: enable it first\n"
    rig.apply("plotline", enabled=True)


# -- redrive -------------------------------------------------------------------------------------------------------


def test_a_redrive_takes_back_what_its_reason_or_message_id_names_and_the_balance_holds(rig):
    instance, pointillist = rig.instance, rig.instance.vendor("pointillist")
    events = [track(f"r{n}") for n in range(6)]
    pointillist.fault(status=400, times=3)
    pointillist.fault(status=404, times=3)
    for event in events:
        instance.send(event, key="website-key")
        instance.settled("pointillist")
    assert instance.destination("pointillist")["refused"] == {"BAD_REQUEST": 3, "NOT_FOUND": 3}
    before = instance.destination("pointillist")

    said = rig.call("redrive", "pointillist", "--message-id", events[0]["messageId"])
    assert said.out == "1 event is on its way again\n"
    instance.settled("pointillist")
    assert instance.destination("pointillist")["refused"] == {"BAD_REQUEST": 2, "NOT_FOUND": 3}
    done = rig.call("redrive", "pointillist", "--reason", "NOT_FOUND", "--json").json
    assert (done["state"], done["matched"]) == ("done", 3)
    instance.settled("pointillist")
    assert instance.destination("pointillist")["refused"] == {"BAD_REQUEST": 2}
    assert rig.call("redrive", "pointillist").out == "2 events are on their way again\n"
    after = instance.settled("pointillist")["pointillist"]
    assert (after["refused"], after["delivered"]) == ({}, before["delivered"] + 6)
    assert after["accepted"] == before["accepted"]
    assert rig.call("redrive", "pointillist").out == "nothing to send: pointillist has no such dead letters\n"
    arrived = pointillist.message_ids()
    assert [arrived.count(event["messageId"]) for event in events] == [1] * 6


def test_a_redrive_by_an_unknown_reason_names_the_option_and_the_reasons(rig):
    line = rig.call("redrive", "pointillist", "--reason", "FOO").line
    assert line.startswith("--reason: there is no 'FOO'; there are: BAD_REQUEST, ")


@pytest.mark.parametrize("word", ["replay", "redrive"])
def test_neither_is_asked_for_where_no_server_runs(tmp_path, word):
    file = tmp_path / "file.yaml"
    file.write_text(workspace_text([], ["website"]))
    segue("apply", file, "--data", tmp_path / "data")
    assert segue(word, "hook", "--data", tmp_path / "data").line.startswith(f"--data: no Segue runs in {tmp_path}/data")
    assert segue(word, "hook", "--data", tmp_path / "none").line.startswith("--data: there is no Segue in")


@pytest.mark.parametrize("word", ["replay", "redrive"])
def test_a_destination_that_is_none_gets_a_suggestion(rig, word):
    assert rig.call(word, "plotlin", *(["--yes"] if word == "replay" else [])).line.endswith('did you mean "plotline"?')


def test_whoever_follows_is_told_that_the_server_has_ended(rig):
    rig.apply("plotline", max_rate=0.2)
    calls = len(rig.calls("plotline"))
    replay = ["replay", "plotline", "--yes", "--json"]
    data = ["--data", rig.instance.data]
    with begun(*replay, *data) as replaying, begun("tail", "-n", "1", *data) as tailing:
        tailing.line()
        until(lambda: len(rig.calls("plotline")) > calls, "the replay has begun")
        assert rig.instance.terminate() == 0
        assert "the server has ended; job " in replaying.ended().line
        said = tailing.ended()
    assert (said.code, said.err) == (0, "the server has ended\n")
