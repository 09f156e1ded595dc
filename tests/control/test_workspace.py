"""Apply, plan and export: what is applied is what is planned, and no secret gets out."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.control import destinations, workspace
from segue.control.plan import make_plan
from segue.control.secrets import Secrets
from segue.control.workspace_file import WorkspaceFile, parse_workspace
from segue.core.errors import Invalid
from segue.log import Ends
from segue.state.control import ControlStore

SECRETS = Secrets.passing()

ENDS = Ends(offset=120, sources={"website": (100, 3), "one": (20, 0)})


class StoppedClock:
    """A clock that stands."""

    def now_ms(self) -> int:
        return 0


SLUGS = st.sampled_from(["one", "two", "three"])
NAMES = st.text("aä\"'#: {}[]-0", min_size=1, max_size=6).filter(str.strip)
SECRET_TEXTS = st.text("abcdefXYZ019$!{", min_size=3, max_size=8).map(
    lambda text: "hunter2" + re.sub(r"\$\{+", "$", text)
)
HOOKS = (["https://example.com/${PATH}"], ["https://example.com/a", "http://b"])


def hooks_with(secret: str) -> list[object]:
    return ["https://example.com/a", {"hook": "http://b", "headers": {"Authorization": secret}}]


KINDS = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("planhat"), "settings": st.fixed_dictionaries({"apiKey": SECRET_TEXTS | st.just("${KEY}")})}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("webhook"),
            "settings": st.fixed_dictionaries(
                {"hooks": st.sampled_from(HOOKS) | SECRET_TEXTS.map(hooks_with)},
                optional={"sharedSecret": SECRET_TEXTS | st.just("$${x}") | st.just("a-${KEY}-b")},
            ),
        }
    ),
)


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, object]:
    slugs = draw(st.lists(SLUGS, unique=True, min_size=1, max_size=3))
    keys = draw(st.permutations(["k1", "k2", "k3"]))
    sources = [
        {
            "slug": slug,
            "name": draw(NAMES),
            "write_keys": keys[place : place + 1],
            "enabled": draw(st.booleans()),
            "strict": draw(st.booleans()),
        }
        for place, slug in enumerate(slugs)
    ]
    wanted = [
        {
            "slug": slug,
            "name": draw(NAMES),
            "source": draw(st.sampled_from(slugs)),
            "enabled": draw(st.booleans()),
            **draw(KINDS),
            **draw(st.sampled_from([{}, {"max_rate": 2.5}, {"max_concurrency": 3}])),
        }
        for slug in draw(st.lists(SLUGS, unique=True, max_size=3))
    ]
    head = {"name": draw(NAMES), "slug": draw(SLUGS), "strict_keys": draw(st.booleans())}
    return {"workspace": head, "sources": sources, "destinations": wanted}


def parsed(entry: dict[str, object]) -> WorkspaceFile:
    return parse_workspace(json.dumps(entry).encode(), {"KEY": "key", "PATH": "path"})


@settings(max_examples=60, deadline=None)
@given(first=workspaces(), second=workspaces())
def test_any_file_applied_over_any_other_is_what_is_stored_and_exported(first, second):
    with tempfile.TemporaryDirectory() as folder, ControlStore(Path(folder) / "control.db", StoppedClock()) as store:
        for entry in (first, second):
            file = parsed(entry)
            plan = workspace.apply(store, file, SECRETS, lambda: ENDS)
            assert make_plan(store.snapshot(), file, SECRETS).empty
            exported = workspace.export(store.snapshot())
            again = parse_workspace(exported.encode(), {})
            version = store.version()
            assert workspace.apply(store, again, SECRETS, lambda: ENDS).empty
            assert store.version() == version
            for text in (exported, plan.text(), repr(plan), repr(file), repr(store.snapshot())):
                assert "hunter2" not in text


DEMO = {
    "workspace": {"name": "Demo", "slug": "demo"},
    "sources": [{"slug": "website", "name": "Website", "write_keys": ["one"]}],
    "destinations": [
        {
            "slug": "planhat",
            "source": "website",
            "kind": "planhat",
            "name": "Planhat",
            "enabled": True,
            "settings": {"apiKey": "hunter2hunter2"},
        }
    ],
}


def changed(**fields: object) -> dict[str, object]:
    """The demo workspace with fields of its destination changed."""
    return {**DEMO, "destinations": [{**DEMO["destinations"][0], **fields}]}


def applied(store: ControlStore, entry: dict[str, object]):
    return workspace.apply(store, parsed(entry), SECRETS, lambda: ENDS)


def test_a_new_destination_begins_at_the_logs_end(store):
    applied(store, DEMO)
    row = store.snapshot().destination("planhat")
    assert (row.offset, row.ordinals) == (120, {"website": 100})


def test_the_log_is_read_inside_the_transaction_and_only_for_a_new_destination(store):
    read = []

    def read_ends():
        with pytest.raises(Exception, match="within a transaction"):
            store.snapshot()
        read.append(True)
        return ENDS

    workspace.apply(store, parsed(DEMO), SECRETS, read_ends)
    workspace.apply(store, parsed(changed(name="Other")), SECRETS, read_ends)
    assert read == [True]


def test_a_changed_destination_keeps_its_id_and_its_place(store):
    applied(store, DEMO)
    before = store.snapshot().destination("planhat")
    workspace.apply(store, parsed(changed(settings={"apiKey": "another"})), SECRETS, lambda: pytest.fail("not read"))
    after = store.snapshot().destination("planhat")
    assert (after.id, after.offset, after.settings_version) == (before.id, before.offset, 2)


def test_another_source_or_kind_makes_a_new_destination_and_the_plan_says_so(store):
    applied(store, DEMO)
    before = store.snapshot().destination("planhat")
    plan = applied(store, changed(kind="webhook", settings={"hooks": ["https://example.com"]}))
    after = store.snapshot().destination("planhat")
    assert after.id > before.id
    assert "± destination planhat (deleted and created anew" in plan.text()


def test_what_the_file_leaves_out_is_deleted(store):
    applied(store, DEMO)
    plan = applied(store, {"workspace": DEMO["workspace"]})
    assert (store.snapshot().sources, store.snapshot().destinations) == ((), ())
    assert "- source website" in plan.text()
    assert "- destination planhat" in plan.text()


def test_a_kept_secret_stays_and_one_that_is_not_stored_is_refused(store):
    kept = changed(settings={"apiKey": {"kept": True}}, name="Renamed")
    with pytest.raises(Invalid, match=r"^destinations\[0\].settings.apiKey: .*none is stored"):
        applied(store, kept)
    assert store.snapshot().sources == ()
    applied(store, DEMO)
    applied(store, kept)
    row = store.snapshot().destination("planhat")
    assert row.name == "Renamed"
    assert destinations.open_settings(row, SECRETS, {}).apiKey == "hunter2hunter2"


def test_a_secret_of_the_former_kind_is_not_kept_for_another(store):
    applied(store, DEMO)
    entry = changed(kind="plotline", settings={"apiKey": {"kept": True}, "endpoint": "https://example.com"})
    with pytest.raises(Invalid, match="none is stored"):
        applied(store, entry)


def test_a_file_is_applied_again_only_when_it_differs_from_the_one_applied_last(store, read_ends):
    file = parsed(DEMO)
    assert workspace.apply_if_new(store, file, SECRETS, read_ends) is not None
    destinations.enable(store, "planhat", enabled=False)
    assert workspace.apply_if_new(store, file, SECRETS, read_ends) is None
    assert not store.snapshot().destination("planhat").enabled
    assert workspace.apply_if_new(store, parsed(changed(name="Other")), SECRETS, read_ends) is not None
    assert store.snapshot().destination("planhat").enabled


def test_a_plan_shows_before_and_after_and_never_a_secret(store):
    applied(store, DEMO)
    plan = make_plan(
        store.snapshot(),
        parsed(changed(enabled=False, settings={"apiKey": "hunter3hunter3", "subdomain": "api-eu"})),
        SECRETS,
    )
    assert plan.text() == (
        "~ destination planhat\n"
        "    enabled: true -> false\n"
        "    settings.apiKey: (secret) -> (another secret)\n"
        '    settings.subdomain: (none) -> "api-eu"\n'
        "\n"
        "0 to create, 1 to change, 0 to delete.\n"
    )


def test_an_empty_plan_says_so(store):
    applied(store, DEMO)
    assert make_plan(store.snapshot(), parsed(DEMO), SECRETS).text() == "No changes.\n"


def test_write_keys_may_be_swapped(store):
    sources = [{"slug": "one", "write_keys": ["a"]}, {"slug": "two", "write_keys": ["b"]}]
    applied(store, {**DEMO, "sources": sources, "destinations": []})
    sources = [{"slug": "one", "write_keys": ["b"]}, {"slug": "two", "write_keys": ["a"]}]
    applied(store, {**DEMO, "sources": sources, "destinations": []})
    assert [row.write_keys for row in store.snapshot().sources] == [("b",), ("a",)]


def test_secrets_of_another_key_can_be_exported_kept_and_replaced(store):
    applied(store, DEMO)
    others = Secrets.passing()
    assert "kept: true" in workspace.export(store.snapshot())
    assert make_plan(store.snapshot(), parsed(changed(settings={"apiKey": {"kept": True}})), others).empty
    workspace.apply(store, parsed(changed(settings={"apiKey": "again"})), others, lambda: ENDS)
    assert destinations.open_settings(store.snapshot().destination("planhat"), others, {}).apiKey == "again"


def test_references_are_exported_as_they_were_written(store):
    applied(store, changed(settings={"apiKey": "${KEY}", "endpoint": "http://${KEY}/x"}))
    exported = yaml.safe_load(workspace.export(store.snapshot()))
    assert exported["destinations"][0]["settings"] == {"apiKey": "${KEY}", "endpoint": "http://${KEY}/x"}
