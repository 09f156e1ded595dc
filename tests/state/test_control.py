"""Control rows: what a reader sees, what a failed transaction leaves, which ids are given."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from segue.control.slugs import check_slug
from segue.core.errors import Damaged, Invalid, Unavailable
from segue.core.profile import DEFAULT_RULES, IdentifierRule, IdentityRules
from segue.state.control import (
    MIGRATIONS,
    SETTINGS_KEPT,
    ControlStore,
    DestinationRow,
    SourceRow,
    WorkspaceRow,
)
from segue.state.jobs import JOBS_KEPT
from segue.state.spaces import SpaceRow, SpaceTokenRow

WEBSITE = SourceRow(slug="website", name="Website", write_keys=("one", "two"))
HOOK = DestinationRow(id=0, slug="hook", name="Hook", source="website", kind="webhook", settings={"url": "x"})


class StoppedClock:
    """A clock that stands."""

    def now_ms(self) -> int:
        return 1_700_000_000_000


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def store(path: Path):
    with ControlStore(path, StoppedClock()) as store:
        yield store


def add_hook(store: ControlStore) -> DestinationRow:
    with store.change() as change:
        change.put_source(WEBSITE)
        return change.add_destination(HOOK)


def test_a_new_file_holds_an_empty_workspace(store):
    control = store.snapshot()
    assert control.workspace == WorkspaceRow(slug="default", name="Default")
    assert (control.sources, control.destinations, control.jobs) == ((), (), ())
    assert store.applied_hash() is None


def test_what_was_written_is_read_back_after_opening_again(path):
    with ControlStore(path, StoppedClock()) as store, store.change() as change:
        change.put_workspace(WorkspaceRow(slug="shop", name="Shop", strict_keys=True))
        change.put_source(WEBSITE)
        row = change.add_destination(replace(HOOK, offset=2**62, ordinals={"website": 7}, max_rate=2.5))
        job = change.add_job("replay", row.id, {"from": 1})
        change.set_applied_hash("abc")
    with ControlStore(path, StoppedClock()) as store:
        control = store.snapshot()
        assert control.workspace == WorkspaceRow(slug="shop", name="Shop", strict_keys=True)
        assert control.sources == (WEBSITE,)
        assert control.destinations == (row,)
        assert control.jobs == (job,)
        assert job.created_at == 1_700_000_000_000
        assert store.applied_hash() == "abc"


def test_each_change_raises_the_version_and_a_change_of_nothing_does_not(store):
    before = store.version()
    add_hook(store)
    assert store.version() == before + 1 == store.snapshot().version
    with store.change() as change:
        change.control()
        change.set_applied_hash("abc")
        change.delete_destination(99)
    assert store.version() == before + 1


def test_a_failed_transaction_leaves_nothing(store):
    before = store.snapshot()
    with pytest.raises(ZeroDivisionError), store.change() as change:
        change.put_source(WEBSITE)
        raise ZeroDivisionError
    assert store.snapshot() == before


def test_an_id_is_never_given_twice(path):
    with ControlStore(path, StoppedClock()) as store:
        first = add_hook(store)
        with store.change() as change:
            change.delete_destination(first.id)
    with ControlStore(path, StoppedClock()) as store:
        second = add_hook(store)
    assert second.id > first.id
    assert second.slug == first.slug


def test_a_write_key_belongs_to_one_source(store):
    add_hook(store)
    with pytest.raises(Invalid, match="another source has the write key 'two'"), store.change() as change:
        change.put_source(SourceRow(slug="app", name="App", write_keys=("two",)))
    assert [source.slug for source in store.snapshot().sources] == ["website"]


def test_a_write_key_moves_within_one_transaction(store):
    add_hook(store)
    with store.change() as change:
        change.drop_write_keys("website")
        change.put_source(SourceRow(slug="app", name="App", write_keys=("two",)))
        change.put_source(replace(WEBSITE, write_keys=("one",)))
    assert {row.slug: row.write_keys for row in store.snapshot().sources} == {
        "website": ("one",),
        "app": ("two",),
    }


def test_write_keys_keep_their_order(store):
    with store.change() as change:
        change.put_source(replace(WEBSITE, write_keys=("z", "a", "m")))
    assert store.snapshot().sources[0].write_keys == ("z", "a", "m")


def test_a_source_with_destinations_cannot_be_deleted(store):
    add_hook(store)
    with pytest.raises(sqlite3.IntegrityError), store.change() as change:
        change.delete_source("website")
    assert store.snapshot().source("website") == WEBSITE


def test_other_settings_get_the_next_version(store):
    row = add_hook(store)
    with store.change() as change:
        changed = change.put_destination(replace(row, settings={"url": "y"}))
        same = change.put_destination(replace(changed, name="Renamed"))
    assert (row.settings_version, changed.settings_version, same.settings_version) == (1, 2, 2)
    assert store.snapshot().destination("hook") == same


def test_settings_are_found_by_the_time_at_which_they_held(path):
    clock = SetClock(1_000)
    with ControlStore(path, clock) as store:
        row = add_hook(store)
        for clock.now, url in ((2_000, "y"), (3_000, "z")):
            with store.change() as change:
                row = change.put_destination(replace(row, settings={"url": url}))
        found = {time: store.settings_at(row.id, time) for time in (999, 1_000, 1_999, 2_000, 9_999)}
    assert found == {
        999: None, 1_000: (1, {"url": "x"}), 1_999: (1, {"url": "x"}),
        2_000: (2, {"url": "y"}), 9_999: (3, {"url": "z"}),
    }  # fmt: skip


def test_former_settings_are_bounded(path):
    clock = SetClock(0)
    with ControlStore(path, clock) as store:
        row = add_hook(store)
        for clock.now in range(1, SETTINGS_KEPT + 6):
            with store.change() as change:
                row = change.put_destination(replace(row, settings={"url": str(clock.now)}))
        assert store.settings_at(row.id, 5) == (6, {"url": "5"})
        assert store.settings_at(row.id, 4) is None


def test_settings_of_before_their_times_were_kept_held_until_they_were_changed(path):
    old = sqlite3.connect(path)
    old.executescript(MIGRATIONS[0])
    old.executescript("""
        INSERT INTO source VALUES ('website', 'Website', 1, 0);
        INSERT INTO destination VALUES (1, 'hook', 'Hook', 'website', 'webhook', 1, 2, 0, '{}', NULL, 50);
        INSERT INTO destination_settings VALUES (1, 1, '{"url":"x"}'), (1, 2, '{"url":"y"}');
        PRAGMA user_version = 1;
    """)
    old.close()
    with ControlStore(path, SetClock(1_000)) as store:
        with store.change() as change:
            change.put_destination(replace(change.control().destinations[0], settings={"url": "z"}))
        assert store.settings_at(1, 999) == (2, {"url": "y"})
        assert store.settings_at(1, 1_000) == (3, {"url": "z"})


def test_jobs_go_with_their_destination_and_are_bounded(store):
    row = add_hook(store)
    with store.change() as change:
        for _ in range(JOBS_KEPT + 3):
            last = change.add_job("redrive", row.id, {})
    jobs = store.snapshot().jobs
    assert len(jobs) == JOBS_KEPT
    assert jobs[-1] == last
    with store.change() as change:
        change.delete_destination(row.id)
    assert store.snapshot().jobs == ()


def test_a_cancelled_job_stays_cancelled(store):
    row = add_hook(store)
    with store.change() as change:
        job = change.add_job("replay", row.id, {})
    with store.change() as change:
        change.cancel_job(job.id)
    before = store.version()
    with store.change() as change:
        change.cancel_job(job.id)
    assert store.snapshot().jobs[0].cancelled
    assert store.version() == before


def test_another_process_sees_a_change_at_once(path, store):
    with ControlStore(path, StoppedClock()) as other:
        add_hook(store)
        assert other.snapshot() == store.snapshot()


def test_a_newer_file_is_refused_and_both_versions_are_named(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Damaged, match=f"version 99, this Segue reads version {len(MIGRATIONS)}"):
        ControlStore(path, StoppedClock())


def test_a_file_that_is_no_database_is_damaged(path):
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(Damaged, match="restore it from a backup"):
        ControlStore(path, StoppedClock())


def test_a_path_that_cannot_be_opened_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        ControlStore(tmp_path / "missing" / "control.db", StoppedClock())


OPEN = """
import sys
from pathlib import Path
from segue.state.control import ControlStore, SourceRow
class Clock:
    def now_ms(self): return 0
with ControlStore(Path(sys.argv[1]), Clock()) as store, store.change() as change:
    change.put_source(SourceRow(slug=sys.argv[2], name="Source"))
"""


def test_processes_that_create_the_file_at_once_all_succeed(path):
    children = [subprocess.Popen([sys.executable, "-c", OPEN, str(path), f"source-{n}"]) for n in range(4)]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0, 0]
    with ControlStore(path, StoppedClock()) as store:
        assert len(store.snapshot().sources) == 4


RULES = IdentityRules(identifiers=(IdentifierRule(type="user_id", limit=1, per="day", keys=("uid",)),), blocked=("x",))


def add_space(store, **fields):
    with store.change() as change:
        change.put_source(WEBSITE)
        return change.put_space(SpaceRow(**{"slug": "prod", "name": "Prod", "sources": ("website",), **fields}))


def test_a_space_is_read_back_as_it_was_put(store):
    row = add_space(store, identity=RULES)
    assert (row.id, row.created_at, row.own_source) == (1, 1_700_000_000_000, "space:prod")
    assert store.snapshot().spaces == (row,)
    assert store.snapshot().space("prod") == row


def test_a_changed_space_keeps_its_id(store):
    row = add_space(store, identity=RULES)
    before = store.version()
    with store.change() as change:
        changed = change.put_space(replace(row, id=0, name="Renamed", identity=DEFAULT_RULES, sources=()))
    assert (changed.id, changed.created_at) == (row.id, row.created_at)
    assert store.snapshot().spaces == (changed,)
    assert store.version() == before + 1


def test_a_spaces_id_is_never_given_twice_and_its_tokens_go_with_it(path):
    with ControlStore(path, StoppedClock()) as store:
        first = add_space(store)
        with store.change() as change:
            change.add_token(SpaceTokenRow(space=first.id, name="backend", hash="ab", last_four="WXYZ"))
        with store.change() as change:
            change.delete_space(first.id)
        assert (store.snapshot().spaces, store.snapshot().space_tokens) == ((), ())
    with ControlStore(path, StoppedClock()) as store:
        assert add_space(store).id > first.id


def test_a_source_that_a_space_reads_cannot_be_deleted(store):
    add_space(store)
    with pytest.raises(sqlite3.IntegrityError), store.change() as change:
        change.delete_source("website")


def test_a_token_is_added_and_revoked(store):
    space = add_space(store)
    with store.change() as change:
        row = change.add_token(SpaceTokenRow(space=space.id, name="backend", hash="ab", last_four="WXYZ"))
    assert store.snapshot().space_tokens == (row,)
    assert row.created_at == 1_700_000_000_000
    before = store.version()
    with store.change() as change:
        change.revoke_token(row.id)
        change.revoke_token(99)
    assert store.snapshot().space_tokens == ()
    assert store.version() == before + 1


def test_a_destination_reads_its_source_and_the_spaces_that_tell_it_each_from_an_ordinal_on():
    row = replace(HOOK, ordinals={"website": 7, "space:shop": 0, "space:prod": 3})
    assert row.sources == ("website", "space:prod", "space:shop")
    assert row.reads("website", 8) and not row.reads("website", 7)
    assert row.reads("space:prod", 4) and not row.reads("space:prod", 3)
    assert not row.reads("space:other", 1)


def test_no_source_can_be_called_as_what_a_space_says():
    with pytest.raises(Invalid, match="a slug has"):
        check_slug(SpaceRow(slug="prod", name="Prod").own_source, "sources[0].slug")
