"""The table of profiles beside the events: what it says, whatever ended its writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from segue.lake import people
from segue.lake.manifest import ManifestReader
from segue.lake.writer import REPLACED_KEEP_MS
from segue.state.profiles import ProfileReader
from tests.resolve.rig import Rig as Resolving

from .rig import NOW_MS, Crash, Rig, crashing, nothing


@pytest.fixture
def profiles(tmp_path: Path) -> Iterator[Resolving]:
    with closing(Resolving(tmp_path / "profiles.db")) as found:
        yield found


def rows(lake: Rig, kind: str) -> list[tuple[Any, ...]]:
    """What the file of this kind holds, by number."""
    with closing(ManifestReader(lake.folder / "lake.db")) as manifest:
        paths = [str(lake.folder / file.path) for file in manifest.everything()[2] if file.kind == kind]
    return duckdb.sql(f"FROM read_parquet({paths}) ORDER BY profile").fetchall() if paths else []


def on_disk(lake: Rig) -> int:
    return len(list((lake.folder / people.PEOPLE).glob("*")))


def refresh(lake: Rig, reader: ProfileReader, breathe: Any = nothing) -> bool:
    return lake.writer.refresh_people(reader, NOW_MS, breathe, whole=True)


def test_a_profile_has_the_types_of_its_ids_and_its_traits(lake: Rig, profiles: Resolving):
    profiles.send("identify", userId="u1", anonymousId="a", traits={'na"me': "é", "n": 5.0})
    profiles.send("track", anonymousId="b")
    profiles.send("group", userId="u1", groupId="g")
    profiles.commit()
    assert refresh(lake, profiles.reader)
    assert rows(lake, "base") == [
        (1, True, True, '["anonymous_id","user_id"]', None, '{"na\\"me":"é","n":5}'),
        (2, False, True, '["anonymous_id"]', None, "{}"),
    ]


def test_what_has_changed_since_is_in_a_file_of_its_own_until_that_is_large(
    lake: Rig, profiles: Resolving, monkeypatch
):
    monkeypatch.setattr(people, "RECENT_LEAST", 2)
    for number in range(4):
        profiles.send("track", anonymousId=f"a{number}")
    profiles.commit()
    refresh(lake, profiles.reader)
    assert not refresh(lake, profiles.reader), "nothing has changed"
    profiles.send("identify", userId="u", anonymousId="a0")
    profiles.send("identify", userId="u", anonymousId="a1")
    profiles.commit()
    refresh(lake, profiles.reader)
    assert [row[0] for row in rows(lake, "base")] == [1, 2, 3, 4]
    assert [(row[0], row[4]) for row in rows(lake, "recent")] == [(1, [2])]
    profiles.send("track", anonymousId="a3")
    profiles.send("track", anonymousId="a2")
    profiles.commit()
    refresh(lake, profiles.reader)
    assert [row[0] for row in rows(lake, "base")] == [1, 3, 4]
    assert rows(lake, "recent") == []
    lake.writer.sweep(NOW_MS + REPLACED_KEEP_MS + 1)
    assert on_disk(lake) == 1


def test_few_changes_are_not_worth_a_file(lake: Rig, profiles: Resolving):
    profiles.send("track", anonymousId="a")
    profiles.commit()
    assert not lake.writer.refresh_people(profiles.reader, NOW_MS, nothing)
    assert rows(lake, "base") == []


@pytest.mark.parametrize("breath", range(4))
def test_an_end_at_any_moment_leaves_the_table_as_it_was(lake: Rig, profiles: Resolving, breath: int):
    profiles.send("track", anonymousId="a")
    profiles.commit()
    refresh(lake, profiles.reader)
    before = rows(lake, "base")
    profiles.send("track", anonymousId="b")
    profiles.commit()
    with pytest.raises(Crash):
        refresh(lake, profiles.reader, crashing(breath))
    lake.restart()
    assert rows(lake, "base") == before
    assert on_disk(lake) == 1
    refresh(lake, profiles.reader)
    assert [row[0] for row in rows(lake, "base") + rows(lake, "recent")] == [1, 2]


def test_where_the_log_has_lost_events_the_table_is_made_anew(lake: Rig, profiles: Resolving):
    profiles.send("track", anonymousId="a")
    profiles.commit()
    refresh(lake, profiles.reader)
    lake.writer.write([], position=5, expired=4, breathe=nothing)
    assert rows(lake, "base") == []
