"""As whom a profile is spoken of: the table of the contract, order, bound, and the ledger's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.tuples import TUPLES_MOST, IdentityTuple, tuples, tuples_left_out
from segue.core.profile import ExternalId


def ids(**values: str) -> list[ExternalId]:
    """External ids: `user="u1"`, `email="a b"` for two, `anon="1"`, `ios="I"`, `android="A"`."""
    types = {"user": "user_id", "anon": "anonymous_id", "ios": "ios.idfa", "android": "android.idfa"}
    return [ExternalId(types.get(name, name), each) for name, given in values.items() for each in given.split()]


def short(ids_: list[ExternalId], *, include_anonymous: bool) -> list[tuple[str, ...]]:
    """The tuples without what is empty in them."""
    found = tuples(ids_, include_anonymous=include_anonymous)
    return [tuple(part if isinstance(part, str) else part.id for part in each if part is not None) for each in found]


@pytest.mark.parametrize(
    ("profile", "off", "on"),
    [
        (ids(user="u1"), [("u1",)], [("u1",)]),
        (ids(user="u1", email="b@x a@x"), [("u1", "a@x"), ("u1", "b@x")], [("u1", "a@x"), ("u1", "b@x")]),
        (ids(email="a@x", anon="1"), [("a@x",)], [("a@x", "1")]),
        (ids(anon="1 2"), [], [("1",), ("2",)]),
        (ids(user="u1", anon="1 2"), [("u1",)], [("u1", "1"), ("u1", "2")]),
        (ids(ios="I"), [("I",)], [("I",)]),
        (ids(ios="I", android="B A"), [("A",), ("B",), ("I",)], [("A",), ("B",), ("I",)]),
        (ids(ios="I", anon="1"), [("I",)], [("1",)]),
        (ids(user="u1", ios="I"), [("u1",)], [("u1",)]),
    ],
)
def test_a_profile_is_spoken_of_as_the_contract_says(profile, off, on):
    assert short(profile, include_anonymous=False) == off
    assert short(profile, include_anonymous=True) == on


def test_a_tuple_goes_by_the_first_id_that_it_has():
    assert IdentityTuple("u1", "a@x", "1").key_id == ("user_id", "u1")
    assert IdentityTuple(None, "a@x", "1").key_id == ("email", "a@x")
    assert IdentityTuple(None, None, "1").key_id == ("anonymous_id", "1")
    assert IdentityTuple(idfa=ExternalId("ios.idfa", "I")).key_id == ("ios.idfa", "I")


def test_the_text_of_a_tuple_is_a_json_array():
    assert IdentityTuple("u1", "a@x").text == '["u1","a@x",null,null]'
    assert IdentityTuple(idfa=ExternalId("ios.idfa", "I")).text == '[null,null,null,["ios.idfa","I"]]'


values = st.none() | st.text(min_size=1)


@given(st.builds(IdentityTuple, values, values, values))
def test_a_tuple_reads_back_from_its_text(each):
    assert IdentityTuple.from_text(each.text) == each


@given(st.lists(st.builds(ExternalId, st.sampled_from(["user_id", "email", "anonymous_id", "x"]), st.text(min_size=1))))
def test_the_order_of_the_ids_does_not_matter_and_the_tuples_are_in_order(given_ids):
    found = tuples(given_ids, include_anonymous=True)
    assert found == tuples(given_ids[::-1] + given_ids, include_anonymous=True)
    assert len(set(found)) == len(found)
    assert list(found) == sorted(found, key=lambda each: [part or "" for part in each[:3]])


def test_of_very_many_the_first_are_spoken_of_and_the_rest_is_counted():
    many = ids(user=" ".join(f"u{n:03}" for n in range(40)), email=" ".join(f"{n:03}@x" for n in range(40)))
    found = tuples(many, include_anonymous=False)
    assert len(found) == TUPLES_MOST
    assert found[0] == IdentityTuple("u000", "000@x")
    assert found[-1] == IdentityTuple("u024", "039@x")
    assert tuples_left_out(many, include_anonymous=False) == 600
    assert tuples_left_out(many[:40], include_anonymous=False) == 0


def test_the_bound_holds_for_devices_too():
    many = ids(ios=" ".join(map(str, range(1_001))))
    assert len(tuples(many, include_anonymous=False)) == TUPLES_MOST
    assert tuples_left_out(many, include_anonymous=False) == 1
