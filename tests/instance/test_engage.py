"""The Engage lines EN-1 to EN-7 of all five vendors, with real processes: from an event to what the vendor then holds.

One instance tells all five sandboxes a story in acts, and every act is read back from them: people who came before
there were audiences; the audiences; more people; a month later. `tests/sandbox/test_engage.py` has what each vendor
makes of a value.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

import pytest
import yaml

from segue.control.units import DAY_MS
from segue.core.clock import from_iso

from .conftest import Make
from .events import identify, track
from .running import SLUGS, Instance
from .told import Told, all_told, is_quiet
from .waiting import until
from .workspace import vendor_entries, workspace_text

pytestmark = pytest.mark.xdist_group("instance-engage")  # they share one

KEY = "order_completed_last_30days"
"""EN-4's own example: what `Order completed last 30days` is called."""
TRACKED = "tracked_buyers"
REVENUE = "lifetime_revenue"
RECENT = "event('Order Completed').within(30 days).count() >= 1"


class Act(NamedTuple):
    """What one vendor was told during it, and what it holds at its end."""

    told: list[Told]
    state: dict[str, list[dict[str, Any]]]
    calls: list[dict[str, Any]]
    """Their bodies, as they came, from the beginning of the story."""


Story = dict[str, dict[str, Act]]
"""By act and vendor."""


def text(instance: Instance, *, computed: bool) -> str:
    """The workspace: five vendors and a space, with what it computes or before that."""
    file = yaml.safe_load(workspace_text(vendor_entries(instance, "website")))
    every = [f"website-{slug}" for slug in SLUGS]
    tracks = [{"slug": slug, "identify": False, "track": True} for slug in every]
    sum_of_orders = "event('Order Completed').sum(property('revenue'))"
    space: dict[str, Any] = {"slug": "prod", "sources": ["website"]}
    if computed:
        space["computed_traits"] = [{"name": "Lifetime Revenue", "definition": sum_of_orders, "destinations": [*every]}]
        space["audiences"] = [
            {"name": "Order completed last 30days", "definition": RECENT, "destinations": [*every]},
            {"name": "Tracked Buyers", "definition": RECENT, "destinations": tracks},
        ]
    return yaml.safe_dump({**file, "spaces": [space]})


def order(user: str, revenue: float) -> dict[str, Any]:
    return track(user, properties={"revenue": revenue})


@pytest.fixture(scope="module")
def story(make_shared: Make) -> Story:
    instance = make_shared()
    instance.file.write_text(text(instance, computed=False))
    instance.start()
    before: dict[str, int] = dict.fromkeys(SLUGS, 0)
    acts: Story = {}

    def act(name: str, count: int) -> None:
        """Wait until every vendor was told so many things, and nothing more is on its way."""
        until(lambda: all(len(all_told(instance, slug)) >= before[slug] + count for slug in SLUGS), f"told: {name}")
        until(lambda: is_quiet(instance), f"quiet: {name}")
        acts[name] = {}
        for slug in SLUGS:
            told = all_told(instance, slug)
            vendor = instance.vendor(slug)
            acts[name][slug] = Act(told[before[slug] :], vendor.state(), [call["body"] for call in vendor.requests()])
            before[slug] = len(told)

    people = [identify(user, email=f"{user}@initech.com") for user in ("u1", "u2", "u3", "u4")]
    second = identify("u4", email="u4@home.example")
    visitor = {"type": "track", "anonymousId": "a9", "event": "Order Completed", "messageId": "m-visitor"}
    orders = [order(user, 10.5) for user in ("u1", "u2", "u4")]
    instance.send(*people, second, *orders, visitor, key="website-key")
    act("before", 0)
    instance.apply(text(instance, computed=True))
    act("created", 12)
    instance.send(order("u1", 4.5), order("u3", 7), key="website-key")
    act("later", 4)
    assert instance.terminate() == 0
    instance.environment["SEGUE_CLOCK"] = "offset:+31d"
    instance.start()
    act("a month later", 10)
    instance.send(order("u2", 1), key="website-key")
    act("back", 3)
    assert instance.terminate() == 0
    return acts


EVERY = pytest.mark.parametrize("slug", SLUGS)
ADDRESSES = {"u1": 1, "u2": 1, "u3": 1, "u4": 2}
"""How many email addresses each has: for each one message goes out."""


def identifies(act: Act, key: str = KEY) -> dict[tuple[str, Any], int]:
    """How often each user was told each value of a property, by identify calls."""
    return Counter((user, value) for user, name, of, value in act.told if name == "identify" and of == key)


def sent(slug: str, value: Any) -> Any:
    """A truth as the vendor is sent it: Pointillist's labels are texts."""
    return str(value).lower() if slug == "pointillist" else value


def each_once(slug: str, value: Any, *users: str) -> dict[tuple[str, Any], int]:
    return {(user, sent(slug, value)): ADDRESSES[user] for user in users}


def held(act: Act, slug: str, user: str) -> dict[str, Any]:
    """The properties that the vendor has of a user."""
    if slug == "pointillist":  # it keeps events: the newest value of each label and number
        found: dict[str, Any] = {}
        for row in act.state["events"]:
            if row["actor"] == user and row["eventType"] == "identify":
                found |= row["labels"] | row["numbers"]
        return found
    table, by, where = {
        "plotline": ("users", "distinct_id", "attributes"),
        "planhat": ("contacts", "externalId", "custom"),
        "user-com": ("users", "custom_id", None),
        "astrolabe": ("users", "external_id", "properties"),
    }[slug]
    (row,) = [row for row in act.state[table] if row[by] == user]
    return row if where is None else row[where]


def kept(slug: str, value: Any) -> Any:
    """What a vendor keeps of a value: an attribute that was never defined at User.com is a text."""
    return str(value).lower() if slug == "user-com" else sent(slug, value) if isinstance(value, bool) else value


@EVERY
def test_en_1_an_audience_and_a_computed_trait_are_properties_of_the_user(story: Story, slug: str) -> None:
    for user, revenue in (("u1", 10.5), ("u2", 10.5), ("u4", 10.5)):
        found = held(story["created"][slug], slug, user)
        assert (found[KEY], type(found[KEY])) == (kept(slug, True), type(kept(slug, True)))
        assert (found[REVENUE], type(found[REVENUE])) == (kept(slug, revenue), type(kept(slug, revenue)))
    assert held(story["later"][slug], slug, "u1")[REVENUE] == kept(slug, 15)


@EVERY
def test_en_2_there_is_one_identify_for_each_user_added_and_one_for_each_removed(story: Story, slug: str) -> None:
    assert identifies(story["later"][slug]) == each_once(slug, True, "u3")
    assert identifies(story["a month later"][slug]) == each_once(slug, False, "u1", "u2", "u3", "u4")
    assert identifies(story["back"][slug]) == each_once(slug, True, "u2")


@EVERY
def test_en_3_the_property_has_the_name_of_the_audience_in_snake_case(story: Story, slug: str) -> None:
    told = [told for act in story.values() for told in act[slug].told if told[1] == "identify" and told[2] != REVENUE]
    assert {(key, value) for _, _, key, value in told} == {(KEY, sent(slug, True)), (KEY, sent(slug, False))}


@EVERY
def test_en_4_it_is_true_after_entering_and_false_after_leaving(story: Story, slug: str) -> None:
    inside = {name: held(acts[slug], slug, "u2").get(KEY) for name, acts in story.items()}
    assert inside == {
        "before": None,
        "created": kept(slug, True),
        "later": kept(slug, True),
        "a month later": kept(slug, False),
        "back": kept(slug, True),
    }
    for user in ("u1", "u3", "u4"):
        assert held(story["back"][slug], slug, user)[KEY] == kept(slug, False)


@EVERY
def test_en_5_its_creation_tells_of_every_member_and_of_nobody_else(story: Story, slug: str) -> None:
    assert story["before"][slug].told == []
    assert identifies(story["created"][slug]) == each_once(slug, True, "u1", "u2", "u4")
    assert KEY not in held(story["created"][slug], slug, "u3")


@EVERY
def test_en_6_afterwards_only_what_changed_is_told(story: Story, slug: str) -> None:
    assert Counter(story["later"][slug].told) == {
        ("u1", "identify", REVENUE, 15): 1,
        ("u3", "identify", REVENUE, 7): 1,
        ("u3", "identify", KEY, sent(slug, True)): 1,
        ("u3", "Audience Entered", TRACKED, sent(slug, True)): 1,
    }
    assert identifies(story["a month later"][slug], REVENUE) == {}
    assert Counter(story["back"][slug].told) == {
        ("u2", "identify", REVENUE, 11.5): 1,
        ("u2", "identify", KEY, sent(slug, True)): 1,
        ("u2", "Audience Entered", TRACKED, sent(slug, True)): 1,
    }


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if slug != "pointillist"])
def test_who_leaves_because_time_has_passed_leaves_at_that_millisecond(story: Story, slug: str) -> None:
    calls = story["a month later"][slug].calls
    (ordered,) = [call for call in calls if call.get("userId") == "u3" and call.get("event") == "Order Completed"]
    (left,) = [call for call in calls if call.get("userId") == "u3" and call.get("traits", {}).get(KEY) is False]
    assert from_iso(left["timestamp"]) == from_iso(ordered["timestamp"]) + 30 * DAY_MS


@EVERY
def test_track_instead_of_identify_says_that_they_entered_and_exited(story: Story, slug: str) -> None:
    def tracks(act: str) -> dict[tuple[str, Any], int]:
        return Counter((name, value) for _, name, key, value in story[act][slug].told if key == TRACKED)

    assert tracks("created") == {("Audience Entered", sent(slug, True)): 4}
    assert tracks("a month later") == {("Audience Exited", sent(slug, False)): 5}


def test_en_7_a_first_sync_is_called_that_and_what_to_expect_of_it_is_said(make: Make) -> None:
    instance = make()
    instance.file.write_text(text(instance, computed=False))
    instance.start()
    instance.send(order("u1", 1), key="website-key")
    assert instance.terminate() == 0
    instance.apply(text(instance, computed=True))
    shown = instance.cli("audiences", "status")
    assert shown.count("  first sync") == 2 * len(SLUGS)
    assert "may take hours at a vendor's limits; later ones tell only of what has changed" in shown
    instance.start()
    until(lambda: is_quiet(instance), "all are told")
    shown = instance.cli("audiences", "status")
    assert shown.count("up to date") == 2 * len(SLUGS)
    assert "may take hours" not in shown


def test_en_7_how_often_a_vendor_is_told_can_be_set(make: Make) -> None:
    instance = make()
    file = yaml.safe_load(text(instance, computed=False))
    connection = {"slug": "website-planhat", "sync": "6 hours"}
    file["spaces"][0]["audiences"] = [
        {"name": "Order completed last 30days", "definition": RECENT, "destinations": [connection]}
    ]
    instance.file.write_text(yaml.safe_dump(file))
    instance.start()
    until(lambda: is_quiet(instance), "its first sync is over")
    instance.send(order("u1", 1), order("u2", 1), key="website-key")
    until(lambda: state_of(instance) == "behind", "it waits")
    assert all_told(instance, "planhat") == []
    assert instance.terminate() == 0
    instance.environment["SEGUE_CLOCK"] = "offset:+6h"
    instance.start()
    until(lambda: is_quiet(instance), "its instant has come")
    assert all_told(instance, "planhat") == [("u1", "identify", KEY, True), ("u2", "identify", KEY, True)]


def state_of(instance: Instance) -> str:
    """How far the only connection of the only audience is."""
    ((line,),) = [each["connections"] for each in json.loads(instance.cli("audiences", "status", "--json"))]
    return str(line["state"])
