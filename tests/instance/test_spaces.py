"""Profiles under SIGKILL: what a killed and restarted instance knows is what one pass over its log gives.

KILL_ROUNDS sets how often it kills (8), KILL_SEED which moments, processes and events it chooses.
"""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from segue.core.profile import DEFAULT_RULES
from segue.lake.manifest import ManifestReader
from segue.log.sqlite_reader import SQLiteLogReader
from segue.log.tail import Tail
from segue.resolve.resolver import Resolver
from segue.state.database import is_made
from segue.state.profiles import ProfileReader, ProfileWriter
from segue.wiring.instance import Instance as Folder
from tests.lake.rig import read

from .events import Event, message_id
from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))
SEED = int(os.environ.get("KILL_SEED", "1"))
TABLES = ("space", "profile", "identifier", "link", "change", "demotion")

WORKSPACE = yaml.safe_dump(
    {
        "workspace": {"name": "Demo", "slug": "demo"},
        "sources": [{"slug": "website", "write_keys": ["website-key"]}],
        "spaces": [{"slug": "prod", "sources": ["website"]}],
    }
)


def event(luck: random.Random) -> Event:
    """One by somebody who may turn out to be somebody else: few ids, in ever new company."""
    who: Event = {"messageId": message_id(), "anonymousId": f"a{luck.randint(1, 60)}"}
    if luck.random() < 0.5:
        who["userId"] = f"u{luck.randint(1, 40)}"
    kind = luck.choice(("identify", "identify", "track", "track", "page", "group", "alias"))
    if kind == "identify":
        return {"type": kind, "traits": {"email": f"e{luck.randint(1, 50)}@initech.com", "n": luck.random()}, **who}
    more: dict[str, Any] = {"track": {"event": "Seen"}, "group": {"groupId": f"g{luck.randint(1, 5)}"}}.get(kind, {})
    return {"type": kind, "previousId": "p", **more, **who}


def in_one_pass(log: Path, path: Path) -> dict[str, list[Any]]:
    """The rows that a resolver makes that reads the log from its beginning and commits once."""
    with (
        closing(SQLiteLogReader(log)) as reader,
        closing(ProfileWriter(path)) as writer,
        closing(ProfileReader(path)) as rows,
    ):
        resolver, tail = Resolver(space=1, rules=DEFAULT_RULES, rows=rows), Tail(reader)
        while block := tail.read(resolver.position):
            for record, found in block:
                resolver.apply(record, found)
        writer.commit([resolver.take()])
    return stored(path)


def stored(path: Path) -> dict[str, list[Any]]:
    """All that a space's file holds."""
    with closing(sqlite3.connect(path)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def events_of(lake: Path) -> list[tuple[Any, ...]]:
    """All that the files hold that the manifest of a lake names: offset, profile, account, messageId."""
    with closing(ManifestReader(lake / "lake.db")) as manifest:
        return read(lake, manifest.files()[1], ("log_offset", "profile", "account", "message_id"))


def applied_in_one_pass(path: Path) -> list[tuple[Any, ...]]:
    """What a space keeps for a lake that has not begun, in the same form but for the messageId."""
    with closing(ProfileReader(path)) as profiles, profiles.snapshot():
        return [(each.offset, each.profile or None, each.account or None) for each in profiles.placed(0)]


def strike(instance: Instance, luck: random.Random) -> None:
    """One kill, of the worker or of all."""
    if luck.random() < 0.5:
        instance.kill("worker")
    else:
        instance.kill_all()
        instance.start()


@pytest.mark.timeout(60 + 40 * ROUNDS)
def test_kills_leave_the_profiles_that_one_pass_over_the_log_gives(make, tmp_path):
    instance, luck = make(workspace=WORKSPACE, SEGUE_LAKE_FLUSH="1ms"), random.Random(SEED)
    instance.start()
    for _ in range(ROUNDS // 2):
        for _ in range(luck.randint(1, 8)):
            instance.send(*(event(luck) for _ in range(luck.randint(1, 60))), key="website-key")
        strike(instance, luck)
    instance.send(*(event(luck) for _ in range(50)), key="website-key")

    def is_settled() -> bool:
        return not any(stage["lag"] for stage in instance.status()["stages"])

    until(is_settled, "the space and its lake have all")
    folder = Folder(instance.data)
    found = stored(folder.profiles(1))
    assert found == in_one_pass(folder.log, tmp_path / "again.db")
    held = events_of(folder.lake(1))
    assert [row[:3] for row in held] == applied_in_one_pass(tmp_path / "again.db")
    with closing(SQLiteLogReader(folder.log)) as log:
        assert [row[3] for row in held] == [record.message_id for record in log.get(row[0] for row in held)]
    assert {row[2] for row in found["change"]} == {"created", "linked", "merged"}
    assert found["demotion"]
    assert found["link"]


@pytest.mark.parametrize("single", [False, True], ids=["apart", "single"])
def test_a_space_that_is_defined_while_it_runs_knows_whom_it_heard_of_within_a_second(make, single):
    workspace = yaml.safe_load(WORKSPACE)
    spaces = workspace.pop("spaces")
    instance = make(workspace=yaml.safe_dump(workspace))
    instance.start(*(["--single"] if single else []))
    instance.send({"type": "identify", "userId": "u1", "messageId": message_id()}, key="website-key")
    instance.apply(yaml.safe_dump({**workspace, "spaces": spaces}))
    path = Folder(instance.data).profiles(1)

    def users() -> int:
        if not is_made(path):
            return 0
        with closing(ProfileReader(path)) as rows:
            return rows.state().users

    until(lambda: users() == 1, "the user is known")
    instance.apply(yaml.safe_dump(workspace))
    until(lambda: not path.exists(), "what the space left is removed")


def test_a_backup_holds_the_profiles_and_their_events(make, tmp_path):
    instance = make(workspace=WORKSPACE, SEGUE_LAKE_FLUSH="1ms")
    instance.start()
    instance.send(*(event(random.Random(number)) for number in range(100)), key="website-key")
    path = Folder(instance.data).profiles(1)
    until(lambda: is_made(path) and stored(path)["profile"], "profiles are written")
    until(lambda: not any(stage["lag"] for stage in instance.status()["stages"]), "all are written")
    expected, events = stored(path), events_of(Folder(instance.data).lake(1))
    instance.cli("backup", str(tmp_path / "backup"))
    assert instance.terminate() == 0
    restored = make()
    restored.cli("restore", str(tmp_path / "backup"))
    assert stored(Folder(restored.data).profiles(1)) == expected
    assert events_of(Folder(restored.data).lake(1)) == events
    assert events


def test_a_broken_space_is_named_and_holds_up_neither_deliveries_nor_other_spaces(make):
    instance = make()
    workspace = yaml.safe_load(workspace_text([vendor_entry(instance, "plotline", "website", "reads")]))
    spaces = [{"slug": slug, "sources": ["website"]} for slug in ("prod", "dev")]
    instance.file.write_text(yaml.safe_dump({**workspace, "spaces": spaces}))
    instance.start()
    instance.send({"type": "identify", "userId": "u1", "messageId": message_id()}, key="website-key")
    until(lambda: not any(stage["lag"] for stage in instance.status()["stages"][:2]), "both spaces have it")
    assert instance.terminate() == 0
    path = Folder(instance.data).profiles(1)
    path.write_bytes(b"no database" * 1000)
    instance.start()
    instance.send({"type": "identify", "userId": "u2", "messageId": message_id()}, key="website-key")
    assert instance.settled("reads")["reads"]["delivered"] == 2
    until(lambda: {entry["slug"]: entry["users"] for entry in instance.status()["spaces"]}["dev"] == 2, "dev goes on")
    stalls = {entry["slug"]: entry.get("stall", "") for entry in instance.status()["spaces"]}
    assert str(path) in stalls["prod"] and not stalls["dev"]
    assert f"! prod stands still: {path}" in instance.cli("status")
    metrics = requests.get(f"{instance.url}/metrics", timeout=10).text
    assert 'segue_space_stalled{space="prod"} 1.0' in metrics and 'segue_space_stalled{space="dev"} 0.0' in metrics
    (line,) = [line for line in instance.log_lines() if line["event"].startswith("space left out")]
    assert (line["space"], line["level"], line["error"]) == ("prod", "error", stalls["prod"])
