"""`segue audiences` and `segue traits`: what is listed, who has what, and how far destinations are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from segue.core.clock import iso
from segue.state.computed_rows import (
    Built,
    ComputationState,
    ComputedDelta,
    ComputedRow,
    ComputeState,
    ConnectionState,
    HoldingRow,
)
from segue.state.outbox import OutboxRow
from segue.wiring.instance import Instance
from tests.resolve.events import START_MS
from tests.resolve.rig import Rig

from .calling import Said, segue, succeeded

WORKSPACE = """\
workspace: {name: Shop, slug: shop}
sources: [{slug: web}]
destinations:
  - {slug: planhat, source: web, kind: planhat, enabled: true, settings: {apiKey: key}}
  - {slug: other, source: web, kind: planhat, settings: {apiKey: key}}
spaces:
  - slug: prod
    sources: [web]
    computed_traits: [{name: Revenue, definition: "event('Order').sum(property('revenue'))", destinations: [planhat]}]
    audiences:
      - name: Recent buyers
        definition: "event('Order').within(30 days).count() >= 1"
        destinations: [planhat, {slug: other, track: true, sync: 6 hours}]
      - {name: All, definition: "event('Order').count() >= 1", enabled: false}
"""
AT, SINCE = START_MS + 60_000, START_MS + 1_000
TRAIT, BUYERS = 1, 2
LIVE = ComputationState(key="recent_buyers", kind="audience", live=Built(generation=1, definition=""))
SYNCED = ConnectionState(
    computation=BUYERS, destination=1, after=None, done=2, total=2, began_at=SINCE, ended_at=AT, sent=2, sent_at=AT
)


class Shop:
    """An instance that has never run, and the file of its one space, as the worker would fill it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        file = folder / "workspace.yaml"
        file.write_text(WORKSPACE)
        succeeded("apply", file, "--data", self.data)

    def call(self, *words: object) -> Said:
        return succeeded(*words, "--data", self.data)

    def computed(self, **fields: object) -> None:
        """Jane and Joe come in, and the space computes this."""
        path = Instance(self.data).profiles(1)
        path.parent.mkdir(parents=True)
        rig = Rig(path)
        for name in ("jane", "joe", "jim"):
            rig.send("identify", userId=name, traits={"email": f"{name}@x.com"})
        delta = rig.resolver.take()
        delta.computed = ComputedDelta(state=ComputeState(t=AT), **fields)
        rig.writer.commit([delta])
        rig.close()


def holding(profile: int, value: str | None) -> HoldingRow:
    return HoldingRow(profile, value, SINCE + profile, 1, value is not None)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def live(shop: Shop) -> Shop:
    """Jane and Jim are in, Joe is out again; Jane has revenue."""
    shop.computed(
        computations={BUYERS: LIVE},
        connections={1: replace(SYNCED, computation=TRAIT), 2: SYNCED},
        holdings=[
            (BUYERS, holding(1, "true")),
            (BUYERS, holding(2, "false")),
            (BUYERS, holding(3, "true")),
            (TRAIT, holding(1, "450.5")),
            (TRAIT, holding(2, None)),
        ],
    )
    return shop


def test_the_members_of_an_audience_are_shown_with_their_ids(live):
    found = live.call("audiences", "members", "recent_buyers", "--json").json
    profiles = [each.pop("profile") for each in found["members"]]
    assert profiles == [
        live.call("profiles", "get", f"user_id:{name}", "--json").json["profile"] for name in ("jane", "jim")
    ]
    assert found == {
        "key": "recent_buyers",
        "at": iso(AT),
        "count": 2,
        "members": [
            {
                "external_ids": [{"type": "user_id", "id": name}, {"type": "email", "id": f"{name}@x.com"}],
                "since": iso(SINCE + number),
            }
            for number, name in ((1, "jane"), (3, "jim"))
        ],
    }
    lines = live.call("audiences", "members", "recent_buyers").out.splitlines()
    assert lines[0] == f"recent_buyers: 2 members at {iso(AT)}"
    assert lines[1] == f"{profiles[0]}  since {iso(SINCE + 1)}  user_id:jane, email:jane@x.com"


def test_no_more_members_are_shown_than_asked_for(live):
    found = live.call("audiences", "members", "recent_buyers", "--limit", 1, "--json").json
    assert (found["count"], len(found["members"])) == (2, 1)
    assert live.call("audiences", "members", "recent_buyers", "--limit", 1).out.endswith(
        "\nand 1 more; --limit shows them\n"
    )


def test_an_audience_without_members_is_an_empty_list(live):
    found = live.call("audiences", "members", "all", "--json").json
    assert (found["count"], found["members"]) == (0, [])


def test_the_values_of_a_trait_are_shown(live):
    found = live.call("traits", "values", "revenue", "--json").json
    (jane,) = found.pop("values")
    assert found == {"key": "revenue", "at": iso(AT), "count": 1}
    assert (jane["value"], jane["since"]) == (450.5, iso(SINCE + 1))
    assert "  450.5  user_id:jane" in live.call("traits", "values", "revenue").out


def test_audiences_and_traits_are_listed_each_in_its_group(live):
    assert live.call("audiences", "list", "--json").json == [
        {
            "key": "recent_buyers",
            "name": "Recent buyers",
            "id": "aud_2",
            "enabled": True,
            "state": "live",
            "count": 2,
            "definition": "event('Order').within(30 days).count() >= 1",
            "destinations": ["planhat", "other"],
        },
        {
            "key": "all",
            "name": "All",
            "id": "aud_3",
            "enabled": False,
            "state": "waiting",
            "count": 0,
            "definition": "event('Order').count() >= 1",
            "destinations": [],
        },
    ]
    (trait,) = live.call("traits", "list", "--json").json
    assert (trait["key"], trait["id"], trait["count"]) == ("revenue", "tra_1", 1)
    assert live.call("audiences", "list").out.splitlines()[1].split() == [
        *("recent_buyers", "Recent", "buyers", "live", "2", "planhat,", "other")
    ]


def test_the_status_says_how_far_each_destination_is(live):
    found = live.call("audiences", "status", "recent_buyers", "--json").json
    planhat, other = found.pop("connections")
    del found["created_at"]
    assert found == {
        "key": "recent_buyers",
        "name": "Recent buyers",
        "id": "aud_2",
        "enabled": True,
        "state": "live",
        "count": 2,
        "generation": 1,
    }
    assert planhat == {
        "destination": "planhat",
        "identify": True,
        "track": False,
        "sync": "realtime",
        "state": "up_to_date",
        "reason": None,
        "sent": 2,
        "sent_at": iso(AT),
    }
    assert (other["track"], other["sync"], other["state"]) == (True, "6 hours", "off")
    assert other["reason"] == "the destination is switched off"
    every = live.call("audiences", "status", "--json").json
    assert [each["key"] for each in every] == ["recent_buyers", "all"]


def test_a_first_sync_is_told_with_its_progress_and_what_to_expect(shop):
    syncing = replace(SYNCED, after=1, done=1, total=2, ended_at=0)
    shop.computed(computations={BUYERS: replace(LIVE, swept=1, last=3)}, connections={2: syncing})
    found = shop.call("audiences", "status", "recent_buyers", "--json").json
    assert (found["state"], found["progress"]) == ("sweeping", {"done": 1, "total": 3})
    told = found["connections"][0]
    assert (told["state"], told["first_sync"]["done"], told["first_sync"]["total"]) == ("initial", 1, 2)
    assert told["first_sync"].keys() == {"done", "total", "rate", "seconds_left"}
    text = shop.call("audiences", "status").out
    assert "first sync, 1 of 2 at " in text
    assert "may take hours at a vendor's limits" in text


@pytest.mark.parametrize(
    "waiting",
    [
        {"pending": [(2, 1)]},
        {"connections": {2: replace(SYNCED, ticking=1)}},
        {"outbox": [OutboxRow("personas_1", "identify", "jane", "1", AT, b"{}")]},
    ],
)
def test_a_destination_that_is_not_told_everything_yet_is_behind(shop, waiting):
    shop.computed(**{"computations": {BUYERS: LIVE}, "connections": {2: SYNCED}} | waiting)
    assert shop.call("audiences", "status", "recent_buyers", "--json").json["connections"][0]["state"] == "behind"


def test_before_a_server_has_run_everything_waits(shop):
    (buyers, _all) = shop.call("audiences", "status", "--json").json
    assert (buyers["state"], buyers["generation"], buyers["connections"][0]["state"]) == ("waiting", None, "initial")
    assert segue("audiences", "members", "recent_buyers", "--data", shop.data).line == (
        "--space: nothing is computed in 'prod' yet: no server has run"
    )


def built(**fields: object) -> ComputationState:
    live = Built(generation=1, definition="event('Order').within(30 days).count() = 0")
    return ComputationState(**{"key": "recent_buyers", "kind": "audience", "live": live} | fields)


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (None, "waiting"),
        (built(live=None, next=built().live), "building"),
        (built(stale=True), "building"),
        (built(swept=1, last=3), "sweeping"),
    ],
)
def test_what_cannot_be_compared_yet_is_not_called_equal(shop, state, result):
    shop.computed(computations={} if state is None else {BUYERS: state})
    said = segue("reconcile", "recent_buyers", "--json", "--data", shop.data)
    (found,) = said.json["computations"]
    assert (said.code, said.json["agree"], found["result"]) == (3, False, result)
    assert ": not compared, " in segue("reconcile", "recent_buyers", "--data", shop.data).out
    why = shop.call("audiences", "explain", "recent_buyers", "--profile", "user_id:jim", "--json")
    assert why.json["agreement"] in ("frozen", "building", "waiting")


def test_nothing_differs_while_changes_that_were_due_are_made(shop, monkeypatch):
    monkeypatch.setattr("segue.cli.reconcile.PAUSE_S", 0)
    shop.computed(computations={BUYERS: built()}, rows=[ComputedRow(1, AT, b"")])
    said = segue("reconcile", "recent_buyers", "--json", "--data", shop.data)
    (found,) = said.json["computations"]
    assert (said.code, found["result"], found["differing"], found["at"]) == (3, "not_settled", 3, iso(AT))
    text = segue("reconcile", "recent_buyers", "--data", shop.data).out
    assert "not compared" in text


def test_a_key_that_does_not_exist_is_told_with_what_may_be_meant(live):
    said = segue("audiences", "members", "recent_buyer", "--data", live.data)
    assert said.line == "KEY: there is no audience with the key 'recent_buyer'; did you mean \"recent_buyers\"?"
    assert (
        "no computed trait with the key 'recent_buyers'"
        in segue("traits", "values", "recent_buyers", "--data", live.data).line
    )


def test_a_plan_and_an_apply_point_out_what_is_often_not_meant(tmp_path):
    file = tmp_path / "workspace.yaml"
    definition = "event('Order').where(property('to').omits('x')).count() >= 1"
    file.write_text(WORKSPACE.replace("event('Order').count() >= 1", definition))
    for command in ("plan", "apply"):
        out = succeeded(command, file, "--data", tmp_path / "data").out
        assert out.splitlines()[-1].startswith("! prod/all: line 1, column ")
