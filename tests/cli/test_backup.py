"""`backup` of an instance at work, and `restore`: nothing that is in the copy is lost, nothing is half."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..instance.events import track
from ..instance.running import Instance
from ..instance.workspace import workspace_text
from .calling import begun, hint_in, process, segue, succeeded
from .echo import Echo, echoing


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with echoing() as server:
        yield server


@pytest.fixture(scope="module")
def instance(make_shared: Any, echo: Echo) -> Instance:
    instance = make_shared(SEGUE_ALLOW_INTERNAL=echo.place)
    settings = {"hooks": [f"http://{echo.place}/"], "sharedSecret": "hunter2-shared-secret"}
    hook = {"slug": "hook", "source": "website", "kind": "webhook", "enabled": True, "settings": settings}
    instance.file.write_text(workspace_text([hook]))
    return instance.start()


@contextmanager
def load_on(instance: Instance) -> Iterator[list[dict[str, Any]]]:
    """Events, one after the other, for the block; those that were acknowledged."""
    acknowledged: list[dict[str, Any]] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            events = [track(f"u{n}") for n in range(5)]
            instance.send(*events, key="website-key")
            acknowledged.extend(events)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        thread.join()


def ids(events: list[dict[str, Any]]) -> set[str]:
    return {event["messageId"] for event in events}


def test_a_backup_under_load_holds_all_that_was_acknowledged_and_delivers_what_it_had_not(
    instance, echo, tmp_path, make
):
    backup = tmp_path / "back up"
    with load_on(instance) as acknowledged:
        while len(acknowledged) < 50:
            pass
        before = list(acknowledged)
        said = succeeded("backup", backup, "--data", instance.data)
    instance.settled()
    assert instance.terminate() == 0
    assert {path.stat().st_mode & 0o077 for path in (backup, *backup.rglob("*"))} == {0}

    other = make(SEGUE_ALLOW_INTERNAL=echo.place)
    words = hint_in(said.out, "restore").replace("DIR", "").split("restore ")[1]
    assert words == f"'{backup}' --data "
    said = succeeded("restore", backup, "--data", other.data)
    assert hint_in(said.out, "up").endswith(f"--data {other.data}")
    copied = other.destination("hook")
    assert copied["accepted"] >= len(before)
    assert copied["accepted"] == copied["delivered"] + copied["retrying"] + copied["lag"]
    outstanding, calls = copied["retrying"] + copied["lag"], len(echo.bodies)
    other.start(arguments=["up", "--data", str(other.data), "--port", str(other.port)])
    assert other.settled()["hook"]["delivered"] == copied["accepted"]
    assert len(echo.bodies) - calls == outstanding

    held = {json.loads(line)["event"]["messageId"] for line in all_of(other).splitlines()}
    assert ids(before) <= held <= ids(acknowledged)
    assert held <= {json.loads(body)["messageId"] for body in echo.bodies}
    # It goes on where the first one was: old ids are known, new events are taken.
    new = track("after")
    other.send(before[0], new, key="website-key")
    assert other.settled()["hook"]["delivered"] == copied["accepted"] + 1
    assert other.status()["sources"][0]["duplicates"] >= 1
    assert json.loads(echo.bodies[-1])["messageId"] == new["messageId"]


def all_of(instance: Instance) -> str:
    return succeeded("tail", "--json", "--no-follow", "-n", "1000", "--data", instance.data).out


@pytest.fixture(scope="module")
def copy(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies") / "copy"
    succeeded("backup", folder, "--data", instance.data)
    return folder


def test_an_instance_that_does_not_run_can_be_copied_too(copy, tmp_path):
    succeeded("restore", copy, "--data", tmp_path / "data")
    succeeded("backup", tmp_path / "second", "--data", tmp_path / "data")
    assert (tmp_path / "second" / "backup.json").read_text() == (copy / "backup.json").read_text()


def test_a_backup_goes_into_a_new_or_empty_folder_only(instance, copy, tmp_path):
    line = segue("backup", copy, "--data", instance.data).line
    assert line == f"FOLDER: {copy} is not empty; choose a new folder"
    file = tmp_path / "file"
    file.touch()
    assert segue("backup", file, "--data", instance.data).line.startswith(f"FOLDER: {file} cannot be made: ")
    (tmp_path / "empty").mkdir()
    succeeded("backup", tmp_path / "empty", "--data", instance.data)


@pytest.mark.parametrize("inside", ["", "copy", "log/copy"])
def test_a_backup_into_the_data_folder_is_refused_and_makes_nothing(instance, inside):
    folder = instance.data / inside
    there = set(instance.data.rglob("*"))
    line = segue("backup", folder, "--data", instance.data).line
    assert line == f"FOLDER: {folder} is in the data folder, and would be lost with it; choose another"
    assert not {path for path in instance.data.rglob("*") if "copy" in path.parts} - there


def test_a_restore_goes_into_a_folder_without_an_instance_only(instance, copy, tmp_path):
    line = segue("restore", copy, "--data", instance.data).line
    assert line == f"--data: {instance.data} holds an instance already; choose another folder"


def test_a_backup_that_is_not_whole_is_refused_and_makes_nothing(copy, tmp_path):
    half = tmp_path / "half"
    half.mkdir()
    for name in ("state.db", "control.db"):
        (half / name).write_bytes((copy / name).read_bytes())
    for folder in (half, tmp_path / "none"):
        line = segue("restore", folder, "--data", tmp_path / "data").line
        assert line == f"FOLDER: {folder} is no whole backup: backup.json, which is written last, is not there"
    assert not (tmp_path / "data").exists()


def test_a_backup_is_no_instance_and_stays_as_it_is(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*.db")}
    for said in (segue("status", "--data", copy), process("up", "--data", copy, "--port", "0")):
        assert said.line.startswith(f"--data: {copy} is a backup; make an instance of it with `")
        assert hint_in(said.line, "restore").endswith(f"restore {copy} --data DIR")
    assert {path: path.read_bytes() for path in copy.rglob("*.db")} == before


def test_a_backup_needs_an_instance(tmp_path):
    line = segue("backup", tmp_path / "copy", "--data", tmp_path / "none").line
    assert line.startswith(f"--data: there is no Segue in {tmp_path}/none")
    assert not (tmp_path / "copy").exists()


def test_ctrl_c_in_a_backup_leaves_no_whole_one_behind(instance, tmp_path):
    folder = tmp_path / "copy"
    with begun("backup", folder, "--data", instance.data) as running:
        said = running.interrupted()
    assert said.code in (0, 130, -2)
    assert said.code == 0 or not (folder / "backup.json").exists()
