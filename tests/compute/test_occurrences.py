"""Events of the log: definitions read them as they read canonical JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.history import Occurrence
from segue.compute.occurrences import Happened, value_of
from segue.compute.paths import entries
from segue.core.canonical import canonical
from segue.core.event import Event
from tests.compute.histories import T0

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
anything: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**45), 10**45)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=6,
)


def body(**fields: Any) -> bytes:
    return json.dumps({"type": "track", "messageId": "m", **fields}).encode()


@given(anything)
def test_a_value_is_that_of_its_canonical_text(value):
    for ascii_only in (True, False):
        raw = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()
        found, expected = value_of(raw), json.loads(canonical(raw))
        assert found == expected and repr(found) == repr(expected)


SPELLINGS = ["5.0", "1e3", "1.5e3", "-0.0", "-5", "0.1e1", "1" + "0" * 20, "1e400", "0.10", "1.0000000000001", "1" * 40]


@pytest.mark.parametrize("raw", [*SPELLINGS, '"\\u00e9"', "true"])
def test_spellings_of_numbers_and_texts_do_not_matter(raw):
    found, expected = value_of(raw.encode()), json.loads(canonical(raw.encode()))
    assert found == expected and repr(found) == repr(expected)


@given(
    st.dictionaries(st.sampled_from(["p", "q", "page_name", "$"]), anything),
    st.sampled_from(["track", "page", "screen"]),
)
def test_a_path_leads_to_the_same_in_an_event_and_in_its_canonical_form(properties, type_):
    event = Event(body(type=type_, event="E", name="N", properties=properties, context=properties))
    happened = Happened(event, t=T0, received_at=T0 + 1, source="web")
    name = "E" if type_ == "track" else "N"
    text = canonical(json.dumps(properties, separators=(",", ":")).encode())
    plain = Occurrence(
        t=T0, received_at=T0 + 1, message_id="m", source="web", type=type_, name=name, properties=text, context=text
    )
    assert (happened.order, happened.streams, happened.source) == (plain.order, plain.streams, plain.source)
    for path in [("p",), ("q",), ("p", "q"), ("p", "$"), ("p", "$", "q"), ("page_name",), ("screen_name",), ("$",)]:
        for _ in range(2):
            assert entries(happened.properties, path) == entries(plain.properties, path)
            assert entries(happened.context, path) == entries(plain.context, path)


def test_an_event_without_properties_has_none():
    happened = Happened(Event(body(event="E", properties=None)), t=T0, received_at=T0, source="web")
    assert entries(happened.properties, ("p",)) == entries(happened.context, ("p",)) == [None]
    assert Happened(Event(body(type="identify", name="N")), t=T0, received_at=T0, source="web").streams == ()
