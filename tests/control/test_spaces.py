"""Spaces: their form in a workspace file, what is refused, and how they are applied, planned and exported."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.control import sources, workspace
from segue.control.plan import make_plan
from segue.control.secrets import Secrets
from segue.control.spaces import find_space
from segue.control.workspace_file import parse_workspace
from segue.core.errors import Invalid
from segue.core.profile import DEFAULT_RULES, IdentifierRule, IdentityRules
from segue.log import Ends
from segue.state.control import Control, ControlStore
from segue.state.spaces import SpaceRow

SECRETS = Secrets.passing()
HEAD = "workspace: {name: Demo, slug: demo}\nsources: [{slug: website}, {slug: app}]\n"
FIXED = """\
spaces:
  - slug: prod
    sources: [website]
    identity: {identifiers: [{type: user_id, limit: 1}, {type: email}, {type: anonymous_id}], blocked: ["null", "0"]}
"""
WHOLE = """\
spaces:
  - slug: prod
    name: Production
    sources: [website, app]
    identity:
      identifiers:
        - {type: user_id}
        - {type: crm.id, limit: 2, per: week, keys: [crmId]}
      blocked: ["-1", "/^test.*$/"]
"""


class StoppedClock:
    """A clock that stands."""

    def now_ms(self) -> int:
        return 7


def file(text: str):
    return parse_workspace((HEAD + text).encode(), {})


def applied(store, text: str):
    return workspace.apply(store, file(text), SECRETS, lambda: pytest.fail("no destination is new"))


def test_the_fixed_form_is_read_with_its_defaults():
    (space,) = file(FIXED).spaces
    rules = (IdentifierRule(type="user_id", limit=1), IdentifierRule(type="email", limit=5))
    assert space == SpaceRow(
        slug="prod",
        name="prod",
        sources=("website",),
        identity=IdentityRules(
            identifiers=(*rules, IdentifierRule(type="anonymous_id", limit=5)), blocked=("null", "0")
        ),
    )


def test_identity_that_is_left_out_is_segments_default():
    assert file("spaces: [{slug: prod, sources: [website]}]").spaces[0].identity == DEFAULT_RULES
    (space,) = file("spaces: [{slug: prod, sources: [website], identity: {blocked: []}}]").spaces
    assert space.identity == IdentityRules(identifiers=DEFAULT_RULES.identifiers, blocked=())


def test_the_whole_form_is_read():
    (space,) = file(WHOLE).spaces
    assert (space.name, space.sources) == ("Production", ("website", "app"))
    assert space.identity.identifiers == (
        IdentifierRule(type="user_id", limit=1),
        IdentifierRule(type="crm.id", limit=2, per="week", keys=("crmId",)),
    )
    assert space.identity.blocked == ("-1", "/^test.*$/")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("slug: prod", "slug: Prod", r"^spaces\[0\].slug: a slug has .* \(line 4\)$"),
        ("    sources: [website, app]\n", "", r"^spaces\[0\].sources: is missing \(line 4\)$"),
        ("[website, app]", "[websit]", r'^spaces\[0\].sources\[0\]: the file has no source .*"website"\? \(line 6\)$'),
        ("[website, app]", "[app, app]", r"^spaces\[0\].sources\[1\]: this source stands here twice"),
        ("identity:", "identty:", r'^spaces\[0\].identty: there is no such key; did you mean "identity"\?'),
        ("blocked:", "block:", r'^spaces\[0\].identity.block: there is no such key; did you mean "blocked"\?'),
        ("limit: 2", "limt: 2", r'identifiers\[1\].limt: there is no such key; did you mean "limit"\? \(line 10\)$'),
        ("    name: Production", "    journeys: []", r"^spaces\[0\].journeys: there is no such key \(line 5\)$"),
        ("crm.id", "CRM", r"^spaces\[0\].identity.identifiers\[1\].type: a type has .* \(line 10\)$"),
        ("crm.id", "user_id", r"identifiers\[1\].type: another identifier has the type 'user_id'"),
        ("crm.id", "group_id", r"identifiers\[1\].keys: an account is named by"),
        ("limit: 2", "limit: 0", r"identifiers\[1\].limit: must be from 1 to 1000"),
        ("per: week", "per: fortnight", r"identifiers\[1\].per: must be one of: ever, day, week, month, year"),
        ("[crmId]", "['']", r"identifiers\[1\].keys\[0\]: a key has"),
        ("/^test.*$/", "/(a+)+/", r"^spaces\[0\].identity.blocked\[1\]: could take very long .* \(line 11\)$"),
        ('"-1"', "-1", r"^spaces\[0\].identity.blocked\[0\]: must be a text, not a whole number; put it in quotes"),
        ('"-1"', '""', r"^spaces\[0\].identity.blocked\[0\]: a blocked value has 1 to 500 characters"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_line(old, new, message):
    assert old in WHOLE
    with pytest.raises(Invalid, match=message):
        file(WHOLE.replace(old, new, 1))


def test_two_spaces_have_two_slugs_and_rules_are_not_empty():
    with pytest.raises(Invalid, match=r"^spaces\[1\].slug: another space has the slug 'a'"):
        file("spaces: [{slug: a, sources: []}, {slug: a, sources: []}]")
    with pytest.raises(Invalid, match=r"identity.identifiers: there must be from 1 to 100 identifiers"):
        file("spaces: [{slug: a, sources: [], identity: {identifiers: []}}]")


def test_a_plan_shows_a_space_and_what_is_lost_with_it(store):
    text = "spaces: [{slug: prod, sources: [website]}]"
    assert make_plan(Control(sources=file("").sources), file(text), SECRETS).text().splitlines()[-7:-2] == [
        "+ space prod",
        '    name: "prod"',
        '    sources: ["website"]',
        '    identity.identifiers: "as Segment"',
        '    identity.blocked: "as Segment"',
    ]
    applied(store, text)
    changed = make_plan(store.snapshot(), file(text.replace("}]", ", identity: {blocked: ['0']}}]")), SECRETS)
    assert changed.text() == (
        '~ space prod\n    identity.blocked: "as Segment" -> ["0"]\n\n0 to create, 1 to change, 0 to delete.\n'
    )
    plan = make_plan(store.snapshot(), file(""), SECRETS)
    assert "- space prod (with its profiles, its audiences and computed traits, and its tokens)" in plan.text()


def test_a_changed_space_keeps_its_id_and_one_made_again_does_not(store):
    applied(store, FIXED)
    first = store.snapshot().spaces[0]
    applied(store, WHOLE)
    assert store.snapshot().spaces[0].id == first.id
    applied(store, "")
    applied(store, FIXED)
    assert store.snapshot().spaces[0].id > first.id


def test_a_source_can_go_together_with_the_space_that_read_it(store):
    applied(store, WHOLE)
    bare = parse_workspace(
        b"workspace: {name: D, slug: d}\nsources: [{slug: website}]\nspaces: [{slug: prod, sources: [website]}]", {}
    )
    workspace.apply(store, bare, SECRETS, dict)
    assert [row.slug for row in store.snapshot().sources] == ["website"]
    workspace.apply(store, parse_workspace(b"workspace: {name: D, slug: d}", {}), SECRETS, dict)
    assert (store.snapshot().sources, store.snapshot().spaces) == ((), ())


def test_a_source_that_a_space_reads_is_not_deleted(store):
    applied(store, FIXED)
    with pytest.raises(Invalid, match="take it out of its spaces first: prod"):
        sources.delete(store, "website")
    sources.delete(store, "app")


TYPES = st.sampled_from(["user_id", "email", "crm.id", "group_id"])
RULES = st.lists(
    st.fixed_dictionaries(
        {"type": TYPES}, optional={"limit": st.integers(1, 1000), "per": st.sampled_from(["ever", "day", "year"])}
    ),
    min_size=1,
    unique_by=lambda rule: rule["type"],
)
IDENTITIES = st.fixed_dictionaries(
    {}, optional={"identifiers": RULES, "blocked": st.lists(st.sampled_from(["0", "null", "/^a+$/", "ä: '"]))}
)
SPACES = st.lists(
    st.fixed_dictionaries(
        {
            "slug": st.sampled_from(["one", "two", "three"]),
            "sources": st.lists(st.sampled_from(["website", "app"]), unique=True),
        },
        optional={"name": st.sampled_from(["A", "#: -"]), "identity": IDENTITIES},
    ),
    unique_by=lambda space: space["slug"],
)


@settings(max_examples=60, deadline=None)
@given(first=SPACES, second=SPACES)
def test_any_spaces_applied_over_any_others_are_what_is_stored_and_exported(first, second):
    with tempfile.TemporaryDirectory() as folder, ControlStore(Path(folder) / "control.db", StoppedClock()) as store:
        for spaces in (first, second):
            applied(store, f"spaces: {json.dumps(spaces)}")
            assert {row.slug for row in store.snapshot().spaces} == {space["slug"] for space in spaces}
            again = parse_workspace(workspace.export(store.snapshot()).encode(), {})
            version = store.version()
            assert workspace.apply(store, again, SECRETS, lambda: Ends(0, {})).empty
            assert store.version() == version


def test_the_only_space_need_not_be_named():
    one, two = SpaceRow(slug="one", name="One"), SpaceRow(slug="two", name="Two")
    assert find_space(Control(spaces=(one,)), None) == one
    assert find_space(Control(spaces=(one, two)), "two") == two
    with pytest.raises(Invalid, match="several spaces; choose one of: one, two"):
        find_space(Control(spaces=(one, two)), None)
    with pytest.raises(Invalid, match="there is no space; a workspace file defines them"):
        find_space(Control(), None)
    with pytest.raises(Invalid, match="no space 'on'; did you mean \"one\""):
        find_space(Control(spaces=(one, two)), "on")
