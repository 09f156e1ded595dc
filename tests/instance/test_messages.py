"""What a space says, on its way from its outbox through the log to the destinations it is for."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import requests
import yaml

from segue.compute.messages import Subject, messages
from segue.compute.tuples import IdentityTuple
from segue.core.errors import SegueError
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.outbox import INSERT
from segue.state.outbox_reader import OutboxReader
from segue.wiring.instance import Instance as Folder

from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

NOBODY = "event('Never Seen').count() >= 1"
NOW = 1_790_000_000_000


def text(instance: Instance, told: list[str]) -> str:
    """Two destinations of one kind, and an audience of which only these are told."""
    slugs = ("planhat-a", "planhat-b")
    file = yaml.safe_load(workspace_text([vendor_entry(instance, "planhat", "website", slug) for slug in slugs]))
    audience = {"name": "Nobody", "definition": NOBODY, "destinations": told}
    return yaml.safe_dump({**file, "spaces": [{"slug": "prod", "sources": ["website"], "audiences": [audience]}]})


def say(instance: Instance, *users: str, destinations: str) -> list[str]:
    """Put messages into the outbox, as a commit of the space does, and wake the mover as the worker does."""
    subject = Subject(
        space=1, computation=1, generation=1, kind="audience", key="vip", connection=1, catalog_name="Planhat"
    )
    ids = []
    with closing(sqlite3.connect(Folder(instance.data).profiles(1), timeout=30)) as connection, connection:
        for user in users:
            each = IdentityTuple(user, f"{user}@initech.com")
            (found,) = messages(subject, each, "true", profile=1, segment_id="use_1", version=1, at_ms=NOW)
            row = (found.message_id, found.type, found.user_key, destinations, found.timestamp_ms, found.body)
            connection.execute(INSERT, row)
            ids.append(found.message_id)
    pids = instance.pids()
    if "worker" in pids:
        words = Path(f"/proc/{pids['worker']}/cmdline").read_bytes().split(b"\0")
        pipe = os.open(f"/proc/{pids['worker']}/fd/{json.loads(words[-2])['outbox']}", os.O_WRONLY)
        os.write(pipe, b"m")
        os.close(pipe)
    return ids


def logged(instance: Instance) -> list[str]:
    """The messageIds of what the space has said, in the order of the log."""
    with closing(SQLiteLogReader(Folder(instance.data).log)) as log:
        return [record.message_id for record in log.read(0, 0, 10_000) if record.source == "space:prod"]


def ready(make, told: list[str]) -> Instance:
    instance = make()
    instance.file.write_text(text(instance, told))
    instance.start()
    until(lambda: is_begun(instance), "the space is begun")
    return instance


def is_begun(instance: Instance) -> bool:
    try:
        OutboxReader(Folder(instance.data).profiles(1)).close()
    except SegueError:
        return False
    return True


def number(instance: Instance, slug: str) -> int:
    with closing(sqlite3.connect(instance.data / "control.db")) as control:
        return int(control.execute("SELECT id FROM destination WHERE slug = ?", (slug,)).fetchone()[0])


def test_a_message_reaches_the_destination_that_it_names_and_no_other(make):
    instance = ready(make, ["planhat-a", "planhat-b"])
    (id_,) = say(instance, "u1", destinations=str(number(instance, "planhat-a")))
    until(lambda: logged(instance) == [id_], "it is in the log")
    settled = instance.settled("planhat-a", "planhat-b")
    assert settled["planhat-a"]["sources"] == ["website", "space:prod"]
    assert (settled["planhat-a"]["accepted"], settled["planhat-a"]["delivered"]) == (1, 1)
    assert settled["planhat-b"]["filtered"] == {"NOT_ADDRESSED": 1}
    (contact,) = instance.vendor("planhat").state()["contacts"]
    assert contact["email"] == "u1@initech.com"
    outcomes = {slug: found["outcome"] for slug, found in instance.deliveries(id_).items()}
    assert outcomes == {"planhat-a": "delivered", "planhat-b": "filtered"}
    metrics = requests.get(f"{instance.url}/metrics", timeout=10).text
    assert 'segue_outbox_waiting{space="prod"}' in metrics


def test_one_that_is_told_later_counts_from_then_on(make):
    instance = ready(make, ["planhat-a"])
    first, second = number(instance, "planhat-a"), number(instance, "planhat-b")
    say(instance, "u1", "u2", destinations=str(first))
    until(lambda: len(logged(instance)) == 2, "they are in the log")
    assert instance.settled("planhat-b")["planhat-b"]["accepted"] == 0
    instance.apply(text(instance, ["planhat-a", "planhat-b"]))
    say(instance, "u3", destinations=f"{first},{second}")
    until(lambda: len(logged(instance)) == 3, "it is in the log")
    settled = instance.settled("planhat-a", "planhat-b")
    assert [settled[slug]["delivered"] for slug in ("planhat-a", "planhat-b")] == [3, 1]
    assert settled["planhat-b"]["accepted"] == 1


@pytest.mark.parametrize("role", ["collector", "worker", "all"])
def test_messages_are_in_the_log_once_and_in_order_whoever_is_killed(make, role):
    instance = ready(make, ["planhat-a"])
    destinations = str(number(instance, "planhat-a"))
    said: list[str] = []
    for begin in range(0, 60, 20):
        said += say(instance, *(f"u{n}" for n in range(begin, begin + 20)), destinations=destinations)
        if role == "all":
            instance.kill_all()
            instance.start()
        else:
            instance.kill(role)
    until(lambda: logged(instance) == said, "all are in the log")
    assert instance.settled("planhat-a")["planhat-a"]["accepted"] == 60
    assert [entry["duplicates"] for entry in instance.status()["sources"]] == [0, 0]


def test_in_one_process_what_waits_is_moved_at_the_start(make):
    instance = ready(make, ["planhat-a"])
    destinations = str(number(instance, "planhat-a"))
    assert instance.terminate() == 0
    ids = say(instance, "u1", "u2", destinations=destinations)
    instance.start("--single")
    until(lambda: logged(instance) == ids, "they are in the log")
