"""Destinations: created at the log's end, checked by their kind, opened for use."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from segue.control import destinations, sources
from segue.control.destinations import DestinationSpec, find_kind, read_settings
from segue.control.secrets import Secrets
from segue.core.errors import Invalid
from segue.state.control import SourceRow
from segue.wiring.worker import plan_of


@pytest.fixture
def store(store):
    sources.create(store, SourceRow(slug="website", name="Website"))
    return store


def planhat(**settings: object) -> DestinationSpec:
    values = read_settings(find_kind("planhat"), {"apiKey": "hunter2hunter2", **settings}, {"KEY": "key-of-environ"})
    return DestinationSpec(slug="planhat", name="Planhat", source="website", kind="planhat", settings=values)


def test_a_new_destination_begins_at_the_logs_end_and_is_off(store, secrets, read_ends):
    row = destinations.create(store, planhat(), secrets, read_ends)
    assert store.snapshot().destinations == (row,)
    assert (row.offset, row.ordinals, row.enabled) == (120, {"website": 100}, False)


def test_a_source_without_events_begins_at_ordinal_0(store, secrets, read_ends):
    sources.create(store, SourceRow(slug="quiet", name="Quiet"))
    row = destinations.create(store, replace(planhat(), source="quiet"), secrets, read_ends)
    assert row.ordinals == {"quiet": 0}


def test_what_cannot_be_created_is_refused(store, secrets, read_ends):
    destinations.create(store, planhat(), secrets, read_ends)
    for spec, message in (
        (planhat(), "a destination 'planhat' already"),
        (replace(planhat(), slug="other", source="websit"), "no source 'websit'"),
        (replace(planhat(), slug="other", kind="planhatt"), 'did you mean "planhat"'),
        (replace(planhat(apiKey={"kept": True}), slug="other"), "none is stored"),
        (replace(planhat(), slug="Other"), "a slug has"),
    ):
        with pytest.raises(Invalid, match=message):
            destinations.create(store, spec, secrets, read_ends)
    assert len(store.snapshot().destinations) == 1


def test_the_kind_gets_its_settings_decrypted_and_resolved(store, secrets, read_ends):
    row = destinations.create(store, planhat(subdomain="api-eu", endpoint="http://${KEY}/x"), secrets, read_ends)
    opened = destinations.open_settings(row, secrets, {"KEY": "host"})
    assert isinstance(opened, find_kind("planhat").settings)
    assert (opened.apiKey, opened.subdomain, opened.endpoint) == ("hunter2hunter2", "api-eu", "http://host/x")
    assert "hunter2" not in repr(row)


def test_settings_that_cannot_be_used_are_named_without_their_value(store, secrets, read_ends):
    row = destinations.create(store, planhat(endpoint="${URL}"), secrets, read_ends)
    with pytest.raises(Invalid, match=r"^settings.endpoint: the environment variable URL is not set"):
        destinations.open_settings(row, secrets, {})
    with pytest.raises(Invalid, match=r"^settings.endpoint: ") as caught:
        destinations.open_settings(row, secrets, {"URL": "ftp://hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(Invalid, match=r"^settings.apiKey: .* encrypted with another key"):
        destinations.open_settings(row, Secrets.passing(), {"URL": "http://x"})
    with pytest.raises(Invalid, match="no kind of destination 'gone'"):
        destinations.open_settings(replace(row, kind="gone"), secrets, {})


def test_settings_are_replaced_whole_but_for_what_is_kept(store, secrets, read_ends):
    row = destinations.create(store, planhat(subdomain="api-eu"), secrets, read_ends)
    changed = destinations.change(store, "planhat", secrets, {}, settings={"apiKey": {"kept": True}})
    assert changed.settings == {"apiKey": row.settings["apiKey"]}
    assert changed.settings_version == 2
    assert destinations.open_settings(changed, secrets, {}).subdomain == "api"


def test_a_change_of_something_else_leaves_the_settings_version(store, secrets, read_ends):
    destinations.create(store, planhat(), secrets, read_ends)
    changed = destinations.change(store, "planhat", secrets, {}, name="Other", enabled=True)
    assert (changed.name, changed.enabled, changed.settings_version) == ("Other", True, 1)


def test_bad_settings_change_nothing(store, secrets, read_ends):
    row = destinations.create(store, planhat(), secrets, read_ends)
    for settings in ({}, {"apiKey": ""}, {"apiKey": "x", "nothing": 1}):
        with pytest.raises(Invalid, match=r"^settings\."):
            destinations.change(store, "planhat", secrets, {}, settings=settings)
    assert store.snapshot().destinations == (row,)


def test_a_switch_is_a_change_only_where_it_moves(store, secrets, read_ends):
    destinations.create(store, planhat(), secrets, read_ends)
    version = store.version()
    assert destinations.enable(store, "planhat", enabled=True).enabled
    destinations.enable(store, "planhat", enabled=True)
    assert store.version() == version + 1


def test_the_masker_knows_every_secret_and_nothing_else(store, secrets, read_ends):
    row = destinations.create(store, planhat(apiKey="${KEY}", endpoint="http://public.example"), secrets, read_ends)
    masker = destinations.masker(row, secrets, {"KEY": "key-of-environ"})
    assert masker.mask_text("key-of-environ http://public.example") == "*** http://public.example"
    assert destinations.masker(row, secrets, {}).mask_text("key-of-environ") == "key-of-environ"


def test_a_masker_also_knows_the_secrets_of_other_settings_and_masks_the_longest_first(store, secrets, read_ends):
    former = destinations.create(store, planhat(apiKey="hunter2hunter2-and-more"), secrets, read_ends)
    row = destinations.change(store, "planhat", secrets, {}, settings={"apiKey": "hunter2hunter2"})
    masker = destinations.masker(row, secrets, {}, former.settings)
    assert masker.mask_text("hunter2hunter2-and-more hunter2hunter2") == "*** ***"


def test_the_pace_is_off_until_a_rate_is_set_whatever_the_kind_suggests(store, secrets, read_ends):
    row = destinations.create(store, planhat(), secrets, read_ends)
    assert find_kind("planhat").max_rate is not None
    assert plan_of(row, secrets).max_rate is None
    assert plan_of(replace(row, max_rate=1.5), secrets).max_rate == 1.5
    assert plan_of(replace(row, max_rate=0), secrets).max_rate is None


def test_a_deleted_slug_may_be_used_again_with_a_new_id(store, secrets, read_ends):
    first = destinations.create(store, planhat(), secrets, read_ends)
    destinations.delete(store, "planhat")
    assert destinations.create(store, planhat(), secrets, read_ends).id > first.id


def hooks(*given: object) -> DestinationSpec:
    values = read_settings(find_kind("webhook"), {"hooks": list(given)}, {})
    return DestinationSpec(slug="hook", name="Hook", source="website", kind="webhook", settings=values)


def test_headers_of_one_address_are_a_secret_like_those_of_all(store, secrets, read_ends):
    own = {"hook": "https://b.example/", "headers": {"Authorization": "Bearer hunter2"}}
    row = destinations.create(store, hooks("https://a.example/", own), secrets, read_ends)
    assert "hunter2" not in str(store.snapshot())
    assert destinations.masker(row, secrets, {}).mask_text("say hunter2 at https://b.example/") == (
        "say *** at https://b.example/"
    )
    kept = {"hooks": [{"hook": "https://b.example/", "headers": {"kept": True}}]}
    changed = destinations.change(store, "hook", secrets, {}, settings=kept)
    opened = destinations.open_settings(changed, secrets, {})
    assert dict(opened.calls[0][1])["Authorization"] == "Bearer hunter2"
    elsewhere = {"hooks": [{"hook": "https://evil.example/", "headers": {"kept": True}}]}
    with pytest.raises(Invalid, match=r"^settings.hooks\[0\].headers: .*none is stored"):
        destinations.change(store, "hook", secrets, {}, settings=elsewhere)


def test_headers_of_one_address_are_not_quoted_where_they_are_wrong(secrets):
    with pytest.raises(Invalid, match=r"^settings.hooks") as caught:
        hooks({"hook": "https://b.example/", "headers": {"X-Key": "hunter2\n"}})
    assert "hunter2" not in str(caught.value)
