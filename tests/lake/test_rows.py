"""An event as a row: which columns it has, what stands in them, and where it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core.canonical import canonical
from segue.lake.columns import COLUMNS, NAMES
from segue.lake.rows import FREQUENT_MOST, folder_of, frequent_properties, place_of, row_of

from .rig import Rig, applied

NAME = st.text(st.characters(codec="utf-8"), max_size=8)
VALUE = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
PROPERTIES = st.dictionaries(
    st.sampled_from(["revenue", "Revenue", "a.b", 'q"uote', "", "é", "list"]) | NAME,
    VALUE | st.lists(VALUE, max_size=2) | st.dictionaries(NAME, VALUE, max_size=2),
    max_size=6,
)


def row(*columns: str, type_: str = "track", **fields: Any) -> tuple[Any, ...]:
    """Some of the values that an event's row has."""
    found = dict(zip(NAMES, row_of(applied(7, type_, **fields), ()), strict=True))
    return tuple(found[name] for name in columns)


def test_an_event_is_a_row_of_canonical_json():
    body = {"userId": "u1", "event": "Paid", "properties": {"b": 1.50, "a": [1e21, "é"]}, "context": {"ip": "1"}}
    found = row("event", "user_id", "properties", "traits", "context", "profile", "account", **body)
    assert found == ("Paid", "u1", '{"b":1.5,"a":[1e+21,"é"]}', None, '{"ip":"1"}', 1, None)


@pytest.mark.parametrize(
    ("type_", "event", "name"), [("page", "Page Viewed", "page_name"), ("screen", "Screen Viewed", "screen_name")]
)
def test_the_name_of_a_page_is_a_property_of_an_event(type_: str, event: str, name: str):
    assert row("event", "properties", type_=type_, name="Pricing", properties={"url": "/"}) == (
        event,
        json.dumps({"url": "/", name: "Pricing"}, separators=(",", ":")),
    )
    assert row("properties", type_=type_, name="Pricing", properties={name: "other"}) == (f'{{"{name}":"Pricing"}}',)
    assert row("properties", type_=type_, name="Pricing") == (f'{{"{name}":"Pricing"}}',)
    assert row("event", "properties", type_=type_, properties={}) == (event, "{}")


def test_only_a_group_call_has_an_account_and_its_id():
    record = applied(0, "group", profile=0, account=4, groupId="g1", traits={"plan": "pro"})
    found = dict(zip(NAMES, row_of(record, ()), strict=True))
    assert (found["profile"], found["account"], found["group_id"], found["event"]) == (None, 4, "g1", None)
    assert row("group_id", groupId="g1") == (None,)


def test_properties_that_are_no_object_are_none():
    assert row("properties", properties=["a"]) == (None,)
    assert row("properties", properties=None) == (None,)


def test_a_property_is_frequent_that_a_quarter_of_the_events_has_as_a_short_value():
    entries = [applied(n, event="E", properties={"always": n, **({"seldom": 1} if n < 2 else {})}) for n in range(9)]
    entries += [applied(n, event="E", properties={"always": None, "list": [], "long": "x" * 300}) for n in range(9, 12)]
    assert frequent_properties(entries) == ("always",)


def test_names_that_differ_in_case_only_have_no_column():
    assert frequent_properties([applied(0, properties={"id": 1, "ID": 2, "other": 3})]) == ("other",)


def test_the_most_frequent_properties_have_columns():
    names = [f"p{n:02d}" for n in range(FREQUENT_MOST + 4)]
    entries = [applied(n, properties=dict.fromkeys(names[n:], 1)) for n in range(5)]
    assert frequent_properties(entries) == tuple(names[4:])


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.text(st.characters(codec="utf-8"), max_size=300))
def test_every_name_has_a_folder_of_its_own(one: str, other: str):
    assert (folder_of(one or None, "track") == folder_of(other or None, "track")) == (one == other)
    folder = folder_of(one, "track")
    assert len(folder.encode()) < 250 and "/" not in folder and not folder.startswith(".")


def test_events_without_a_name_stand_in_the_folder_of_their_type():
    assert place_of(applied(0, "identify")).folder == "@identify"
    assert place_of(applied(0, "track", event="@identify")).folder == "%40identify"
    assert place_of(applied(0, "track", event="@identify")).day == "2027-01-15"


@settings(max_examples=40, deadline=None)
@given(st.lists(PROPERTIES, min_size=1, max_size=8), st.sampled_from(["track", "page"]))
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, events: list[Any], type_: str):
    entries = [applied(n, type_, event="E", name="N", properties=each) for n, each in enumerate(events)]
    lake = Rig(tmp_path_factory.mktemp("lake"))
    try:
        lake.write(*entries)
        assert lake.rows() == [row_of(entry, ()) for entry in entries]
        (file,) = lake.files()
        columns = lake.rows(*(f"property.{name}" for name in file.properties)) if file.properties else []
        for properties, found in zip(events, columns, strict=False):
            whole = {**properties, "page_name": "N"} if type_ == "page" else properties
            written = [
                canonical(json.dumps(whole[name]).encode()) if name in whole else None for name in file.properties
            ]
            assert list(found) == written
    finally:
        lake.close()


def test_a_file_has_the_columns_that_are_documented(lake: Rig):
    lake.write(applied(0, event="E", properties={"a": 1}))
    import duckdb

    path = str(lake.folder / lake.files()[0].path)
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(?))", [path]
        ).fetchall()
    assert found == [*((column.name, column.type) for column in COLUMNS), ("property.a", "VARCHAR")]
