"""`doctor`: each kind of trouble is found, with what to do about it; and where all is well, it says so."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..instance.events import identify
from ..instance.running import Instance, environment
from ..instance.waiting import until
from ..instance.workspace import vendor_entry, workspace_text
from .calling import HERE, Said, hint_in, process, segue, succeeded


def examined(data: Path, **environ: str) -> Said:
    """What `doctor` says; a finding a line, and a code that goes with them."""
    said = segue("doctor", "--data", data, **environ)
    lines = said.out.splitlines()
    assert said.err == "" and lines
    assert {line[:5] for line in lines} <= {"ok   ", "BAD  "}
    assert said.code == int(any(line.startswith("BAD") for line in lines)), said
    return said


def bad(said: Said) -> list[str]:
    """The findings that are bad."""
    return [line.removeprefix("BAD  ") for line in said.out.splitlines() if line.startswith("BAD  ")]


@pytest.fixture(scope="module")
def instance(make_shared: Any) -> Instance:
    instance = make_shared()
    entries = [
        vendor_entry(instance, "plotline", "website", "good"),
        vendor_entry(instance, "planhat", "website", "off", enabled=False),
    ]
    instance.file.write_text(workspace_text(entries))
    instance.start()
    instance.send(identify("u1", n=1), key="website-key")
    instance.settled()
    return instance


def test_where_all_is_well_it_says_so(instance):
    said = examined(instance.data)
    assert bad(said) == []
    for words in (
        f"{instance.data} is open to its owner alone",
        "the collector runs",
        "the worker runs",
        f"{instance.url} takes events",
        "the log holds 1 event, offsets 0 to 1",
        "good: lag 0, retrying 0",
        "off (switched off): lag 0, retrying 0",
    ):
        assert f"ok   {words}" in said.out.splitlines()


def on_a_terminal(*arguments: object, **environ: str) -> str:
    """What `segue ARGUMENTS` prints where its output is a terminal."""
    ours, theirs = pty.openpty()
    command = [*HERE, *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment(**environ)) as running:
        assert running.wait(timeout=30) == 0
    os.close(theirs)
    try:
        return os.read(ours, 65_536).decode()
    finally:
        os.close(ours)


def test_a_terminal_gets_colours_unless_it_wants_none(instance):
    assert "\x1b[32mok \x1b[0m" in on_a_terminal("doctor", "--data", instance.data, NO_COLOR="")
    assert "\x1b" not in on_a_terminal("doctor", "--data", instance.data, NO_COLOR="1")
    assert "\x1b" not in process("doctor", "--data", instance.data).out


def test_a_folder_that_others_may_read_is_found(instance):
    instance.data.chmod(0o755)
    (line,) = bad(examined(instance.data))
    assert line == f"{instance.data} is open to others (mode 755), and it holds secrets: chmod 700 {instance.data}"
    instance.data.chmod(0o700)


def test_a_destination_whose_variable_is_not_set_where_the_server_runs_is_found(instance):
    late = vendor_entry(instance, "user-com", "website", "unset", apiKey="${USER_COM_KEY_OF_NOBODY}")
    well = instance.file.read_text()
    instance.apply(workspace_text([late]))
    until(lambda: instance.destination("unset").get("stall"), "it stands still")
    # Whether it is set here makes no difference: the server is asked.
    for environ in ({}, {"USER_COM_KEY_OF_NOBODY": "given"}):
        (line,) = bad(examined(instance.data, **environ))
        assert line.startswith("unset stands still: settings.apiKey: the environment variable USER_COM_KEY_OF_NOBODY")
    instance.apply(well)


def test_a_key_that_the_vendor_refuses_is_found_with_both_commands_to_mend_it(instance):
    well = instance.file.read_text()
    wrong = [vendor_entry(instance, "astrolabe", "website", "wrong", apiKey="not-the-key")]
    instance.apply(workspace_text(wrong))
    instance.send(*(identify(f"u{n}", n=n) for n in range(25)), key="website-key")
    until(lambda: instance.destination("wrong")["breaker_reason"] == "key_refused", "the breaker is open")
    (line,) = bad(examined(instance.data))
    assert line.startswith("wrong refuses the key: ")
    assert hint_in(line, "apply").endswith(f"apply FILE --data {instance.data}")
    assert hint_in(line, "redrive").endswith(f"redrive wrong --reason INVALID_AUTHENTICATION --data {instance.data}")
    assert "! wrong refuses the key" in succeeded("status", "--data", instance.data).out
    instance.apply(well)


def test_a_vendor_that_fails_is_found_with_the_command_that_shows_its_words(instance):
    well = instance.file.read_text()
    instance.vendor("user-com").fault(status=503, times=1_000)
    instance.apply(workspace_text([vendor_entry(instance, "user-com", "website", "failing")]))
    instance.send(*(identify(f"u{n}", n=n) for n in range(15)), key="website-key")
    until(lambda: instance.destination("failing")["breaker_reason"] == "failing", "the breaker is open")
    (line,) = bad(examined(instance.data))
    assert line.startswith("failing fails; Segue tries again by itself")
    said = segue(*hint_in(line, "destinations").split()[1:])
    assert "  answered 503: " in said.out
    instance.vendor("user-com").heal()
    instance.apply(well)


def test_a_server_that_takes_no_events_for_want_of_disk_is_asked_why(make):
    instance = make(SEGUE_DISK_FLOOR="900000TB")
    process = instance.launch(["up", "--data", str(instance.data), "--port", str(instance.port)])
    until(lambda: "Segue is ready" in instance.said(), "it is ready")
    assert process.poll() is None
    # The floor is the server's, whatever this shell says.
    for environ in ({}, {"SEGUE_DISK_FLOOR": "1MB"}):
        room, asked = bad(examined(instance.data, **environ))
        assert room.endswith(
            " MB are free, disk.floor is 900000TB: every event is answered 503 until there is more room"
        )
        assert asked.startswith(f"{instance.url} takes no events now: disk is short: ")
    assert f"! {room}" in succeeded("status", "--data", instance.data).out.splitlines()
    assert instance.terminate() == 0
    assert "503" not in str(examined(instance.data)) + str(segue("status", "--data", instance.data))


def test_a_destination_that_is_off_is_in_no_trouble_though_it_failed_before(instance):
    well = instance.file.read_text()
    instance.vendor("user-com").fault(status=503, times=1_000)
    failing = vendor_entry(instance, "user-com", "website", "failing")
    instance.apply(workspace_text([failing]))
    instance.send(*(identify(f"u{n}", n=n) for n in range(15)), key="website-key")
    until(lambda: instance.destination("failing")["breaker_reason"] == "failing", "the breaker is open")
    succeeded("destinations", "disable", "failing", "--data", instance.data)
    assert "failing fails" not in succeeded("status", "--data", instance.data).out
    assert bad(examined(instance.data)) == []
    instance.vendor("user-com").heal()
    instance.apply(well)


@pytest.fixture
def stopped(instance: Instance, tmp_path: Path) -> Path:
    """A data folder of which nothing runs, and which does not know where anything ran."""
    succeeded("backup", tmp_path / "copy", "--data", instance.data)
    succeeded("restore", tmp_path / "copy", "--data", tmp_path / "data")
    (tmp_path / "data" / "address.json").unlink()
    return tmp_path / "data"


def test_a_server_that_does_not_run_is_found_with_the_command_that_starts_it(stopped):
    (line,) = bad(examined(stopped))
    assert line.startswith("no Segue runs here now; start it with `")
    assert hint_in(line, "up").endswith(f"up --data {stopped}")
    assert "! no Segue runs here now" in succeeded("status", "--data", stopped).out


def test_settings_that_could_not_be_used_are_found_before_the_server_runs(stopped):
    (stopped / "secret.key").unlink()
    _, *lines = bad(examined(stopped))
    assert [line.partition(" would stand still: settings.apiKey: the stored secret was")[0] for line in lines] == [
        "good",
        "off",
    ]


@pytest.mark.parametrize("name", ["control.db", "state.db", "quarantine.db", "log/00000000000000000000.db"])
def test_files_of_another_version_are_found_by_every_command_that_reads_them(stopped, name):
    path = stopped / name
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    for line in (
        bad(examined(stopped))[-1],
        segue("status", "--data", stopped).line,
        process("up", "--data", stopped, "--port", "0").line,
    ):
        assert str(path) in line and " version 99" in line and "backup" in line


@pytest.mark.parametrize("name", ["control.db", "state.db", "quarantine.db", "log/00000000000000000000.db"])
def test_a_broken_file_is_one_line(stopped, name):
    path = stopped / name
    path.write_bytes(b"no database at all, " * 1_000)
    for said in (segue("status", "--data", stopped), process("up", "--data", stopped, "--port", "0")):
        assert str(path) in said.line
    assert str(path) in bad(examined(stopped))[-1]


def test_an_empty_folder_and_one_that_never_ran_are_told_apart(tmp_path):
    (line,) = bad(examined(tmp_path / "none"))
    assert line.startswith(f"there is no Segue in {tmp_path}/none; start one with `")
    file = tmp_path / "file.yaml"
    file.write_text(workspace_text([], ["website"]))
    succeeded("apply", file, "--data", tmp_path / "data")
    for line in (bad(examined(tmp_path / "data"))[-1], segue("status", "--data", tmp_path / "data").line):
        assert f"no Segue has run in {tmp_path}/data yet; start it with `" in line
