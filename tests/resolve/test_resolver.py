"""The resolver event by event: profiles, merges, traits, links, skips, demotions, and what is kept of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segue.core.errors import Unavailable
from segue.core.profile import DEFAULT_RULES, TRAITS_MAX, ExternalId, IdentifierRule, IdentityRules, Profile
from segue.resolve.resolver import Resolver
from segue.state.profile_rows import DEMOTIONS_MOST
from segue.state.profiles import ProfileReader
from tests.resolve.events import START_MS, entry
from tests.resolve.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "profiles.db")
    yield made
    made.close()


def ids(profile: Profile) -> list[tuple[str, str, str]]:
    return [(linked.type, linked.id, linked.cause.message_id) for linked in profile.ids]


def values(profile: Profile) -> dict[str, str]:
    return {name: trait.value for name, trait in profile.traits.items()}


def test_an_event_makes_a_profile_and_later_ones_are_of_it(rig: Rig):
    first = rig.send("identify", userId="u", anonymousId="a", traits={"email": "e", "age": 5.0})
    assert (first.profile, first.created, first.skipped) == (1, True, "")
    assert first.ids == (("user_id", "u"), ("email", "e"), ("anonymous_id", "a"))
    assert first.traits == ("email", "age")
    again = rig.send(anonymousId="a")
    assert (again.profile, again.created, again.ids, again.merged) == (1, False, (), ())
    rig.commit()
    profile = rig.read("email", "e")
    assert ids(profile) == [("user_id", "u", "m0"), ("email", "e", "m0"), ("anonymous_id", "a", "m0")]
    assert values(profile) == {"email": '"e"', "age": "5"}
    assert (profile.first.message_id, profile.last.message_id) == ("m0", "m1")
    assert profile.segment_id.startswith("use_") and len(profile.segment_id) == 31
    assert rig.reader.by_segment_id(profile.segment_id) == profile


def test_the_worked_example_of_the_reference(rig: Rig):
    rig.send("identify", userId="abc123", traits={"email": "jane"})
    other = rig.send("identify", userId="abc456", traits={"email": "jane"})
    assert (other.profile, other.created) == (2, True)
    rig.commit()
    assert ids(rig.read("user_id", "abc456")) == [("user_id", "abc456", "m1")]
    assert rig.read("email", "jane").number == 1
    assert values(rig.read("user_id", "abc456")) == {"email": '"jane"'}  # the value stays a trait
    [kept_off] = rig.reader.demotions(2)
    assert (kept_off.type, kept_off.id, kept_off.reason, kept_off.owner) == ("email", "jane", "limit:user_id", 1)


def test_merged_profiles_share_everything_and_the_oldest_number_stays(rig: Rig):
    rig.send("identify", anonymousId="a", traits={"plan": "old", "only": 1})
    rig.send("identify", userId="u", traits={"plan": "new"})
    rig.commit()
    merging = rig.send(userId="u", anonymousId="a")
    assert (merging.profile, merging.merged, merging.ids) == (1, (2,), ())
    rig.commit()
    profile = rig.read("user_id", "u")
    assert ids(profile) == [("anonymous_id", "a", "m0"), ("user_id", "u", "m1")]
    assert values(profile) == {"plan": '"new"', "only": "1"}
    assert profile.absorbed == [2]
    assert rig.reader.profile(2) == profile
    history = rig.reader.history(profile)
    assert [(line.profile, line.kind, line.other, line.id, line.cause.message_id) for line in history] == [
        (1, "created", None, None, "m0"),
        (1, "linked", None, "a", "m0"),
        (2, "created", None, None, "m1"),
        (2, "linked", None, "u", "m1"),
        (1, "merged", 2, None, "m2"),
    ]  # fmt: skip
    state = rig.reader.state()
    assert (state.users, state.merges, state.applied, state.position) == (1, 1, 3, 3)


def test_a_merge_of_merged_profiles_points_all_of_them_to_the_survivor(rig: Rig):
    for fields in ({"anonymousId": "a"}, {"anonymousId": "b"}, {"userId": "u"}):
        rig.send("identify", **fields)
        rig.commit()
    rig.send("identify", userId="u", anonymousId="b")
    rig.send("identify", userId="u", anonymousId="a")
    rig.commit()
    survivor = rig.read("user_id", "u")
    assert (survivor.number, survivor.absorbed) == (1, [3, 2])
    assert all(rig.reader.profile(number) == survivor for number in (2, 3))


def test_the_latest_value_of_a_trait_stays_whenever_it_arrives(rig: Rig):
    rig.send("identify", userId="u", t=START_MS, traits={"plan": "new", "gone": 1})
    late = rig.send("identify", userId="u", t=START_MS - 1, traits={"plan": "old", "more": 2})
    assert late.traits == ("more",)
    assert rig.send("identify", userId="u", t=START_MS + 1, traits={"plan": "new", "gone": None}).traits == ("gone",)
    rig.commit()
    profile = rig.read("user_id", "u")
    assert values(profile) == {"plan": '"new"', "gone": "null", "more": "2"}
    assert profile.traits["plan"].cause.message_id == "m2"


def test_neither_context_traits_nor_the_traits_of_a_track_are_kept(rig: Rig):
    rig.send(userId="u", traits={"a": 1}, context={"traits": {"b": 2, "email": "e"}})
    rig.commit()
    assert rig.read("email", "e").traits == {}


def test_a_name_beyond_the_most_traits_is_counted_and_not_kept(rig: Rig):
    for start in range(0, TRAITS_MAX, 250):
        rig.send("identify", userId="u", traits={f"k{number}": 1 for number in range(start, start + 250)})
    assert rig.send("identify", userId="u", traits={"one": 1, "k0": 2, "two": 2}).traits == ("k0",)
    rig.commit()
    profile = rig.read("user_id", "u")
    assert (len(profile.traits), profile.traits_left_out) == (TRAITS_MAX, 2)


def test_a_group_call_keeps_the_account_and_links_the_user_once(rig: Rig):
    made = rig.send("group", userId="u", groupId="g", traits={"name": "Acme", "email": "office"})
    assert (made.profile, made.account, made.linked, made.traits) == (1, 2, True, ())
    assert made.account_traits == ("name", "email")
    rig.commit()
    rig.restart()
    again = rig.send("group", userId="u", groupId="g", traits={"name": "Acme"})
    assert (again.account, again.linked, again.account_traits) == (2, False, ())
    assert rig.send("group", userId="u", groupId="h").linked
    rig.commit()
    account = rig.reader.find("accounts", ExternalId("group_id", "g"))
    assert account is not None and account.collection == "accounts" and values(account)["name"] == '"Acme"'
    assert account.segment_id.startswith("grp_")
    assert [(link.account, link.cause.message_id) for link in rig.reader.accounts_of(1)] == [(2, "m0"), (3, "m2")]
    assert [link.user for link in rig.reader.users_of(2)] == [1]
    state = rig.reader.state()
    assert (state.users, state.accounts, state.links) == (1, 2, 2)


def test_a_merge_brings_the_links_together(rig: Rig):
    rig.send("group", userId="u", groupId="g")
    rig.send("group", anonymousId="a", groupId="g")
    rig.send("group", anonymousId="a", groupId="h")
    assert not rig.send("group", userId="u", anonymousId="a", groupId="h").linked
    assert not rig.send("group", userId="u", groupId="h").linked
    rig.commit()
    assert [(link.account, link.cause.message_id) for link in rig.reader.accounts_of(1)] == [(2, "m0"), (4, "m2")]
    assert rig.reader.accounts_of(3) == []


def test_a_link_of_a_profile_that_was_just_absorbed_is_known(rig: Rig):
    rig.send(userId="u")
    rig.send("group", anonymousId="a", groupId="g")
    rig.commit()
    rig.restart()
    rig.send(userId="u", anonymousId="a")
    assert not rig.send("group", userId="u", groupId="g").linked


def test_the_group_id_in_the_context_links_nobody(rig: Rig):
    assert rig.send(userId="u", context={"groupId": "g"}).account is None


def test_a_group_call_without_a_usable_user_keeps_the_account(rig: Rig):
    resolved = rig.send("group", anonymousId="anonymous", groupId="g")
    assert (resolved.profile, resolved.account, resolved.linked, resolved.skipped) == (None, 1, False, "")


@pytest.mark.parametrize(
    ("type_", "fields", "code"),
    [
        ("alias", {"userId": "u", "previousId": "a"}, "alias"),
        ("track", {"userId": "null"}, "no_identifier"),
        ("track", {"userId": "u", "t": -1}, "before_1970"),
        ("group", {"userId": "u", "groupId": "g" * 501}, "group_id_invalid"),
        ("identify", {"userId": "u", "traits": {f"k{n}": 1 for n in range(300)}}, "too_many_fields"),
    ],
)
def test_what_is_skipped_is_counted_and_changes_no_profile(rig: Rig, type_: str, fields: dict[str, Any], code: str):
    resolved = rig.send(type_, **fields)
    assert (resolved.profile, resolved.account, resolved.skipped) == (None, None, code)
    rig.commit()
    state = rig.reader.state()
    assert (state.skipped, state.applied, state.next_number, state.position) == ({code: 1}, 0, 1, 1)
    assert rig.rows()["profile"] == rig.rows()["change"] == []


def test_blocked_values_are_told_apart_with_their_count(rig: Rig):
    for _ in range(3):
        rig.send(userId="u", anonymousId="anonymous")
    rig.commit()
    rig.restart()
    rig.send(userId="u", anonymousId="anonymous")
    rig.commit()
    [kept_off] = rig.reader.demotions(1)
    assert (kept_off.type, kept_off.id, kept_off.reason, kept_off.owner) == (
        "anonymous_id",
        "anonymous",
        "blocked",
        None,
    )
    assert (kept_off.first.message_id, kept_off.last.message_id, kept_off.count) == ("m0", "m3", 4)


def test_only_so_many_demotions_of_a_profile_are_kept(rig: Rig):
    for number in range(DEMOTIONS_MOST + 3):
        rig.send(userId="u", anonymousId="0" * (number + 1))
    rig.send(userId="u", anonymousId="0")
    rig.commit()
    assert len(rig.reader.demotions(1)) == DEMOTIONS_MOST
    assert rig.reader.state().demotions_left_out == 3


def test_new_rules_hold_for_new_events_only(rig: Rig):
    rig.send("identify", userId="u", traits={"email": "e"})
    rig.resolver.use(IdentityRules(identifiers=(IdentifierRule(type="user_id", limit=1),), blocked=("u",)))
    assert rig.send("identify", userId="u", traits={"email": "e"}).skipped == "no_identifier"
    rig.commit()
    assert rig.read("email", "e").number == rig.read("user_id", "u").number == 1
    rig.resolver.use(DEFAULT_RULES)
    assert rig.send(userId="u").profile == 1


def test_a_type_that_events_added_is_remembered(rig: Rig):
    claim = {"id": "1", "type": "phone", "collection": "users", "encoding": "none"}
    rig.send(userId="u", context={"externalIds": [claim]})
    rig.commit()
    assert rig.reader.state().types == ["phone"]
    rig.restart()
    assert rig.send(anonymousId="a", context={"externalIds": [claim]}).profile == 1
    assert rig.resolver.state.types == ["phone"]


def test_a_record_that_comes_again_changes_nothing(rig: Rig):
    record, event = entry(0, "identify", userId="u")
    assert rig.resolver.apply(record, event) is not None
    rig.commit()
    before = rig.rows()
    assert rig.resolver.apply(record, event) is None
    rig.resolver.pass_over(record)
    assert not rig.resolver.dirty
    rig.commit()
    assert rig.rows() == before


def test_records_of_others_only_move_the_cursor(rig: Rig):
    rig.resolver.pass_over(entry(0, userId="u", source="other")[0])
    assert rig.resolver.dirty
    rig.offset = 1
    rig.send(userId="u")
    rig.commit()
    state = rig.reader.state()
    assert (state.position, state.passed, state.applied) == (2, {"web": 2}, 1)


def test_what_retention_dropped_unread_is_counted(rig: Rig):
    rig.send(userId="u")
    rig.resolver.expire(10)
    rig.resolver.expire(5)
    rig.commit()
    state = rig.reader.state()
    assert (state.position, state.expired) == (10, 9)


def test_a_new_space_begins_where_the_log_begins(rig: Rig):
    rig.resolver.expire(10)
    assert (rig.resolver.position, rig.resolver.state.expired) == (10, 0)


def test_profiles_that_are_not_at_hand_are_read_again(tmp_path: Path):
    rig = Rig(tmp_path / "profiles.db", capacity=2)
    for number in range(6):
        rig.send("identify", userId=f"u{number}", traits={"n": number})
        assert rig.resolver.full == (number % 2 == 1)
        if rig.resolver.full:
            rig.commit()
    assert len(rig.resolver._working) == len(rig.resolver._working._owners) == 2
    assert rig.send("identify", userId="u0", traits={"m": 1}).profile == 1
    rig.commit()
    assert values(rig.read("user_id", "u0")) == {"n": "0", "m": "1"}
    rig.close()


def test_what_is_being_written_is_not_let_go(tmp_path: Path):
    rig = Rig(tmp_path / "profiles.db", capacity=1)
    rig.send(userId="a")
    delta = rig.resolver.take()
    assert rig.resolver.full
    rig.send(userId="b")
    assert rig.resolver.full
    assert rig.send(userId="a").profile == 1
    rig.writer.commit([delta])
    rig.resolver.committed()
    assert rig.send(userId="a").profile == 1
    rig.commit()
    assert (rig.read("user_id", "a").last.message_id, rig.read("user_id", "b").number) == ("m3", 2)
    rig.close()


def test_an_event_whose_rows_cannot_be_read_changes_nothing_and_may_be_tried_again(rig: Rig):
    rig.send(userId="u")
    rig.commit()
    rig.restart()
    disk = Disk(rig.reader)
    resolver = Resolver(space=1, rules=DEFAULT_RULES, rows=disk)
    record, event = entry(1, userId="u", anonymousId="a")
    for away in ("find",):
        disk.away = away
        with pytest.raises(Unavailable):
            resolver.apply(record, event)
        assert (resolver.position, resolver.dirty) == (1, False)
    disk.away = ""
    resolved = resolver.apply(record, event)
    assert resolved is not None and resolved.ids == (("anonymous_id", "a"),)


class Disk:
    """Rows on a disk that may not answer: the read that is called `away` fails."""

    def __init__(self, rows: ProfileReader) -> None:
        self._rows = rows
        self.away = ""

    def __getattr__(self, name: str) -> Any:
        if name == self.away:
            raise Unavailable("the disk is away")
        return getattr(self._rows, name)
