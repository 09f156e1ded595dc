"""Sources: what may be stored, changed and deleted."""

from __future__ import annotations

import pytest

from segue.control import destinations, sources
from segue.control.destinations import DestinationSpec
from segue.core.errors import Invalid
from segue.state.control import SourceRow

WEBSITE = SourceRow(slug="website", name="Website", write_keys=("one",))


def test_a_source_is_created_changed_and_deleted(store):
    sources.create(store, WEBSITE)
    changed = sources.change(store, "website", name="Shop", write_keys=["two", "three"], enabled=False, strict=True)
    assert store.snapshot().sources == (changed,)
    assert changed == SourceRow(slug="website", name="Shop", write_keys=("two", "three"), enabled=False, strict=True)
    sources.delete(store, "website")
    assert store.snapshot().sources == ()


def test_what_is_not_given_stays(store):
    sources.create(store, WEBSITE)
    version = store.version()
    assert sources.change(store, "website") == WEBSITE
    assert store.version() == version


def test_a_slug_and_a_write_key_are_taken_once(store):
    sources.create(store, WEBSITE)
    with pytest.raises(Invalid, match="a source 'website' already"):
        sources.create(store, WEBSITE)
    with pytest.raises(Invalid, match="another source has the write key 'one'"):
        sources.create(store, SourceRow(slug="app", name="App", write_keys=("one",)))
    assert store.snapshot().sources == (WEBSITE,)


def test_a_source_that_is_not_there_is_named_with_what_may_be_meant(store):
    sources.create(store, WEBSITE)
    for call in (sources.change, sources.delete):
        with pytest.raises(Invalid, match=r'no source \'websit\'; did you mean "website"\?'):
            call(store, "websit")


def test_a_bad_change_is_refused(store):
    sources.create(store, WEBSITE)
    for fields, field in (
        ({"name": ""}, "name"),
        ({"write_keys": ["a b"]}, "write_keys"),
        ({"write_keys": [""]}, "write"),
    ):
        with pytest.raises(Invalid, match=f"^{field}"):
            sources.change(store, "website", **fields)
    assert store.snapshot().sources == (WEBSITE,)


def test_a_source_that_a_destination_reads_is_not_deleted(store, secrets, read_ends):
    sources.create(store, WEBSITE)
    spec = DestinationSpec(slug="hook", name="Hook", source="website", kind="webhook")
    destinations.create(store, spec, secrets, read_ends)
    with pytest.raises(Invalid, match="delete its destinations first: hook"):
        sources.delete(store, "website")
    destinations.delete(store, "hook")
    sources.delete(store, "website")
