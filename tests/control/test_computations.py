"""Audiences and computed traits in a workspace file: what is read, planned, stored, exported and refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.control import workspace
from segue.control.computations import ComputationSpec, ConnectionSpec, find_computation
from segue.control.plan import make_plan
from segue.control.secrets import Secrets
from segue.control.workspace_file import WorkspaceFile, parse_workspace
from segue.core.errors import Invalid
from segue.log import Ends
from segue.state.computations import ComputationRow
from segue.state.control import ControlStore

SECRETS = Secrets.passing()
HOUR_MS = 3_600_000
ENDS = Ends(offset=120, sources={"website": (100, 3), "space:prod": (20, 0)})

TEXT = """\
workspace: {name: Demo, slug: demo}
sources:
  - {slug: website}
destinations:
  - {slug: planhat, source: website, kind: planhat, settings: {apiKey: key}}
  - {slug: user-com, source: website, kind: planhat, settings: {apiKey: key}}
spaces:
  - slug: prod
    sources: [website]
    computed_traits:
      - name: Lifetime Revenue
        definition: "event('Order Completed').sum(property('revenue'))"
        destinations: [planhat]
    audiences:
      - name: Order completed last 30days
        definition: "event('Order Completed').within(30 days).count()>=1"
        destinations: [planhat, {slug: user-com, identify: false, track: true, sync: 6 hours}]
        sync: 15 minutes
"""
AUDIENCE = "order_completed_last_30days"


class StoppedClock:
    """A clock that stands."""

    def now_ms(self) -> int:
        return 1_700_000_000_000


def parsed(text: str) -> WorkspaceFile:
    return parse_workspace(text.encode(), {})


def applied(store: ControlStore, text: str, ends: Ends = ENDS):
    return workspace.apply(store, parsed(text), SECRETS, lambda: ends)


def planned(store: ControlStore, text: str) -> str:
    return make_plan(store.snapshot(), parsed(text), SECRETS).text()


def audience(store: ControlStore, key: str = AUDIENCE) -> ComputationRow:
    return find_computation(store.snapshot(), None, "audience", key)


def with_audiences(*entries: dict[str, Any], **space: object) -> str:
    """The file with these audiences in place of its own."""
    value = yaml.safe_load(TEXT)
    value["spaces"][0] |= {"audiences": list(entries), **space}
    return json.dumps(value)


def simple(name: str, definition: str = "event('X').count() >= 1", **more: object) -> dict[str, Any]:
    return {"name": name, "definition": definition, **more}


def test_the_fixed_form_is_read_with_its_defaults():
    file = parsed(TEXT)
    assert file.computations == {
        "spaces[0].computed_traits[0]": ComputationSpec(
            space="prod",
            kind="computed_trait",
            key="lifetime_revenue",
            name="Lifetime Revenue",
            definition="event('Order Completed').sum(property('revenue'))",
            connections=(ConnectionSpec(destination="planhat"),),
        ),
        "spaces[0].audiences[0]": ComputationSpec(
            space="prod",
            kind="audience",
            key=AUDIENCE,
            name="Order completed last 30days",
            definition="event('Order Completed').within(30 days).count() >= 1",
            connections=(
                ConnectionSpec(destination="planhat", every_ms=HOUR_MS // 4),
                ConnectionSpec(destination="user-com", identify=False, track=True, every_ms=6 * HOUR_MS),
            ),
        ),
    }
    assert file.cautions == ()


def test_what_is_applied_is_stored_in_normal_text(store):
    applied(store, TEXT)
    trait, row = store.snapshot().computations
    planhat, user_com = store.snapshot().destinations
    assert (trait.ref, row.ref, row.created_at) == ("tra_1", "aud_2", StoppedClock().now_ms())
    assert row.definition == "event('Order Completed').within(30 days).count() >= 1"
    assert [(each.destination, each.identify, each.track, each.every_ms) for each in row.connections] == [
        (planhat.id, True, False, HOUR_MS // 4),
        (user_com.id, False, True, 6 * HOUR_MS),
    ]


def test_export_prints_a_file_that_changes_nothing(store):
    applied(store, TEXT)
    text = workspace.export(store.snapshot())
    assert make_plan(store.snapshot(), parsed(text), SECRETS).empty
    space = yaml.safe_load(text)["spaces"][0]
    assert space["audiences"] == [
        {
            "name": "Order completed last 30days",
            "key": AUDIENCE,
            "definition": "event('Order Completed').within(30 days).count() >= 1",
            "destinations": [
                {"slug": "planhat", "sync": "15 minutes"},
                {"slug": "user-com", "identify": False, "track": True, "sync": "6 hours"},
            ],
        }
    ]
    assert space["computed_traits"][0]["destinations"] == ["planhat"]


CONNECTIONS = st.fixed_dictionaries(
    {"slug": st.sampled_from(["planhat", "user-com"])},
    optional={
        "track": st.booleans(),
        "identify": st.just(True),
        "sync": st.sampled_from(["realtime", "1 hour", "15 minutes"]),
    },
)
ENTRIES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Ünïcode Café", "VIP – EU", "a"]),
        "definition": st.sampled_from(
            ["event( 'A' ).count()>1", "trait('age') > 5 or not trait('x').exists()", "trait('a')='é\"'"]
        ),
    },
    optional={
        "destinations": st.lists(CONNECTIONS, max_size=2, unique_by=lambda each: each["slug"]),
        "enabled": st.booleans(),
        "historical": st.booleans(),
        "sync": st.sampled_from(["realtime", "2 hours"]),
    },
)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_file_applied_over_any_other_is_what_is_stored_and_exported(data):
    with tempfile.TemporaryDirectory() as folder, ControlStore(Path(folder) / "control.db", StoppedClock()) as store:
        for number in range(2):
            entries = data.draw(st.lists(ENTRIES, max_size=3))
            # A key is never given again, so that the second file has its own, or changes what the first made.
            keyed = [entry | {"key": f"k{place}_{number if place else 0}"} for place, entry in enumerate(entries)]
            keyed = [{"key": "k0_0", **simple("kept")}, *keyed[1:]]
            text = with_audiences(*keyed)
            plan = applied(store, text)
            assert make_plan(store.snapshot(), parsed(text), SECRETS).empty
            assert all(step.changes for step in plan.steps if step.action in ("create", "change"))
            exported = workspace.export(store.snapshot())
            version = store.version()
            assert applied(store, exported).empty
            assert store.version() == version


def test_a_plan_shows_what_is_added_changed_and_removed(store):
    assert planned(store, TEXT).endswith("6 to create, 1 to change, 0 to delete.\n")
    applied(store, TEXT)
    text = TEXT.replace("within(30 days)", "within(7 days)").replace(", sync: 6 hours", "").replace("[planhat,", "[")
    value = yaml.safe_load(text)
    value["spaces"][0]["computed_traits"] = []
    assert planned(store, json.dumps(value)) == (
        f"~ audience prod/{AUDIENCE}\n"
        "    definition: \"event('Order Completed').within(30 days).count() >= 1\""
        " -> \"event('Order Completed').within(7 days).count() >= 1\"\n"
        '    destinations.planhat: "identify, 15 minutes" -> (none)\n'
        '    destinations.user-com: "track, 6 hours" -> "track, 15 minutes"\n'
        "- computed trait prod/lifetime_revenue"
        " (nothing is computed or sent any more; its key is never given again)\n"
        "\n0 to create, 1 to change, 1 to delete.\n"
    )


def test_another_name_alone_makes_another_audience_and_the_plan_says_how_to_rename(store):
    applied(store, TEXT)
    text = TEXT.replace("name: Order completed last 30days", "name: Buyers")
    assert f"to rename it instead, give 'Buyers' the key {AUDIENCE})" in planned(store, text)
    renamed = text.replace("name: Buyers", f"name: Buyers\n        key: {AUDIENCE}")
    before = audience(store)
    applied(store, renamed)
    after = audience(store)
    assert (after.id, after.name, after.connections) == (before.id, "Buyers", before.connections)


def test_a_connection_keeps_its_id_until_its_destination_is_made_anew(store):
    applied(store, TEXT)
    first = [each.id for each in audience(store).connections]
    applied(store, TEXT.replace("sync: 6 hours", "sync: 7 hours"))
    assert [each.id for each in audience(store).connections] == first
    anew = TEXT.replace(
        "user-com, source: website, kind: planhat", "user-com, source: website, kind: user-com"
    ).replace("kind: user-com, settings: {apiKey: key}", "kind: webhook, settings: {hooks: ['https://example.com/a']}")
    assert 'destinations.user-com: (none) -> "track, 6 hours"' in planned(store, anew)
    applied(store, anew)
    kept, other = (each.id for each in audience(store).connections)
    assert (kept, other in first) == (first[0], False)
    assert make_plan(store.snapshot(), parsed(anew), SECRETS).empty


def test_a_destination_reads_the_spaces_own_source_from_where_it_was_first_named(store):
    unnamed = with_audiences(simple("a"), computed_traits=[])
    applied(store, unnamed)
    assert [row.ordinals for row in store.snapshot().destinations] == [{"website": 100}, {"website": 100}]
    one = with_audiences(simple("a", destinations=["planhat"]), computed_traits=[])
    applied(store, one)
    assert store.snapshot().destination("planhat").ordinals == {"website": 100, "space:prod": 20}
    assert store.snapshot().destination("user-com").ordinals == {"website": 100}
    later = Ends(offset=900, sources={"website": (300, 0), "space:prod": (500, 0)})
    applied(store, unnamed, later)
    applied(store, with_audiences(simple("a", destinations=["planhat", "user-com"]), computed_traits=[]), later)
    assert store.snapshot().destination("planhat").ordinals == {"website": 100, "space:prod": 20}
    assert store.snapshot().destination("user-com").ordinals == {"website": 100, "space:prod": 500}


def test_the_log_is_read_once_and_only_where_something_begins(store):
    calls = []

    def read_ends() -> Ends:
        calls.append(1)
        return ENDS

    workspace.apply(store, parsed(TEXT), SECRETS, read_ends)
    assert len(calls) == 1
    workspace.apply(store, parsed(TEXT.replace("30 days", "31 days")), SECRETS, read_ends)
    assert len(calls) == 1
    assert store.snapshot().destination("planhat").ordinals == {"website": 100, "space:prod": 20}


def test_a_key_of_a_deleted_audience_is_never_given_again(store):
    applied(store, with_audiences(simple("Buyers"), computed_traits=[]))
    applied(store, with_audiences(computed_traits=[]))
    again = with_audiences(simple("Buyers"), computed_traits=[])
    with pytest.raises(Invalid, match=r"^spaces\[0\].audiences\[0\].key: the key 'buyers' was that of an .*line 1\)$"):
        make_plan(store.snapshot(), parsed(again), SECRETS)
    with pytest.raises(Invalid, match="never given again"):
        applied(store, with_audiences(computed_traits=[simple("Buyers", "event('X').count()")]))
    applied(store, with_audiences(simple("Buyers", key="buyers_2"), computed_traits=[]))


def test_a_key_cannot_go_from_an_audience_to_a_trait(store):
    applied(store, with_audiences(simple("Buyers"), computed_traits=[]))
    with pytest.raises(Invalid, match="the key 'buyers' is that of the audience 'Buyers', and is never given again"):
        applied(store, with_audiences(computed_traits=[simple("Buyers", "event('X').count()")]))


def test_whether_anonymous_users_are_members_is_fixed_at_creation(store):
    applied(store, with_audiences(simple("Buyers", include_anonymous=True)))
    with pytest.raises(Invalid, match=r"audiences\[0\].include_anonymous: is true since it was created"):
        applied(store, with_audiences(simple("Buyers")))


def test_what_another_definition_names_is_not_deleted(store):
    revenue = "trait('lifetime_revenue') > 100"
    applied(store, with_audiences(simple("Rich", revenue)))
    left_out = with_audiences(simple("Rich", revenue), computed_traits=[])
    with pytest.raises(Invalid, match=r"audiences\[0\].definition: names 'lifetime_revenue', the computed trait 'Life"):
        make_plan(store.snapshot(), parsed(left_out), SECRETS)
    with pytest.raises(Invalid, match=r"there is no audience with the key 'rich'"):
        parsed(with_audiences(simple("Poor", "not (audience('rich'))")))
    applied(store, with_audiences(simple("Rich"), computed_traits=[]))


def test_a_destination_that_goes_takes_its_connections_along_and_must_not_be_named(store):
    applied(store, TEXT)
    value = yaml.safe_load(TEXT)
    del value["destinations"][1]
    with pytest.raises(Invalid, match=r"destinations\[1\].slug: the file has no destination 'user-com'"):
        parsed(json.dumps(value))
    del value["spaces"][0]["audiences"][0]["destinations"][1]
    applied(store, json.dumps(value))
    assert [each.destination for each in audience(store).connections] == [1]


def test_a_space_that_goes_takes_everything_along_and_leaves_its_keys(store):
    applied(store, TEXT)
    value = yaml.safe_load(TEXT)
    space = value["spaces"].pop()
    applied(store, json.dumps(value))
    assert store.snapshot().computations == ()
    value["spaces"] = [space]
    applied(store, json.dumps(value))
    assert [row.id for row in store.snapshot().computations] == [3, 4]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "count()>=1",
            "count()",
            r"audiences\[0\].definition: line 1, column 41: an audience ends in true or false; .* \(line 16\)$",
        ),
        ("within(30", "whithin(30", r"audiences\[0\].definition: line 1, column 25: .*\.within.*\(line 16\)$"),
        (
            "sum(property('revenue'))",
            "count() > 1",
            r"computed_traits\[0\].definition: line 1.* true or false.*line 12\)",
        ),
        ("sync: 15 minutes", "sync: hourly", r'audiences\[0\].sync: must be "realtime", or .* \(line 18\)$'),
        ("6 hours", "25 hours", r"destinations\[1\].sync: must be from 1 minute to 24 hours \(line 17\)$"),
        ("[planhat, {", "[planhta, {", r'\[0\]: the file has no destination \'planhta\'; did you mean "planhat"\?'),
        ("[planhat, {", "[user-com, {", r"destinations\[1\].slug: this destination stands here twice"),
        ("track: true", "track: false", r"destinations\[1\]: one of identify and track must be true"),
        ("track: true", "trakc: true", r'destinations\[1\].trakc: there is no such key; did you mean "track"'),
        ("[planhat, {", "[7, {", r"destinations\[0\]: must be a text or a map, not a whole number"),
        ("sync: 15", "snyc: 15", r'audiences\[0\].snyc: there is no such key; did you mean "sync"'),
        ("name: Order completed last 30days", "name: 日本", r"audiences\[0\].name: no key can be made .* \(line 15\)$"),
        ("name: Order completed last 30days", "name: E-Mail!", r"^$"),
        ("name: Order completed last 30days", "name: Email", r"name: the key 'email' is a trait that Segment's Spec"),
        ("name: Order completed last 30days", "name: User id", r"name: the key 'user_id' is a type of external id"),
        ("        sync: 15 minutes", "        key: A-b", r"audiences\[0\].key: 'A-b' is no key"),
        (
            "name: Order completed last 30days",
            "name: lifetime  revenue",
            r"audiences\[0\].name: the computed trait 'Lifetime Revenue' has the key 'lifetime_revenue' already",
        ),
        ("count()>=1", "count()>=1 AND audience('order')", r"there is no audience with the key 'order'"),
        (
            "count()>=1",
            f"count()>=1 AND audience('{AUDIENCE}')",
            r"definition: these definitions refer to each other in a circle: order.* -> order.* \(line 16\)$",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path_and_line(old, new, message):
    assert old in TEXT
    if message == "^$":
        parsed(TEXT.replace(old, new))
        return
    with pytest.raises(Invalid, match=message):
        parsed(TEXT.replace(old, new))


def test_several_mistakes_of_a_definition_are_told_at_once():
    with pytest.raises(Invalid, match=r"column 1: .* too; .* \(line 1\)$|column 1: .*; line 1, column \d+: "):
        parsed(with_audiences(simple("a", "audience('x') AND audience('y')")))


def test_what_is_often_not_meant_is_pointed_out_and_refuses_nothing():
    file = parsed(
        with_audiences(
            simple(
                "a", "trait('born').before_date('2020-01-01T12:00') AND event('X').sources(exclude: 'web').count() > 0"
            ),
            simple("b"),
        )
    )
    zone, source = file.cautions
    assert zone.startswith("! prod/a: line 1, column ") and "read as UTC" in zone
    assert "this space has no source 'web'" in source


def test_a_file_without_definitions_does_not_load_the_grammar():
    import subprocess
    import sys

    script = (
        "import sys; from segue.control import workspace; from segue.control.workspace_file import parse_workspace\n"
        "parse_workspace(b'{workspace: {name: a, slug: a}, spaces: [{slug: s, sources: []}]}', {})\n"
        "sys.exit(any(name.startswith(('lark', 'segue.compute')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
