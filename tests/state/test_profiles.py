"""The rows of profiles: one transaction a commit, absorbed profiles lead to the survivor, pages, links, history."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segue.core.errors import Damaged, Unavailable
from segue.core.profile import Cause, ExternalId, Link, LinkedId, Profile, Trait
from segue.state.database import open_database
from segue.state.profile_rows import Change, Demotion, ProfileRow, ProfilesDelta, ProfilesState
from segue.state.profiles import MIGRATIONS, SELECT_LINKS, SELECT_PROFILE, ProfileReader, ProfileWriter


class Store:
    """The writer and a reader of one file."""

    def __init__(self, path: Path) -> None:
        self.writer = ProfileWriter(path)
        self.reader = ProfileReader(path)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def write(self, **parts: Any) -> None:
        self.writer.commit([delta(**parts)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "profiles.db")
    yield made
    made.close()


def cause(offset: int) -> Cause:
    return Cause(offset, 1_000 + offset, 900 + offset, f"m{offset}", "web")


def delta(state: ProfilesState | None = None, **parts: Any) -> ProfilesDelta:
    return ProfilesDelta(state=msgspec.msgpack.encode(state or ProfilesState()), **parts)


def profile(number: int, *ids: str, collection: Any = "users", absorbed: Sequence[int] = ()) -> Profile:
    return Profile(
        number=number,
        collection=collection,
        segment_id=f"use_{number}",
        ids=[LinkedId(*text.split(":"), cause(number)) for text in ids],
        traits={"plan": Trait('"pro"', cause(number))},
        absorbed=list(absorbed),
        first=cause(number),
        last=cause(number),
    )


def row(one: Profile) -> ProfileRow:
    return ProfileRow(one.number, one.segment_id, one.number, one.collection, msgspec.msgpack.encode(one))


def gone(number: int, canonical: int) -> ProfileRow:
    return ProfileRow(number, f"use_{number}", canonical, "users", b"")


def test_a_profile_is_found_by_its_number_its_ids_and_its_segment_id(store: Store):
    jane = profile(1, "user_id:u", "email:e")
    store.write(profiles=[row(jane)], owners=[("users", "user_id", "u", 1), ("users", "email", "e", 1)])
    reader = store.reader
    assert reader.profile(1) == reader.by_segment_id("use_1") == reader.find("users", ExternalId("email", "e")) == jane
    assert reader.owner("users", "user_id", "u") == 1
    assert reader.owner("accounts", "user_id", "u") is None
    assert reader.find("users", ExternalId("email", "E")) is None
    assert reader.profile(2) is reader.by_segment_id("use_2") is None


def test_an_absorbed_profile_leads_to_the_one_that_it_is_part_of(store: Store):
    store.write(profiles=[row(profile(number)) for number in (1, 2, 3)])
    store.write(profiles=[row(profile(2, absorbed=[3])), gone(3, 2)])
    store.write(profiles=[row(profile(1, absorbed=[3, 2])), gone(3, 1), gone(2, 1)])
    for number in (1, 2, 3):
        assert (
            store.reader.profile(number) == store.reader.by_segment_id(f"use_{number}") == profile(1, absorbed=[3, 2])
        )
    assert store.reader.profiles([3, 1, 2, 9]) == [profile(1, absorbed=[3, 2])]


def test_profiles_are_paged_by_number_within_their_collection(store: Store):
    people = [profile(number) for number in (1, 2, 4)]
    firm = profile(3, collection="accounts")
    store.write(profiles=[*map(row, people), row(firm), gone(2, 1)])
    assert [each.number for each in store.reader.page(collection="users")] == [1, 4]
    assert [each.number for each in store.reader.page(collection="users", after=1, limit=1)] == [4]
    assert store.reader.page(collection="accounts") == [firm]
    assert store.reader.profiles([4, 3, 1]) == [people[2], firm, people[0]]


def test_links_are_paged_from_both_sides(store: Store):
    store.write(links=[Link(1, 10, cause(1)), Link(1, 11, cause(2)), Link(2, 10, cause(3))])
    assert store.reader.accounts_of(1) == [Link(1, 10, cause(1)), Link(1, 11, cause(2))]
    assert store.reader.accounts_of(1, after=10, limit=1) == [Link(1, 11, cause(2))]
    assert store.reader.users_of(10) == [Link(1, 10, cause(1)), Link(2, 10, cause(3))]
    assert store.reader.linked([5, 2], 10)
    assert not store.reader.linked([5, 2], 11)


def test_a_merge_moves_links_and_keeps_the_earlier_of_two(store: Store):
    store.write(links=[Link(1, 10, cause(5)), Link(1, 11, cause(1)), Link(2, 10, cause(4))])
    store.write(links=[Link(2, 11, cause(6)), Link(2, 12, cause(7)), Link(1, 13, cause(9))], merges=[(1, 2)])
    assert store.reader.accounts_of(1) == [
        Link(1, account, cause(offset)) for account, offset in ((10, 4), (11, 1), (12, 7), (13, 9))
    ]
    assert store.reader.accounts_of(2) == []


def test_history_holds_what_befell_those_that_were_absorbed(store: Store):
    kinds: list[tuple[int, Any, int | None, str | None]] = [
        (1, "created", None, None),
        (2, "created", None, None),
        (2, "linked", None, "email"),
        (3, "created", None, None),
        (1, "merged", 2, None),
    ]
    lines = [
        Change(0, number, kind, other, type_, type_ and "e", cause(at))
        for at, (number, kind, other, type_) in enumerate(kinds)
    ]
    store.write(changes=lines)
    found = store.reader.history(profile(1, absorbed=[2]))
    assert found == [lines[at]._replace(seq=at + 1) for at in (0, 1, 2, 4)]
    assert store.reader.history(profile(1, absorbed=[2]), after=2, limit=1) == [lines[2]._replace(seq=3)]


def test_demotions_are_told_of_all_that_a_profile_absorbed_the_latest_last(store: Store):
    first = Demotion(1, "email", "e", "limit:user_id", 7, cause(1), cause(1))
    again = Demotion(1, "email", "e", "blocked", None, cause(1), cause(9), 2)
    other = Demotion(2, "email", "f", "merges", 8, cause(5), cause(5))
    store.write(demotions=[first, other])
    assert store.reader.demotions(1) == [first]
    store.write(demotions=[again])
    assert store.reader.demotions(1) == [again]
    assert store.reader.demotions_of(profile(1, absorbed=[2])) == [other, again]


def test_the_state_is_that_of_a_new_space_until_the_first_commit(store: Store):
    assert store.reader.state() == ProfilesState()
    kept = ProfilesState(position=9, passed={"web": 4}, skipped={"alias": 2}, types=["phone"])
    store.write(state=kept)
    assert store.reader.state() == kept


def test_a_commit_that_fails_writes_nothing(store: Store):
    with pytest.raises(sqlite3.IntegrityError):
        store.write(
            state=ProfilesState(position=9), profiles=[row(profile(1)), gone(2, 1)._replace(segment_id="use_1")]
        )
    assert store.reader.profile(1) is None
    assert store.reader.state() == ProfilesState()


def test_a_snapshot_sees_one_commit(store: Store):
    with store.reader.snapshot():
        assert store.reader.profile(1) is None
        store.write(profiles=[row(profile(1))])
        assert store.reader.profile(1) is None
    assert store.reader.profile(1) == profile(1)


def test_before_the_worker_has_begun_there_is_nothing_to_read(tmp_path: Path):
    with pytest.raises(Unavailable):
        ProfileReader(tmp_path / "none.db")
    open_database(tmp_path / "newer.db", [*MIGRATIONS, "CREATE TABLE more (a INTEGER)"]).close()
    with pytest.raises(Damaged):
        ProfileReader(tmp_path / "newer.db")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (SELECT_LINKS.format("account", "user", "user"), 3),
        (SELECT_LINKS.format("user", "account", "account"), 3),
        (SELECT_PROFILE.format("segment_id"), 1),
        ("SELECT * FROM change WHERE profile IN (?, ?) AND seq > ? ORDER BY seq LIMIT ?", 4),
    ],
)
def test_reads_do_not_grow_with_the_number_of_profiles(store: Store, query: str, count: int):
    plan = store.reader._rows(f"EXPLAIN QUERY PLAN {query}", (1,) * count)
    assert not [line for *_, line in plan if line.startswith("SCAN")]
