"""What the Profile API answers of users and accounts, page by page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.api.query import Listing, Wanted
from segue.api.views import LINK_IDS_MOST, PAGE_BYTES_MOST, Files, traits
from segue.core.clock import iso
from segue.core.profile import Cause, ExternalId, Profile, Trait
from segue.state.computed_rows import ComputationState, ComputedDelta, ComputeState, Held, HoldingRow
from tests.resolve.events import START_MS

from .rig import Api

RECEIVED = START_MS


def identify(user: str, **values: object) -> tuple[str, dict[str, object]]:
    return "identify", {"userId": user, "traits": values}


def group(user: str, account: str, **values: object) -> tuple[str, dict[str, object]]:
    return "group", {"userId": user, "groupId": account, "traits": values}


def every(api: Api, identifier: str, view: str, key: str, collection: str = "users", **query: object) -> list[object]:
    """All entries of a list, page by page."""
    found: list[object] = []
    cursor = {"has_more": True, "next": ""}
    while cursor["has_more"]:
        answer = api.get(identifier, view, collection, **query, next=cursor["next"])
        cursor = answer["cursor"]
        assert bool(cursor["next"]) == cursor["has_more"]
        assert answer[key]
        found += answer[key].items() if isinstance(answer[key], dict) else answer[key]
    return found


def test_traits_are_the_values_that_were_sent(api: Api):
    api.send(identify("u1", name="Zoë", age=41, score=1.50, vip=True, left=None, tags=["a", {"b": 1}]))
    answer = api.get("user_id:u1", "traits")
    assert answer["traits"] == {
        "age": 41, "left": None, "name": "Zoë", "score": 1.5, "tags": ["a", {"b": 1}], "vip": True,
    }  # fmt: skip
    own = api.profiles.read("user_id", "u1").segment_id
    assert answer["cursor"] == {
        "url": f"/v1/spaces/prod/collections/users/profiles/{own}/traits",
        "has_more": False,
        "next": "",
        "limit": 10,
    }


def test_verbose_traits_say_which_source_set_them_and_when(api: Api):
    api.send(identify("u1", name="Ann"))
    sent_at = iso(RECEIVED)
    assert api.get("user_id:u1", "traits", verbose="true")["traits"] == {
        "name": {"value": "Ann", "source_id": "web", "updated_at": sent_at}
    }


def test_pages_of_traits_hold_each_trait_once(api: Api):
    values = {f"trait {n}": n for n in range(57)}
    api.send(identify("u1", **values))
    for query in ({}, {"limit": 1}, {"limit": 7}, {"limit": 57}, {"limit": 200}):
        assert dict(every(api, "user_id:u1", "traits", "traits", **query)) == values
    assert len(api.get("user_id:u1", "traits")["traits"]) == 10
    assert len(api.get("user_id:u1", "traits", limit=200)["traits"]) == 57


def test_included_traits_are_all_there_without_a_limit(api: Api):
    api.send(identify("u1", **{f"t{n}": n for n in range(30)}))
    wanted = ",".join(f"t{n}" for n in range(15))
    assert len(api.get("user_id:u1", "traits", include=wanted)["traits"]) == 15
    assert api.get("user_id:u1", "traits", include="t3,nothing")["traits"] == {"t3": 3}
    assert len(api.get("user_id:u1", "traits", include=wanted, limit=4)["traits"]) == 4
    assert api.get("user_id:u1", "traits", include=["t1", "t2"])["traits"] == {"t1": 1, "t2": 2}


@pytest.mark.parametrize("kind", ["audience", "computed_trait"])
def test_what_a_source_sends_is_neither_an_audience_nor_computed(api: Api, kind: str):
    api.send(identify("u1", name="Ann"))
    answer = api.get("user_id:u1", "traits", **{"class": kind})
    assert (answer["traits"], answer["cursor"]["has_more"]) == ({}, False)


def compute(api: Api, *values: tuple[str, str, str | None], deleted: bool = False, since: int = RECEIVED) -> None:
    """Give u1 what a space may have computed of him: (kind, key, canonical JSON or None)."""
    number = api.profiles.read("user_id", "u1").number
    delta = api.profiles.resolver.take()
    delta.computed = ComputedDelta(
        state=ComputeState(),
        computations={
            place: ComputationState(key=key, kind=kind, deleted=deleted)  # type: ignore[arg-type]
            for place, (kind, key, _) in enumerate(values, 1)
        },
        holdings=[(place, HoldingRow(number, value, since, 1, True)) for place, (*_, value) in enumerate(values, 1)],
    )
    api.profiles.writer.commit([delta])


COMPUTED = (
    ("audience", "vip", "true"),
    ("audience", "lapsed", "false"),
    ("audience", "never", None),
    ("computed_trait", "orders", "3"),
    ("computed_trait", "sizes", '["M","L"]'),
    ("computed_trait", "last_city", "null"),
)


def test_computed_traits_and_audiences_stand_among_the_traits(api: Api):
    api.send(identify("u1", name="Ann"), identify("u2", name="Bob"))
    compute(api, *COMPUTED)
    audiences = {"lapsed": False, "vip": True}
    computed = {"last_city": None, "orders": 3, "sizes": ["M", "L"]}
    for query, expected in (
        ({}, {"name": "Ann"} | audiences | computed),
        ({"class": "audience"}, audiences),
        ({"class": "computed_trait"}, computed),
        ({"class": "audience", "include": "vip,orders,name"}, {"vip": True}),
    ):
        for limit in ({}, {"limit": 1}):
            assert dict(every(api, "user_id:u1", "traits", "traits", **query, **limit)) == expected
    assert api.get("user_id:u2", "traits")["traits"] == {"name": "Bob"}
    assert api.get("user_id:u1", "traits", verbose="true", include="vip")["traits"] == {
        "vip": {"value": True, "source_id": "space:prod", "updated_at": iso(RECEIVED)}
    }


def test_a_computed_key_owns_its_name(api: Api):
    api.send(identify("u1", vip="of the source", never="of the source", name="Ann"))
    compute(api, *COMPUTED[:3])
    assert api.get("user_id:u1", "traits")["traits"] == {"lapsed": False, "name": "Ann", "vip": True}


def test_the_last_value_of_a_deleted_one_stays_as_a_custom_trait_until_an_event_sets_another(api: Api):
    api.send(identify("u1", orders=1))
    compute(api, *COMPUTED, deleted=True, since=RECEIVED + 500)
    assert api.get("user_id:u1", "traits", **{"class": "audience"})["traits"] == {}
    found = api.get("user_id:u1", "traits", limit=20)["traits"]
    assert found == {"lapsed": False, "last_city": None, "orders": 3, "sizes": ["M", "L"], "vip": True}
    api.send(identify("u1", orders=9))
    assert api.get("user_id:u1", "traits", include="orders")["traits"] == {"orders": 9}


def test_external_ids_name_the_event_that_brought_them(api: Api):
    api.send(("identify", {"userId": "u1", "anonymousId": "a1", "traits": {"email": "u1@shop.example"}}))
    answer = api.get("user_id:u1", "external_ids")
    assert [(each["type"], each["id"]) for each in answer["data"]] == [
        ("anonymous_id", "a1"), ("email", "u1@shop.example"), ("user_id", "u1"),
    ]  # fmt: skip
    assert answer["data"][0] == {
        "source_id": "web",
        "collection": "users",
        "id": "a1",
        "type": "anonymous_id",
        "created_at": iso(RECEIVED),
        "encoding": "none",
        "first_message_id": "m0",
    }
    assert answer["cursor"]["limit"] == 25
    assert [each["id"] for each in api.get("email:u1@shop.example", "external_ids", include="user_id")["data"]] == [
        "u1"
    ]


def test_pages_of_external_ids_hold_each_id_once(api: Api):
    odd = ["a:b", "a", "a b", "ä", "a/b", "\U0001f600"]
    for n, anonymous in enumerate(odd):
        entry = {"collection": "users", "type": f"device.{n}", "id": anonymous, "encoding": "none"}
        api.profiles.send("track", userId="u1", event="x", context={"externalIds": [entry]})
    api.profiles.commit()
    for limit in (1, 2, 100):
        found = every(api, "user_id:u1", "external_ids", "data", limit=limit)
        assert sorted(each["id"] for each in found) == sorted([*odd, "u1"])


@pytest.mark.parametrize("value", ["a/b", "a/traits", "//", "a:b", "+49 30", "ä%41", "a?b#c", "line\nend", "use_1"])
def test_an_identifier_may_hold_any_character(api: Api, value: str):
    api.send(identify(value, name=value))
    assert api.get(f"user_id:{value}", "traits")["traits"] == {"name": value}


def test_metadata_names_the_first_and_the_last_event(api: Api):
    api.send(identify("u1", name="Ann"), ("track", {"userId": "u1", "event": "x"}))
    assert api.get("user_id:u1", "metadata") == {
        "metadata": {
            "created_at": iso(RECEIVED),
            "updated_at": iso(RECEIVED + 1_000),
            "expires_at": None,
            "first_message_id": "m0",
            "first_source_id": "web",
            "last_message_id": "m1",
            "last_source_id": "web",
        }
    }


def test_an_account_has_traits_and_ids_of_its_own(api: Api):
    api.send(group("u1", "g1", plan="pro"))
    assert api.get("group_id:g1", "traits", "accounts")["traits"] == {"plan": "pro"}
    assert api.get("user_id:u1", "traits")["traits"] == {}
    (only,) = api.get("group_id:g1", "external_ids", "accounts")["data"]
    assert (only["collection"], only["type"], only["id"]) == ("accounts", "group_id", "g1")


def test_links_lead_from_a_user_to_accounts_and_back(api: Api):
    api.send(*(group("u1", f"g{n}") for n in range(3)), *(group(f"u{n}", "g0") for n in range(2, 25)))
    assert api.get("user_id:u1", "links")["data"][0] == {
        "to_collection": "accounts",
        "external_ids": [
            {
                "source_id": "web", "collection": "accounts", "id": "g0", "type": "group_id",
                "created_at": iso(RECEIVED), "encoding": "none",
            }
        ],
    }  # fmt: skip
    for limit in (1, 2, 20):
        accounts = every(api, "user_id:u1", "links", "data", limit=limit)
        assert [each["external_ids"][0]["id"] for each in accounts] == ["g0", "g1", "g2"]
        users = every(api, "group_id:g0", "links", "data", "accounts", limit=limit)
        assert [each["external_ids"][0]["id"] for each in users] == ["u1", *(f"u{n}" for n in range(2, 25))]
        assert {each["to_collection"] for each in users} == {"users"}


def test_a_linked_profile_with_many_ids_shows_the_first_hundred(api: Api):
    rules = api.profiles.rules
    api.profiles.resolver.use(type(rules)(identifiers=rules.identifiers[:1], blocked=()))
    for n in range(LINK_IDS_MOST + 1):
        entry = {"collection": "users", "type": f"d{n % 50}", "id": f"{n}", "encoding": "none"}
        api.profiles.send("group", userId="u1", groupId="g1", context={"externalIds": [entry]})
    api.profiles.commit()
    assert len(api.profiles.read("user_id", "u1").ids) > LINK_IDS_MOST
    (user,) = api.get("group_id:g1", "links", "accounts")["data"]
    assert len(user["external_ids"]) == LINK_IDS_MOST


def test_the_persistent_id_of_an_absorbed_profile_finds_its_survivor(api: Api):
    api.send(identify("u1", a=1), ("identify", {"anonymousId": "a1", "traits": {"b": 2}}))
    absorbed = api.profiles.read("anonymous_id", "a1").segment_id
    api.send(("track", {"userId": "u1", "anonymousId": "a1", "event": "x"}))
    survivor = api.profiles.read("user_id", "u1").segment_id
    assert survivor != absorbed
    for identifier in (survivor, absorbed, "user_id:u1", "anonymous_id:a1"):
        answer = api.get(identifier, "traits")
        assert answer["traits"] == {"a": 1, "b": 2}
        assert f"/{survivor}/" in answer["cursor"]["url"]


def test_a_write_is_read_by_the_next_request(api: Api):
    for n in range(3):
        api.send(identify("u1", n=n))
        assert api.get("user_id:u1", "traits")["traits"] == {"n": n}


def test_a_page_is_cut_where_it_grows_too_large(api: Api):
    values = {f"t{n:02}": "x" * 30_000 for n in range(40)}
    api.send(*(identify("u1", **{name: value}) for name, value in values.items()))
    first = api.get("user_id:u1", "traits", limit=200)
    assert first["cursor"]["has_more"] and 1 < len(first["traits"]) <= PAGE_BYTES_MOST // 30_000
    assert dict(every(api, "user_id:u1", "traits", "traits", limit=200)) == values


class _One:
    """A reader of one profile, made up."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def find(self, _collection: str, _external_id: ExternalId) -> Profile:
        return self._profile

    def held(self, _number: int) -> list[Held]:
        return []


@given(st.sets(st.text(max_size=5), max_size=30), st.integers(1, 10))
def test_following_the_cursor_ends_with_every_trait_whatever_its_name(names: set[str], limit: int):
    cause = Cause(0, 0, 0, "m", "web")
    wanted = Wanted("prod", "users", ExternalId("user_id", "u1"))
    profile = Profile(
        number=1, collection="users", segment_id="use_1", first=cause, last=cause,
        traits={name: Trait("1", cause) for name in names},
    )  # fmt: skip
    files = Files(_One(profile), None, None, 0)  # type: ignore[arg-type]
    found: list[str] = []
    start = ""
    for _ in range(len(names) + 1):
        body = traits(files, wanted, Listing(limit, start))
        found += body["traits"]
        if not body["cursor"]["has_more"]:
            break
        start = body["cursor"]["next"]
    assert sorted(found) == sorted(names) and len(found) == len(names)
