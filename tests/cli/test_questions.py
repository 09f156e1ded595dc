"""What is asked of a space's whole history: previews, and members of other instants; the server runs, or has ended."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import yaml

from segue.core.clock import from_iso, iso
from segue.wiring.instance import Instance as Folder

from ..instance.conftest import Make
from ..instance.events import identify, track
from ..instance.running import Instance
from ..instance.waiting import until
from ..instance.workspace import vendor_entry, workspace_text
from .calling import Said, segue, succeeded

DAY_MS = 86_400_000
RECENT = "event('Order').within(30 days).count() >= 1"
SPACE = {
    "slug": "prod",
    "sources": ["website"],
    "computed_traits": [{"name": "Revenue", "definition": "event('Order').sum(property('revenue'))"}],
    "audiences": [
        {"name": "Recent", "definition": RECENT, "destinations": ["planhat"]},
        {"name": "Old", "definition": "NOT (audience('recent'))"},
        {
            "name": "Priced",
            "definition": "event('Page Viewed').where(property('page_name') = 'Pricing').count() >= 1",
        },
        {"name": "Off", "definition": "event('Order').count() >= 2", "enabled": False},
    ],
}


class Shop:
    """Three who have an email; Jane ordered 10 days ago, Joe 10 and 29 days ago, Jim never."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.now_ms = time.time_ns() // 1_000_000

    def call(self, *words: object) -> Said:
        return succeeded(*words, "--data", self.instance.data)

    def refused(self, *words: object) -> Said:
        return segue(*words, "--data", self.instance.data)

    def json(self, *words: object) -> Any:
        return self.call(*words, "--json").json

    def ago(self, days: float) -> str:
        return iso(self.now_ms - int(days * DAY_MS))

    @property
    def is_computed(self) -> bool:
        found = self.json("audiences", "status")
        states = {each["key"]: each["state"] for each in found}
        (told,) = next(each for each in found if each["key"] == "recent")["connections"]
        return (
            states == {"recent": "live", "old": "live", "priced": "live", "off": "frozen"}
            and told["state"] == "up_to_date"
        )


@pytest.fixture(scope="module")
def running(make_shared: Make) -> Shop:
    instance = make_shared()
    file = yaml.safe_load(workspace_text([vendor_entry(instance, "planhat", "website", "planhat")]))
    instance.file.write_text(yaml.safe_dump({**file, "spaces": [{**SPACE, "audiences": []}]}))
    shop = Shop(instance)
    instance.start()
    instance.send(*(identify(name, email=f"{name}@x.com") for name in ("jane", "joe", "jim")), key="website-key")
    instance.send(
        *(
            {
                **track(name, event="Order", properties={"revenue": revenue}),
                "messageId": id_,
                "timestamp": shop.ago(days),
            }
            for name, id_, revenue, days in (("jane", "m1", 10, 10), ("joe", "m2", 20.5, 10), ("joe", "m3", 1, 29))
        ),
        key="website-key",
    )
    page = {"type": "page", "name": "Pricing", "messageId": "m4"}
    instance.send({**page, "anonymousId": "a1"}, {**identify("jim"), "anonymousId": "a1"}, key="website-key")
    instance.apply(yaml.safe_dump({**file, "spaces": [SPACE]}))  # to build them, the events go to the lake
    until(lambda: shop.is_computed, "everything is computed and told")
    until(lambda: shop.json("audiences", "members", "recent")["count"] == 2, "two are in")
    instance.settled()
    return shop


@pytest.fixture(scope="module", params=["running", "ended"])
def shop(request: pytest.FixtureRequest, running: Shop) -> Iterator[Shop]:
    """The server runs, then it has ended: the answers are the same."""
    if request.param == "ended":
        assert running.instance.terminate() == 0
    return running


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [each["external_ids"][0]["id"] for each in entries]


def test_a_preview_counts_and_shows_who_would_be_in(shop):
    found = shop.json("audiences", "preview", "event('Order').count() >= 1 AND trait('email').ends_with('x.com')")
    assert abs(from_iso(found.pop("at")) - time.time() * 1000) < 60_000
    assert found.pop("position") >= 6
    assert sorted(names(found.pop("samples"))) == ["jane", "joe"]
    assert found == {
        "key": None,
        "definition": "event('Order').count() >= 1 AND trait('email').ends_with('x.com')",
        "count": 2,
        "identifiers": [{"type": "email", "profiles": 2}, {"type": "user_id", "profiles": 2}],
        "cautions": [],
    }
    text = shop.call("audiences", "preview", "--definition", "event('Order').count() >= 1").out
    assert "2 members at " in text
    assert ["user_id", "2", "100.0%"] in [line.split() for line in text.splitlines()]


def test_a_saved_audience_is_previewed_by_its_key_with_what_it_refers_to(shop):
    assert names(shop.json("audiences", "preview", "old")["samples"]) == ["jim"]
    assert shop.json("audiences", "preview", "old", "--at", "+19d")["count"] == 1
    assert sorted(names(shop.json("audiences", "preview", "old", "--at", "+21d")["samples"])) == ["jane", "jim", "joe"]


def test_an_audience_that_is_switched_off_is_previewed_as_if_it_were_on(shop):
    assert names(shop.json("audiences", "preview", "off")["samples"]) == ["joe"]


def test_another_definition_is_previewed_in_place_of_the_saved_one(shop):
    found = shop.json("audiences", "preview", "recent", "--definition", "event('Order').within(11 days).count() = 0")
    assert (found["key"], names(found["samples"])) == ("recent", ["jim"])
    said = shop.refused("audiences", "preview", "recent", "--definition", "audience('old')")
    assert said.code == 1
    assert "refer to each other in a circle" in said.err


def test_a_preview_of_a_trait_shows_its_values(shop):
    found = shop.json("traits", "preview", "event('Order').max(property('revenue'))")
    assert {each["external_ids"][0]["id"]: each["value"] for each in found["samples"]} == {"jane": 10, "joe": 20.5}
    assert "20.5  user_id:joe" in shop.call("traits", "preview", "event('Order').max(property('revenue'))").out


def test_a_mistake_is_shown_at_its_place(shop):
    said = shop.refused("audiences", "preview", "event('Order').count() >=\n  oops(1)")
    lines = said.err.splitlines()
    assert (said.code, said.out) == (1, "")
    assert lines[0].startswith("Error: line 2, column 3: ")
    assert lines[1:] == ["    oops(1)", "    ^"]
    found = shop.refused("audiences", "preview", "audience('recnt')", "--json")
    (mistake,) = found.json["mistakes"]
    assert (found.code, mistake["line"], mistake["column"]) == (1, 1, 1)
    assert mistake["message"].endswith("did you mean 'recent'?")
    assert shop.refused("audiences", "preview").line.startswith("KEY: name one: the KEY of an audience")
    assert "there is no audience with the key 'recnt'" in shop.refused("audiences", "preview", "recnt").err


def test_what_is_often_not_meant_is_pointed_out(shop):
    (caution,) = shop.json("audiences", "preview", "trait('plan').omits('x')")["cautions"]
    assert caution.startswith("line 1, column 1: ")


def test_members_of_any_instant_are_those_by_the_events_known_now(shop):
    at = shop.ago(20)
    found = shop.json("audiences", "members", "recent", "--at", at)
    assert found.keys() == {"key", "at", "count", "members"}
    assert (found["key"], found["at"], found["count"], names(found["members"])) == ("recent", at, 1, ["joe"])
    assert found["members"][0].keys() == {"profile", "external_ids", "since"}
    assert found["members"][0]["since"] is None
    assert shop.json("audiences", "members", "recent", "--at", "+21d")["members"] == []
    assert shop.json("audiences", "members", "recent", "--at", "+19d")["count"] == 2
    text = shop.call("audiences", "members", "recent", "--at", at, "--limit", 1).out.splitlines()
    assert text[0] == f"recent: 1 member at {at}"
    assert text[1].endswith("  user_id:joe, email:joe@x.com") and "since" not in text[1]


def test_values_of_any_instant_are_those_by_the_events_known_now(shop):
    found = shop.json("traits", "values", "revenue", "--at", shop.ago(20))
    assert [(each["value"], each["since"]) for each in found["values"]] == [(1, None)]
    assert shop.refused("traits", "values", "revenue", "--at", "soon").line.startswith(
        "--at: 'soon' is neither an instant"
    )


def test_why_somebody_is_in_is_shown_down_to_the_events_that_count(shop):
    found = shop.json("audiences", "explain", "recent", "--profile", "user_id:jane")
    assert (found["value"], found["agreement"], found["why"], found["state"]) == (True, "agrees", None, "live")
    assert found["held"].keys() == {"value", "since", "version"}
    assert found["changes_at"] == iso(shop.now_ms - 10 * DAY_MS + 30 * DAY_MS)
    assert found["trace"] == {
        "text": RECENT,
        "truth": True,
        "parts": [
            {
                "text": "event('Order').within(30 days).count()",
                "values": [1],
                "events": 1,
                "message_ids": ["m1"],
            }
        ],
    }
    (told,) = found["connections"]
    assert (told["destination"], told["identities"]) == ("planhat", 1)
    (said,) = told["told"]
    assert said["external_ids"] == [{"type": "user_id", "id": "jane"}, {"type": "email", "id": "jane@x.com"}]
    assert (said["value"], said["outcome"], said["attempts"][0]["response"]["status"]) == (True, "delivered", 200)
    assert said["message_id"].startswith("personas_")
    assert shop.json("explain", said["message_id"])["source"] == "space:prod"
    lines = shop.call("audiences", "explain", "recent", "--profile", "email:jane@x.com").out.splitlines()
    assert lines[1].startswith("recent: in at ")
    assert "  event('Order').within(30 days).count() is 1  (1 event: m1)" in lines
    assert f"changes by itself at {found['changes_at']}" in lines
    assert f"    {said['message_id']}  delivered" in lines


def test_the_instant_of_a_change_is_that_of_the_value_and_not_of_a_part(shop):
    found = shop.json("audiences", "explain", "recent", "--profile", "user_id:joe")
    assert found["trace"]["parts"][0]["message_ids"] == ["m2", "m3"]
    assert found["changes_at"] == iso(shop.now_ms + 20 * DAY_MS)
    old = shop.json("audiences", "explain", "old", "--profile", "user_id:joe")
    assert (old["value"], old["changes_at"], old["held"]) == (False, found["changes_at"], None)
    jim = shop.json("audiences", "explain", "recent", "--profile", "user_id:jim")
    assert (jim["value"], jim["changes_at"], jim["connections"][0]["told"]) == (False, None, [])
    assert "stays so for ever" in shop.call("audiences", "explain", "recent", "--profile", "user_id:jim").out


def test_a_trait_is_explained_with_its_value(shop):
    found = shop.json("traits", "explain", "revenue", "--profile", "user_id:joe")
    assert (found["value"], found["held"]["value"], found["agreement"]) == (21.5, 21.5, "agrees")
    assert found["trace"]["message_ids"] == ["m2", "m3"]
    jim = shop.json("traits", "explain", "revenue", "--profile", "user_id:jim")
    assert (jim["value"], jim["present"], jim["held"]) == (None, False, None)
    assert "revenue: has no value at " in shop.call("traits", "explain", "revenue", "--profile", "user_id:jim").out


def test_what_an_absorbed_profile_has_done_counts_and_is_named(shop):
    found = shop.json("audiences", "explain", "priced", "--profile", "user_id:jim")
    assert (found["value"], found["agreement"]) == (True, "agrees")
    assert found["trace"]["parts"][0]["message_ids"] == ["m4"]


def test_one_that_is_switched_off_is_explained_as_it_was(shop):
    found = shop.json("audiences", "explain", "off", "--profile", "user_id:joe")
    assert (found["agreement"], found["why"]) == ("frozen", "it is switched off, and stays as it was")
    said = shop.refused("audiences", "explain", "off", "--profile", "user_id:nobody")
    assert "no profile has the user_id 'nobody'" in said.err


def test_what_is_held_is_what_the_history_says(shop):
    said = shop.call("reconcile", "--json")
    found = said.json
    computations = {each.pop("key"): each for each in found.pop("computations")}
    assert found == {"space": "prod", "agree": True, "unread": 0, "due": 0}
    assert {key: each["result"] for key, each in computations.items()} == {
        "revenue": "agrees",
        "recent": "agrees",
        "old": "agrees",
        "priced": "agrees",
        "off": "frozen",
    }
    recent = computations["recent"]
    assert (recent["history"], recent["held"], recent["differing"], recent["differences"]) == (2, 2, 0, [])
    assert shop.call("reconcile", "recent").out.startswith("recent (audience): agrees, 2 members at ")
    assert "off (audience): not compared, it is switched off" in shop.call("reconcile", "off").out
    assert "no audience or computed trait with the key 'of'" in shop.refused("reconcile", "of").err


@contextmanager
def broken(shop: Shop) -> Iterator[None]:
    """Somebody meddles with what is held of Jane, for the block."""
    path = Folder(shop.instance.data).profiles(1)
    query = """UPDATE holding SET value = ? WHERE value = ? AND profile =
      (SELECT number FROM identifier WHERE type = 'user_id' AND id = 'jane')"""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute(query, ("false", "true"))
        connection.execute(query, ("11", "10"))
        try:
            yield
        finally:
            connection.execute(query, ("true", "false"))
            connection.execute(query, ("10", "11"))


def test_what_differs_is_shown_from_both_sides(shop):
    with broken(shop):
        said = shop.refused("reconcile", "--json")
        text = shop.refused("reconcile", "recent")
        why = shop.json("audiences", "explain", "recent", "--profile", "user_id:jane")
    computations = {each["key"]: each for each in said.json["computations"]}
    assert (said.code, said.json["agree"], text.code) == (1, False, 1)
    (difference,) = computations["recent"]["differences"]
    assert (difference["of_history"], difference["of_held"]) == ({"value": True}, None)
    assert difference["external_ids"][0] == {"type": "user_id", "id": "jane"}
    (difference,) = computations["revenue"]["differences"]
    assert (difference["of_history"], difference["of_held"]) == ({"value": 10}, {"value": 11})
    lines = text.out.splitlines()
    assert lines[0].startswith("recent (audience): DIFFERS for 1 profile at ")
    assert lines[1].endswith("  history: true, held: nothing  user_id:jane, email:jane@x.com")
    assert (why["value"], why["held"]["value"], why["agreement"]) == (True, False, "differs")
    assert "`segue reconcile` compares everybody" in why["why"]
