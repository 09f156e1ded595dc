"""Setting values: said, stored, used, and printed, without a secret getting out."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.control.secrets import Secrets
from segue.control.setting_values import (
    Kept,
    Reference,
    Secret,
    Unreadable,
    is_open,
    printed_value,
    read_value,
    resolved_value,
    sealed_value,
    texts_of,
    unsealed_value,
)
from segue.core.errors import Invalid

SECRETS = Secrets.passing()

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text("$${}AB", max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def escaped(value):
    """A literal value as a file would say it."""
    return printed_value(value)


@given(PLAIN, st.booleans())
def test_a_literal_is_used_as_it_was_meant(value, secret):
    read = read_value(escaped(value), secret=secret, field="x")
    stored = json.loads(msgspec.json.encode(sealed_value(read, SECRETS)))
    assert unsealed_value(stored, SECRETS) == read
    assert resolved_value(unsealed_value(stored, SECRETS), {}, "x") == value


@given(PLAIN)
def test_what_is_printed_reads_as_equal(value):
    read = read_value(escaped(value), secret=False, field="x")
    assert read_value(printed_value(read), secret=False, field="x") == read


def test_a_reference_is_kept_and_resolved_when_used():
    read = read_value("${NAME}", secret=True, field="x")
    assert read == Reference("${NAME}")
    assert sealed_value(read, SECRETS) == {"$env": "NAME"}
    assert printed_value(read) == "${NAME}"
    assert is_open(read, {})
    assert resolved_value(read, {"NAME": "${not again}"}, "x") == "${not again}"
    with pytest.raises(Invalid, match=r"^x: the environment variable NAME is not set$"):
        resolved_value(read, {}, "x")


def test_a_reference_may_be_part_of_a_text():
    read = read_value(["http://${HOST}:${PORT}/$${x}"], secret=False, field="x")
    assert unsealed_value(sealed_value(read, SECRETS), SECRETS) == read
    assert resolved_value(read, {"HOST": "h", "PORT": "1"}, "x") == ["http://h:1/${x}"]


def test_a_secret_that_is_partly_a_reference_is_encrypted_whole():
    read = read_value("Bearer hunter2-${TOKEN}", secret=True, field="x")
    stored = sealed_value(read, SECRETS)
    assert "hunter2" not in json.dumps(stored) + repr(read) + json.dumps(printed_value(read))
    assert resolved_value(unsealed_value(stored, SECRETS), {"TOKEN": "t"}, "x") == "Bearer hunter2-t"


@pytest.mark.parametrize("text", ["${", "a ${1}", "${a b}", "$${a}${"])
def test_a_broken_reference_is_refused(text):
    with pytest.raises(Invalid, match="write a reference as"):
        read_value(text, secret=False, field="x")


def test_kept_is_for_secrets_only():
    assert read_value({"kept": True}, secret=True, field="x") == Kept()
    assert read_value({"kept": True}, secret=False, field="x") == {"kept": True}


def test_an_equal_secret_keeps_its_encrypted_text():
    stored = sealed_value(Secret("hunter2"), SECRETS)
    assert sealed_value(Secret("hunter2"), SECRETS, stored) is stored
    assert sealed_value(Secret("hunter3"), SECRETS, stored) != stored


def test_a_secret_of_another_key_stays_as_it_is_until_it_is_used():
    stored = sealed_value(Secret("hunter2"), Secrets.passing())
    value = unsealed_value(stored, SECRETS)
    assert isinstance(value, Unreadable)
    assert sealed_value(value, SECRETS) == stored
    with pytest.raises(Invalid, match="encrypted with another key"):
        resolved_value(value, {}, "x")


@pytest.mark.parametrize("raw", [{"$secret": "x"}, {"$env": "x"}, {1: 2}, 2**70, {1, 2}, "\ud800"])
def test_what_cannot_be_stored_is_refused(raw):
    with pytest.raises(Invalid, match=r"^x: "):
        read_value(raw, secret=False, field="x")


def test_what_is_nested_too_deep_is_refused():
    raw = "x"
    for _ in range(20):
        raw = [raw]
    with pytest.raises(Invalid, match="nested deeper"):
        read_value(raw, secret=False, field="x")


def test_every_text_in_a_secret_is_known_to_the_masker():
    assert list(texts_of({"a": ["x", {"b": "y"}], "c": 1})) == ["x", "y"]


def test_no_repr_shows_a_secret():
    assert "hunter2" not in repr([Secret("hunter2"), {"a": Secret(["hunter2"])}])
